r"""Penalised Poisson regressions of all neurons at once.

With weights w = s v, standardised features and a standard normal prior on v, the
penalty of a weight is 1 / (2 s^2): s is how large weights are expected to be. All
neurons share their features, so that one matrix product serves them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..optimizers import LBFGS
from .glm_features import LINEAR, SPLINE

Array = NDArray[Any]

OWN_SPREAD = 1.0  # of weights on the own history and on covariates as they are
SPLINE_SPREADS = (0.03, 0.1, 0.3, 1.0)
COUPLING_SPREADS = (0.01, 0.03, 0.1, 0.3)
MAX_ITERATIONS = 100
TOLERANCE = 0.1  # of the gradient; half its square, in nats, is what a weight may miss
MIN_LOG_RATE = -12.0


def select_spreads(
    features: Tensor,
    counts: Tensor,
    owner: Array,
    folds: Sequence[tuple[Array, Array]],
    caps: Tensor,
) -> tuple[float, float]:
    """Choose the spreads of the weights by the deviance of held-out blocks.

    Parameters
    ----------
    features : Tensor of shape (n, p)
    counts : Tensor of shape (n, d)
        NaN where missing.
    owner : ndarray of int, shape (p,)
        What a feature is: see `GLMFeatures`.
    folds : sequence of (train, held_out)
        Row indices.
    caps : Tensor of shape (d,)
        Largest log rates.

    Returns
    -------
    spline, coupling : float
        Of the weights on splines and on other neurons; 0 leaves them out. The splines
        are chosen first, without coupling.
    """
    weights: list[Tensor | None] = [None] * len(folds)
    found: dict[tuple[float, float], float] = {}

    def loss(spline: float, coupling: float) -> float:
        spread = weight_spreads(owner, counts.shape[1], spline, coupling)
        total = 0.0
        for k, (train, held_out) in enumerate(folds):
            w = fit_rates(features[train], counts[train], spread, caps, weights[k])
            rates = log_rates(features[held_out], w, caps)
            total += float(_negative_log_likelihood(rates, counts[held_out]))
            weights[k] = w
        return total

    def best() -> tuple[float, float]:
        return min(found, key=found.__getitem__)

    for spline in (0.0, *(SPLINE_SPREADS if (owner == SPLINE).any() else ())):
        found[spline, 0.0] = loss(spline, 0.0)
        if best() != (spline, 0.0):
            break
    spline, _ = best()
    for coupling in (
        COUPLING_SPREADS if counts.shape[1] > 1 and owner.max() >= 0 else ()
    ):
        found[spline, coupling] = loss(spline, coupling)
        if best() != (spline, coupling):
            break
    return best()


def weight_spreads(owner: Array, d: int, spline: float, coupling: float) -> Tensor:
    """Return the spread (p, d) of each feature's weight for each of d neurons."""
    spread = np.where(owner[:, None] == np.arange(d), OWN_SPREAD, coupling)
    spread[owner == LINEAR] = OWN_SPREAD
    spread[owner == SPLINE] = spline
    return torch.from_numpy(spread)


def fit_rates(
    features: Tensor,
    counts: Tensor,
    spread: Tensor,
    caps: Tensor,
    start: Tensor | None = None,
) -> Tensor:
    """Fit log rates by penalised maximum likelihood, with L-BFGS.

    Parameters
    ----------
    features : Tensor of shape (n, p)
        Standardised.
    counts : Tensor of shape (n, d)
        NaN where missing.
    spread : Tensor of shape (p, d)
        How large weights are expected to be; 0 leaves a feature out.
    caps : Tensor of shape (d,)
        Largest log rates.
    start : Tensor of shape (p + 1, d), optional
        Weights to start from.

    Returns
    -------
    Tensor of shape (p + 1, d)
        Weights, the last row the intercepts.
    """
    total = counts.nansum(0).clamp(min=1.0)
    # In units in which the curvature of the objective is about one everywhere.
    shrink = 1 / (1 + spread.square() * total).sqrt()
    scale = torch.cat([spread * shrink, total.rsqrt()[None]])
    if start is None:
        start = torch.zeros_like(scale)
        start[-1] = (total / torch.isfinite(counts).sum(0).clamp(min=1)).log()
    unit = torch.where(scale > 0, start / scale, 0.0).requires_grad_()
    solver = LBFGS(
        [unit],
        max_iter=MAX_ITERATIONS,
        tolerance_grad=TOLERANCE,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        solver.zero_grad()
        rates = log_rates(features, scale * unit, caps)
        penalty = 0.5 * (shrink * unit[:-1]).square().sum()
        loss = _negative_log_likelihood(rates, counts) + penalty
        loss.backward()
        return loss

    with torch.enable_grad():
        solver.step(objective)
    return (scale * unit).detach()


def log_rates(features: Tensor, weights: Tensor, caps: Tensor) -> Tensor:
    """Log rates (n, d), between -12 and the caps (d,)."""
    raw = torch.addmm(weights[-1], features, weights[:-1])
    return torch.minimum(raw.clamp(min=MIN_LOG_RATE), caps)


def log_rate_caps(counts: Tensor) -> Tensor:
    """Largest log rates (d,) that are believed: those of the largest counts.

    Without a bound, a rare burst that is fed back grows without end.
    """
    return counts.nan_to_num().amax(0).clamp(min=math.exp(-2)).log()


def _negative_log_likelihood(rates: Tensor, counts: Tensor) -> Tensor:
    """Sum over what was observed, but for what the rates do not change."""
    seen = torch.isfinite(counts)
    loss = rates.exp() - torch.where(seen, counts, 0.0) * rates
    return torch.where(seen, loss, 0.0).sum()
