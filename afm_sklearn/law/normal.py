"""The standard normal law where its masses are tiny: scores keep their digits."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.special import erfcx, log_ndtr, ndtri

MAX_SCORE = 12.0  # beyond it 1 - Phi(z) is no number of float32
MIN_MASS = 0.5 * math.erfc(MAX_SCORE / math.sqrt(2))


def in_double(values: Tensor) -> Tensor:
    """Return values in double precision, on the CPU where Apple's GPUs have none."""
    return (values.cpu() if values.device.type == "mps" else values).double()


def ndtr(z: Tensor) -> Tensor:
    """Return Phi(z); that of torch has lost the digits of the lower tail.

    Examples
    --------
    >>> ndtr(torch.tensor([-10.0]))
    tensor([7.6199e-24])
    """
    return 0.5 * torch.erfc(-math.sqrt(0.5) * z)


def score_of(below: Tensor, above: Tensor) -> Tensor:
    """Return the score of a point, given the masses below and above it.

    Both are needed, as the smaller one has the digits. Scores end at 12.

    Examples
    --------
    >>> score_of(torch.tensor([0.1, 1.0]), torch.tensor([0.9, 1e-30])).round(decimals=2)
    tensor([-1.2800, 11.4600])
    """
    is_lower = below < above
    score = ndtri(torch.where(is_lower, below, above).clamp(MIN_MASS, 0.5))
    return torch.where(is_lower, score, -score)


def log_interval(low: Tensor, high: Tensor) -> Tensor:
    """Return the log probability of intervals, far out in the tails too.

    Examples
    --------
    >>> log_interval(torch.tensor([30.0]), torch.tensor([31.0]))
    tensor([-454.3213])
    """
    low, high = _in_lower_tail(low, high)
    top = log_ndtr(high)
    return top + _log1mexp(log_ndtr(low) - top)


def score_inside(low: Tensor, high: Tensor, share: Tensor) -> Tensor:
    """Return the score at a share of the probability of intervals, however far out.

    Examples
    --------
    >>> score_inside(*torch.tensor([[30.0], [31.0], [0.5]]))
    tensor([30.0231])
    """
    flip = torch.where(low + high > 0, -1.0, 1.0).to(low.dtype)
    a, b = _in_lower_tail(low, high)
    share = torch.where(flip < 0, 1.0 - share, share)
    rest = torch.log1p(-share) + log_ndtr(a)
    score = log_ndtri(torch.logaddexp(share.log() + log_ndtr(b), rest))
    return flip * torch.minimum(torch.maximum(score, a), b)


def _in_lower_tail(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Mirror the intervals that lie above zero."""
    is_above = low + high > 0
    return torch.where(is_above, -high, low), torch.where(is_above, -low, high)


def _log1mexp(x: Tensor) -> Tensor:
    """Return log(1 - exp(x)) of x < 0 (Maechler 2012)."""
    is_near = x > -math.log(2)
    near = torch.log(-torch.expm1(torch.where(is_near, x, -1.0)))
    far = torch.log1p(-torch.exp(torch.where(is_near, -1.0, x)))
    return torch.where(is_near, near, far)


def log_ndtri(log_mass: Tensor) -> Tensor:
    """Return the score below which a mass lies, given the mass's logarithm.

    Examples
    --------
    >>> log_ndtri(torch.tensor([-1000.0]))
    tensor([-44.6157])
    """
    out: Tensor = _LogNdtri.apply(log_mass)
    return out


class _LogNdtri(torch.autograd.Function):
    """Newton's method on log_ndtr, which is concave and nearly a parabola."""

    @staticmethod
    def forward(ctx: Any, log_mass: Tensor) -> Tensor:
        is_far = log_mass < -10.0
        near = ndtri(torch.where(is_far, -1.0, log_mass).exp())
        square = -2.0 * log_mass.clamp(max=-10.0)
        far = -(square - torch.log(2 * math.pi * (square - square.log()))).sqrt()
        score = torch.where(is_far, far, near)
        for _ in range(2):
            step = (log_mass - log_ndtr(score)) * _inverse_hazard(score)
            score = torch.where(is_far, score + step, score)
        ctx.save_for_backward(score)
        return score

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (score,) = ctx.saved_tensors
        return grads[0] * _inverse_hazard(score)


def _inverse_hazard(score: Tensor) -> Tensor:
    """Return Phi / phi, the derivative of a score by the log of the mass below it."""
    return math.sqrt(math.pi / 2) * erfcx(-score * math.sqrt(0.5))
