"""Laws of what a forecast leaves open: errors around a location, joint over channels.

All map standard normal noise to draws around locations. Gaussian errors have closed
forms. The others resample what happened in training: whole rows, so that channels
keep their dependence, exact zeros and lattices.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.special import ndtr, ndtri

from .dependence import log_box_copula, log_copula
from .lattice import smoothed_counts
from .normal import MAX_SCORE, score_of

LOG_TWO_PI = math.log(2 * math.pi)
MIN_BANDWIDTH = 1e-3  # relative to the spread
TINY = 1e-30  # of a channel that never changed


class Errors(nn.Module, ABC):
    """The law of a step around a location (n, d).

    Attributes
    ----------
    gives_y : bool
        Whether draws are values that were seen, in the units of y, instead of steps
        around the location in its units.
    n_values : int
        Values of a channel that a density or a distribution function looks at.
    """

    gives_y = False
    n_values = 1

    @abstractmethod
    def draw(self, location: Tensor, noise: Tensor) -> Tensor:
        """Map standard normal noise (n, k, d) to draws (n, k, d)."""

    @abstractmethod
    def mean(self, location: Tensor) -> Tensor:
        """Mean of each channel (n, d)."""

    @abstractmethod
    def quantile(self, location: Tensor, levels: Tensor, known: Any) -> Tensor:
        """Quantiles (n, m, d) at the levels (m,), given what is `known`."""

    @abstractmethod
    def cdf(self, location: Tensor, y: Tensor, known: Any) -> Tensor:
        """Distribution function of each channel at y (n, k, d), of the shape of y."""

    def known(self, location: Tensor) -> Any:
        """Return what ``cdf`` and ``quantile`` look up, found once for many asks."""
        return None

    @abstractmethod
    def log_prob(self, location: Tensor, y: Tensor) -> Tensor:
        """Joint log density (n,) of y (n, d); NaN is marginalised."""

    @abstractmethod
    def log_prob_by_channel(self, location: Tensor, y: Tensor) -> Tensor:
        """Log density (n, d) of each channel alone."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Return the kind and its sizes, as plain JSON types."""


class GaussianErrors(Errors):
    """y = location + e with e ~ N(0, S).

    Parameters
    ----------
    scale : Tensor of shape (d,)
        Standard deviations.
    root : Tensor of shape (d, d)
        Lower triangular root of the correlations.
    """

    scale: Tensor
    root: Tensor

    def __init__(self, scale: Tensor, root: Tensor):
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("root", root)

    def draw(self, location: Tensor, noise: Tensor) -> Tensor:
        """Map standard normal noise (n, k, d) to draws (n, k, d)."""
        return location[:, None] + noise @ (self.scale[:, None] * self.root).T

    def mean(self, location: Tensor) -> Tensor:
        """Return the location."""
        return location

    def quantile(self, location: Tensor, levels: Tensor, known: Any) -> Tensor:
        """Quantiles (n, m, d) at the levels (m,)."""
        return location[:, None] + ndtri(levels)[:, None] * self.scale

    def cdf(self, location: Tensor, y: Tensor, known: Any) -> Tensor:
        """Distribution function of each channel at y (n, k, d), of the shape of y."""
        return ndtr((y - location[:, None]) / self.scale)

    def log_prob(self, location: Tensor, y: Tensor) -> Tensor:
        """Joint log density (n,) of y (n, d); NaN is marginalised."""
        silent = (self.scale == 0).nonzero()[:, 0].tolist()
        if silent:
            raise ValueError(
                f"channels {silent} had no error in fit: a Gaussian without variance "
                "has no density"
            )
        alone = self.log_prob_by_channel(location, y)
        scores = (y - location) / self.scale
        return alone.nansum(1) + log_copula(self.root, scores)

    def log_prob_by_channel(self, location: Tensor, y: Tensor) -> Tensor:
        """Log density (n, d) of each channel alone."""
        unit = (y - location) / self.scale
        return -0.5 * (unit.square() + LOG_TWO_PI) - self.scale.log()

    def config(self) -> dict[str, Any]:
        """Return the kind and its sizes."""
        return {"kind": "gaussian", "d": len(self.scale)}


