"""How much wider a law is where a stimulus lies outside its training range.

A forecast is held near the end of the range. How far the truth has moved on since is
not known; how far the forecast moved in training between stimuli so far apart is. Its
mean square, twice a semivariance, is the variance of the error of a value that is taken
from the end of the range (Cressie 1993, sections 2.3 and 3.2).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

DISTANCES = (0.0, 0.05, 0.15, 0.3, 0.5, 1.0)  # of the range of a channel


class Widening(nn.Module):
    """Variance that is added, in units of that of the noise.

    Parameters
    ----------
    n_channels : int
        Channels of a window c.

    Attributes
    ----------
    excess : Tensor of shape (c, m)
        At each of the `DISTANCES` outside the range; zero for lagged targets.
    """

    excess: Tensor

    def __init__(self, n_channels: int):
        super().__init__()
        shape = n_channels, len(DISTANCES)
        self.register_buffer("excess", torch.zeros(shape, dtype=torch.float64))

    def forward(self, outside: Tensor) -> Tensor:
        """Return the variance added by the worst of the last channels.

        Parameters
        ----------
        outside : Tensor of shape (..., k)
            How far each lies outside its range, in units of that range; 0 inside.

        Returns
        -------
        Tensor of shape (...,)
        """
        excess = self.excess[-outside.shape[-1] :]
        at = excess.new_tensor(DISTANCES)
        outside = outside.clamp(max=DISTANCES[-1])
        right = torch.searchsorted(at, outside.contiguous()).clamp(min=1)
        left = right - 1
        share = (outside - at[left]) / (at[right] - at[left])
        table = excess.expand(*outside.shape, -1)
        low, high = (table.gather(-1, i[..., None])[..., 0] for i in (left, right))
        return torch.lerp(low, high, share).amax(-1)


class Widened:
    """A distribution stretched about its centre.

    Parameters
    ----------
    own : distribution
        Of n histories, with a ``center`` (n, d).
    scale : Tensor of shape (n, 1)
        At least 1.
    """

    def __init__(self, own: Any, scale: Tensor):
        self.own, self.scale, self.center = own, scale, own.center

    def __len__(self) -> int:
        return len(self.own)

    @property
    def mean(self) -> Tensor:
        """Mean (n, d)."""
        return self.center + self.scale * (self.own.mean - self.center)

    def rsample(
        self,
        n_samples: int = 1,
        *,
        generator: torch.Generator | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Draws (n, n_samples, d)."""
        return self._stretch(
            self.own.rsample(n_samples, generator=generator, noise=noise)
        )

    def quantile(self, levels: Tensor) -> Tensor:
        """Quantiles (n, m, d)."""
        return self._stretch(self.own.quantile(levels))

    @property
    def tolerance(self) -> tuple[Tensor, Tensor]:
        """How exact quantiles are; see `Frame.tolerance`."""
        tolerance: tuple[Tensor, Tensor] = self.own.tolerance
        return tolerance

    def settle(self, y: Tensor) -> Tensor:
        """Return y (n, k, d) settled to the atoms."""
        settled: Tensor = self.own.settle(y)
        return settled

    def cdf(self, y: Tensor) -> Tensor:
        """Distribution function of each channel at y (n, d) or (n, k, d)."""
        return self.own.cdf(self._shrink(self.own.edge(y)))

    def log_prob(self, y: Tensor) -> Tensor:
        """Joint log density (n,)."""
        unit = self.scale.log() * torch.isfinite(y)
        return self.own.log_prob(self._shrink(y)) - unit.sum(1)

    def log_prob_by_channel(self, y: Tensor) -> Tensor:
        """Log density of each channel alone (n, d)."""
        return self.own.log_prob_by_channel(self._shrink(y)) - self.scale.log()

    def _stretch(self, y: Tensor) -> Tensor:
        center = self.center[:, None]
        return self.own.settle(center + self.scale[:, None] * (y - center))

    def _shrink(self, y: Tensor) -> Tensor:
        center, scale = self.center, self.scale
        if y.ndim == 3:
            center, scale = center[:, None], scale[:, None]
        return center + (y - center) / scale
