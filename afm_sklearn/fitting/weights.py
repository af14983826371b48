r"""Weights of a pool of laws: the best of proper scores on held-out draws.

The score of a mixture is quadratic in its weights,

.. math:: \sum_i w_i E|X_i - y| - \tfrac12 \sum_{ij} w_i w_j E|X_i - X_j'|,

for the CRPS, and for the energy score with norms of vectors.

Weights that fit the held-out cases best fit their noise, too, and even weights are hard
to beat (the forecast combination puzzle: Stock & Watson 2004; Claeskens et al. 2016).
Weights are therefore shrunk: those of many candidates towards even ones, that of a
newcomer towards none, as far as its gain is uncertain, and towards an even one where it
is larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Array = NDArray[Any]

N_SHIFTS = 2  # pairs of draws, of each draw
MIN_WEIGHT = 0.02
# Towards even weights, relative to the best score: of few candidates judged by all
# blocks, and of a newcomer judged by the last rows alone.
SHRINKAGE, SHRINKAGE_OF_SECOND = 0.01, 0.05
CAUTION = 2.0  # standard errors of its gain that a newcomer's weight costs
N_PARTS = 8  # of successive cases, whose gains tell the standard error
N_WEIGHTS = 51  # that are tried
FLOOR = 1e-4  # of the largest eigenvalue


@dataclass(frozen=True)
class Score:
    """One score of m laws on the same n cases.

    Attributes
    ----------
    to_y : array of shape (m, n)
        E|X_i - y| of each case.
    between : array of shape (m, m, n)
        E|X_i - X_j'|.
    """

    to_y: Array
    between: Array

    @classmethod
    def of(cls, draws: Sequence[Array], y: Array, is_joint: bool) -> Score:
        """Compute it from draws.

        Parameters
        ----------
        draws : sequence of arrays of shape (n, n_samples, ...)
            Of each law. The same sample of two laws may share its noise, others not.
        y : array of shape (n, ...)
            What followed; what is missing does not count.
        is_joint : bool
            Energy score of all that follows the second axis as one vector; otherwise
            the mean CRPS.
        """
        y = y.reshape(len(y), 1, int(np.prod(y.shape[1:])))
        seen = np.isfinite(y)
        kept = seen.any((1, 2))
        n, m = int(kept.sum()), len(draws)
        y, seen = np.nan_to_num(y[kept]).astype(np.float32), seen[kept]
        # Of what was observed alone: no distance where nothing was.
        flat = [x[kept].reshape(n, x.shape[1], -1) * seen for x in draws]
        to_y = np.array([_distance(x - y, is_joint) for x in flat]).reshape(m, n)
        between = np.zeros((m, m, n))
        for shift in range(1, N_SHIFTS + 1):
            for j, other in enumerate(flat):
                moved = np.roll(other, shift, axis=1)
                for i in range(j + 1):
                    between[i, j] += _distance(flat[i] - moved, is_joint) / N_SHIFTS
        upper = np.triu_indices(m, 1)
        between[upper[1], upper[0]] = between[upper]
        return cls(to_y, between)

    @classmethod
    def joined(cls, scores: Sequence[Score]) -> Score:
        """Return the score of the cases of all."""
        return cls(
            np.concatenate([score.to_y for score in scores], 1),
            np.concatenate([score.between for score in scores], 2),
        )

    @property
    def single(self) -> Array:
        """Score of each law, case by case: (m, n)."""
        every = np.arange(len(self.to_y))
        single: Array = self.to_y - 0.5 * self.between[every, every]
        return single

    def of_laws(self, laws: Sequence[int] | NDArray[np.intp]) -> Score:
        """Return the score of some of the laws."""
        at = np.asarray(laws)
        return Score(self.to_y[at], self.between[np.ix_(at, at)])

    @property
    def best(self) -> float:
        """Mean score of the best law."""
        return max(float(self.single.mean(1).min()), 1e-12)

    def terms(self) -> tuple[Array, Array]:
        """Return the linear and the quadratic term, relative to the best law."""
        return self.to_y.mean(1) / self.best, self.between.mean(2) / self.best

    def error_of_gain(self) -> float:
        """Return the standard error of what the second law gains, relative to the best.

        From the means of a few parts of successive cases, which are alike.
        """
        return _standard_error((self.single[0] - self.single[1]) / self.best)

    def gain_of_pool(self, weight: float) -> tuple[float, float]:
        """Return what a pool of two laws gains over the first, and its standard error.

        Relative to the score of the first law; `weight` is that of the second.
        """
        shares = np.array([1 - weight, weight])
        apart = np.einsum("i,ijn,j->n", shares, self.between, shares)
        gain = self.single[0] - (shares @ self.to_y - 0.5 * apart)
        gain = gain / max(float(self.single[0].mean()), 1e-12)
        return float(gain.mean()), _standard_error(gain)


def weights_by_score(scores: Sequence[Score]) -> Array:
    """Weights (m,) of a pool, best by the mean of the scores; each counts as much."""
    return _shrunk_weights(*_mean_terms(scores))


def few_of(uses: Sequence[Sequence[Score]], most: int) -> NDArray[np.intp]:
    """Return which laws a pool is made of, where it may have so many.

    Those that its best weights leave out go first; then, one by one, that without
    which it scores best.

    Parameters
    ----------
    uses : sequence of sequences of Score
        Of all m laws; each use has weights of its own, by the mean of its scores.
    most : int
        Laws that may stay.
    """
    terms = [_mean_terms(scores) for scores in uses]
    weights = [_shrunk_weights(*each) for each in terms]
    kept = np.flatnonzero(np.sum(weights, 0) > 0)
    while len(kept) > most:
        without = [np.delete(kept, k) for k in range(len(kept))]
        losses = [sum(_least(*each, rest) for each in terms) for rest in without]
        kept = without[int(np.argmin(losses))]
    return kept


def _least(linear: Array, quadratic: Array, kept: NDArray[np.intp]) -> float:
    """Score of the best pool of the laws that are kept."""
    a, b = linear[kept], quadratic[np.ix_(kept, kept)]
    w = _shrunk_weights(a, b)
    return float(w @ a - 0.5 * w @ b @ w)


def _shrunk_weights(linear: Array, quadratic: Array) -> Array:
    return best_weights(linear, quadratic - 2 * SHRINKAGE * np.eye(len(linear)))


def best_newcomer(scores: Sequence[Score]) -> int:
    """Return which law but the first has the best scores; each counts as much."""
    relative = np.mean([score.single.mean(1) / score.best for score in scores], 0)
    return 1 + int(relative[1:].argmin())


def weight_of_second(scores: Sequence[Score], caution: float = CAUTION) -> float:
    """Weight of the second of two laws, which the scores must be sure of.

    Parameters
    ----------
    scores : sequence of Score
        Of two laws.
    caution : float
        Standard errors of its gain that a weight costs.
    """
    scores = [score for score in scores if score.to_y.shape[1] > 1]
    if not scores:
        return 0.0
    a, b = _mean_terms(scores)
    # Nothing once the gain is twice as large as the caution.
    error = np.mean([score.error_of_gain() for score in scores])
    gain = a[0] - a[1] - 0.5 * (b[0, 0] - b[1, 1])
    cost = max(0.0, caution * error - 0.5 * gain)
    slope = a[1] - a[0] + b[0, 0] - b[0, 1]
    curvature = 2 * b[0, 1] - b[0, 0] - b[1, 1] + 2 * cost
    if slope >= 0:
        return 0.0
    weight = 1.0 if curvature <= 0 else -slope / curvature
    if weight > 0.5:  # beyond even ones, weights are shrunk towards them, too
        shrinkage = SHRINKAGE_OF_SECOND
        weight = (2 * shrinkage - slope) / (4 * shrinkage + max(0.0, curvature))
        weight = min(1.0, weight)
    if weight < MIN_WEIGHT:
        return 0.0
    return 1.0 if weight > 1 - MIN_WEIGHT else float(weight)


def surest_weight(scores: Sequence[Score], caution: float = 2.0) -> float:
    """Weight of the second of two laws with the surest gain; 0 where none is sure.

    Each score is a different question, and whoever asks one does not want to pay for
    another. So what counts is the gain of the score that gains least, less `caution`
    standard errors.

    Parameters
    ----------
    scores : sequence of Score
        Of two laws.
    caution : float, default=2
        Standard errors.
    """
    weights = np.linspace(0, 1, N_WEIGHTS)
    bounds = [
        min(g - caution * e for g, e in (score.gain_of_pool(w) for score in scores))
        for w in weights
    ]
    return float(weights[np.argmax(bounds)])  # the first, 0, gains 0


def _standard_error(values: Array) -> float:
    """Return that of a mean, from the means of a few parts of successive values."""
    parts = np.array_split(values, min(N_PARTS, len(values)))
    means = [part.mean() for part in parts]
    return float(np.std(means, ddof=1) / np.sqrt(len(means)))


def _mean_terms(scores: Sequence[Score]) -> tuple[Array, Array]:
    terms = [score.terms() for score in scores if score.to_y.size]
    linear, quadratic = (np.mean(part, 0) for part in zip(*terms, strict=True))
    return linear, quadratic


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
    if not weights.sum() > 0:
        return np.eye(m)[np.argmin(to_y - 0.5 * between.diagonal())]
    weights = np.where(weights < MIN_WEIGHT * weights.sum(), 0.0, weights)
    total: Array = weights / weights.sum()
    return total
