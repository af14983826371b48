r"""A stack of ridge regressions whose penalty grows with the lag.

The weight of a feature k steps back is penalised by lambda k^(2 decay), as in the
Minnesota prior of vector autoregressions (Litterman 1986): what lies further back
matters less, unless the data insist. Each regression shrinks towards an anchor: the
mean, the last value, or an autoregression of each channel alone. The forecasts, one
for each anchor and decay, are stacked with non-negative weights that sum to one
(Breiman 1996), chosen on blocks of rows that the fits have not seen. Everything is
computed from the cross-products of each block, in one pass over the rows; another one
is for what an autoregression sees of steps that the features do not hold.

Blocks are judged by the root of their summed squares, as distances are: a block with
an artefact counts, but does not choose for all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from torch import Tensor

from ..compute import Run, in_turn, row_parts
from ..data.scaled import ScaledRows
from .features import LagFeatures
from .forecast import LinearForecast, LinearMap
from .left_out import Fit, Rotation, total_errors
from .moments import Beside, Moments, moments_beside, moments_of
from .own import fit_own

Array = NDArray[np.float64]

PENALTIES = np.append(np.logspace(-8, 6, 15), np.inf)
COARSE_PENALTIES = PENALTIES[::3]  # where p d is large; they end in infinity too
MAX_FINE = 100_000
DECAYS = (1.0, 2.0, 3.0)
N_IMPUTATIONS = 4
WORK_OF_FIT = 200_000_000  # multiplications; threads keep some memory for themselves
MAPS_TOGETHER = 2  # of which sums over all blocks are held at a time: they are large


Judge = Callable[[LinearForecast], float]


def fit_means(
    features: LagFeatures,
    y: ScaledRows | Tensor,
    usable: NDArray[np.bool_],
    blocks: list[slice],
    walk: Array | None,
    judge: Judge | None = None,
    run: Run = in_turn,
) -> dict[str, LinearForecast]:
    """Fit linear forecasts.

    Parameters
    ----------
    features : LagFeatures
        Features of all rows.
    y : ScaledRows or Tensor of shape (n, d)
        Targets of about unit scale; missing entries (NaN) are imputed by the
        stacked forecast, a few times over.
    usable : array of shape (n,)
        Rows to fit on.
    blocks : list of slice
        Blocks of consecutive rows.
    walk : array of shape (d,) or None
        Slope of the last value as a forecast, in the units of features and y; None
        where the first features are not the lagged targets.
    judge : callable, optional
        Loss of a forecast that is rolled out.
    run : callable, optional
        Runs the tasks of the blocks; see `workers`.

    Returns
    -------
    dict of str to LinearForecast
        "stack"; where the first features are the lagged targets "own", of each channel
        from its own past; and with `judge` "rolled", weights between channels as large
        as trajectories bear.
    """
    parts = row_parts(*y.shape)
    if not any(torch.isnan(y[part]).any() for part in parts):
        return _fit(features, y, usable, blocks, walk, judge, run)
    gaps = torch.isnan(y[:])
    filled = torch.where(gaps, 0.0, y[:])
    means = _fit(features, filled, usable, blocks, walk, None, run)
    for k in range(N_IMPUTATIONS):
        forecast = means["stack"]
        for inputs in features.chunks(slice(None)):
            guess = torch.as_tensor(forecast.whole(inputs)).to(filled)
            rows = inputs.rows
            filled[rows] = torch.where(gaps[rows], guess, filled[rows])
        last = judge if k == N_IMPUTATIONS - 1 else None
        means = _fit(features, filled, usable, blocks, walk, last, run)
    return means


def _fit(
    features: LagFeatures,
    y: ScaledRows | Tensor,
    usable: NDArray[np.bool_],
    blocks: list[slice],
    walk: Array | None,
    judge: Judge | None,
    run: Run,
) -> dict[str, LinearForecast]:
    held: list[Moments] = run(
        [partial(moments_of, features, y, usable, block) for block in blocks]
    )
    total = sum(held[1:], held[0])
    # The last fit leaves nothing out; a single block cannot be left out.
    left_out = [*held, None] if len(held) > 1 else [None]
    fits = [Fit(features, total, block) for block in left_out]
    for fit in fits:
        fit.anchor(np.broadcast_to(0.0, total.fy.shape))
    means = {}
    if walk is not None:
        own = fit_own(features, y, usable, blocks, run)
        means["own"] = _forecast(own, blocks)
        beside = _beside(features, y, usable, blocks, own, run)
        last = _last_value(features, walk)
        for fit, each, (whole, of_block) in zip(fits, own, beside, strict=True):
            fit.anchor(last)
            fit.anchor_own(each, whole, of_block)
    p, d = features.n_features, y.shape[1]
    penalties = PENALTIES if p * d <= MAX_FINE else COARSE_PENALTIES
    solve = run if p * p * d > WORK_OF_FIT else in_turn
    for decay in DECAYS if features.n_lags > 1 else DECAYS[:1]:
        rotations = solve([partial(fit.rotate, decay) for fit in fits])
        if decay == DECAYS[0] and judge is not None and walk is not None:
            means["rolled"] = _rolled(fits, rotations, penalties, blocks, judge)
        both = list(zip(fits, rotations, strict=True))
        errors = solve([partial(fit.errors, at, penalties) for fit, at in both[:-1]])
        if errors:
            choice = total_errors(errors).argmin(1)
        else:  # too few rows to judge: keep to the anchors
            choice = np.full((len(fits[0].anchors), d), len(penalties) - 1)
        solve([partial(fit.choose, at, penalties[choice]) for fit, at in both])
        del rotations, both  # large, too
    weights = _stack_weights(fits, solve)
    means["stack"] = _forecast([fit.stacked(weights) for fit in fits], blocks)
    return means


def _beside(
    features: LagFeatures,
    y: ScaledRows | Tensor,
    usable: NDArray[np.bool_],
    blocks: list[slice],
    maps: list[LinearMap],
    run: Run,
) -> list[tuple[Beside | None, Beside | None]]:
    """Return what each map sees beside the features, of all rows and of its block."""
    if not any(each.own.any() for each in maps):
        return [(None, None)] * len(maps)
    found: list[tuple[Beside | None, Beside | None]] = []
    for first in range(0, len(maps), MAPS_TOGETHER):
        own = [each.own for each in maps[first : first + MAPS_TOGETHER]]
        parts = run(
            [partial(moments_beside, features, y, usable, b, own) for b in blocks]
        )
        for k, of_map in enumerate(zip(*parts, strict=True), start=first):
            left_out = k < len(maps) - 1
            found.append((sum(of_map[1:], of_map[0]), of_map[k] if left_out else None))
    return found


def _forecast(maps: list[LinearMap], blocks: list[slice]) -> LinearForecast:
    """Give the maps of all fits, the last of which left nothing out."""
    return LinearForecast(maps[-1], blocks, maps[:-1] or maps)


def _rolled(
    fits: list[Fit],
    rotations: list[Rotation],
    penalties: Array,
    blocks: list[slice],
    judge: Judge,
) -> LinearForecast:
    """Weights between channels beside own ones, of the penalty that rolls out best."""
    best: tuple[float, LinearForecast] | None = None
    own = len(fits[0].anchors) - 1
    both = list(zip(fits, rotations, strict=True))
    alongs = [fit.along(rotation, own) for fit, rotation in both]
    for penalty in penalties:
        maps = [
            fit.map_of(fit.penalized(rotation, own, along, penalty), 1.0)
            for (fit, rotation), along in zip(both, alongs, strict=True)
        ]
        forecast = _forecast(maps, blocks)
        loss = judge(forecast)
        if best is None or loss < best[0]:
            best = loss, forecast
    assert best is not None  # there are penalties
    return best[1]


def _last_value(features: LagFeatures, walk: Array) -> Array:
    coef = np.zeros((features.n_features, len(walk)))
    for j, slope in enumerate(walk):
        coef[features.newest(j), j] = slope
    return coef


def _stack_weights(fits: list[Fit], run: Run) -> Array:
    """Non-negative weights of the models that sum to one, by error on held blocks.

    Each block counts relative to the error of its best model.
    """
    n_models = len(fits[0].coefs)
    gram, cross = np.zeros((n_models, n_models)), np.zeros(n_models)
    judged = [fit for fit in fits if fit.left_out is not None]
    for own, against, yy in run([fit.products for fit in judged]):
        best = (yy - 2 * against + own.diagonal()).min()
        if best > 0:
            gram += own / best
            cross += against / best
    if not gram.any():
        return np.full(n_models, 1.0 / n_models)
    values, vectors = np.linalg.eigh((gram + gram.T) / 2)
    root = np.sqrt(np.maximum(values, 1e-10 * values[-1]))
    heavy = 1e3 * root[-1]
    system = np.vstack([root[:, None] * vectors.T, np.full(n_models, heavy)])
    weights, _ = nnls(system, np.append(vectors.T @ cross / root, heavy))
    total: Array = weights / weights.sum()
    return total
