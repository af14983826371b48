"""The linear forecast of the location of every channel."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class LinearLaw(nn.Module):
    """A linear forecast of the location with one scale parameter a channel.

    Parameters
    ----------
    n_lags, n_channels, n_outputs : int
        Newest steps that are looked at, channels of a window c, and targets d.
    n_own : int
        Steps before those of which each channel sees its own activity.

    Attributes
    ----------
    reach : int
        Steps of a window that it needs.
    coef : Tensor of shape (n_lags * c, d)
        Of the standardised steps, flattened, oldest first.
    own : Tensor of shape (n_own, d)
        Of each channel's own activity before them, oldest first.
    intercept, log_scale : Tensor of shape (d,)
    low, high : Tensor of shape (d,)
        Range of the targets in training, in their standard units; see `Family.within`.
    """

    coef: Tensor
    own: Tensor
    intercept: Tensor
    log_scale: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, n_lags: int, n_channels: int, n_outputs: int, n_own: int = 0):
        super().__init__()
        self.n_lags, self.reach = n_lags, n_lags + n_own
        for name, *shape in (
            ("coef", n_lags * n_channels, n_outputs),
            ("own", n_own, n_outputs),
            ("intercept", n_outputs),
            ("log_scale", n_outputs),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float32))
        for name, end in (("low", -math.inf), ("high", math.inf)):
            ends = torch.full((n_outputs,), end, dtype=torch.float32)
            self.register_buffer(name, ends)

    def forward(self, x: Tensor) -> Tensor:
        """Map standardised windows (n, L, c) to locations (n, d)."""
        return self.embed(x)

    def embed(self, x: Tensor) -> Tensor:
        """Return the locations, which are affine in the windows."""
        newest = x[:, x.shape[1] - self.n_lags :].reshape(len(x), -1)
        location = torch.addmm(self.intercept, newest, self.coef)
        return location + self._earlier(x) if len(self.own) else location

    def embed_drawn(self, steps: Tensor) -> Tensor:
        """Return what the newest steps (n, h, d) add to it, where they were zero."""
        newest = steps[:, -self.n_lags :]
        n_steps, d = newest.shape[1:]
        coef = self.coef.unflatten(0, (self.n_lags, -1))[-n_steps:, :d]
        location = newest.flatten(1) @ coef.flatten(0, 1)
        if not len(self.own) or steps.shape[1] <= self.n_lags:
            return location
        return location + self._earlier(steps)

    def _earlier(self, steps: Tensor) -> Tensor:
        """Return what each channel's own activity before the newest steps adds."""
        d = self.own.shape[1]
        earlier = steps[:, -self.reach : -self.n_lags, :d]
        return (earlier * self.own[len(self.own) - earlier.shape[1] :]).sum(1)
