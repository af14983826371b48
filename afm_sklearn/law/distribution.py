"""The distribution of the next step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.special import ndtri

from .dependence import log_box_copula
from .errors import share_below
from .families import Family
from .normal import ndtr

if TYPE_CHECKING:
    from .flow.margins import Moved
    from .flow.matching import Flow
    from .step import StepLaw

N_FIXED = 1024  # points of the fixed noise behind quantiles of a law with a flow
CACHED = 1 << 17  # numbers in a parameter of the laws that are made together


class StepDistribution:
    """Joint distribution of the d channels of the next step, of n histories.

    Noise, correlated by a factor, goes through the flow (if there is one) and then
    through the law of each channel. All methods answer in the units of y.

    Parameters
    ----------
    law : StepLaw
        The law that predicts.
    embedded : sequence of Tensor
        What its first layers made of the histories.
    shift : Tensor of shape (n, d) or None
        How far the histories have left the training range.
    clocks : dict
        Of the flow; see `State`.
    """

    def __init__(
        self,
        law: StepLaw,
        embedded: Sequence[Tensor],
        shift: Tensor | None,
        clocks: dict[Any, Any],
    ):
        self.law, self.shift, self.clocks = law, shift, clocks
        parts = iter(embedded)
        self._forecast = next(parts)
        self._codes = [
            encoder.encode([next(parts) for _ in encoder.scales])
            for encoder in law.encoders()
        ]

    def __len__(self) -> int:
        return len(self._forecast)

    def family(self, rows: slice = slice(None)) -> Family:
        """Return the laws of the channels of some histories, in standard units."""
        codes = [code[rows] for code in self._codes]
        return self.law.channels(self._forecast[rows], codes)

    # -- draws -----------------------------------------------------------------

    def rsample(
        self,
        n_samples: int = 1,
        *,
        generator: torch.Generator | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Draw, with gradients where the law has them.

        Parameters
        ----------
        n_samples : int
            Draws a history.
        generator : torch.Generator, optional
            Source of the noise.
        noise : Tensor of shape (n, n_samples, d), optional
            Standard normal, instead of fresh noise.

        Returns
        -------
        Tensor of shape (n, n_samples, d)
        """
        shape = (len(self._forecast), n_samples, self.law.frame.n_outputs)
        if noise is None:
            noise = self._forecast.new_empty(shape).normal_(generator=generator)
        elif noise.shape != shape:
            raise ValueError(f"noise has shape {tuple(noise.shape)}, expected {shape}")
        z = self._move(noise.to(self._forecast))
        parts = [self.family(rows).from_normal(z[rows]) for rows in self._cached(z)]
        u = parts[0] if len(parts) == 1 else torch.cat(parts)
        return self.law.frame.settle(u, self.shift)

    def _move(self, noise: Tensor) -> Tensor:
        """Correlate standard normal noise, and carry it along the flow."""
        z = noise @ self.law.factor.T if self.law.is_correlated else noise
        if self.law.flow is None:
            return z
        return self.law.integrate(self._field(self.law.flow), z)

    def _field(self, flow: Flow) -> Any:
        return flow.field(self._codes[-1], self.clocks)

    def _cached(self, z: Tensor) -> Iterator[slice]:
        """Cut rows so that the parameters of their laws stay in cache."""
        n, _, d = z.shape
        step = max(1, CACHED // d) if z.device.type == "cpu" else n
        return (slice(at, at + step) for at in range(0, n, step))

    # -- moments and quantiles -------------------------------------------------

    @property
    def mean(self) -> Tensor:
        """Mean (n, d): exact without a flow.

        With a flow, its effect on the mean is that of its margins; without them it is
        averaged over fixed noise, the same for all histories.
        """
        mean = self._whole.mean
        if self._moved is not None:
            mean = mean + self._moved.gain
        elif self.law.flow is not None:
            # The mean without the flow is known, so only the difference is averaged.
            mean = mean + self._gain
        return self.law.frame.to_y(mean, self.shift)

    @property
    def _gain(self) -> Tensor:
        n_points = self.law.share_of(self.law.n_points)
        return self.gains(*self.scores(n_points)).mean(1)

    @property
    def features(self) -> Tensor:
        """What tells of a history (n, f): codes, mean and spread of the channels."""
        family = self._whole
        return torch.cat([*self._codes, family.mean, family.variance.sqrt()], 1)

    @cached_property
    def _whole(self) -> Family:
        return self.family()

    @cached_property
    def _moved(self) -> Moved | None:
        """What the flow makes of each channel alone, where that is known."""
        return None if self.law.margins is None else self.law.margins(self.features)

    def gains(self, before: Tensor, after: Tensor) -> Tensor:
        """How far draws go with their scores (n, k, d), in standard units."""
        return self._whole.from_normal(after) - self._whole.from_normal(before)

    @property
    def center(self) -> Tensor:
        """What draws lie around (n, d): the mean but for the flow."""
        return self.law.frame.to_y(self._whole.mean, self.shift)

    @property
    def tolerance(self) -> tuple[Tensor, Tensor]:
        """How exact quantiles are; see `Frame.tolerance`."""
        return self.law.frame.tolerance

    def settle(self, y: Tensor) -> Tensor:
        """Return y (n, k, d) settled to the atoms."""
        return self.law.frame.settle_y(y, self.shift)

    def edge(self, y: Tensor) -> Tensor:
        """Return up to where what is settled becomes at most y (n, d)."""
        return self.law.frame.edge(y, self.shift)

    def quantile(self, levels: Tensor) -> Tensor:
        """Quantiles (n, m, d) of each channel at the levels (m,).

        Exact without a flow; with one, by its margins, or those of fixed noise carried
        along it, the same for all histories.
        """
        levels = levels.to(self._forecast)
        if self._moved is not None:
            shape = len(self), -1, self.law.frame.n_outputs
            z = ndtri(levels)[None, :, None].expand(*shape)
            u = self._whole.from_normal(self._moved.carry(z))
        elif self.law.flow is not None:
            z = _at_levels(self._ordered, levels)
            u = self._whole.from_normal(z)
        else:
            u = self._whole.quantile(levels)
        return self.law.frame.settle(u, self.shift)

    def cdf(self, y: Tensor) -> Tensor:
        """Distribution function of each channel at y (n, d) or (n, k, d)."""
        u = self._to_u(self.law.frame.edge(y, self.shift))
        below = self._whole.cdf(u if u.ndim == 3 else u[:, None])
        if self._moved is not None:
            below = ndtr(self._moved.back(ndtri(below)))
        elif self.law.flow is not None:
            below = share_below(self._ordered, ndtri(below))
        return below.reshape(y.shape)

    @cached_property
    def _ordered(self) -> Tensor:
        """Scores (n, d, s) of fixed noise carried along the flow, ascending."""
        moved = self.scores(self.law.share_of(N_FIXED))[1].transpose(1, 2)
        return moved.contiguous().sort(-1).values

    def scores(self, n_points: int) -> tuple[Tensor, Tensor]:
        """Return fixed noise (n, n_points, d) before and after the flow."""
        like, m = self._forecast, self.law.n_pasts
        noise = fixed_noise(n_points * m, self.law.frame.n_outputs).to(like)
        before = (noise @ self.law.factor.T).reshape(m, n_points, -1)
        before = before.repeat(len(like) // m, 1, 1)
        assert self.law.flow is not None
        return before, self.law.integrate(self._field(self.law.flow), before)

    # -- densities -------------------------------------------------------------

    def log_prob(self, y: Tensor) -> Tensor:
        """Joint log density (n,) of y (n, d); of counts, log probability.

        What is missing in y (NaN) is marginalised.
        """
        u = self._to_u(y)
        seen = torch.isfinite(u)
        family = self.family()
        target = torch.where(seen, u, 0.0)
        density = self._log_density(family, target, seen).sum(1)
        if self.law.flow is not None or self.law.is_correlated:
            ends = family.normal_scores(target)
            low, high = (torch.where(seen, end, torch.nan) for end in ends)
            ratio = self._log_dependence(low, high)
            is_joint = torch.isfinite(density) & (seen.sum(1) > 0)
            density = torch.where(is_joint, density + ratio, density)
        return density

    def log_prob_by_channel(self, y: Tensor) -> Tensor:
        """Log density (n, d) of each channel alone; NaN where y is.

        With a flow it is that of a channel whose normal score has kept its law,
        which is what the flow is trained for; a single channel has its own density.
        """
        if self.law.flow is not None and self.law.frame.n_outputs == 1:
            density = torch.where(torch.isnan(y[:, 0]), torch.nan, self.log_prob(y))
            return density[:, None]
        u = self._to_u(y)
        seen = torch.isfinite(u)
        density = self._log_density(self.family(), torch.where(seen, u, 0.0), seen)
        return torch.where(seen, density, torch.nan)

    def _log_density(self, family: Family, u: Tensor, seen: Tensor) -> Tensor:
        unit = self.law.frame.y_scale.log()
        return torch.where(seen, family.log_density(u) - unit, 0.0)

    def _log_dependence(self, low: Tensor, high: Tensor) -> Tensor:
        """Log ratio (n,) to independent channels, for intervals of scores (n, d)."""
        flow, root = self.law.flow, self.law.factor
        if flow is None:
            return log_box_copula(root, low, high)
        return flow.log_box_copula(self._codes[-1], root, low, high, self.clocks)

    # -- helpers ---------------------------------------------------------------

    def _to_u(self, y: Tensor) -> Tensor:
        expected = (len(self), self.law.frame.n_outputs)
        if (len(y), y.shape[-1]) != expected:
            raise ValueError(f"y has shape {tuple(y.shape)}, expected {expected}")
        return self.law.frame.to_u(y, self.shift).to(self._forecast)


def _at_levels(ordered: Tensor, levels: Tensor) -> Tensor:
    """Quantiles (n, m, d) of ordered values (n, d, s), between them where need be."""
    at = levels * (ordered.shape[-1] - 1)
    low = at.floor().long()
    high = (low + 1).clamp(max=ordered.shape[-1] - 1)
    return torch.lerp(ordered[..., low], ordered[..., high], at - low).transpose(1, 2)


def fixed_noise(n_points: int, d: int) -> Tensor:
    """Return evenly spread standard normal points (1, n_points, d), always the same.

    Scrambled Sobol points, which need far fewer than random ones for a mean.

    Examples
    --------
    >>> float(fixed_noise(256, 3).mean().abs()) < 0.01
    True
    """
    engine = torch.quasirandom.SobolEngine(d, scramble=True, seed=0)
    points = engine.draw(n_points, dtype=torch.float64).clamp(1e-9, 1 - 1e-9)
    return ndtri(points)[None]
