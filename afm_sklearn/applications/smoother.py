r"""Draw what is missing, given past and future, under a linear Gaussian law.

The sequence is Gaussian, and what is missing given the rest is, too: its mean minimises

.. math:: \sum_t |R^{-1} (y_t - g_t - \sum_k A_k (y_{t-k} - m))|^2

over the missing entries, and a draw minimises the same with each term shifted by
standard normal noise (Papandreou & Yuille, Gaussian sampling by local perturbations,
2010). Both are the answers of a Kalman smoother. The missing entries are solved for
directly, as they make a band, or where that is large by conjugate gradients: neither
holds covariances of the state, and channels with many lags are no obstacle.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve_banded, solve_triangular

from ..compute import budget
from .banded import band_root, band_width
from .surrogate import LinearSurrogate

Array = NDArray[Any]

TOLERANCE = 1e-5  # of the residual, relative to where it starts
DRAWN = 1e-4  # of draws, whose chance is larger
ROUGH = 1e-2  # where a law is only judged
MAX_STEPS = 500
LARGE = 4  # parts of the working memory that a band may take


class Smoother:
    """Sequences (n, T, d) of a linear Gaussian law whose missing entries are free.

    Parameters
    ----------
    law : LinearSurrogate
    y : ndarray of shape (T, d)
        NaN where missing.
    follows : ndarray of bool, shape (T,)
        Steps that follow from those before them. The others lie around the centre,
        independently.
    spread : ndarray of shape (d,)
        Standard deviation of a channel around the centre.
    """

    def __init__(
        self, law: LinearSurrogate, y: Array, follows: NDArray[np.bool_], spread: Array
    ):
        self.law, self.follows = law, follows
        self.missing = np.isnan(y)
        self.known = np.where(self.missing, law.centre, y)
        d = len(law.centre)
        # Rows of activity times it are white.
        self.whitener = solve_triangular(law.root, np.eye(d), lower=True).T
        self.scale = np.maximum(spread, np.sqrt(np.finfo(float).tiny))

    def mean(self) -> Array:
        """Mean (T, d) of the sequence given what is known."""
        zero = np.zeros((1, *self.known.shape))
        return self._solve(zero)[0]

    def draw(self, n_samples: int, rng: np.random.Generator) -> Array:
        """Draw sequences (n_samples, T, d) given what is known."""
        noise = rng.normal(size=(n_samples, *self.known.shape))
        return self._solve(noise, DRAWN)

    def draw_around(
        self, n_samples: int, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Draw sequences (n_samples, T, d), and their mean (T, d), roughly."""
        noise = rng.normal(size=(n_samples + 1, *self.known.shape))
        noise[0] = 0.0
        found = self._solve(noise, ROUGH)
        return found[1:], found[0]

    def _solve(self, noise: Array, tolerance: float = TOLERANCE) -> Array:
        """Find the sequences whose white errors are nearest to the noise."""
        start = np.broadcast_to(self.known, noise.shape)
        rest = self._adjoint(noise - self._white(start, offset=True))
        if self._root is not None:
            found = start.copy()
            solved = cho_solve_banded((self._root, True), rest[:, self.missing].T)
            found[:, self.missing] += solved.T
            return found
        found = np.zeros(noise.shape)
        weight = 1.0 / self._diagonal()
        direction = moved = weight * rest
        size = (rest * moved).sum((1, 2))
        goal = tolerance**2 * size
        for _ in range(MAX_STEPS):
            if (size <= goal).all():
                break
            ahead = self._adjoint(self._white(direction, offset=False))
            bend = (direction * ahead).sum((1, 2))
            share = np.divide(size, bend, out=np.zeros_like(size), where=bend > 0)
            found = found + share[:, None, None] * direction
            rest = rest - share[:, None, None] * ahead
            moved = weight * rest
            new = (rest * moved).sum((1, 2))
            turn = np.divide(new, size, out=np.zeros_like(size), where=size > 0)
            direction = moved + turn[:, None, None] * direction
            size = new
        return start + found

    @cached_property
    def _root(self) -> Array | None:
        """Root of the normal equations; None where it is large."""
        width = band_width(self.missing, len(self.law.weights))
        if not 0 < width * self.missing.sum() <= LARGE * budget():
            return None
        effects = np.stack([np.eye(len(self.scale)), *(-w for w in self.law.weights)])
        effects = effects @ self.whitener
        return band_root(self.missing, self.follows, self.scale, effects)

    def _white(self, y: Array, *, offset: bool) -> Array:
        """White errors (n, T, d) of sequences; linear in them without the offset."""
        past = y - self.law.centre if offset else y
        errors = y - self.law.drift if offset else y.copy()
        for k, weights in enumerate(self.law.weights, 1):
            errors[:, k:] -= past[:, :-k] @ weights
        white = errors @ self.whitener
        white[:, ~self.follows] = (past / self.scale)[:, ~self.follows]
        return white

    def _adjoint(self, white: Array) -> Array:
        """Carry white errors back to the missing entries."""
        first = np.where(self.follows[:, None], 0.0, white / self.scale)
        errors = np.where(self.follows[:, None], white, 0.0) @ self.whitener.T
        back = errors.copy()
        for k, weights in enumerate(self.law.weights, 1):
            back[:, :-k] -= errors[:, k:] @ weights.T
        return np.where(self.missing, back + first, 0.0)

    def _diagonal(self) -> Array:
        """Return what the square of each entry weighs (T, d)."""
        own = (self.whitener**2).sum(1)
        n = len(self.follows)
        diagonal = np.where(self.follows[:, None], own, self.scale**-2.0)
        for k, weights in enumerate(self.law.weights, 1):
            later = ((weights @ self.whitener) ** 2).sum(1)
            diagonal[: n - k] += np.where(self.follows[k:, None], later, 0.0)
        return diagonal
