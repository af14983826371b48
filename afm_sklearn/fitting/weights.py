r"""Weights of a pool of laws: the best of proper scores on held-out draws.

The score of a mixture is quadratic in its weights,

.. math:: \sum_i w_i E|X_i - y| - \tfrac12 \sum_{ij} w_i w_j E|X_i - X_j'|,

for the CRPS, and for the energy score with norms of vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Array = NDArray[Any]

N_SHIFTS = 4  # pairs of draws, of each draw
MIN_WEIGHT = 0.02
FLOOR = 1e-4  # of the largest eigenvalue


class Score:
    """One score of several laws on the same cases.

    Parameters
    ----------
    draws : list of arrays of shape (n, n_samples, ...)
        Of each law. The same sample of two laws may share its noise, others not.
    y : array of shape (n, ...)
        What followed; cases with a missing entry are left out.
    is_joint : bool
        Energy score of all that follows the second axis as one vector; otherwise the
        mean CRPS.

    Attributes
    ----------
    single : array of shape (m, n)
        Score of each law, case by case.
    to_y : array of shape (m,)
    between : array of shape (m, m)
        The two expectations of the formula, relative to the best single score.
    """

    def __init__(self, draws: list[Array], y: Array, is_joint: bool):
        n = len(y)
        seen = np.isfinite(y.reshape(n, -1)).all(1)
        y = y[seen]
        draws = [x[seen].reshape(len(y), x.shape[1], -1) for x in draws]
        y = y.reshape(len(y), 1, -1)
        m = len(draws)
        to_y = np.array([_distance(x - y, is_joint) for x in draws])
        between = np.empty((m, m, len(y)))
        for shift in range(1, N_SHIFTS + 1):
            for j, other in enumerate(draws):
                moved = np.roll(other, shift, axis=1)
                for i in range(j + 1):
                    apart = _distance(draws[i] - moved, is_joint)
                    between[i, j] = apart + (between[i, j] if shift > 1 else 0.0)
        between /= N_SHIFTS
        upper = np.triu_indices(m, 1)
        between[upper[1], upper[0]] = between[upper]
        self.single = to_y - 0.5 * between[np.arange(m), np.arange(m)]
        best = max(float(self.single.mean(1).min()), 1e-12)
        self.to_y = to_y.mean(1) / best
        self.between = between.mean(2) / best


def _distance(apart: Array, is_joint: bool) -> Array:
    """Mean distance over samples, of (n, n_samples, k): (n,)."""
    if is_joint:
        return np.sqrt(np.einsum("nsk,nsk->ns", apart, apart)).mean(1)
    return np.abs(apart).mean((1, 2))


def best_weights(to_y: Array, between: Array) -> Array:
    """Weights on the simplex that minimise ``to_y w - w between w / 2``.

    Examples
    --------
    >>> best_weights(np.array([1.0, 1.0]), np.array([[1.0, 1.2], [1.2, 1.0]]))
    array([0.5, 0.5])
    """
    m = len(to_y)
    if m == 1:
        return np.ones(1)
    # On the simplex, centring moves the quadratic term to the linear one.
    rows = -between.mean(1)
    quadratic = -between - rows[:, None] - rows + rows.mean()
    linear = to_y + rows
    values, vectors = np.linalg.eigh((quadratic + quadratic.T) / 2)
    values = np.maximum(values, FLOOR * max(values[-1], 1e-12))
    root = np.sqrt(values)[:, None] * vectors.T
    goal = -(vectors.T @ linear) / np.sqrt(values)
    heavy = 1e3 * np.abs(root).max()
    system = np.vstack([root, np.full(m, heavy)])
    weights, _ = nnls(system, np.append(goal, heavy), maxiter=100 * m)
    weights = np.where(weights < MIN_WEIGHT * weights.sum(), 0.0, weights)
    total: Array = weights / weights.sum()
    return total
