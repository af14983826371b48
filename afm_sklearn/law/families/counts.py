"""Mixtures of negative binomial laws, for channels of counts."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ..normal import in_double, score_of
from .count_inversion import Masses, count_quantiles
from .family import Family
from .negative_binomial import FEW, log_mass, log_mass_of_few, tails

SMALL_REST = 1e-6


class CountMixture(Family):
    """A mixture of negative binomial laws a channel.

    The distribution function has steps, so that a count has an interval of normal
    scores; a score drawn uniformly (in probability) from it is exactly standard
    normal under the true law (the distributional transform; Rüschendorf 2009).
    Mapping a standard normal variable back always gives a count. Densities and
    scores are computed in double precision.

    Parameters
    ----------
    log_mean, log_size, log_weight : Tensor of shape (n, K, d)
        Log mean and log size of each component, whose variance is mean + mean^2 /
        size, and its log weight; the weights of a channel sum to one.

    Examples
    --------
    >>> law = CountMixture(*torch.tensor([2.0, 5.0, 1.0]).log().view(3, 1, 1, 1))
    >>> law.from_normal(torch.tensor([[[-1.0], [0.0], [2.0]]])).flatten().tolist()
    [0.0, 2.0, 6.0]
    """

    name: ClassVar[str] = "counts"
    is_differentiable: ClassVar[bool] = False
    is_discrete: ClassVar[bool] = True

    def __init__(self, log_mean: Tensor, log_size: Tensor, log_weight: Tensor):
        super().__init__(log_mean, log_size, log_weight)
        self.log_mean, self.log_size = log_mean, log_size
        self.log_weight = log_weight

    @property
    def mean(self) -> Tensor:
        """Mean of each channel, (n, d)."""
        return torch.exp(self.log_weight + self.log_mean).sum(1)

    @property
    def variance(self) -> Tensor:
        """Variance of each channel, (n, d)."""
        each = self.log_mean.exp()
        square = each + torch.exp(2 * self.log_mean - self.log_size)
        spread = (each - self.mean[:, None]).square()
        return (self.log_weight.exp() * (square + spread)).sum(1)

    def cdf(self, y: Tensor) -> Tensor:
        """Distribution function at y (n, d) or (n, k, d), of the shape of y."""
        draws = y[:, None] if y.ndim == 2 else y
        below, _ = self._tails(in_double(draws).floor())
        return below.reshape(y.shape).to(y)

    def log_density(self, y: Tensor) -> Tensor:
        """Log probability of y (n, d); minus infinity where y is no count."""
        mass = self._log_mass(in_double(y)).to(self.log_mean)
        return torch.where(torch.isnan(y), torch.nan, mass)

    def normal_scores(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Both ends (n, d) of the interval of normal scores of counts y (n, d).

        They end at -12 and 12.
        """
        count, params = in_double(y), [in_double(p) for p in self.parameters]
        below, above, mass = self._few_masses(count)
        # Sums of masses leave no digits to a small rest.
        n, d = ((count > FEW) | (above < SMALL_REST)).nonzero(as_tuple=True)
        if len(n):
            law = CountMixture(*(p[n, :, d][:, :, None] for p in params))
            at = count[n, d][:, None]
            ends = *law._tails(at[:, None]), law._log_mass(at).exp()[:, None]
            below, above, mass = (
                few.index_put((n, d), end[:, 0, 0])
                for few, end in zip((below, above, mass), ends, strict=True)
            )
        before = torch.where(count > 0, below - mass, 0.0)
        low, high = score_of(before, above + mass), score_of(below, above)
        lost = torch.isnan(y)
        return low.to(y).where(~lost, y), high.to(y).where(~lost, y)

    def from_normal(self, z: Tensor) -> Tensor:
        """Map standard normal z (n, k, d) to counts (n, k, d).

        Raises
        ------
        RuntimeError
            If gradients are asked for: counts have none.
        """
        inputs = z, *self.parameters
        if torch.is_grad_enabled() and any(t.requires_grad for t in inputs):
            raise RuntimeError(
                "draws of counts have no gradient: draw under torch.no_grad(), or "
                "take the mean or log_density, which have one"
            )
        return count_quantiles(*inputs)

    def within(self, low: Tensor, high: Tensor) -> CountMixture:
        """Return laws with no rate above the largest count, and no longer tail."""
        highest = high.clamp(min=1.0).log()
        log_mean = torch.minimum(self.log_mean, highest)
        log_size = torch.maximum(self.log_size, log_mean - highest)
        return CountMixture(log_mean, log_size, self.log_weight)

    def quantile(self, levels: Tensor) -> Tensor:
        """Quantiles (n, m, d) of each channel at the levels (m,), in (0, 1).

        In double precision, as a step may lie close to a level.
        """
        twin = CountMixture(*(in_double(p) for p in self.parameters))
        return super(CountMixture, twin).quantile(levels).to(self.log_mean)

    def _log_mass(self, count: Tensor) -> Tensor:
        """Return log probabilities in double precision, given counts that are so."""
        possible = torch.isfinite(count) & (count >= 0) & (count == count.floor())
        at = torch.where(possible, count, 0.0)
        log_mean, log_size, log_weight = (in_double(p) for p in self.parameters)
        few = at.clamp(max=FEW)[:, None]
        log_each = log_weight + log_mass_of_few(few, log_mean, log_size)
        n, d = (at > FEW).nonzero(as_tuple=True)
        if len(n):
            many = log_mass(at[n, d][:, None], log_mean[n, :, d], log_size[n, :, d])
            rows = torch.arange(log_mean.shape[1], device=n.device)
            at_many = n[:, None], rows, d[:, None]
            log_each = log_each.index_put(at_many, log_weight[n, :, d] + many)
        return torch.where(possible, torch.logsumexp(log_each, 1), -torch.inf)

    def _few_masses(self, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the masses up to counts, beyond and at them, where they are few."""
        mean, size, weight = (in_double(p) for p in self.parameters)
        mass = Masses((mean, size, weight), 1)
        below, at = torch.zeros_like(count), torch.zeros_like(count)
        top = torch.nan_to_num(count).clamp(0, FEW)
        for k in range(1 + int(top.max()) if top.numel() else 0):
            total = mass.total()
            below = below + total * (count >= k)
            at = at + total * (count == k)
            mass.advance()
        return below, 1 - below, at

    def _tails(self, count: Tensor) -> tuple[Tensor, Tensor]:
        """Return the masses up to counts (n, k, d) and beyond them."""
        at = torch.where(torch.isfinite(count) & (count >= 0), count, 0.0)
        below, above = torch.zeros_like(count), torch.zeros_like(count)
        for log_mean, log_size, log_weight in zip(
            *(in_double(p).unbind(1) for p in self.parameters), strict=True
        ):
            lower, upper = tails(
                at, log_mean[:, None].expand_as(at), log_size[:, None].expand_as(at)
            )
            weight = log_weight.exp()[:, None]
            below, above = below + weight * lower, above + weight * upper
        is_none, is_all = count < 0, count == torch.inf
        below = torch.where(is_none, 0.0, torch.where(is_all, 1.0, below))
        above = torch.where(is_none, 1.0, torch.where(is_all, 0.0, above))
        lost = torch.isnan(count)
        return torch.where(lost, count, below), torch.where(lost, count, above)
