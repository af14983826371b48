r"""Penalised Poisson regression of counts on the window.

The log rate is linear in the features, the weight of a feature k steps back
penalised by lambda k^(2 decay) as in the ridge stack. Penalty and decay are chosen by
the deviance of the last block of rows, then the model is fitted on all rows and
without each block in turn (Truccolo et al. 2005; McCullagh & Nelder 1989).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .features import LagFeatures
from .forecast import LinearForecast

Array = NDArray[np.float64]

PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
DECAYS = (0.5, 1.5, 3.0)
MAX_SELECTION_ROWS = 4000
MAX_ITERATIONS = 40
MIN_LOG_RATE = -12.0


def fit_poisson(
    features: LagFeatures,
    y: Tensor,
    usable: NDArray[np.bool_],
    blocks: list[slice],
) -> LinearForecast:
    """Fit log rates of counts.

    Parameters
    ----------
    features : LagFeatures
        Features of all rows.
    y : Tensor of shape (n, d)
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
    chunks = [torch.from_numpy(F).float() for _, F in features.chunks(slice(None))]
    F, target = torch.cat(chunks), y.float()
    mask = torch.from_numpy(usable)
    lags = torch.from_numpy(features.lags()).float()
    sizes = torch.tensor([b.stop - b.start for b in blocks])
    block_of = torch.arange(len(blocks)).repeat_interleave(sizes)
    decay, penalty = _select(F, target, mask, block_of, lags)
    shrink = lags**-decay
    scaled = F * shrink
    weights = _solve(scaled[mask], target[mask], penalty, None)
    without = []
    for k in range(len(blocks)):
        rows = mask & (block_of != k)
        if len(blocks) == 1 or not rows.any():
            rows = mask
        without.append(_solve(scaled[rows], target[rows], penalty, weights))
    coef, intercept = _split(weights, shrink)
    parts = [_split(w, shrink) for w in without]
    return LinearForecast(
        coef,
        intercept,
        blocks,
        [part[0] for part in parts],
        [part[1] for part in parts],
    )


def _split(weights: Tensor, shrink: Tensor) -> tuple[Array, Array]:
    """Coefficients of the features as they are, and intercepts."""
    both = weights.double()
    return (shrink[:, None] * both[:-1]).numpy(), both[-1].numpy()


def _select(
    F: Tensor, y: Tensor, usable: Tensor, block_of: Tensor, lags: Tensor
) -> tuple[float, float]:
    """Decay and penalty of the least deviance on the last block."""
    last = block_of == block_of[-1]
    train = (usable & ~last).nonzero()[-MAX_SELECTION_ROWS:, 0]
    test = (usable & last).nonzero()[:MAX_SELECTION_ROWS, 0]
    if not len(train) or not len(test):
        return DECAYS[1], PENALTIES[0]
    best = (math.inf, DECAYS[0], PENALTIES[0])
    for decay in DECAYS if lags.max() > 1 else DECAYS[:1]:
        scaled, weights, previous = F * lags**-decay, None, math.inf
        for penalty in PENALTIES:
            weights = _solve(scaled[train], y[train], penalty, weights)
            loss = float(_loss(scaled[test], y[test], weights)[0])
            best = min(best, (loss, decay, penalty))
            if loss > previous:
                break
            previous = loss
    return best[1], best[2]


def _solve(F: Tensor, y: Tensor, penalty: float, start: Tensor | None) -> Tensor:
    """Weights (p + 1, d), the last row the intercepts, by L-BFGS."""
    if start is None:
        start = torch.zeros(F.shape[1] + 1, y.shape[1])
        start[-1] = y.nanmean(0).clamp(min=1e-4).log()
    weights = start.clone().requires_grad_()
    solver = torch.optim.LBFGS(
        [weights],
        max_iter=MAX_ITERATIONS,
        tolerance_grad=1e-5,
        tolerance_change=1e-7,
        line_search_fn="strong_wolfe",
    )

    @torch.no_grad()
    def objective() -> Tensor:
        loss, gradient = _loss(F, y, weights)
        gradient[:-1] += penalty * weights[:-1]
        weights.grad = gradient
        return loss + 0.5 * penalty * weights[:-1].square().sum()

    solver.step(objective)
    return weights.detach()


def _loss(F: Tensor, y: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over rows of the negative log likelihood, and its gradient."""
    log_rate = torch.addmm(weights[-1], F, weights[:-1])
    observed = torch.isfinite(y)
    target = torch.where(observed, y, 0.0)
    clipped = log_rate.clamp(MIN_LOG_RATE, log_rate_cap(target))
    rate = clipped.exp()
    loss = ((rate - target * clipped) * observed).sum() / len(y)
    slope = (rate - target) * (observed & (clipped == log_rate)) / len(y)
    return loss, torch.cat([F.T @ slope, slope.sum(0, keepdim=True)])


def log_rate_cap(y: Tensor) -> float:
    """Largest log rate that is believed: about twice the largest count."""
    return math.log(2 * float(y.nan_to_num().max()) + 1)
