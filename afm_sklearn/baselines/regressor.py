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


def fit_regressor(regressor: Any, features: Array, targets: Array) -> Any:
    """Fit a clone of a regressor, or one a target where that is needed.

    Parameters
    ----------
    regressor : estimator
        Any scikit-learn regressor.
    features : ndarray of shape (n, p)
        Finite.
    targets : ndarray of shape (n, d)
        NaN where missing.

    Returns
    -------
    estimator
        A clone of the regressor, fitted on the rows that hold targets; a
        `MultiOutputRegressor` of clones, each fitted on the rows that hold its
        target, if the regressor takes one target only or some rows hold a part of
        theirs.

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

    if targets.shape[1] == 1:
        return fit_rows(observed[:, 0], targets[:, 0])
    some = np.any(observed, axis=1)
    if observed[some].all() and get_tags(regressor).target_tags.multi_output:
        return fit_rows(some, targets)
    columns = MultiOutputRegressor(regressor)
    columns.estimators_ = [
        fit_rows(rows, y) for rows, y in zip(observed.T, targets.T, strict=True)
    ]
    return columns
