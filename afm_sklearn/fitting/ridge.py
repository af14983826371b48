r"""A stack of ridge regressions whose penalty grows with the lag.

The weight of a feature k steps back is penalised by lambda k^(2 decay), as in the
Minnesota prior of vector autoregressions (Litterman 1986): what lies further back
matters less, unless the data insist. Each regression shrinks towards an anchor: the
mean, the last value, or an autoregression of each channel alone. The forecasts, one
for each anchor and decay, are stacked with non-negative weights that sum to one
(Breiman 1996), chosen on blocks of rows that the fits have not seen. Everything is
computed from the cross-products of each block, in one pass over the rows.

Blocks are judged by the root of their summed squares, as distances are: a block with
an artefact counts, but does not choose for all.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from torch import Tensor

from ..compute import row_parts
from ..data.scaled import ScaledRows
from .features import LagFeatures
from .forecast import LinearForecast
from .moments import Moments, moments_of

Array = NDArray[np.float64]
Rotation = tuple[Array, Array]

PENALTIES = np.append(np.logspace(-8, 6, 15), np.inf)
COARSE_PENALTIES = PENALTIES[::3]  # where p d is large; they end in infinity too
MAX_FINE = 100_000
OWN_PENALTIES = np.logspace(-9, 6, 31)
DECAYS = (1.0, 2.0, 3.0)
N_IMPUTATIONS = 4


Judge = Callable[[LinearForecast], float]


def fit_means(
    features: LagFeatures,
    y: ScaledRows | Tensor,
    usable: NDArray[np.bool_],
    blocks: list[slice],
    walk: Array | None,
    judge: Judge | None = None,
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

    Returns
    -------
    dict of str to LinearForecast
        "stack"; where the first features are the lagged targets "own", of each channel
        from its own past; and with `judge` "rolled", weights between channels as large
        as trajectories bear.
    """
    parts = row_parts(*y.shape)
    if not any(torch.isnan(y[part]).any() for part in parts):
        # A copy lies where memory is free; what it leaves goes back to the system.
        return copy.deepcopy(_fit(features, y, usable, blocks, walk, judge))
    gaps = torch.isnan(y[:])
    filled = torch.where(gaps, 0.0, y[:])
    means = _fit(features, filled, usable, blocks, walk, None)
    for k in range(N_IMPUTATIONS):
        forecast = means["stack"]
        for rows, F in features.chunks(slice(None)):
            ahead = F.double().numpy() @ forecast.coef + forecast.intercept
            guess = torch.as_tensor(ahead).to(filled)
            filled[rows] = torch.where(gaps[rows], guess, filled[rows])
        last = judge if k == N_IMPUTATIONS - 1 else None
        means = _fit(features, filled, usable, blocks, walk, last)
    return means


def _fit(
    features: LagFeatures,
    y: ScaledRows | Tensor,
    usable: NDArray[np.bool_],
    blocks: list[slice],
    walk: Array | None,
    judge: Judge | None,
) -> dict[str, LinearForecast]:
    held = [moments_of(features, y, usable, block) for block in blocks]
    total = sum(held[1:], held[0])
    # The last fit leaves nothing out; a single block cannot be left out.
    left_out = [*held, None] if len(held) > 1 else [None]
    fits = [_Fit(features, total, block) for block in left_out]
    means = {}
    if walk is not None:
        own = _own_coefficients(fits, features)
        means["own"] = _forecast(fits, blocks, own)
        for fit, coef in zip(fits, own, strict=True):
            fit.anchor(_last_value(features, walk), coef)
    p, d = features.n_features, y.shape[1]
    penalties = PENALTIES if p * d <= MAX_FINE else COARSE_PENALTIES
    for decay in DECAYS if features.n_lags > 1 else DECAYS[:1]:
        rotations = [fit.rotate(decay) for fit in fits]
        if decay == DECAYS[0] and judge is not None and walk is not None:
            means["rolled"] = _rolled(fits, rotations, penalties, blocks, judge)
        judged = zip(fits[:-1], rotations[:-1], strict=True)
        errors = [fit.errors(rotation, penalties) for fit, rotation in judged]
        if errors:
            choice = _total(errors).argmin(1)
        else:  # too few rows to judge: keep to the anchors
            choice = np.full((len(fits[0].anchors), d), len(penalties) - 1)
        for fit, rotation in zip(fits, rotations, strict=True):
            fit.choose(rotation, penalties[choice])
    weights = _stack_weights(fits)
    stack = [np.tensordot(weights, fit.coefs, 1) for fit in fits]
    means["stack"] = _forecast(fits, blocks, stack)
    return means


def _total(errors: list[Array]) -> Array:
    """Sum over blocks of the roots of their summed squares."""
    # Rounding may leave less than nothing.
    total: Array = np.sum([np.sqrt(np.maximum(error, 0.0)) for error in errors], axis=0)
    return total


def _forecast(
    fits: list[_Fit], blocks: list[slice], coefs: list[Array]
) -> LinearForecast:
    """Give the coefficients of all fits, the last of which left nothing out."""
    both = [
        (coef, fit.y_mean - fit.f_mean @ coef)
        for fit, coef in zip(fits, coefs, strict=True)
    ]
    out = both[:-1] or both
    return LinearForecast(*both[-1], blocks, [c for c, _ in out], [i for _, i in out])


