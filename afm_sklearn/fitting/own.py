"""Autoregressions: each channel from its own past and the stimulus, by ridge."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..compute import Run, in_turn
from ..data.scaled import ScaledRows
from .features import Inputs, LagFeatures
from .forecast import LinearMap
from .sums import Sums

Array = NDArray[np.float64]

PENALTIES = np.logspace(-9, 6, 31)


def fit_own(
    features: LagFeatures,
    y: ScaledRows | Tensor,
    usable: NDArray[np.bool_],
    blocks: list[slice],
    run: Run = in_turn,
) -> list[LinearMap]:
    """Regress each channel on its own past, as far as it is seen, and the stimulus.

    The penalty of a channel is the one of the least error on the blocks left out; a
    block counts by the root of its summed squares.

    Parameters
    ----------
    features, y, usable, blocks, run
        As for `fit_means`; nothing is missing in y.

    Returns
    -------
    list of LinearMap
        Without each block, then of all rows; of all alone where there is one block.
    """
    held = run([partial(_moments, features, y, usable, block) for block in blocks])
    total = sum(held[1:], held[0])
    left_out = held if len(held) > 1 else []
    trains = [total - out for out in left_out] + [total]
    origins = [(m.x / max(m.n, 1.0), m.y / max(m.n, 1.0)) for m in trains]
    trains = [m.about(*at) for m, at in zip(trains, origins, strict=True)]
    solved = run([partial(_solutions, train) for train in trains])
    errors = np.zeros((len(PENALTIES), y.shape[1]))
    for out, at, weights in zip(left_out, origins, solved, strict=False):
        errors += np.sqrt(np.maximum(_errors(out.about(*at), weights), 0.0))
    best = errors.argmin(0) if left_out else np.full(y.shape[1], len(PENALTIES) // 2)
    return [
        _map(features, weights[best, np.arange(len(best))], *at)
        for weights, at in zip(solved, origins, strict=True)
    ]


@dataclass
class _Moments(Sums):
    """Sums over rows of 1, x, y, x x', x y and y^2, of each channel's inputs x."""

    n: float
    x: Array
    y: Array
    xx: Array
    xy: Array
    yy: Array

    def about(self, x: Array, y: Array) -> _Moments:
        """Return the same about other origins of x (d, q) and y (d,)."""
        half = self.x - 0.5 * self.n * x
        outer = half[:, :, None] * x[:, None]
        return _Moments(
            self.n,
            self.x - self.n * x,
            self.y - self.n * y,
            self.xx - outer - outer.transpose(0, 2, 1),
            self.xy - (self.x - self.n * x) * y[:, None] - x * self.y[:, None],
            self.yy - 2 * y * self.y + self.n * y**2,
        )


def _moments(
    features: LagFeatures,
    y: ScaledRows | Tensor,
    usable: NDArray[np.bool_],
    block: slice,
) -> _Moments:
    """Sum over the usable rows of a block."""
    d, q = y.shape[1], features.n_own + features.n_lags + len(features.shown())
    sums = _Moments(
        0.0,
        np.zeros((d, q)),
        np.zeros(d),
        np.zeros((d, q, q)),
        np.zeros((d, q)),
        np.zeros(d),
    )
    for inputs in features.chunks(block):
        kept = usable[inputs.rows]
        past, shown = (part[kept] for part in _inputs(features, inputs, d))
        target = y[inputs.rows].cpu().numpy()[kept].astype(np.float64)
        n_past = past.shape[2]
        own = past.transpose(1, 2, 0)  # (d, L, k)
        sums.n += len(past)
        sums.x[:, :n_past] += past.sum(0)
        sums.x[:, n_past:] += shown.sum(0)
        sums.y += target.sum(0)
        across = own @ shown
        sums.xx[:, :n_past, :n_past] += own @ own.transpose(0, 2, 1)
        sums.xx[:, :n_past, n_past:] += across
        sums.xx[:, n_past:, :n_past] += across.transpose(0, 2, 1)
        sums.xx[:, n_past:, n_past:] += shown.T @ shown
        sums.xy[:, :n_past] += (own @ target.T[:, :, None])[:, :, 0]
        sums.xy[:, n_past:] += target.T @ shown
        sums.yy += (target**2).sum(0)
    return sums


def _inputs(features: LagFeatures, inputs: Inputs, d: int) -> tuple[Array, Array]:
    """Return the past of each channel (k, d, L), oldest first, and the stimulus."""
    f = inputs.features.double().numpy()
    newest = f[:, features.n_projected :].reshape(len(f), features.n_lags, -1)
    earlier = inputs.earlier.double().numpy()
    past = np.concatenate([earlier, newest[:, :, :d]], 1).transpose(0, 2, 1)
    return np.ascontiguousarray(past), f[:, features.shown()]


def _solutions(train: _Moments) -> Array:
    """Weights (penalties, d, q)."""
    values, vectors = np.linalg.eigh(train.xx)
    along = np.einsum("dqr,dq->dr", vectors, train.xy)
    inverse = 1 / (np.maximum(values, 0.0) + PENALTIES[:, None, None])
    weights: Array = np.einsum("dqr,mdr->mdq", vectors, along * inverse)
    return weights


def _errors(held: _Moments, weights: Array) -> Array:
    """Sum of squares (penalties, d)."""
    ahead = np.einsum("mdq,dqr->mdr", weights, held.xx)
    errors: Array = held.yy - (weights * (2 * held.xy - ahead)).sum(2)
    return errors


def _map(features: LagFeatures, weights: Array, x: Array, y: Array) -> LinearMap:
    """Sort the weights (d, q) of all channels by what they are of."""
    d, shown, n_own = len(weights), features.shown(), features.n_own
    coef = np.zeros((features.n_features, d), np.float32)
    n_past = n_own + features.n_lags
    for j in range(d):
        coef[features.past(j), j] = weights[j, n_own:n_past]
    coef[shown] = weights[:, n_past:].T
    own: Array = weights[:, :n_own].T.copy()
    return LinearMap(coef, y - (weights * x).sum(1), own, features.basis)
