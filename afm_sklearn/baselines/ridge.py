"""Ridge regression of standardised features, quick where it is fitted often."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import Tags

Array = NDArray[Any]

PENALTIES = np.logspace(-2, 6, 17)
NEGLIGIBLE = 1e-12  # eigenvalues, relative to the largest


class LeaveOneOutRidge(RegressorMixin, BaseEstimator):
    """Ridge of standardised features, its penalty by leave-one-out error.

    The same as `StandardScaler` and `RidgeCV` with penalties from 0.01 to a million, by
    one eigendecomposition for all of them.

    Attributes
    ----------
    alpha_ : float
        The penalty of the least mean squared error over rows and targets.
    coef_ : ndarray of shape (p,) or (d, p)
        Weights of the features as they are.
    intercept_ : float or ndarray of shape (d,)

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> LeaveOneOutRidge().fit(X, X @ [1.0, 2.0]).coef_.round(2)
    array([1., 2.])
    """

    def fit(self, X: Array, y: Array) -> Self:
        """Fit features (n, p) to targets (n, d) or (n,)."""
        mean, spread = X.mean(0), X.std(0)
        spread = np.where(spread > 0, spread, 1.0)
        unit, centre = (X - mean) / spread, y.mean(0)
        targets = (y - centre).reshape(len(y), -1)
        values, vectors = _principal(unit)
        scores = unit @ vectors
        products, squares = scores.T @ targets, scores**2
        errors = []
        for alpha in PENALTIES:
            shrunk = 1 / (values + alpha)
            left = targets - scores @ (shrunk[:, None] * products)
            # What a row weighs in its own forecast, the mean included.
            own = squares @ shrunk + 1 / len(X)
            errors.append(np.mean((left / (1 - own)[:, None]) ** 2))
        self.alpha_ = float(PENALTIES[np.argmin(errors)])
        weights = vectors @ (products / (values + self.alpha_)[:, None])
        coef = (weights / spread[:, None]).T
        self.coef_ = coef if y.ndim > 1 else coef[0]
        self.intercept_ = centre - self.coef_ @ mean
        return self

    def predict(self, X: Array) -> Array:
        """Predict targets (n, d) or (n,)."""
        predicted: Array = X @ self.coef_.T + self.intercept_
        return predicted

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _principal(X: Array) -> tuple[Array, Array]:
    """Eigenvalues (k,) and eigenvectors (p, k) of X'X that are not negligible."""
    n, p = X.shape
    values, vectors = np.linalg.eigh(X.T @ X if p <= n else X @ X.T)
    kept = values > NEGLIGIBLE * max(values[-1], 1.0)
    values, vectors = values[kept], vectors[:, kept]
    return values, vectors if p <= n else X.T @ (vectors / np.sqrt(values))
