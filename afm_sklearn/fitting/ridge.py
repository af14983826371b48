r"""A stack of ridge regressions whose penalty grows with the lag.

The weight of a feature k steps back is penalised by lambda k^(2 decay), as in the
Minnesota prior of vector autoregressions (Litterman 1986): what lies further back
matters less, unless the data insist. Each regression shrinks towards an anchor: the
mean, the last value, or an autoregression of each channel alone. The forecasts, one
for each anchor and decay, are stacked with non-negative weights that sum to one
(Breiman 1996), chosen on blocks of rows that the fits have not seen. Everything is
computed from the cross-products of each block, in one pass over the rows.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from torch import Tensor

from ..compute import row_parts
from ..data.scaled import ScaledRows
from .features import LagFeatures
from .forecast import LinearForecast

Array = NDArray[np.float64]
Rotation = tuple[Array, Array]

PENALTIES = np.append(np.logspace(-1, 6, 15), np.inf)
COARSE_PENALTIES = PENALTIES[::3]  # where p d is large; they end in infinity too
MAX_FINE = 100_000
DECAYS = (1.0, 2.0, 3.0)
OWN_DECAY = 1.0
N_IMPUTATIONS = 4
MAX_OWN_STIMULI = 32


@dataclass
class Moments:
    """Sums over rows of 1, f, y, f f', f y' and y^2."""

    n: float
    f: Array
    y: Array
    ff: Array
    fy: Array
    yy: Array

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            *(a + b for a, b in zip(_parts(self), _parts(other), strict=True))
        )

    def __sub__(self, other: Moments) -> Moments:
        return Moments(
            *(a - b for a, b in zip(_parts(self), _parts(other), strict=True))
        )

    def about(self, f: Array, y: Array) -> Moments:
        """Return the same about other origins of f and y."""
        half = self.f - 0.5 * self.n * f
        ff = self.ff - np.outer(half, f)
        ff -= np.outer(f, half)
        fy = self.fy - np.outer(self.f - self.n * f, y)
        fy -= np.outer(f, self.y)
        yy = self.yy - 2 * y * self.y + self.n * y**2
        return Moments(self.n, self.f - self.n * f, self.y - self.n * y, ff, fy, yy)


def _parts(moments: Moments) -> list:
    return [getattr(moments, name) for name in ("n", "f", "y", "ff", "fy", "yy")]


def fit_ridge_stack(
    features: LagFeatures,
    y: ScaledRows | Tensor,
    usable: NDArray[np.bool_],
    blocks: list[slice],
    walk: Array | None,
) -> LinearForecast:
    """Fit the stack.

    Parameters
    ----------
    features : LagFeatures
        Features of all rows.
    y : ScaledRows or Tensor of shape (n, d)
        ScaledRows of about unit scale; missing entries (NaN) are imputed by the
        forecast, a few times over.
    usable : array of shape (n,)
        Rows to fit on.
    blocks : list of slice
        Blocks of consecutive rows.
    walk : array of shape (d,) or None
        Slope of the last value as a forecast, in the units of features and y; None
        where the first features are not the lagged targets.

    Returns
    -------
    LinearForecast
    """
    parts = row_parts(*y.shape)
    if not any(torch.isnan(y[part]).any() for part in parts):
        # A copy lies where memory is free; what it leaves goes back to the system.
        return copy.deepcopy(_fit(features, y, usable, blocks, walk))
    gaps = torch.isnan(y[:])
    filled = torch.where(gaps, 0.0, y[:])
    forecast = _fit(features, filled, usable, blocks, walk)
    for _ in range(N_IMPUTATIONS):
        for rows, F in features.chunks(slice(None)):
            ahead = F.double().numpy() @ forecast.coef + forecast.intercept
            guess = torch.as_tensor(ahead).to(filled)
            filled[rows] = torch.where(gaps[rows], guess, filled[rows])
        forecast = _fit(features, filled, usable, blocks, walk)
    return forecast


def _fit(
    features: LagFeatures,
    y: ScaledRows | Tensor,
    usable: NDArray[np.bool_],
    blocks: list[slice],
    walk: Array | None,
) -> LinearForecast:
    held = [_moments(features, y, usable, block) for block in blocks]
    total = sum(held[1:], held[0])
    # The last fit leaves nothing out; a single block cannot be left out.
    left_out = [*held, None] if len(held) > 1 else [None]
    fits = [_Fit(features, total, block, walk) for block in left_out]
    p, d = features.n_features, y.shape[1]
    penalties = PENALTIES if p * d <= MAX_FINE else COARSE_PENALTIES
    for decay in DECAYS if features.n_lags > 1 else DECAYS[:1]:
        rotations = [fit.rotate(decay) for fit in fits]
        judged = zip(fits[:-1], rotations[:-1], strict=True)
        errors = [fit.errors(rotation, penalties) for fit, rotation in judged]
        if errors:
            choice = np.sum(errors, axis=0).argmin(1)
        else:  # too few rows to judge: keep to the anchors
            choice = np.full((len(fits[0].anchors), d), len(penalties) - 1)
        for fit, rotation in zip(fits, rotations, strict=True):
            fit.choose(rotation, penalties[choice])
    weights = _stack_weights(fits)
    blended = [fit.blend(weights) for fit in fits]
    coefs, intercepts = zip(*(blended[:-1] or blended), strict=True)
    return LinearForecast(*blended[-1], blocks, list(coefs), list(intercepts))


def _moments(
    features: LagFeatures,
    y: ScaledRows | Tensor,
    usable: NDArray[np.bool_],
    block: slice,
) -> Moments:
    p, d = features.n_features, y.shape[1]
    sums = Moments(
        0.0, np.zeros(p), np.zeros(d), np.zeros((p, p)), np.zeros((p, d)), np.zeros(d)
    )
    for rows, F in features.chunks(block):
        kept = usable[rows]
        f, target = (
            values.numpy()[kept].astype(np.float64) for values in (F, y[rows].cpu())
        )
        sums.n += len(f)
        sums.f += f.sum(0)
        sums.y += target.sum(0)
        sums.ff += f.T @ f
        sums.fy += f.T @ target
        sums.yy += (target**2).sum(0)
    return sums


class _Fit:
    """Regressions on all rows but those of a block, on which they are judged.

    What can be computed from the moments is not kept: they are large.
    """

    def __init__(
        self,
        features: LagFeatures,
        total: Moments,
        left_out: Moments | None,
        walk: Array | None,
    ):
        self.total, self.left_out = total, left_out
        self.lags = features.lags()
        training = self._training()
        n = max(training.n, 1.0)
        self.f_mean, self.y_mean = training.f / n, training.y / n
        train = training.about(self.f_mean, self.y_mean)
        p, d = train.fy.shape
        self.anchors = [np.zeros((p, d))]
        if walk is not None:
            last = np.zeros((p, d))
            for j in range(d):
                last[features.newest(j), j] = walk[j]
            self.anchors += [last, _own_regressions(features, train)]
        self.targets = [train.fy - train.ff @ anchor for anchor in self.anchors]
        self.coefs: list[Array] = []  # of the models, (p, d)

    def held(self) -> Moments:
        """Return the moments of the block, about the means of the other rows."""
        assert self.left_out is not None
        return self.left_out.about(self.f_mean, self.y_mean)

    def rotate(self, decay: float) -> Rotation:
        """Return eigenvalues, and eigenvectors as weights of the features."""
        shrink = self.lags**-decay
        ff = self._training().about(self.f_mean, self.y_mean).ff
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
        values, basis = rotation
        parts = zip(self.anchors, self.targets, penalties, strict=True)
        for anchor, target, penalty in parts:
            w = (basis.T @ target) / (values[:, None] + penalty)
            self.coefs.append(anchor + basis @ w)

    def blend(self, weights: Array) -> tuple[Array, Array]:
        """Return coefficients and intercepts of the weighted models."""
        coef = np.tensordot(weights, self.coefs, 1)
        return coef, self.y_mean - self.f_mean @ coef

    def _training(self) -> Moments:
        return self.total if self.left_out is None else self.total - self.left_out


def _own_regressions(features: LagFeatures, train: Moments) -> Array:
    """Ridge of each channel on its own past (and the stimulus), by marginal scale."""
    p, d = train.fy.shape
    coef = np.zeros((p, d))
    lags = features.lags()
    for j in range(d):
        own = features.own(j)
        if len(own) > features.n_lags + MAX_OWN_STIMULI:
            own = own[: features.n_lags]
        shrink = lags[own] ** -OWN_DECAY
        gram = shrink[:, None] * train.ff[np.ix_(own, own)] * shrink
        # Few weights and many rows: a light penalty only keeps the system regular.
        gram[np.diag_indices_from(gram)] += 1.0
        coef[own, j] = shrink * np.linalg.solve(gram, shrink * train.fy[own, j])
    return coef


def _stack_weights(fits: list[_Fit]) -> Array:
    """Non-negative weights of the models that sum to one, by error on held blocks."""
    n_models = len(fits[0].coefs)
    gram, cross = np.zeros((n_models, n_models)), np.zeros(n_models)
    for fit in fits:
        if fit.left_out is None:
            continue
        held = fit.held()
        for k, coef in enumerate(fit.coefs):
            ahead = held.ff @ coef
            gram[k] += [np.vdot(ahead, other) for other in fit.coefs]
            cross[k] += np.vdot(coef, held.fy)
    if not gram.any():
        return np.full(n_models, 1.0 / n_models)
    values, vectors = np.linalg.eigh((gram + gram.T) / 2)
    root = np.sqrt(np.maximum(values, 1e-10 * values[-1]))
    heavy = 1e3 * root[-1]
    system = np.vstack([root[:, None] * vectors.T, np.full(n_models, heavy)])
    weights, _ = nnls(system, np.append(vectors.T @ cross / root, heavy))
    total: Array = weights / weights.sum()
    return total
