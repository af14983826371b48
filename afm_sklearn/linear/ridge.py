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

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from torch import Tensor

from ..history import row_parts
from ..targets import Targets
from .features import LagFeatures
from .forecast import LinearForecast

Array = NDArray[np.float64]

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
        ff = (
            self.ff
            - np.outer(self.f, f)
            - np.outer(f, self.f)
            + self.n * np.outer(f, f)
        )
        fy = (
            self.fy
            - np.outer(self.f, y)
            - np.outer(f, self.y)
            + self.n * np.outer(f, y)
        )
        yy = self.yy - 2 * y * self.y + self.n * y**2
        return Moments(self.n, self.f - self.n * f, self.y - self.n * y, ff, fy, yy)


def _parts(moments: Moments) -> list:
    return [getattr(moments, name) for name in ("n", "f", "y", "ff", "fy", "yy")]


def fit_ridge_stack(
    features: LagFeatures,
    y: Targets | Tensor,
    usable: NDArray[np.bool_],
    blocks: list[slice],
    walk: Array | None,
) -> LinearForecast:
    """Fit the stack.

    Parameters
    ----------
    features : LagFeatures
        Features of all rows.
    y : Targets or Tensor of shape (n, d)
        Targets of about unit scale; missing entries (NaN) are imputed by the
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
        return _fit(features, y, usable, blocks, walk)
    gaps = torch.isnan(y[:])
    filled = torch.where(gaps, 0.0, y[:])
    forecast = _fit(features, filled, usable, blocks, walk)
    for _ in range(N_IMPUTATIONS):
        for rows, F in features.chunks(slice(None)):
            guess = torch.as_tensor(F @ forecast.coef + forecast.intercept).to(filled)
            filled[rows] = torch.where(gaps[rows], guess, filled[rows])
        forecast = _fit(features, filled, usable, blocks, walk)
    return forecast


def _fit(
    features: LagFeatures,
    y: Targets | Tensor,
    usable: NDArray[np.bool_],
    blocks: list[slice],
    walk: Array | None,
) -> LinearForecast:
    held = [_moments(features, y, usable, block) for block in blocks]
    total = sum(held[1:], held[0])
    # The last fit leaves nothing out; a single block cannot be left out.
    left_out = [*held, None] if len(held) > 1 else [None]
    fits = [
        _Fit(features, total if block is None else total - block, block, walk)
        for block in left_out
    ]
    if len(fits) > 1:
        choice = np.sum([fit.errors() for fit in fits[:-1]], axis=0).argmin(1)
    else:  # too few rows to judge: keep to the anchors
        choice = np.full((fits[0].n_models, y.shape[1]), len(fits[0].penalties) - 1)
    for fit in fits:
        fit.choose(choice)
    weights = _stack_weights(fits)
    coefs = [np.tensordot(weights, fit.coefs, 1) for fit in fits]
    intercepts = [
        fit.y_mean - fit.f_mean @ coef for fit, coef in zip(fits, coefs, strict=True)
    ]
    if len(fits) == 1:
        return LinearForecast(coefs[0], intercepts[0], blocks, coefs, intercepts)
    return LinearForecast(
        coefs[-1], intercepts[-1], blocks, coefs[:-1], intercepts[:-1]
    )


def _moments(
    features: LagFeatures, y: Targets | Tensor, usable: NDArray[np.bool_], block: slice
) -> Moments:
    p, d = features.n_features, y.shape[1]
    sums = Moments(
        0.0, np.zeros(p), np.zeros(d), np.zeros((p, p)), np.zeros((p, d)), np.zeros(d)
    )
    for rows, F in features.chunks(block):
        kept = usable[rows]
        F, Y = F[kept], y[rows].cpu().numpy()[kept].astype(np.float64)
        sums.n += len(F)
        sums.f += F.sum(0)
        sums.y += Y.sum(0)
        sums.ff += F.T @ F
        sums.fy += F.T @ Y
        sums.yy += (Y**2).sum(0)
    return sums


class _Fit:
    """All regressions on one set of rows, judged on the block left out."""

    def __init__(
        self,
        features: LagFeatures,
        training: Moments,
        held: Moments | None,
        walk: Array | None,
    ):
        n = max(training.n, 1.0)
        self.f_mean, self.y_mean = training.f / n, training.y / n
        train = training.about(self.f_mean, self.y_mean)
        self.held = None if held is None else held.about(self.f_mean, self.y_mean)
        p, d = train.fy.shape
        self.anchors = [np.zeros((p, d))]
        if walk is not None:
            last = np.zeros((p, d))
            for j in range(d):
                last[features.newest(j), j] = walk[j]
            self.anchors += [last, _own_regressions(features, train)]
        lags = features.lags()
        decays = DECAYS if features.n_lags > 1 else DECAYS[:1]
        self.rotations = []
        for decay in decays:
            shrink = lags**-decay
            values, vectors = np.linalg.eigh(shrink[:, None] * train.ff * shrink)
            self.rotations.append((np.maximum(values, 0.0), shrink[:, None] * vectors))
        self.targets = [train.fy - train.ff @ anchor for anchor in self.anchors]
        self.penalties = PENALTIES if p * d <= MAX_FINE else COARSE_PENALTIES
        self.n_models = len(self.anchors) * len(self.rotations)

    def errors(self) -> Array:
        """Sum of squares on the held block, (models, penalties, d)."""
        assert self.held is not None
        out = []
        for values, basis in self.rotations:
            cross = basis.T @ self.held.ff @ basis
            for anchor, target in zip(self.anchors, self.targets, strict=True):
                projected = basis.T @ target
                missed = self.held.fy - self.held.ff @ anchor
                own = self.held.yy - (anchor * (self.held.fy + missed)).sum(0)
                against = basis.T @ missed
                for penalty in self.penalties:
                    w = projected / (values + penalty)[:, None]
                    out.append(
                        own - 2 * (w * against).sum(0) + (w * (cross @ w)).sum(0)
                    )
        return np.reshape(out, (self.n_models, len(self.penalties), -1))

    def choose(self, choice: NDArray[np.intp]) -> None:
        """Compute the coefficients (models, p, d) for the chosen penalties."""
        coefs: list[Array] = []
        for values, basis in self.rotations:
            for anchor, target in zip(self.anchors, self.targets, strict=True):
                penalty = self.penalties[choice[len(coefs)]]
                w = (basis.T @ target) / (values[:, None] + penalty)
                coefs.append(anchor + basis @ w)
        self.coefs = np.array(coefs)
        del self.rotations, self.targets


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
        if fit.held is None:
            continue
        flat = fit.coefs.reshape(n_models, -1)
        gram += flat @ (fit.held.ff @ fit.coefs).reshape(n_models, -1).T
        cross += flat @ fit.held.fy.ravel()
    if not gram.any():
        return np.full(n_models, 1.0 / n_models)
    values, vectors = np.linalg.eigh((gram + gram.T) / 2)
    root = np.sqrt(np.maximum(values, 1e-10 * values[-1]))
    heavy = 1e3 * root[-1]
    system = np.vstack([root[:, None] * vectors.T, np.full(n_models, heavy)])
    weights, _ = nnls(system, np.append(vectors.T @ cross / root, heavy))
    total: Array = weights / weights.sum()
    return total