class Resampled(Errors):
    """A law whose channels take one of a few values, each as likely as any other.

    Densities are those of the values smoothed by narrow Gaussians,
    with the dependence of a Gaussian copula.

    Attributes
    ----------
    root : Tensor of shape (d, d)
        Lower triangular root of the correlation between channels.
    """

    root: Tensor
    is_counts = False  # whether what was seen are counts, which have probabilities

    @abstractmethod
    def spread(self) -> Tensor:
        """Return the spread (d,) of all values."""

    @abstractmethod
    def atoms(self, location: Tensor) -> Tensor:
        """Return the values (n, s, d) that the channels may take."""

    def mean(self, location: Tensor) -> Tensor:
        """Mean of each channel (n, d)."""
        return self.atoms(location).mean(1)

    def quantile(self, location: Tensor, levels: Tensor, known: Any) -> Tensor:
        """Quantiles (n, m, d): values that are taken, not points between them."""
        return values_at(known, levels).transpose(1, 2)

    def cdf(self, location: Tensor, y: Tensor, known: Any) -> Tensor:
        """Distribution function of each channel at y (n, k, d), of the shape of y."""
        return share_below(known, y)

    def known(self, location: Tensor) -> Tensor:
        """Return the values (n, d, s) that the channels may take, ascending."""
        return self.atoms(location).transpose(1, 2).contiguous().sort(-1).values

    def log_prob(self, location: Tensor, y: Tensor) -> Tensor:
        """Joint log density (n,) of y (n, d); NaN is marginalised."""
        if self.is_counts:
            return self._log_prob_of_counts(location, y)
        unit, bandwidth = self._unit(location, y)
        below = ndtr(unit).mean(-1).clamp(1e-12, 1 - 1e-12)
        scores = ndtri(below).clamp(-MAX_SCORE, MAX_SCORE)
        alone = _smooth_log_density(unit, bandwidth)
        return alone.nansum(1) + log_copula(self.root, scores)

    def log_prob_by_channel(self, location: Tensor, y: Tensor) -> Tensor:
        """Log density (n, d) of each channel alone."""
        if self.is_counts:
            mass = smoothed_counts(self.atoms(location), y.nan_to_num())[0]
            return torch.where(torch.isnan(y), torch.nan, mass.log()).to(y)
        return _smooth_log_density(*self._unit(location, y))

    def _log_prob_of_counts(self, location: Tensor, y: Tensor) -> Tensor:
        seen = ~torch.isnan(y)
        mass, below, above = smoothed_counts(self.atoms(location), y.nan_to_num())
        low, high = score_of(below, 1 - below), score_of(1 - above, above)
        low, high = (torch.where(seen, end, torch.nan) for end in (low, high))
        alone = torch.where(seen, mass.log(), 0.0).sum(1)
        joint = log_box_copula(self.root.to(mass), low, high)
        return torch.where(torch.isfinite(alone), alone + joint, alone).to(y)

    def _unit(self, location: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return distances to the atoms in bandwidths, and these, over the last axis.

        The bandwidth of an atom is how far its near neighbours on the closer side lie:
        modes stay apart.
        """
        atoms, y = self._about(location, y)
        size = atoms.shape[-1]
        reach = max(2, round(size**0.5 / 3))
        beyond = atoms.new_full((*atoms.shape[:-1], min(reach, size)), torch.inf)
        right = torch.cat([atoms[..., reach:], beyond], -1)[..., :size] - atoms
        left = atoms - torch.cat([-beyond, atoms], -1)[..., :size]
        width = torch.minimum(left, right)
        width = torch.where(torch.isinf(width), 0.0, width)
        least = (MIN_BANDWIDTH * self.spread()).clamp(min=TINY)
        width = torch.maximum(width, least[:, None])
        return (y[..., None] - atoms) / width, width

    def _about(self, location: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return atoms in order (n or 1, d, s), and y (n, d) where they begin."""
        return self.known(location), y


def _smooth_log_density(unit: Tensor, bandwidth: Tensor) -> Tensor:
    kernel = -0.5 * (unit.square() + LOG_TWO_PI) - bandwidth.log()
    return torch.logsumexp(kernel, -1) - math.log(unit.shape[-1])


def values_at(ordered: Tensor, levels: Tensor) -> Tensor:
    """Quantiles (..., m) of ordered values (..., s) at levels (m,)."""
    size = ordered.shape[-1]
    at = (levels * size - 1e-9).ceil().long().clamp(1, size) - 1
    return ordered[..., at]


def share_below(ordered: Tensor, y: Tensor) -> Tensor:
    """Share of ordered values (n, d, s) or (d, s) that are at most y (n, k, d).

    Examples
    --------
    >>> share_below(torch.tensor([[1.0, 2.0]]), torch.tensor([[[1.5], [2.0]]]))
    tensor([[[0.5000],
             [1.0000]]])
    """
    n, k, _ = y.shape
    at = y.permute(0, 2, 1) if ordered.ndim == 3 else y.permute(2, 0, 1).flatten(1)
    at = at.to(ordered).contiguous()
    count = torch.searchsorted(ordered.contiguous(), at, right=True)
    if ordered.ndim == 3:
        count = count.permute(0, 2, 1)
    else:
        count = count.unflatten(1, (n, k)).permute(1, 2, 0)
    return (count / ordered.shape[-1]).to(y)


def refuse_gradient(location: Tensor) -> None:
    """Refuse to draw where a gradient is asked for that the draws do not have."""
    if torch.is_grad_enabled() and location.requires_grad:
        raise RuntimeError(
            "draws that resample what was seen have no gradient; laws fitted with "
            "base='linear' or 'learned' to real values have one"
        )


def picked_rows(noise: Tensor, m: int) -> Tensor:
    """Pick one of m rows by the first entry of each noise (..., d)."""
    return (ndtr(noise[..., 0].double()) * m).long().clamp(max=m - 1)
