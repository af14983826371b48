"""Checks of what a decoder is given."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, validate_data

from ..checks import check_finite
from ..data.labels import check_labels
from ..data.lags import find_lag_map
from ..data.runs import label_starts

Array = NDArray[Any]


def check_rows(estimator: BaseEstimator, X: Any, *, reset: bool) -> Array:
    """Return rows (n, c) of numbers; NaN where not observed."""
    X = validate_data(
        estimator, X, reset=reset, dtype=np.float64, ensure_all_finite=False
    )
    check_finite("X", X, estimator)
    return np.asarray(X)


def check_movement(estimator: BaseEstimator, y: Any, n_rows: int) -> Array:
    """Return the movement (n, d) or (n,) of so many rows; NaN where missing."""
    y = check_array(
        y, ensure_2d=False, dtype=np.float64, ensure_all_finite=False, input_name="y"
    )
    check_finite("y", y, estimator)
    if len(y) != n_rows:
        raise ValueError(f"y has {len(y)} rows, X has {n_rows}")
    return y


def split_rows(X: Array, run_column: int | None) -> tuple[Array, Array | None]:
    """Return rows without their run label, and where runs start."""
    if run_column is None:
        return X, None
    labels = X[:, run_column]
    check_labels(labels, f"column {run_column} of X (run_column)")
    return np.delete(X, run_column, axis=1), label_starts(labels)


def check_lags(known: Array, targets: Array) -> None:
    """Refuse rows (n, d + s) that do not begin with the lagged targets (n, d)."""
    c, d = known.shape[1], targets.shape[1]
    if c <= d:
        raise ValueError(
            f"X has {c} channels and y has {d}: X must hold the lagged movement and "
            "at least one neuron"
        )
    if find_lag_map(known[:, :d], targets) is None:
        raise ValueError(
            f"the first {d} channels of X are not the lagged y: pass "
            "design_matrix(movement, neurons, runs) and the movement"
        )
