r"""Penalised Poisson regression of counts on the window.

The log rate is linear in the features, the weight of a feature k steps back
penalised by lambda k^(2 decay) as in the ridge stack. Penalty and decay are chosen by
the deviance of the last block of rows, then the model is fitted on all rows and
without each block in turn (Truccolo et al. 2005; McCullagh & Nelder 1989).
"""

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
from .forecast import LinearForecast

Array = NDArray[np.float64]
Part = tuple[Tensor, Tensor]  # features (k, p) and counts (k, d)
Parts = Callable[[], Iterable[Part]]

PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
DECAYS = (0.5, 1.5, 3.0)
MAX_SELECTION_ROWS = 4000
MAX_ITERATIONS = 40
MIN_LOG_RATE = -12.0
MAX_KEPT = 1 << 24  # numbers; more features are computed again in each iteration


def fit_poisson(
    features: LagFeatures,
    y: ScaledRows | Tensor,
    usable: NDArray[np.bool_],
    blocks: list[slice],
) -> LinearForecast:
    """Fit log rates of counts.

    Parameters
    ----------
    features : LagFeatures
        Features of all rows.
    y : ScaledRows or Tensor of shape (n, d)
        Counts; NaN where missing.
    usable : array of shape (n,)
        Rows to fit on.
    blocks : list of slice
        Blocks of consecutive rows.

    Returns
    -------
    LinearForecast
        Of the log rate.
    """
    lags = torch.from_numpy(features.lags()).float()
    rows = [np.arange(len(usable))[block] for block in blocks]
    rows = [each[usable[each]] for each in rows]
    decay, penalty = _select(features, y, rows, lags)
    shrink = lags**-decay
    parts = [_parts(features, y, each) for each in rows]
    if features.n_features * usable.sum() <= MAX_KEPT:
        parts = [_kept(part) for part in parts]
    weights = _solve(_chained(parts), shrink, penalty, None)
    without = []
    for k in range(len(blocks)):
        others = parts[:k] + parts[k + 1 :]
        if not sum(map(len, rows[:k] + rows[k + 1 :])):
            others = parts
        without.append(_solve(_chained(others), shrink, penalty, weights))
    coef, intercept = _split(weights, shrink)
    split = [_split(w, shrink) for w in without]
    return LinearForecast(
        coef,
        intercept,
        blocks,
        [part[0] for part in split],
        [part[1] for part in split],
    )


def _parts(
    features: LagFeatures, y: ScaledRows | Tensor, rows: NDArray[np.intp]
) -> Parts:
    """Return what yields the given rows in bounded memory."""

    def parts() -> Iterator[Part]:
        for at, F in features.chunks(rows):
            yield F, y[at].cpu()

    return parts


def _kept(parts: Parts) -> Parts:
    kept = list(parts())
    return lambda: kept


def _chained(parts: list[Parts]) -> Parts:
    return lambda: itertools.chain.from_iterable(part() for part in parts)


def _split(weights: Tensor, shrink: Tensor) -> tuple[Array, Array]:
    """Coefficients of the features as they are, and intercepts."""
    both = weights.double()
    return (shrink[:, None] * both[:-1]).numpy(), both[-1].numpy()


def _select(
    features: LagFeatures,
    y: ScaledRows | Tensor,
    rows: list[NDArray[np.intp]],
    lags: Tensor,
) -> tuple[float, float]:
    """Decay and penalty of the least deviance on the last block."""
    before = np.concatenate([rows[0][:0], *rows[:-1]])
    newest, last = before[-MAX_SELECTION_ROWS:], rows[-1][:MAX_SELECTION_ROWS]
    if not len(newest) or not len(last):
        return DECAYS[1], PENALTIES[0]
    train, test = (_kept(_parts(features, y, each)) for each in (newest, last))
    best = (math.inf, DECAYS[0], PENALTIES[0])
    for decay in DECAYS if lags.max() > 1 else DECAYS[:1]:
        shrink, weights, previous = lags**-decay, None, math.inf
        for penalty in PENALTIES:
            weights = _solve(train, shrink, penalty, weights)
            loss = float(_loss(test, shrink, weights, _cap(test))[0])
            best = min(best, (loss, decay, penalty))
            if loss > previous:
                break
            previous = loss
    return best[1], best[2]


def _solve(
    parts: Parts, shrink: Tensor, penalty: float, start: Tensor | None
) -> Tensor:
    """Weights (p + 1, d) of shrunk features, the last row the intercepts, by L-BFGS."""
    if start is None:
        sums = [torch.stack([y.nansum(0), y.isfinite().sum(0)]) for _, y in parts()]
        total, count = torch.stack(sums).sum(0)
        start = shrink.new_zeros(len(shrink) + 1, len(total))
        start[-1] = (total / count.clamp(min=1)).clamp(min=1e-4).log()
    weights, cap = start.clone().requires_grad_(), _cap(parts)
    solver = LBFGS(
        [weights],
        max_iter=MAX_ITERATIONS,
        tolerance_grad=1e-5,
        tolerance_change=1e-7,
        line_search_fn="strong_wolfe",
    )

    @torch.no_grad()
    def objective() -> Tensor:
        loss, gradient = _loss(parts, shrink, weights, cap)
        gradient[:-1] += penalty * weights[:-1]
        weights.grad = gradient
        return loss + 0.5 * penalty * weights[:-1].square().sum()

    solver.step(objective)
    return weights.detach()


def _loss(
    parts: Parts, shrink: Tensor, weights: Tensor, cap: float
) -> tuple[Tensor, Tensor]:
    """Mean over rows of the negative log likelihood, and its gradient."""
    coef = shrink[:, None] * weights[:-1]
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
    gradient[:-1] *= shrink[:, None]
    return loss / n, gradient / n


def _cap(parts: Parts) -> float:
    return max(log_rate_cap(y) for _, y in parts())


def log_rate_cap(y: ScaledRows | Tensor) -> float:
    """Largest log rate that is believed: about twice the largest count."""
    parts = [y[rows] for rows in row_parts(*y.shape)]
    largest = max((float(part.nan_to_num().max()) for part in parts), default=0.0)
    return math.log(2 * largest + 1)
