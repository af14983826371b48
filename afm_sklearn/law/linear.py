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

    Attributes
    ----------
    coef : Tensor of shape (n_lags * c, d)
        Of the standardised steps, flattened, oldest first.
    intercept, log_scale : Tensor of shape (d,)
    low, high : Tensor of shape (d,)
        Range of the targets in training, in their standard units; see `Family.within`.
    """

    coef: Tensor
    intercept: Tensor
    log_scale: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, n_lags: int, n_channels: int, n_outputs: int):
        super().__init__()
        self.n_lags = n_lags
        for name, *shape in (
            ("coef", n_lags * n_channels, n_outputs),
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
        features = x[:, x.shape[1] - self.n_lags :].reshape(len(x), -1)
        return torch.addmm(self.intercept, features, self.coef)

    def embed_drawn(self, steps: Tensor) -> Tensor:
        """Return what the newest steps (n, h, d) add to it, where they were zero."""
        steps = steps[:, -self.n_lags :]
        n_steps, d = steps.shape[1:]
        coef = self.coef.unflatten(0, (self.n_lags, -1))[-n_steps:, :d]
        return steps.flatten(1) @ coef.flatten(0, 1)
