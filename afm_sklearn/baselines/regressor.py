"""Fit any scikit-learn regressor to any number of targets, some of them missing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.multioutput import MultiOutputRegressor
from sklearn.utils import get_tags

Array = NDArray[Any]

MIN_ROWS = 2
MOSTLY = 0.9  # of the rows with any target, that must hold all for a joint fit
INPUTS = ("all", "own")


def check_regressor(regressor: Any) -> None:
    """Refuse what is not an instance with ``fit`` and ``predict``."""
    is_regressor = hasattr(regressor, "fit") and hasattr(regressor, "predict")
    if isinstance(regressor, type) or not is_regressor:
        raise TypeError(
            "regressor must be an estimator with the methods fit and predict, got "
            f"{regressor!r}"
        )


def seeded(regressor: Any, seed: int) -> Any:
    """Clone a regressor, with every ``random_state`` that is None set to `seed`.

    So the fit can be repeated, and numpy's global generator is left alone.
    """
    unset = {
        name: seed
        for name, value in regressor.get_params().items()
        if name.rpartition("__")[2] == "random_state" and value is None
    }
    return clone(regressor).set_params(**unset)


class ByChannel:
    """Regressors that forecast a channel each, from features of its own.

    Parameters
    ----------
    regressors : list of fitted estimators
    columns : list of ndarray of int
        The features that each one sees.
    """

    def __init__(self, regressors: list[Any], columns: list[Array]) -> None:
        self.regressors, self.columns = regressors, columns

    def predict(self, features: Array) -> Array:
        """Predict all channels (n, d) from features (n, p)."""
        parts = [
            regressor.predict(features[:, own])
            for regressor, own in zip(self.regressors, self.columns, strict=True)
        ]
        return np.column_stack(parts)


def own_columns(length: int, n_channels: int, n_outputs: int) -> list[Array]:
    """Find the features of each channel's own past and of the stimulus.

    Parameters
    ----------
    length, n_channels, n_outputs : int
        Steps and channels of a window, the first of which are lagged targets.

    Returns
    -------
    list of ndarray of int
        Columns of flat windows, one array a target.

    Examples
    --------
    >>> own_columns(length=2, n_channels=3, n_outputs=2)
    [array([0, 2, 3, 5]), array([1, 2, 4, 5])]
    """
    channel = np.arange(length * n_channels) % n_channels
    is_stimulus = channel >= n_outputs
    return [np.flatnonzero(is_stimulus | (channel == j)) for j in range(n_outputs)]


def fit_regressor(
    regressor: Any,
    features: Array,
    targets: Array,
    columns: list[Array] | None = None,
) -> Any:
    """Fit a clone of a regressor, or one a target where that is needed.

    Parameters
    ----------
    regressor : estimator
        Any scikit-learn regressor.
    features : ndarray of shape (n, p)
        Finite.
    targets : ndarray of shape (n, d)
        NaN where missing.
    columns : list of ndarray of int, optional
        The features that each target may be forecast from. All, by default.

    Returns
    -------
    estimator
        A clone of the regressor, fitted on the rows that hold all targets; a
        `MultiOutputRegressor` of clones, each fitted on the rows that hold its
        target, if the regressor takes one target only or more than a few rows hold a
        part of theirs; `ByChannel` with `columns`.

    Raises
    ------
    ValueError
        If a target is observed in fewer than two rows.
    """
    observed = ~np.isnan(targets)
    n_observed = observed.sum(axis=0)
    if n_observed.min() < MIN_ROWS:
        raise ValueError(
            f"y must be observed in at least {MIN_ROWS} of the rows to fit on, got "
            f"{n_observed.min()} for column {n_observed.argmin()}, "
            f"n_samples={len(targets)}"
        )

    def fit_rows(rows: Array, y: Array) -> Any:
        return clone(regressor).fit(features[rows], y[rows])

    if columns is not None:
        regressors = [
            clone(regressor).fit(features[np.ix_(rows, own)], y[rows])
            for rows, own, y in zip(observed.T, columns, targets.T, strict=True)
        ]
        return ByChannel(regressors, columns)
    if targets.shape[1] == 1:
        return fit_rows(observed[:, 0], targets[:, 0])
    whole: Array = np.all(observed, axis=1)
    is_mostly = whole.sum() >= max(MIN_ROWS, MOSTLY * observed.any(axis=1).sum())
    if is_mostly and get_tags(regressor).target_tags.multi_output:
        return fit_rows(whole, targets)
    by_target = MultiOutputRegressor(regressor)
    by_target.estimators_ = [
        fit_rows(rows, y) for rows, y in zip(observed.T, targets.T, strict=True)
    ]
    return by_target
