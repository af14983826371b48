"""Laws whose error is the same in every row: y = mean(window) + e."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from .errors import Errors
from .windowed import WindowedState


@dataclass(frozen=True)
class AdditiveDistribution:
    """Location (n, d) plus an error."""

    location: Tensor
    errors: Errors
    is_exact: bool = True

    def __len__(self) -> int:
        return len(self.location)

    @property
    def mean(self) -> Tensor:
        """Location, plus what errors are on average if that is to count."""
        return self.errors.mean(self.location) if self.is_exact else self.location

    def rsample(
        self,
        n_samples: int = 1,
        *,
        generator: torch.Generator | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Draws (n, n_samples, d)."""
        n, d = self.location.shape
        if noise is None:
            noise = self.location.new_empty(n, n_samples, d).normal_(
                generator=generator
            )
        return self.errors.draw(self.location, noise)

    def quantile(self, levels: Tensor) -> Tensor:
        """Quantiles (n, m, d)."""
        return self.errors.quantile(self.location, levels, self._known)

    def cdf(self, y: Tensor) -> Tensor:
        """Distribution function of each channel at y (n, d) or (n, k, d)."""
        at = y if y.ndim == 3 else y[:, None]
        return self.errors.cdf(self.location, at, self._known).reshape(y.shape)

    @cached_property
    def _known(self) -> Any:
        return self.errors.known(self.location)

    def log_prob(self, y: Tensor) -> Tensor:
        """Joint log density (n,)."""
        return self.errors.log_prob(self.location, y)

    def log_prob_by_channel(self, y: Tensor) -> Tensor:
        """Log density of each channel alone (n, d)."""
        return self.errors.log_prob_by_channel(self.location, y)


class AdditiveLaw(nn.Module):
    """A law y = mean(window) + e, whatever computes the mean.

    Parameters
    ----------
    mean : callable
        Maps windows (n, L, c), NaN where not observed, to means (n, d).
    errors : Errors
    lag_scale, lag_offset : Tensor of shape (d,)
        The newest lagged channels are ``(y - lag_offset) / lag_scale``.
    is_exact : bool
        Whether the mean of the law counts what errors are on average.
    """

    lag_scale: Tensor
    lag_offset: Tensor

    def __init__(
        self,
        mean: Callable[[Tensor], Tensor],
        errors: Errors,
        lag_scale: Tensor,
        lag_offset: Tensor,
        *,
        is_exact: bool = True,
    ):
        super().__init__()
        self.mean, self.errors, self.is_exact = mean, errors, is_exact
        self.register_buffer("lag_scale", lag_scale)
        self.register_buffer("lag_offset", lag_offset)

    def start(self, windows: Tensor) -> WindowedState:
        """Return the state before the step that windows (n, L, c) lead to."""
        return WindowedState(
            self.distribution,
            windows.to(self.lag_scale),
            self.lag_scale,
            self.lag_offset,
        )

    def distribution(self, windows: Tensor) -> AdditiveDistribution:
        """Return the distribution of the step that windows lead to."""
        return AdditiveDistribution(self.mean(windows), self.errors, self.is_exact)
