"""The linear base: a ridge forecast with the covariance of its honest errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PENALTIES = np.logspace(-2, 6, 17)
MAX_SELECTION_ROWS = 8192


@dataclass
class RidgeFit:
    """Coefficients (p, d), intercept (d,) and leave-one-out residuals (n, d)."""

    coef: Array
    intercept: Array
    residuals: Array


def fit_ridge(features: Array, y: Array) -> RidgeFit:
    """Ridge regression with one penalty a target, by exact leave-one-out error.

    Entries of y that are NaN are left out of their own target's fit.

    Notes
    -----
    The leave-one-out residual is e / (1 - h), h the leverage (Hastie,
    Tibshirani & Friedman, The Elements of Statistical Learning, eq. 7.52).
    """
    observed = np.isfinite(y)
    if observed.all():
        return _fit_complete(features, y)
    coef = np.zeros((features.shape[1], y.shape[1]))
    intercept = np.zeros(y.shape[1])
    residuals = np.full(y.shape, np.nan)
    for j, rows in enumerate(observed.T):
        if rows.any():
            fit = _fit_complete(features[rows], y[rows, j : j + 1])
            coef[:, j], intercept[j] = fit.coef[:, 0], fit.intercept[0]
            residuals[rows, j] = fit.residuals[:, 0]
    return RidgeFit(coef, intercept, residuals)


def _fit_complete(features: Array, y: Array) -> RidgeFit:
    center, mean = features.mean(0), y.mean(0)
    F, target = features - center, y - mean
    values, vectors = np.linalg.eigh(F.T @ F)
    values = np.maximum(values, 0.0)
    rotated = F @ vectors
    products = rotated.T @ target
    recent = slice(-MAX_SELECTION_ROWS, None)
    squared = rotated[recent] ** 2
    best = np.full(y.shape[1], np.inf)
    penalties = np.full(y.shape[1], PENALTIES[-1])
    for penalty in PENALTIES:
        shrink = 1.0 / (values + penalty)
        slack = np.maximum(1.0 - squared @ shrink - 1.0 / len(F), 1e-6)
        errors = target[recent] - rotated[recent] @ (products * shrink[:, None])
        loss = ((errors / slack[:, None]) ** 2).mean(0)
        penalties = np.where(loss < best, penalty, penalties)
        best = np.minimum(loss, best)
    shrink = 1.0 / (values[:, None] + penalties)
    leverage = rotated**2 @ shrink + 1.0 / len(F)
    residuals = (target - rotated @ (products * shrink)) / np.maximum(
        1.0 - leverage, 1e-6
    )
    coef = vectors @ (products * shrink)
    return RidgeFit(coef, mean - center @ coef, residuals)


def shrunk_correlation(residuals: Array) -> tuple[Array, Array]:
    """Return the scale (d,) and the Ledoit-Wolf correlation (d, d) of residuals.

    Missing entries are left out of the scale and count as uncorrelated. A channel
    that never errs keeps a tiny positive scale.
    """
    from sklearn.covariance import ledoit_wolf

    observed = np.isfinite(residuals)
    count = np.maximum(observed.sum(0), 1)
    filled = np.where(observed, residuals, 0.0)
    scale = np.sqrt((filled**2).sum(0) / count)
    live = scale > 1e-6
    scale = np.maximum(scale, 1e-6)
    correlation = np.eye(len(scale))
    if live.sum() > 1 and len(residuals) > 1:
        covariance, _ = ledoit_wolf(filled[:, live] / scale[live], assume_centered=True)
        deviation = np.sqrt(np.diag(covariance))
        correlation[np.ix_(live, live)] = covariance / np.outer(deviation, deviation)
    return scale, correlation
