"""Quantiles of negative binomial mixtures: the least count with F(count) >= Phi(z).

Small counts are walked to, mass by mass. What is large, or so far out in a tail that
sums of masses have lost its digits, is found between bounds, with the distribution
function in double precision.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..normal import MAX_SCORE, in_double, ndtr, score_of
from .negative_binomial import log_mass, tails

N_DENSE = 4  # most counts lie below it
MAX_WALK = 100  # so many masses cost as much as a search
MAX_COUNT = 1e15  # neighbours are still told apart
MAX_STEPS = 200

Components = tuple[Tensor, Tensor, Tensor]


def count_quantiles(
    z: Tensor, log_mean: Tensor, log_size: Tensor, log_weight: Tensor
) -> Tensor:
    """Map scores z (n, k, d) to counts, given the components (n, K, d)."""
    # The upper tail is walked, so its mass must keep its digits.
    tail = 0.5 * torch.erfc(z * math.sqrt(0.5))
    count = 0.0 * tail  # NaN where z is
    params = log_mean, log_size, log_weight
    mass = Masses(
        (log_mean[:, :, None], log_size[:, :, None], log_weight[:, :, None]), 1
    )
    remaining = 1.0 - mass.total()
    for _ in range(N_DENSE):
        count += tail < remaining
        mass.advance()
        remaining = remaining - mass.total()
    is_far = z.abs() > _walkable_score(z.dtype)
    # Few entries are left: they are gone on with alone.
    n, k, d = ((tail < remaining) | is_far).nonzero(as_tuple=True)
    if not len(n):
        return count
    walks = (mass.can_be_walked()[n, 0, d] & ~is_far[n, k, d]).nonzero()[:, 0]
    at = n[walks], k[walks], d[walks]
    more, is_open = _walk(tail[at], remaining[at[0], 0, at[2]], mass.at(at[0], at[2]))
    count[at] += more
    is_far[n, k, d] = True
    is_far[at] = is_open
    n, k, d = is_far.nonzero(as_tuple=True)
    mean, size, weight = (in_double(p[n, :, d].T) for p in params)
    count[n, k, d] = _search(in_double(z[n, k, d]), (mean, size, weight)).to(count)
    return count


def _walkable_score(dtype: torch.dtype) -> float:
    """Return the score beyond which a sum of masses has too few digits."""
    mass = torch.tensor(1e3 * torch.finfo(dtype).eps, dtype=torch.float64)
    return -float(torch.special.ndtri(mass))


def _walk(tail: Tensor, remaining: Tensor, mass: Masses) -> tuple[Tensor, Tensor]:
    """Count on from where `remaining` is beyond `mass`; all are of shape (m,).

    Returns the counts, and what is not at its end yet.
    """
    count = torch.zeros_like(tail)
    while (beyond := tail < remaining).any() and mass.count < MAX_WALK:
        count += beyond
        mass.advance()
        remaining = remaining - mass.total()
    return count, beyond


class Masses:
    """Probabilities of 0, 1, 2, ... in turn, of components along an axis."""

    def __init__(self, components: Components, axis: int):
        log_mean, log_size, log_weight = components
        self.count, self.axis = 0, axis
        self.size = log_size.exp()
        self.ratio = torch.sigmoid(log_mean - log_size)
        # size * log(size / (size + mean)), without cancellation for large sizes.
        self.log_none = self.size * torch.log1p(-self.ratio)
        self.mass = torch.exp(log_weight + self.log_none)

    def total(self) -> Tensor:
        """Return the probability of the count, of mixtures."""
        return self.mass.sum(self.axis)

    def can_be_walked(self) -> Tensor:
        """Tell where means are small, and no first mass is too small to go on from."""
        limit = 10.0 + math.log(torch.finfo(self.mass.dtype).tiny)
        is_small = self.size * self.ratio < MAX_WALK * (1 - self.ratio)
        return ((self.log_none > limit) & is_small).all(self.axis)

    def advance(self) -> None:
        """Go on to the next count."""
        self.mass = self.mass * self.ratio * (self.count + self.size)
        self.count += 1
        self.mass = self.mass / self.count

    def at(self, n: Tensor, d: Tensor) -> Masses:
        """Return the same for some entries of (n, 1, d) only, as (K, m)."""
        part = object.__new__(Masses)
        part.count, part.axis = self.count, 0
        part.size, part.ratio, part.log_none, part.mass = (
            values[n, :, 0, d].T
            for values in (self.size, self.ratio, self.log_none, self.mass)
        )
        return part


def _search(z: Tensor, law: Components) -> Tensor:
    """Find the counts of z (m,), given the components (K, m), all in double precision.

    Newton's method on the score of a count, within bounds that every step tightens.
    """
    z = z.clamp(-MAX_SCORE, MAX_SCORE)
    out, left = torch.empty_like(z), torch.arange(len(z), device=z.device)
    low, high = torch.full_like(z, -1.0), torch.full_like(z, MAX_COUNT)
    count = _matched(z, law)
    for step in range(MAX_STEPS):
        below, above, mass = _at(count, law)
        score = score_of(below, above)
        reaches = _reaches(below, above, z)
        before = _reaches(below - mass, above + mass, z) & (count > 0)
        low = torch.where(reaches, low, count)
        high = torch.where(before, count - 1, torch.where(reaches, count, high))
        newton = count + (z - score) * torch.exp(-0.5 * score.square()) / (
            mass * math.sqrt(2 * math.pi)
        )
        newton = torch.ceil(newton)
        middle = torch.where(high < MAX_COUNT, ((low + high) / 2).floor(), 2 * low + 1)
        inside = (newton > low) & (newton < high) & (step % 3 < 2)
        count = torch.where(inside, newton, middle)
        solved = (reaches & ~before) | (high - low <= 1)
        out[left] = high
        rest = (~solved).nonzero()[:, 0]
        if not len(rest):
            break
        z, low, high, count, left = (v[rest] for v in (z, low, high, count, left))
        law = law[0][:, rest], law[1][:, rest], law[2][:, rest]
    return out


def _reaches(below: Tensor, above: Tensor, z: Tensor) -> Tensor:
    """Tell whether the mass below is at least Phi(z), by the smaller tail."""
    tail = ndtr(-z.abs())
    return torch.where(z < 0, below >= tail, above <= tail)


def _matched(z: Tensor, law: Components) -> Tensor:
    """Quantiles of gamma laws of equal mean and variance (Wilson & Hilferty 1931)."""
    each, size, weight = (p.exp() for p in law)
    mean = (weight * each).sum(0)
    spread = each + each.square() / size + (each - mean).square()
    third = (weight * spread).sum(0).sqrt() / mean / 3
    root = (1 - third.square() + third * z).clamp(min=0.0)
    return (mean * root**3).floor().clamp(max=MAX_COUNT / 2)


def _at(count: Tensor, law: Components) -> tuple[Tensor, Tensor, Tensor]:
    """Return the masses of mixtures up to a count, beyond it and at it."""
    log_mean, log_size, log_weight = law
    weight, each = log_weight.exp(), count.expand_as(log_mean)
    below, above = tails(each, log_mean, log_size)
    mass = log_mass(each, log_mean, log_size).exp()
    return (weight * below).sum(0), (weight * above).sum(0), (weight * mass).sum(0)
