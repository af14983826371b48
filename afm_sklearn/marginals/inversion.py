r"""Quantiles of Gaussian mixtures: y with F(y) = Phi(z).

Solved by Halley's method on the log of the mass beyond y, on the side of z, where a
Gaussian is nearly straight and its mass keeps its digits. One step from the quantile
of a Gaussian of equal mean and variance is enough for most mixtures; whatever moved
too far in its last step is moved again, and in the end within a bracket.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

MAX_DRAWN_SCORE = 12.0  # beyond it 1 - Phi(z) is no number of float32
PART = 1 << 18  # numbers in an array that stays in cache, beside another
MANY = 0.1  # share of the numbers that is worth a step of all ..
FEW = 1000  # .. as is any in so few that calls cost more than numbers
SHORT_STEP = 0.06  # in units of the narrowest scale: what is left is of its cube
NARROW = 1e-4  # bracket, in the same units
MAX_STEPS = 60  # of the few that are solved with a bracket


class Law(NamedTuple):
    """Components of mixtures, along the first axis; the others are those of scores."""

    loc: Tensor
    scale: Tensor
    sharpness: Tensor  # 1 / (sqrt(2) scale), as erfc has it
    weight: Tensor

    @classmethod
    def of(cls, loc: Tensor, log_scale: Tensor, log_weight: Tensor) -> Law:
        """Build it from the parameters that networks give."""
        scale = log_scale.exp()
        sharpness = scale.reciprocal().mul_(math.sqrt(0.5))
        return cls(loc, scale, sharpness, log_weight.exp())


def mixture_quantiles(
    z: Tensor, loc: Tensor, log_scale: Tensor, log_weight: Tensor
) -> Tensor:
    """Map scores z (n, k, d) to quantiles, given the components (n, K, d)."""
    y = torch.empty_like(z)
    is_open = torch.empty(z.shape, dtype=torch.bool, device=z.device)
    params = loc, log_scale, log_weight
    for part in _parts(z, loc.shape[1]):
        law = Law.of(*(p[part[0]].unsqueeze(2).transpose(0, 1) for p in params))
        y[part], is_open[part] = _solve_quickly(z[part], law)
    n, k, d = is_open.nonzero(as_tuple=True)
    if len(n):
        law = Law.of(*(p[n, :, d].T for p in params))
        y[n, k, d] = _solve_safely(z[n, k, d], y[n, k, d], law)
    return y


def _parts(z: Tensor, n_components: int) -> Iterator[tuple[slice, slice]]:
    """Cut the rows and draws of z (n, k, d) into parts that stay in cache."""
    n, k, d = z.shape
    n_draws = max(1, PART // (n_components * d)) if z.device.type == "cpu" else n * k
    rows, draws = max(1, n_draws // k), min(k, n_draws)
    for row in range(0, n, rows):
        for draw in range(0, k, draws):
            yield slice(row, row + rows), slice(draw, draw + draws)


def _solve_quickly(z: Tensor, law: Law) -> tuple[Tensor, Tensor]:
    """Return quantiles of z, and which of them are not precise enough."""
    tail = _Tail(z, law)
    finest = _finest(law)
    y = _matched(z, law)
    step = tail.step(y)
    y += step
    is_open = ~(step.abs_().mul_(finest) < SHORT_STEP)
    n_open = int(is_open.count_nonzero())
    if n_open and n_open + FEW > MANY * z.numel():
        # What is done stays as it is, whatever lies beside it.
        step = tail.step(y).mul_(is_open)
        y += step
        is_open &= ~(step.abs_().mul_(finest) < SHORT_STEP)
    return y, is_open


def _matched(z: Tensor, law: Law) -> Tensor:
    """Quantiles of Gaussians with the mean and the variance of the mixtures."""
    mean = (law.loc * law.weight).sum(0)
    spread = torch.sub(law.loc, mean).square_().addcmul_(law.scale, law.scale)
    variance = spread.mul_(law.weight).sum(0)
    return torch.addcmul(mean, variance.sqrt_(), z)


def _solve_safely(z: Tensor, y: Tensor, law: Law) -> Tensor:
    """Solve for z (m,) from y with a bracket: a step that leaves it halves it instead.

    So does every third one. The components' own quantiles are the first bracket.
    """
    each = torch.addcmul(law.loc, law.scale, z)
    low, high = each.amin(0), each.amax(0)
    y = torch.where((y >= low) & (y <= high), y, 0.5 * (low + high))
    finest = _finest(law)
    out, left = torch.empty_like(z), torch.arange(len(z), device=z.device)
    tail = _Tail(z, law)
    for k in range(MAX_STEPS):
        step = tail.step(y)
        low, high = torch.where(step > 0, y, low), torch.where(step > 0, high, y)
        move = y + step
        inside = (move >= low) & (move <= high)
        solved = inside & (step.abs() * finest < SHORT_STEP)
        solved |= (high - low) * finest < NARROW
        halved = ~inside | ~solved if k % 3 == 2 else ~inside
        y = torch.where(halved, 0.5 * (low + high), move)
        rest = solved.logical_not().nonzero()[:, 0]
        if not len(rest):
            break
        if len(rest) < 0.7 * len(y):
            out[left] = y
            z, y, low, high, finest, left = (
                values[rest] for values in (z, y, low, high, finest, left)
            )
            law = Law(*(values[:, rest] for values in law))
            tail = _Tail(z, law)
    out[left] = y
    return out


def _finest(law: Law) -> Tensor:
    """Return 1 / scale of the narrowest component."""
    return law.sharpness.amax(0) * math.sqrt(2)


class _Tail:
    """Mass of mixtures beyond y, on the side of each score. All masses are doubled."""

    def __init__(self, z: Tensor, law: Law):
        self.law = law
        self.side = torch.ones_like(z).copysign_(z)
        self.other_side = self.side.neg()
        score = z.abs().clamp_(max=MAX_DRAWN_SCORE).mul_(math.sqrt(0.5))
        self.target = score.erfc_()
        self.height = law.sharpness * law.weight
        self.buffers = z.new_empty(2, len(law.loc), *z.shape)

    def step(self, y: Tensor) -> Tensor:
        """Return the step of Halley's method from y, infinite where all is flat."""
        v, bell = self.buffers
        torch.addcmul(y * self.side, self.other_side, self.law.loc, out=v)
        v.mul_(self.law.sharpness)
        mass = torch.erfc(v, out=bell).mul_(self.law.weight).sum(0)
        torch.mul(v, v, out=bell).neg_().exp_().mul_(self.height)
        density = bell.sum(0)
        fall = bell.mul_(v).mul_(self.law.sharpness).sum(0)
        excess = torch.div(mass, self.target).log_()
        bend = fall.div_(density).mul_(-2.0)
        rate = density.mul_(2 / math.sqrt(math.pi)).div_(mass).nan_to_num_(1.0)
        newton = excess.div_(rate)
        bend = bend.add_(rate).mul_(newton).nan_to_num_(0.0).clamp_(-1, 1)
        return newton.mul_(self.side) / bend.mul_(0.5).add_(1.0)