def _rolled(
    fits: list[_Fit],
    rotations: list[Rotation],
    penalties: Array,
    blocks: list[slice],
    judge: Judge,
) -> LinearForecast:
    """Weights between channels beside own ones, of the penalty that rolls out best."""
    best: tuple[float, LinearForecast] | None = None
    for penalty in penalties:
        coefs = [
            fit.penalized(rotation, len(fit.anchors) - 1, penalty)
            for fit, rotation in zip(fits, rotations, strict=True)
        ]
        forecast = _forecast(fits, blocks, coefs)
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


class _Fit:
    """Regressions on all rows but those of a block, on which they are judged.

    What can be computed from the moments is not kept: they are large.
    """

    def __init__(self, features: LagFeatures, total: Moments, left_out: Moments | None):
        self.total, self.left_out = total, left_out
        self.lags = features.lags()
        training = self._training()
        n = max(training.n, 1.0)
        self.f_mean, self.y_mean = training.f / n, training.y / n
        train = self.train()
        self.anchors = [np.zeros_like(train.fy)]
        self.targets = [train.fy]
        self.coefs: list[Array] = []  # of the models, (p, d)

    def anchor(self, *anchors: Array) -> None:
        """Add coefficients (p, d) to shrink towards."""
        train = self.train()
        self.anchors += anchors
        self.targets += [train.fy - train.ff @ anchor for anchor in anchors]

    def train(self) -> Moments:
        """Return the moments of the rows fitted on, about their means."""
        return self._training().about(self.f_mean, self.y_mean)

    def held(self) -> Moments:
        """Return the moments of the block, about the means of the other rows."""
        assert self.left_out is not None
        return self.left_out.about(self.f_mean, self.y_mean)

    def rotate(self, decay: float) -> Rotation:
        """Return eigenvalues, and eigenvectors as weights of the features."""
        shrink = self.lags**-decay
        ff = self.train().ff
        ff *= shrink[:, None]
        ff *= shrink
        values, vectors = np.linalg.eigh(ff)
        vectors *= shrink[:, None]
        return np.maximum(values, 0.0), vectors

    def errors(self, rotation: Rotation, penalties: Array) -> Array:
        """Sum of squares on the held block, (anchors, penalties, d)."""
        values, basis = rotation
        held, out = self.held(), []
        cross = basis.T @ held.ff @ basis
        for anchor, target in zip(self.anchors, self.targets, strict=True):
            projected = basis.T @ target
            missed = held.fy - held.ff @ anchor
            own = held.yy - (anchor * (held.fy + missed)).sum(0)
            against = basis.T @ missed
            for penalty in penalties:
                w = projected / (values + penalty)[:, None]
                out.append(own - 2 * (w * against).sum(0) + (w * (cross @ w)).sum(0))
        return np.reshape(out, (len(self.anchors), len(penalties), -1))

    def choose(self, rotation: Rotation, penalties: Array) -> None:
        """Add the coefficients for the penalties (anchors, d)."""
        for k, penalty in enumerate(penalties):
            self.coefs.append(self.penalized(rotation, k, penalty))

    def penalized(self, rotation: Rotation, k: int, penalty: Array | float) -> Array:
        """Coefficients beside anchor k for a penalty, or one a channel."""
        values, basis = rotation
        w = (basis.T @ self.targets[k]) / (values[:, None] + penalty)
        coef: Array = self.anchors[k] + basis @ w
        return coef

    def _training(self) -> Moments:
        return self.total if self.left_out is None else self.total - self.left_out


def _own_coefficients(fits: list[_Fit], features: LagFeatures) -> list[Array]:
    """Ridge of each channel on its own past and the stimulus, by fit (p, d)."""
    trains = [fit.train() for fit in fits]
    helds = [fit.held() for fit in fits if fit.left_out is not None]
    p, d = trains[0].fy.shape
    coefs = [np.zeros((p, d)) for _ in fits]
    for j in range(d):
        own = features.own(j)
        solved, errors = [], []
        for k, train in enumerate(trains):
            values, vectors = np.linalg.eigh(train.ff[np.ix_(own, own)])
            along = vectors.T @ train.fy[own, j]
            inverse = 1 / (np.maximum(values, 0.0)[:, None] + OWN_PENALTIES)
            w = vectors @ (along[:, None] * inverse)
            solved.append(w)
            if k < len(helds):
                held = helds[k]
                gram = held.ff[np.ix_(own, own)]
                error = held.yy[j] - 2 * held.fy[own, j] @ w
                errors.append(error + (w * (gram @ w)).sum(0))
        best = _total(errors).argmin() if errors else len(OWN_PENALTIES) // 2
        for coef, w in zip(coefs, solved, strict=True):
            coef[own, j] = w[:, best]
    return coefs


def _stack_weights(fits: list[_Fit]) -> Array:
    """Non-negative weights of the models that sum to one, by error on held blocks.

    Each block counts relative to the error of its best model.
    """
    n_models = len(fits[0].coefs)
    gram, cross = np.zeros((n_models, n_models)), np.zeros(n_models)
    for fit in fits:
        if fit.left_out is None:
            continue
        held = fit.held()
        own, against = np.zeros_like(gram), np.zeros_like(cross)
        for k, coef in enumerate(fit.coefs):
            ahead = held.ff @ coef
            own[k] = [np.vdot(ahead, other) for other in fit.coefs]
            against[k] = np.vdot(coef, held.fy)
        best = (held.yy.sum() - 2 * against + own.diagonal()).min()
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
