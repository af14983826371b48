"""Negative binomial laws in double precision: masses and tails without a loop."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import betainc, betaincc
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

Array = NDArray[np.float64]

LOG_ROOT = 0.5 * math.log(2 * math.pi)
NEARLY_ONE = 0.9999  # 1 - x has lost digits beyond it
FEW = 16
DIFFERENCE = 1e-4  # of log sizes


def log_mass(count: Tensor, log_mean: Tensor, log_size: Tensor) -> Tensor:
    """Log probability of counts 0, 1, 2, ...; the variance is mean + mean^2 / size.

    The saddle point form (Loader 2000, Fast and accurate computation of binomial
    probabilities), whose terms stay small where log-gammas of large numbers would
    nearly cancel.

    Examples
    --------
    >>> round(float(log_mass(*torch.tensor([3.0, 0.0, 0.0]).double()).exp()), 6)
    0.0625
    """
    mean, size = log_mean.exp(), log_size.exp()
    log_none = -size * torch.log1p(mean / size)
    k = count.clamp(min=1.0)
    away, total = k - mean, k + size
    deviance = k * torch.log1p(size * away / (mean * total)) - size * torch.log1p(
        away / (size + mean)
    )
    errors = _stirling_error(total) - _stirling_error(size) - _stirling_error(k)
    some = errors - deviance + 0.5 * (log_size - (k * total).log()) - LOG_ROOT
    return torch.where(count > 0, some, log_none)


def log_mass_of_few(count: Tensor, log_mean: Tensor, log_size: Tensor) -> Tensor:
    """Return the same for counts up to FEW, which needs no log-gammas.

    Examples
    --------
    >>> round(float(log_mass_of_few(*torch.tensor([3.0, 0.0, 0.0]).double()).exp()), 6)
    0.0625
    """
    inverse = torch.exp(-log_size) - 1
    product = torch.ones_like(inverse)  # of (1 + k / size) / (k + 1), k below count
    for k in range(1, int(count.max()) if count.numel() else 0):
        product = product * (1 + (count > k).to(count) * (k / (k + 1)) * inverse)
    softplus = functional.softplus(log_mean - log_size)
    return product.log() + count * log_mean - (count + log_size.exp()) * softplus


def _stirling_error(x: Tensor) -> Tensor:
    """Error of Stirling's formula: log x! less its approximation, for x > 0."""
    big = x.clamp(min=10.0)
    inverse = big.reciprocal()
    square = inverse * inverse
    series = 1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))
    low = x.clamp(max=10.0)
    direct = torch.lgamma(low + 1) - (low + 0.5) * low.log() + low - LOG_ROOT
    return torch.where(x < 10.0, direct, series * inverse)


def tails(count: Tensor, log_mean: Tensor, log_size: Tensor) -> tuple[Tensor, Tensor]:
    """Return P(Y <= count) and P(Y > count), the smaller one with all its digits.

    Regularised incomplete beta functions; all are of one shape.

    Examples
    --------
    >>> low, high = tails(*torch.tensor([[0.0], [0.0], [0.0]]).double())
    >>> float(low), float(high)
    (0.5, 0.5)
    """
    below, above = _Tails.apply(count, log_mean, log_size)
    return below, above


class _Tails(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, count: Tensor, log_mean: Tensor, log_size: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(count, log_mean, log_size)
        return _incomplete_betas(count, log_mean, log_size)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor, Tensor]:
        count, log_mean, log_size = ctx.saved_tensors
        size = log_size.exp()
        mass = log_mass(count, log_mean, log_size).exp()
        by_mean = -(count + size) * torch.sigmoid(log_mean - log_size) * mass
        # The derivative by the size has no closed form.
        ends = [
            _incomplete_betas(count, log_mean, log_size + step)
            for step in (-DIFFERENCE, DIFFERENCE)
        ]
        below, above = ((b - a) / (2 * DIFFERENCE) for a, b in zip(*ends, strict=True))
        by_size = grads[0] * below + grads[1] * above
        return None, (grads[0] - grads[1]) * by_mean, by_size


def _incomplete_betas(
    count: Tensor, log_mean: Tensor, log_size: Tensor
) -> tuple[Tensor, Tensor]:
    size, mean = log_size.exp(), log_mean.exp()
    arrays = count + 1, size, size / (size + mean), mean / (size + mean)
    above, size_, failure, success = (a.cpu().numpy() for a in arrays)
    is_lower = above <= mean.cpu().numpy()
    first, second = np.where(is_lower, (size_, above), (above, size_))
    x, rest = np.where(is_lower, (failure, success), (success, failure))
    small = _beta(first, second, x, rest)
    found = torch.from_numpy(small).to(count)
    lower = torch.from_numpy(is_lower).to(count.device)
    return torch.where(lower, found, 1 - found), torch.where(lower, 1 - found, found)


def _beta(a: Array, b: Array, x: Array, rest: Array) -> Array:
    """Regularised incomplete beta function at x, where `rest` is 1 - x."""
    out: Array = np.asarray(betainc(a, b, x))
    near = x > NEARLY_ONE
    out[near] = betaincc(b[near], a[near], rest[near])
    return out
