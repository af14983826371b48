r"""Quantiles of Gaussian mixtures: y with F(y) = Phi(z).

Solved by Halley's method on the log of the mass beyond y, on the side of z. A step or
two from the quantile of a Gaussian of equal mean and variance are enough where
components lie close together. Where they lie apart, F is read between knots in each
of them, and steps from there are short again. The few that are left are solved within
brackets.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...compute import row_parts
from .bracketed import solve_one_by_one
from .tails import SHORT_STEP, Components, Tail, scores_of

PART = 1 << 18  # numbers in an array that stays in cache, beside another
MANY = 0.06  # share of the numbers that is worth a step of all ..
FEW = 1 << 17  # .. where a step of so many components takes less than starting alone
# Share that shows, after one step and two, that mixtures are far from Gaussians.
MOST = 0.8, 0.3
REACHES = -2.0, 2.0  # scales from a component to its knots
N_STEPS = 5  # of all numbers at once


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
        law = Components.of(*(p[rows].unsqueeze(2).transpose(0, 1) for p in params))
        for draws in row_parts(k, width, at_most):
            at = rows, draws
            y[at], is_open[at] = _solve_together(z[at], law)
    left = row, _, channel = is_open.nonzero(as_tuple=True)
    if len(row):
        law = Components.of(*(p[row, :, channel].T for p in params))
        y[left] = solve_one_by_one(z[left], law)
    return y


def _solve_together(z: Tensor, law: Components) -> tuple[Tensor, Tensor]:
    """Return quantiles of z, and which of them are not precise enough."""
    tail, finest = Tail(z, law), law.finest()
    y, from_gaussian = _matched(z, law), True
    is_open = torch.ones_like(z, dtype=torch.bool)
    many = MANY if law.loc.shape[0] * z.numel() > FEW else 0.0
    for k in range(N_STEPS):
        share = _step_on(y, is_open, tail, finest)
        if share <= many:
            break
        if from_gaussian and share > MOST[min(k, 1)]:
            y = torch.where(is_open, _between_knots(z, law), y)
            from_gaussian = False
    return y, is_open


def _step_on(y: Tensor, is_open: Tensor, tail: Tail, finest: Tensor) -> float:
    """Move what is open, in place; return the share that stays so.

    What is done stays as it is, whatever lies beside it.
    """
    step = tail.step(y)[0].mul_(is_open)
    y += step
    is_open &= ~(step.abs_().mul_(finest) < SHORT_STEP[y.dtype])
    return int(is_open.count_nonzero()) / max(1, y.numel())


def _matched(z: Tensor, law: Components) -> Tensor:
    """Quantiles of Gaussians with the mean and the variance of the mixtures."""
    mean = (law.loc * law.weight).sum(0)
    spread = torch.sub(law.loc, mean).square_().addcmul_(law.scale, law.scale)
    variance = spread.mul_(law.weight).sum(0)
    return torch.addcmul(mean, variance.sqrt_(), z)


def _between_knots(z: Tensor, law: Components) -> Tensor:
    """Quantiles of laws whose score is straight between knots in each component."""
    knots = law.knots(REACHES)
    _sort(knots)
    scores = scores_of(law.mass(knots))
    lengths = knots.diff(dim=0)
    rates = scores.diff(dim=0).clamp_(min=1e-30).reciprocal_()
    widest = law.scale.amax(0)
    y = knots[0] + (z - scores[0]).clamp_(max=0.0).mul_(widest)
    for score, rate, length in zip(scores[:-1], rates, lengths, strict=True):
        y.addcmul_(torch.sub(z, score).mul_(rate).clamp_(0.0, 1.0), length)
    y.add_((z - scores[-1]).clamp_(min=0.0).mul_(widest))
    each = torch.addcmul(law.loc, law.scale, z)
    return y.clamp_(each.amin(0), each.amax(0))


def _sort(values: Tensor) -> None:
    """Sort a few numbers along the first axis, in place: torch.sort is slow at it."""
    for k in range(len(values)):
        lower, upper = values[k % 2 : -1 : 2], values[k % 2 + 1 :: 2]
        least = torch.minimum(lower, upper)
        upper.copy_(torch.maximum(lower, upper))
        lower.copy_(least)
