"""Laws of independent Poisson counts given the past."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from ..law.windowed import WindowedState


@dataclass(frozen=True)
class PoissonDistribution:
    """Independent Poisson counts of given rates (n, d), times a unit."""

    rate: Tensor
    unit: float = 1.0

    def __len__(self) -> int:
        return len(self.rate)

    @property
    def mean(self) -> Tensor:
        """Mean of each channel (n, d)."""
        return self.unit * self.rate

    def rsample(
        self, n_samples: int = 1, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draws (n, n_samples, d), without a gradient."""
        n, d = self.rate.shape
        rate = self.rate[:, None].expand(n, n_samples, d).contiguous()
        return self.unit * torch.poisson(rate, generator=generator)

    def quantile(self, levels: Tensor) -> Tensor:
        """Quantiles (n, m, d)."""
        values = stats.poisson.ppf(levels.numpy()[:, None], self.rate.numpy()[:, None])
        return self.unit * torch.from_numpy(values)

    def cdf(self, y: Tensor) -> Tensor:
        """Distribution function of each channel (n, d)."""
        values = stats.poisson.cdf((y / self.unit).numpy(), self.rate.numpy())
        return torch.from_numpy(values)

    def log_prob(self, y: Tensor) -> Tensor:
        """Joint log probability (n,); NaN is marginalised."""
        return self.log_prob_by_channel(y).nan_to_num(nan=0.0, neginf=-torch.inf).sum(1)

    def log_prob_by_channel(self, y: Tensor) -> Tensor:
        """Log probability of each channel alone (n, d)."""
        count = (y / self.unit).numpy()
        mass = stats.poisson.logpmf(np.nan_to_num(count), self.rate.numpy())
        return torch.from_numpy(np.where(np.isnan(count), np.nan, mass))


class PoissonLaw:
    """Poisson counts whose rates depend on the window.

    Parameters
    ----------
    rate : callable
        Maps windows (n, L, c), NaN where not observed, to rates (n, d).
    unit : float
        What one count is in the units of y.
    lag_scale, lag_offset : Tensor of shape (d,)
        The newest lagged channels are ``(y - lag_offset) / lag_scale``.
    """

    def __init__(
        self,
        rate: Callable[[Tensor], Tensor],
        unit: float,
        lag_scale: Tensor,
        lag_offset: Tensor,
    ):
        self.rate, self.unit = rate, unit
        self.lag_scale, self.lag_offset = lag_scale, lag_offset

    def start(self, windows: Tensor) -> WindowedState:
        """Return the state before the step that windows (n, L, c) lead to."""
        return WindowedState(
            self.distribution,
            windows.to(self.lag_scale),
            self.lag_scale,
            self.lag_offset,
        )

    def distribution(self, windows: Tensor) -> PoissonDistribution:
        """Return the distribution of the step that windows lead to."""
        return PoissonDistribution(self.rate(windows), self.unit)
