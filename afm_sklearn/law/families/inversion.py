r"""Quantiles of Gaussian mixtures: y with F(y) = Phi(z).

Solved by Halley's method on the log of the mass beyond y, on the side of z, where a
Gaussian is nearly straight and its mass keeps its digits. One step from the quantile
of a Gaussian of equal mean and variance is enough where components lie close
together. Where they lie apart, F is read between knots around each of them, and
steps from there are short again. The few that are left are solved within a bracket.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ...compute import row_parts

MAX_SCORE = 12.0  # beyond it 1 - Phi(z) is no number of float32
FAR = 9.1  # sqrt(2) of it is beyond any score; beyond it exp(-v^2) is denormal, slow
PART = 1 << 18  # numbers in an array that stays in cache, beside another
MANY = 0.1  # share of the numbers that is worth a step of all ..
FEW = 1000  # .. as is any in so few that calls cost more than numbers
MOST = 0.5  # share that shows that a mixture is far from a Gaussian
REACH = 2.0  # scales from a component to its two knots
SEVERAL = 8  # draws of one law
N_STEPS = 5  # of all numbers at once
MAX_STEPS = 80  # of the few that are solved with a bracket
# A step so short, in units of the narrowest scale, leaves an error of its cube.
SHORT_STEP = {torch.float32: 0.06, torch.float64: 1e-4}
NARROW = {torch.float32: 1e-4, torch.float64: 1e-12}  # bracket, in the same units


class Law(NamedTuple):
    """Components of mixtures, along the first axis; the others are those of scores."""

    loc: Tensor
    scale: Tensor
    sharpness: Tensor  # 1 / (sqrt(2) scale), as erfc has it
    weight: Tensor

    @classmethod
    def of(cls, loc: Tensor, log_scale: Tensor, log_weight: Tensor) -> Law:
        """Build it from the parameters of a family."""
        scale = log_scale.exp()
        sharpness = scale.reciprocal().mul_(math.sqrt(0.5))
        return cls(loc, scale, sharpness, log_weight.exp())

    def finest(self) -> Tensor:
        """Return 1 / scale of the narrowest component."""
        return self.sharpness.amax(0) * math.sqrt(2)


def mixture_quantiles(
    z: Tensor, loc: Tensor, log_scale: Tensor, log_weight: Tensor
) -> Tensor:
    """Map scores z (n, k, d) to quantiles, given the components (n, K, d)."""
    y = torch.empty_like(z)
    is_open = torch.empty(z.shape, dtype=torch.bool, device=z.device)
    params = loc, log_scale, log_weight
    n, k, width = len(z), z.shape[1], loc.shape[1] * loc.shape[2]
    at_most = PART if z.device.type == "cpu" else max(PART, n * k * width)
    for rows in row_parts(n, k * width, at_most):
        law = Law.of(*(p[rows].unsqueeze(2).transpose(0, 1) for p in params))
        for draws in row_parts(k, width, at_most):
            at = rows, draws
            y[at], is_open[at] = _solve_quickly(z[at], law)
    left = row, _, channel = is_open.nonzero(as_tuple=True)
    if len(row):
        law = Law.of(*(p[row, :, channel].T for p in params))
        y[left] = _solve_safely(z[left], y[left], law)
    return y


def _solve_quickly(z: Tensor, law: Law) -> tuple[Tensor, Tensor]:
    """Return quantiles of z, and which of them are not precise enough."""
    tail, finest = _Tail(z, law), law.finest()
    y = _matched(z, law)
    is_open = torch.ones_like(z, dtype=torch.bool)
    # Knots cost as much as some steps, but are those of all draws of a law.
    from_knots = 0 if z.shape[1] >= SEVERAL else 1
    for k in range(N_STEPS):
        share = _step_on(y, is_open, tail, finest)
        if share <= MANY:
            break
        if k == from_knots and share > MOST:
            y = torch.where(is_open, _between_knots(z, law), y)
    return y, is_open


def _step_on(y: Tensor, is_open: Tensor, tail: _Tail, finest: Tensor) -> float:
    """Move what is open, in place; return the share that stays so.

    What is done stays as it is, whatever lies beside it.
    """
    step = tail.step(y).mul_(is_open)
    y += step
    is_open &= ~(step.abs_().mul_(finest) < SHORT_STEP[y.dtype])
    n_open = int(is_open.count_nonzero())
    return (n_open + FEW) / y.numel() if n_open else 0.0


def _matched(z: Tensor, law: Law) -> Tensor:
    """Quantiles of Gaussians with the mean and the variance of the mixtures."""
    mean = (law.loc * law.weight).sum(0)
    spread = torch.sub(law.loc, mean).square_().addcmul_(law.scale, law.scale)
    variance = spread.mul_(law.weight).sum(0)
    return torch.addcmul(mean, variance.sqrt_(), z)


def _between_knots(z: Tensor, law: Law) -> Tensor:
    """Quantiles of laws whose score is straight between knots in each component."""
    knots = torch.cat([law.loc + reach * law.scale for reach in (-REACH, REACH)])
    _sort(knots)
    centered = torch.zeros_like(knots)  # 2 F - 1
    for loc, sharpness, weight in zip(law.loc, law.sharpness, law.weight, strict=True):
        centered.addcmul_(knots.sub(loc).mul_(sharpness).erf_(), weight)
    limit = 1.0 - 1e-7
    scores = centered.clamp_(-limit, limit).erfinv_().mul_(math.sqrt(2))
    lengths = knots.diff(dim=0)
    rates = scores.diff(dim=0).clamp_(min=1e-30).reciprocal_()
    y = knots[0] + (z - scores[0]).clamp_(max=0.0).mul_(law.scale.amax(0))
    for score, rate, length in zip(scores[:-1], rates, lengths, strict=True):
        y.addcmul_(torch.sub(z, score).mul_(rate).clamp_(0.0, 1.0), length)
    y.add_((z - scores[-1]).clamp_(min=0.0).mul_(law.scale.amax(0)))
    each = torch.addcmul(law.loc, law.scale, z)
    return y.clamp_(each.amin(0), each.amax(0))


def _sort(values: Tensor) -> None:
    """Sort a few numbers along the first axis, in place: torch.sort is slow at it."""
    for k in range(len(values)):
        lower, upper = values[k % 2 : -1 : 2], values[k % 2 + 1 :: 2]
        least = torch.minimum(lower, upper)
        upper.copy_(torch.maximum(lower, upper))
        lower.copy_(least)


def _solve_safely(z: Tensor, y: Tensor, law: Law) -> Tensor:
    """Solve for z (m,) from y with a bracket: a step that leaves it halves it instead.

    So does every third one. The components' own quantiles are the first bracket.
    """
    each = torch.addcmul(law.loc, law.scale, z.clamp(-MAX_SCORE, MAX_SCORE))
    low, high = each.amin(0), each.amax(0)
    y = torch.where((y >= low) & (y <= high), y, 0.5 * (low + high))
    finest = law.finest()
    out, left = torch.empty_like(z), torch.arange(len(z), device=z.device)
    tail = _Tail(z, law)
    for k in range(MAX_STEPS):
        step = tail.step(y)
        low, high = torch.where(step > 0, y, low), torch.where(step > 0, high, y)
        move = y + step
        inside = (move >= low) & (move <= high)
        solved = inside & (step.abs() * finest < SHORT_STEP[z.dtype])
        solved |= (high - low) * finest < NARROW[z.dtype]
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


class _Tail:
    """Mass of mixtures beyond y, on the side of each score. All masses are doubled."""

    def __init__(self, z: Tensor, law: Law):
        self.law = law
        self.side = torch.ones_like(z).copysign_(z)
        self.other_side = self.side.neg()
        score = z.abs().clamp_(max=MAX_SCORE).mul_(math.sqrt(0.5))
        self.target = score.erfc_()
        self.height = law.sharpness * law.weight
        self.buffers = z.new_empty(2, len(law.loc), *z.shape)

    def step(self, y: Tensor) -> Tensor:
        """Return the step of Halley's method from y, infinite where all is flat."""
        v, bell = self.buffers
        torch.addcmul(y * self.side, self.other_side, self.law.loc, out=v)
        v.mul_(self.law.sharpness).clamp_(-FAR, FAR)
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
