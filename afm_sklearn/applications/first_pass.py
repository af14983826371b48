"""Regressions from windows of neurons, combined by what they say of unseen blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..baselines.history import channel_means
from ..baselines.prediction import flat_windows, predict_rows
from ..baselines.regressor import check_regressor, fit_regressor, seeded
from ..compute import budget, row_parts
from ..data.blocks import time_folds

Array = NDArray[Any]


def first_regressors(given: Sequence[Any] | None) -> list[Any]:
    """Return the regressors to fit: by default a linear one and trees."""
    from sklearn.ensemble import ExtraTreesRegressor  # takes long to import

    if given is None:
        ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 6, 15)))
        return [ridge, ExtraTreesRegressor(min_samples_leaf=3, max_features=0.3)]
    if not len(given):
        raise ValueError("regressors is empty, expected at least one estimator")
    for one in given:
        check_regressor(one)
    return list(given)


@dataclass(frozen=True)
class FirstPass:
    """A non-negative combination of regressions of the same windows.

    Attributes
    ----------
    regressors : list of fitted estimators
    weights : ndarray of shape (m, d)
        Of each regression, for each output.
    centre : ndarray of shape (d,)
        Mean of the targets, around which they are combined.
    neuron_means : ndarray of shape (s,)
        What a neuron that is missing in a whole window is taken to be.
    """

    regressors: list[Any]
    weights: Array
    centre: Array
    neuron_means: Array

    def predict(self, windows: Any) -> Array:
        """Map windows (n, L, s), NaN where not observed, to estimates (n, d)."""
        n, length, s = windows.shape
        out = np.empty((n, len(self.centre)))
        for rows in row_parts(n, length * s, budget()):
            features = flat_windows(np.asarray(windows[rows]), self.neuron_means)
            parts = [predict_rows(one, features) for one in self.regressors]
            out[rows] = combine(parts, self.weights, self.centre)
        return out


def fit_first_pass(
    regressors: Sequence[Any], windows: Any, targets: Array, n_folds: int, seed: int
) -> tuple[FirstPass, Array]:
    """Fit regressions of movement on neurons, and weigh them out of fold.

    Parameters
    ----------
    regressors : sequence of estimators
        Unfitted.
    windows : array-like of shape (n, L, d + s)
        Lagged targets, which only tell where runs start, and neurons.
    targets : ndarray of shape (n, d)
        NaN where missing.
    n_folds : int
        Blocks that are held out in turn.
    seed : int
        Of the regressors that have none.

    Returns
    -------
    first : FirstPass
        Fitted on all rows.
    estimates : ndarray of shape (n, d)
        Of each row, by fits without its block.
    """
    d = targets.shape[1]
    given = np.asarray(windows, np.float64)
    means = channel_means(given[:, :, d:])
    features = flat_windows(given[:, :, d:], means)
    own = [seeded(one, seed) for one in regressors]
    held_out = np.empty((len(own), len(targets), d))
    for train, block in time_folds(windows, n_folds, d):
        for k, one in enumerate(own):
            fold = fit_regressor(one, features[train], targets[train])
            held_out[k, block] = predict_rows(fold, features[block])
    centre = channel_means(targets)
    weights = _weigh(held_out, targets, centre)
    whole = [fit_regressor(one, features, targets) for one in own]
    first = FirstPass(whole, weights, centre, means)
    return first, combine(list(held_out), weights, centre)


def combine(parts: Sequence[Array], weights: Array, centre: Array) -> Array:
    """Add weighted deviations from the centre."""
    out: Array = centre + sum(
        weight * (part - centre) for weight, part in zip(weights, parts, strict=True)
    )
    return out


def _weigh(held_out: Array, targets: Array, centre: Array) -> Array:
    """Non-negative least squares (m, d) of targets on estimates (Breiman 1996)."""
    weights = np.empty((len(held_out), targets.shape[1]))
    for j, target in enumerate(targets.T):
        seen = np.isfinite(target)
        parts = held_out[:, seen, j].T - centre[j]
        weights[:, j] = nnls(parts, target[seen] - centre[j])[0]
    return weights
