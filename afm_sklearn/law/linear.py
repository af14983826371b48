"""The linear forecast of the location of every channel."""

from __future__ import annotations

import math
from typing import Any, Self

import torch
from torch import Tensor, nn


class LinearLaw(nn.Module):
    """A linear forecast of the location with one scale parameter a channel.

    Parameters
    ----------
    n_lags, n_channels, n_outputs : int
        Newest steps that are looked at, channels of a window c, and targets d.
    n_own : int
        Steps before those, of which each channel sees its own activity and all see a
        few directions of it.
    rank : int
        These directions.

    Attributes
    ----------
    reach : int
        Steps of a window that it needs.
    coef : Tensor of shape (n_own * rank + n_lags * c, d)
        Of the directions of the earlier steps and of the standardised steps, both
        flattened, oldest first.
    own : Tensor of shape (n_own, d)
        Of each channel's own activity in the earlier steps, oldest first.
    basis : Tensor of shape (d, rank)
        The directions, one a column; (0, 0) without earlier steps.
    intercept, log_scale : Tensor of shape (d,)
    low, high : Tensor of shape (d,)
        Range of the targets in training, in their standard units; see `Family.within`.
    """

    coef: Tensor
    own: Tensor
    basis: Tensor
    intercept: Tensor
    log_scale: Tensor
    low: Tensor
    high: Tensor

    def __init__(
        self,
        n_lags: int,
        n_channels: int,
        n_outputs: int,
        n_own: int = 0,
        rank: int = 0,
    ):
        super().__init__()
        self.n_lags, self.reach = n_lags, n_lags + n_own
        for name, *shape in (
            ("coef", n_own * rank + n_lags * n_channels, n_outputs),
            ("own", n_own, n_outputs),
            ("basis", n_outputs if n_own else 0, rank),
            ("intercept", n_outputs),
            ("log_scale", n_outputs),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float32))
        for name, end in (("low", -math.inf), ("high", math.inf)):
            ends = torch.full((n_outputs,), end, dtype=torch.float32)
            self.register_buffer(name, ends)

    @classmethod
    def from_config(
        cls, config: dict[str, Any], n_channels: int, n_outputs: int
    ) -> Self:
        """Build the blank linear part of a law with this configuration."""
        # Files of older versions do not say what is seen of earlier steps.
        sizes = config.get("n_own", 0), config.get("rank", 0)
        return cls(config["n_lags"], n_channels, n_outputs, *sizes)

    def config(self) -> dict[str, Any]:
        """Return its sizes, as plain JSON types."""
        return {
            "n_lags": self.n_lags,
            "n_own": len(self.own),
            "rank": self.basis.shape[1],
        }

    def forward(self, x: Tensor) -> Tensor:
        """Map standardised windows (n, L, c) to locations (n, d)."""
        return self.embed(x)

    def embed(self, x: Tensor) -> Tensor:
        """Return the locations, which are affine in the windows."""
        newest = x[:, x.shape[1] - self.n_lags :].reshape(len(x), -1)
        location = torch.addmm(self.intercept, newest, self._of_steps())
        return location + self._earlier(x) if len(self.own) else location

    def embed_drawn(self, steps: Tensor) -> Tensor:
        """Return what the newest steps (n, h, d) add to it, where they were zero."""
        newest = steps[:, -self.n_lags :]
        n_steps, d = newest.shape[1:]
        coef = self._of_steps().unflatten(0, (self.n_lags, -1))[-n_steps:, :d]
        location = newest.flatten(1) @ coef.flatten(0, 1)
        if not len(self.own) or steps.shape[1] <= self.n_lags:
            return location
        return location + self._earlier(steps)

    def slopes(self) -> Tensor:
        """Return the weights (reach, d, d) of the activity, the newest step first."""
        d = self.own.shape[1]
        steps = self._of_steps().unflatten(0, (self.n_lags, -1))[:, :d]
        if not len(self.own):
            return steps.flip(0)
        earlier = torch.diag_embed(self.own) + self.basis @ self._of_projections()
        return torch.cat([earlier, steps]).flip(0)

    def _earlier(self, steps: Tensor) -> Tensor:
        """Return what the activity before the newest steps adds."""
        earlier = steps[:, -self.reach : -self.n_lags, : self.own.shape[1]]
        first = len(self.own) - earlier.shape[1]
        projected = (earlier @ self.basis).flatten(1)
        others = projected @ self._of_projections()[first:].flatten(0, 1)
        return (earlier * self.own[first:]).sum(1) + others

    def _of_projections(self) -> Tensor:
        shape = len(self.own), self.basis.shape[1]
        return self.coef[: shape[0] * shape[1]].unflatten(0, shape)

    def _of_steps(self) -> Tensor:
        return self.coef[len(self.own) * self.basis.shape[1] :]
