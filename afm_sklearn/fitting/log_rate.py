"""Penalised maximum likelihood of log rates that are linear in features."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..compute import row_parts
from ..data.scaled import ScaledRows
from ..optimizers import LBFGS
from .features import LagFeatures

Part = tuple[Tensor, Tensor]  # features (k, p) and counts (k, d)
Parts = Callable[[], Iterable[Part]]

MAX_ITERATIONS = 40
MIN_LOG_RATE = -12.0


def parts_of(
    features: LagFeatures, y: ScaledRows | Tensor, rows: NDArray[np.intp]
) -> Parts:
    """Return what yields the given rows in bounded memory."""

    def parts() -> Iterator[Part]:
        for at, F, _ in features.chunks(rows):
            yield F, y[at].cpu()

    return parts


def kept(parts: Parts) -> Parts:
    """Return what yields the same, held in memory."""
    held = list(parts())
    return lambda: held


def chained(parts: list[Parts]) -> Parts:
    """Return what yields the parts of all, one after the other."""
    return lambda: itertools.chain.from_iterable(part() for part in parts)


def solve(
    parts: Parts,
    shrink: Tensor,
    penalty: float,
    start: Tensor | None,
    max_iterations: int = MAX_ITERATIONS,
) -> Tensor:
    """Weights (p + 1, d) of shrunk features, the last row the intercepts, by L-BFGS."""
    if start is None:
        sums = [torch.stack([y.nansum(0), y.isfinite().sum(0)]) for _, y in parts()]
        total, count = torch.stack(sums).sum(0)
        start = shrink.new_zeros(len(shrink) + 1, len(total))
        start[-1] = (total / count.clamp(min=1)).clamp(min=1e-4).log()
    weights, cap = start.clone().requires_grad_(), cap_of(parts)
    solver = LBFGS(
        [weights],
        max_iter=max_iterations,
        tolerance_grad=1e-5,
        tolerance_change=1e-7,
        line_search_fn="strong_wolfe",
    )

    @torch.no_grad()
    def objective() -> Tensor:
        loss, gradient = loss_of(parts, shrink, weights, cap)
        gradient[:-1] += penalty * weights[:-1]
        weights.grad = gradient
        return loss + 0.5 * penalty * weights[:-1].square().sum()

    solver.step(objective)
    return weights.detach()


def loss_of(
    parts: Parts, shrink: Tensor, weights: Tensor, cap: float
) -> tuple[Tensor, Tensor]:
    """Mean over rows of the negative log likelihood, and its gradient."""
    coef = shrink * weights[:-1]
    n, loss, gradient = 0, weights.new_zeros(()), torch.zeros_like(weights)
    for F, y in parts():
        log_rate = torch.addmm(weights[-1], F, coef)
        observed = torch.isfinite(y)
        target = torch.where(observed, y, 0.0)
        clipped = log_rate.clamp(MIN_LOG_RATE, cap)
        rate = clipped.exp()
        loss += ((rate - target * clipped) * observed).sum()
        slope = (rate - target) * (observed & (clipped == log_rate))
        gradient[:-1].addmm_(F.T, slope)
        gradient[-1] += slope.sum(0)
        n += len(F)
    gradient[:-1] *= shrink
    return loss / n, gradient / n


def cap_of(parts: Parts) -> float:
    """Return the largest log rate that is believed where these are fitted on."""
    return max(log_rate_cap(y) for _, y in parts())


def log_rate_cap(y: ScaledRows | Tensor) -> float:
    """Largest log rate that is believed: about twice the largest count."""
    parts = [y[rows] for rows in row_parts(*y.shape)]
    largest = max((float(part.nan_to_num().max()) for part in parts), default=0.0)
    return math.log(2 * largest + 1)
