"""The column that labels runs: where it is, what it must look like."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compute import row_parts
from .runs import label_starts

Array = NDArray[Any]

FEW_ROWS = 5  # fewer rows do not tell a label from a stimulus
PROBED_ROWS = 256  # that rule out most columns


def find_column(
    column: Any, n_columns: int, names: NDArray[np.object_] | None
) -> int | None:
    """Turn an index or a name into a non-negative index.

    Parameters
    ----------
    column : int, str or None
        What was asked for, ``run_column``.
    n_columns : int
        Number of columns of X.
    names : ndarray of str or None
        Their names, where they have any.

    Returns
    -------
    int or None
        ``None`` where no column was asked for.

    Raises
    ------
    ValueError
        If there is no such column, or no other.

    Examples
    --------
    >>> find_column(-1, 4, None)
    3
    >>> find_column("run", 2, np.array(["x", "run"]))
    1
    """
    if column is None:
        return None
    if isinstance(column, str):
        index = _find_name(column, names)
    elif isinstance(column, Integral) and not isinstance(column, bool):
        index = int(column)
    else:
        raise ValueError(
            f"run_column must be None, an index or a column name, got {column!r}"
        )
    if not -n_columns <= index < n_columns:
        raise ValueError(
            f"run_column={column} is out of range for X with {n_columns} columns"
        )
    if n_columns == 1:
        raise ValueError(
            f"run_column={column!r} leaves no column to window: X has n_features=1"
        )
    return index % n_columns


def _find_name(column: str, names: NDArray[np.object_] | None) -> int:
    if names is None:
        raise ValueError(
            f"run_column={column!r} is a name, but X has no column names: "
            "pass a DataFrame or give run_column as an index"
        )
    if column not in names:
        raise ValueError(
            f"run_column={column!r} is not a column of X, which has {list(names)}"
        )
    return int(np.flatnonzero(names == column)[0])


def check_labels(labels: Array, name: str) -> None:
    """Refuse a column that leaves rows without a label.

    Parameters
    ----------
    labels : ndarray of shape (T,)
        The column.
    name : str
        What the column is called in the error.

    Raises
    ------
    ValueError
        If a label is NaN.

    Examples
    --------
    >>> check_labels(np.array([0.0, np.nan]), "column 3")
    Traceback (most recent call last):
    ...
    ValueError: column 3 must label every row with its run, got NaN in row 1
    """
    missing = np.isnan(labels)
    if missing.any():
        raise ValueError(
            f"{name} must label every row with its run, got NaN in row "
            f"{missing.argmax()}"
        )


def check_stretches(labels: Array, name: str) -> None:
    """Refuse a column whose value changes in most rows.

    Parameters
    ----------
    labels : ndarray of shape (T,)
        The column, without NaN.
    name : str
        What the column is called in the error.

    Raises
    ------
    ValueError
        If the value changes in more than half of the rows, unless these are few.

    Examples
    --------
    >>> values = np.array([0.3, 0.1, 0.7, 0.2, 0.9])
    >>> check_stretches(values, "column 3")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: column 3 does not look like run labels: its value changes in 4 of ...
    """
    n_changes = len(label_starts(labels)) - 1
    if len(labels) >= FEW_ROWS and 2 * n_changes > len(labels):
        raise ValueError(
            f"{name} does not look like run labels: its value changes in {n_changes} "
            f"of {len(labels)} rows. Pass rows in order, with one label for each run, "
            "or run_column=None if they are one run"
        )


def find_labels(X: Array) -> int | None:
    """Find a column that labels the runs of a design matrix.

    Parameters
    ----------
    X : ndarray of shape (T, c)
        Rows in order; NaN where not observed.

    Returns
    -------
    int or None
        The last column that never takes a value again and changes where all that is
        lagged is missing, although the row before was observed: at the starts of runs,
        as `design_matrix` marks them. ``None`` if there is no such column. No stimulus
        does this, unless it changes between runs only.

    Examples
    --------
    >>> nan = np.nan
    >>> X = np.array([[nan, 7], [1, 7], [2, 7], [nan, 8], [4, 8], [5, 8]])
    >>> find_labels(X)
    1
    >>> X[3, 0] = 3  # one run, in which a stimulus goes from 7 to 8
    >>> find_labels(X) is None
    True
    """
    lagged = np.flatnonzero(np.isnan(X[0]))
    if not len(lagged):
        return None
    probe = X[:PROBED_ROWS]
    n_runs = 1 + (probe[1:] != probe[:-1]).sum(0)
    may_label = (2 * n_runs <= len(probe)) & (X[0] != X[-1]) & ~np.isnan(X[0])
    for column in np.flatnonzero(may_label)[::-1]:
        if _labels_runs(X, column, lagged):
            return int(column)
    return None


def _labels_runs(X: Array, column: int, lagged: Array) -> bool:
    starts = label_starts(X[:, column])
    is_new = len(np.unique(X[starts, column])) == len(starts)
    if not is_new or 2 * len(starts) > len(X):
        return False
    before = _all_missing(X, starts[1:] - 1, lagged)
    return bool(_all_missing(X, starts, lagged).all() and before.mean() < 0.5)


def _all_missing(X: Array, rows: Array, columns: Array) -> NDArray[np.bool_]:
    """Tell which of the rows hold nothing in the columns."""
    parts = row_parts(len(rows), len(columns))
    missing = [np.isnan(X[np.ix_(rows[part], columns)]).all(1) for part in parts]
    return np.concatenate(missing)
