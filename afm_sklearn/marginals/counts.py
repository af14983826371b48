r"""Mixtures of negative binomial laws, for channels of counts.

The distribution function has steps, so that a count has an interval of normal
scores; a score drawn uniformly (in probability) from it is exactly standard normal
under the true law (the distributional transform; Rüschendorf 2009). Mapping a
standard normal variable back always gives a count.

Parameters are a triple of tensors (..., K, d): log mean, log size (the variance is
mean + mean^2 / size) and log weight of each component.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor
from torch.nn import functional
from torch.special import ndtri

from .gaussian import MAX_SCORE, Params

MAX_COUNT = 1000  # no draw exceeds it
N_DENSE = 4  # most counts lie below it


class CountMixture:
    """A mixture of negative binomial laws a channel."""

    @staticmethod
    def from_normal(z: Tensor, params: Params) -> Tensor:
        """Map standard normal z (n, k, d) to counts, given params (n, K, d)."""
        # The upper tail is walked, so its mass must keep its digits.
        tail = 0.5 * torch.erfc(z * math.sqrt(0.5))
        count = torch.zeros_like(z)
        mass = _Masses(*(p[:, :, None] for p in params))
        remaining = 1.0 - mass.total()
        for _ in range(N_DENSE):
            count += tail < remaining
            mass.advance()
            remaining = remaining - mass.total()
        # Few entries are left: they are walked on alone.
        n, _, d = (beyond := tail < remaining).nonzero(as_tuple=True)
        if len(n):
            count[beyond] += _walk(tail[beyond], remaining[n, 0, d], mass.at(n, d))
        return count

    @staticmethod
    def normal_scores(y: Tensor, params: Params) -> tuple[Tensor, Tensor]:
        """Return both ends of the interval of normal scores of y (n, d)."""
        mass = _Masses(*params)
        before = torch.zeros_like(y)
        at = mass.total()
        top = int(torch.nan_to_num(y).max()) if y.numel() else 0
        for _ in range(min(top, MAX_COUNT)):
            later = y > mass.count
            mass.advance()
            before = torch.where(later, before + at, before)
            at = torch.where(later, mass.total(), at)
        # Rounding may carry a sum of masses beyond 1.
        ends = before.clamp(max=1.0), (before + at).clamp(max=1.0)
        low, high = (ndtri(end).clamp(-MAX_SCORE, MAX_SCORE) for end in ends)
        return low, high

    @staticmethod
    def log_density(y: Tensor, params: Params) -> Tensor:
        """Log probability of each entry of y (n, d)."""
        log_mean, log_size, log_weight = params
        count, size = y[:, None], log_size.exp()
        ratio = log_mean - log_size  # log of mean / size
        # log Gamma(y + size) / (Gamma(size) y! size^y), one factor after the other:
        # log-gammas of large sizes would nearly cancel.
        log_mass = -(count + size) * functional.softplus(ratio) + count * log_mean
        for k in range(int(y.max()) if y.numel() else 0):
            factor = torch.log1p(k / size) - math.log(k + 1)
            log_mass = log_mass + torch.where(count > k, factor, 0.0)
        return torch.logsumexp(log_weight + log_mass, 1)

    @staticmethod
    def mean(params: Params) -> Tensor:
        """Mean of each channel, (n, d)."""
        log_mean, _, log_weight = params
        return torch.exp(log_weight + log_mean).sum(1)


def _walk(tail: Tensor, remaining: Tensor, mass: _Masses) -> Tensor:
    """Count on from where `remaining` is beyond `mass`; all are of shape (m,)."""
    count = torch.zeros_like(tail)
    while (beyond := tail < remaining).any() and mass.count < MAX_COUNT:
        count += beyond
        mass.advance()
        remaining = remaining - mass.total()
    return count


class _Masses:
    """Probabilities of 0, 1, 2, ... in turn."""

    def __init__(self, log_mean: Tensor, log_size: Tensor, log_weight: Tensor):
        self.count, self.axis = 0, 1  # of the components
        self.size = log_size.exp()
        self.ratio = torch.sigmoid(log_mean - log_size)
        # size * log(size / (size + mean)), without cancellation for large sizes.
        self.mass = torch.exp(log_weight + self.size * torch.log1p(-self.ratio))

    def total(self) -> Tensor:
        return self.mass.sum(self.axis)

    def advance(self) -> None:
        self.mass = self.mass * self.ratio * (self.count + self.size)
        self.count += 1
        self.mass = self.mass / self.count

    def at(self, n: Tensor, d: Tensor) -> _Masses:
        """Return the same for some entries of (n, 1, d) only, as (K, m)."""
        part = copy.copy(self)
        part.axis = 0
        part.size, part.ratio, part.mass = (
            values[n, :, 0, d].T for values in (self.size, self.ratio, self.mass)
        )
        return part
