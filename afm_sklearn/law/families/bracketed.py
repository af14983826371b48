"""Quantiles of Gaussian mixtures, one by one within brackets."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from .tails import MAX_SCORE, SHORT_STEP, Components, Tail, scores_of

REACHES = -3.5, -2.0, 2.0, 3.5  # scales from a component to its knots
N_FREE = 5  # steps before every third one halves the bracket
MAX_STEPS = 80
FEWER = 0.7  # share left, from which the others are left behind
CLOSE = {torch.float32: 1e-4, torch.float64: 1e-10}  # log of mass, where steps are long
NARROW = {torch.float32: 1e-4, torch.float64: 1e-12}  # bracket, in narrowest scales
ROUNDING = {torch.float32: 1e-6, torch.float64: 1e-14}  # of the mass at a knot


def solve_one_by_one(z: Tensor, components: Components) -> Tensor:
    """Return quantiles of scores z (m,), each of its own components (K, m)."""
    out, left = torch.empty_like(z), torch.arange(len(z), device=z.device)
    search = _Search(z, components)
    for _ in range(MAX_STEPS):
        search.step()
        rest = search.is_open.nonzero()[:, 0]
        if not len(rest):
            break
        if len(rest) < FEWER * len(left):
            out[left] = search.y
            search, left = search.among(rest), left[rest]
    out[left] = search.y
    return out


class _Search:
    """Halley's method within brackets, from a point between two knots.

    Attributes
    ----------
    y : Tensor of shape (m,)
        Where it stands.
    is_open : Tensor of bool
        Whether it goes on there.
    """

    def __init__(self, z: Tensor, components: Components):
        self.z, self.components = z, components
        self.tail, self.finest = Tail(z, components), components.finest()
        self.low, self.high, self.y = _bracket(z, components)
        self.is_open = torch.ones_like(z, dtype=torch.bool)
        self.n_steps = 0

    def step(self) -> None:
        """Take a step; one that leaves the bracket halves it instead."""
        y, dtype = self.y, self.y.dtype
        step, excess = self.tail.step(y)
        is_up = step > 0
        self.low = torch.where(is_up, y, self.low)
        self.high = torch.where(is_up, self.high, y)
        move = y + step
        inside = (move >= self.low) & (move <= self.high)
        is_short = inside & (step.abs_().mul_(self.finest) < SHORT_STEP[dtype])
        stays = (excess.abs_() < CLOSE[dtype]) & ~is_short
        stays |= (self.high - self.low) * self.finest < NARROW[dtype]
        stays |= ~self.is_open
        self.n_steps += 1
        if self.n_steps > N_FREE and self.n_steps % 3 == 0:
            inside &= is_short
        move = torch.where(inside, move, 0.5 * (self.low + self.high))
        self.y = torch.where(stays, y, move)
        self.is_open = ~(stays | is_short)

    def among(self, rows: Tensor) -> _Search:
        """Return the search for some of the quantiles."""
        other = copy.copy(self)
        for name in ("z", "y", "low", "high", "finest", "is_open"):
            setattr(other, name, getattr(self, name)[rows])
        other.components = Components(*(part[:, rows] for part in self.components))
        other.tail = Tail(other.z, other.components)
        return other


def _bracket(z: Tensor, components: Components) -> tuple[Tensor, Tensor, Tensor]:
    """Bracket quantiles by knots; return the ends, and a point between them.

    The components' own quantiles bracket them, too.
    """
    knots = components.knots(REACHES)
    mass = components.mass(knots)
    target = torch.erf(z * math.sqrt(0.5))
    is_below = mass < target - ROUNDING[z.dtype]
    is_above = mass > target + ROUNDING[z.dtype]
    low = torch.where(is_below, knots, -torch.inf).amax(0)
    high = torch.where(is_above, knots, torch.inf).amin(0)
    at_low = scores_of(torch.where(is_below, mass, -1.0).amax(0))
    at_high = scores_of(torch.where(is_above, mass, 1.0).amin(0))
    each = components.loc + components.scale * z.clamp(-MAX_SCORE, MAX_SCORE)
    low, high = torch.maximum(low, each.amin(0)), torch.minimum(high, each.amax(0))
    share = (z - at_low).div_(at_high - at_low).nan_to_num_(0.5).clamp_(0.0, 1.0)
    return low, high, torch.lerp(low, high, share)
