"""Runs that come one by one, put below one another."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .numbers import as_columns
from .tables import as_table, is_polars, run_labels
from .timing import check_times, is_time_series

__all__ = ["stack_runs"]

Array = NDArray[Any]


def stack_runs(
    activity: Any, stimulus: Any = None, runs: Any = None
) -> tuple[Any, Any, Any]:
    """Lay out a recording of several runs as one row a time step.

    The rows of X and y agree if both come from what this returns:
    ``activity, stimulus, runs = stack_runs(...)``, then
    ``design_matrix(activity, stimulus, runs)`` and ``y = activity``.

    Parameters
    ----------
    activity : list of k array-likes of shape (T_i, d), or array-like
        One entry a run: arrays, DataFrames, xarray DataArrays or pynapple objects, all
        of one kind. An array of shape (trials, steps, channels) is a list of trials. An
        xarray DataArray of dimension "time" has its times as rows, whatever the order
        of its dimensions. All else is a recording that is stacked already.
    stimulus : list of k array-likes of shape (T_i, s) or (T_i,), default=None
        As many runs of the same lengths, or stacked if `activity` is.
    runs : array-like of shape (k,) or (T,), default=None
        One label a run for a list, 0, 1, ... k-1 by default; one label a row for what
        is stacked. By default they are those of the level of a MultiIndex, or the
        coordinate along "time" of a DataArray, that is named "run", "runs", "trial" or
        "session". What is given comes before what an index says.

    Returns
    -------
    activity : ndarray of shape (T, d), DataFrame, or as it came
        A list of pandas or polars DataFrames becomes one DataFrame with the index as it
        was, a DataArray a pandas DataFrame, a list of arrays an ndarray with NaN where
        masked. What is stacked already comes back as it is.
    stimulus : as `activity`, or None
    runs : ndarray of shape (T,), as it came, or None
        The labels as they went in, one a row. ``None`` where nothing tells of runs.

    Raises
    ------
    ValueError
        If runs of a list differ in their columns or kind, have no steps or are no
        tables of numbers, if `stimulus` has other runs or lengths than `activity`, if
        `runs` has not one label a run or one twice. If several levels of an index could
        be the run, or `stimulus` has other labels than `activity`.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn import stack_runs
    >>> monday, tuesday = np.ones((3, 2)), np.zeros((2, 2))
    >>> y, _, runs = stack_runs([monday, tuesday], runs=["mon", "tue"])
    >>> y.shape, runs.tolist()
    ((5, 2), ['mon', 'mon', 'mon', 'tue', 'tue'])
    """
    if _is_list(activity):
        return _stack_list(activity, stimulus, runs)
    if _is_list(stimulus):
        raise ValueError(
            f"stimulus must be stacked as activity is, with one row a time step, got "
            f"{len(stimulus)} runs: give both as lists of runs or both as rows"
        )
    table = as_table(activity, "activity")
    shown = as_table(stimulus, "stimulus")
    if runs is None:
        runs = _read_labels(activity, stimulus)
    return table, shown, runs


def _is_list(values: Any) -> bool:
    """Tell a list of runs from a list of rows: its entries have two axes."""
    if is_time_series(values) or hasattr(values, "dims") or is_polars(values):
        return False
    is_cells = isinstance(values, np.ndarray) and values.dtype == object
    if isinstance(values, list | tuple) or (is_cells and values.ndim == 1):
        return any(_n_axes(run) > 1 for run in values)
    return _n_axes(values) == 3


def _n_axes(values: Any) -> int:
    shape = getattr(values, "shape", None)
    try:
        return np.ndim(values) if shape is None else len(shape)
    except ValueError:  # rows of different lengths
        return 0


def _stack_list(activity: Any, stimulus: Any, runs: Any) -> tuple[Any, Any, Any]:
    tables = _as_tables(activity, "activity")
    lengths = [len(table) for table in tables]
    labels = _repeat_labels(runs, lengths)
    if stimulus is None:
        return _join(tables, "activity"), None, labels
    n_shown = len(stimulus) if isinstance(stimulus, list | tuple) else None
    if n_shown is None and not _is_list(stimulus):
        raise ValueError(
            f"stimulus must be a list of {len(tables)} runs as activity is, got "
            f"{type(stimulus).__name__}"
        )
    if len(stimulus) != len(tables):
        raise ValueError(
            f"stimulus must have one entry for each run of activity: expected "
            f"{len(tables)} runs, got {len(stimulus)}"
        )
    shown = _as_tables(stimulus, "stimulus")
    for j, (table, length) in enumerate(zip(shown, lengths, strict=True)):
        if len(table) != length:
            raise ValueError(
                f"stimulus must have the steps of activity in each run: expected "
                f"{length} in run {j}, got {len(table)}"
            )
    return _join(tables, "activity"), _join(shown, "stimulus"), labels


def _as_tables(values: Any, name: str) -> list[Any]:
    tables = []
    for j, run in enumerate(values):
        run_name = f"run {j} of {name}"
        check_times(run, run_name)
        table = as_table(run, run_name)
        if not (hasattr(table, "iloc") or is_polars(table)):
            table = as_columns(table, run_name)
        elif len(table) == 0:
            raise ValueError(f"{run_name} has no steps")
        tables.append(table.to_frame() if hasattr(table, "to_frame") else table)
    return tables


def _join(tables: list[Any], name: str) -> Any:
    first = tables[0]
    for j, table in enumerate(tables):
        if type(table) is not type(first):
            raise ValueError(
                f"{name} must have runs of one kind, got {type(first).__name__} in "
                f"run 0 and {type(table).__name__} in run {j}"
            )
        ours, theirs = _columns(first), _columns(table)
        if ours != theirs:
            raise ValueError(
                f"{name} must have the same columns in every run, got {ours} in run 0 "
                f"and {theirs} in run {j}"
            )
    if is_polars(first):
        import polars

        return polars.concat(tables, how="vertical_relaxed")
    if hasattr(first, "iloc"):
        import pandas as pd

        return pd.concat(tables)
    return np.concatenate(tables)


def _columns(table: Any) -> Any:
    return list(table.columns) if hasattr(table, "columns") else table.shape[1]


def _repeat_labels(runs: Any, lengths: list[int]) -> Array:
    n_runs = len(lengths)
    if runs is None:
        return np.repeat(np.arange(n_runs), lengths)
    labels = runs if np.ma.isMaskedArray(runs) else np.asarray(runs)
    if labels.shape != (n_runs,):
        raise ValueError(
            f"runs must have one label for each run of activity: expected {n_runs} "
            f"labels, got shape {labels.shape}"
        )
    if labels.dtype.kind == "U" and not all(isinstance(run, str) for run in runs):
        labels = np.array(list(runs), dtype=object)  # numbers beside names stay numbers
    known: dict[Any, int] = {}
    for j, label in enumerate(labels.tolist()):
        if label in known:
            raise ValueError(
                f"runs must have a label of its own for each run, got {label!r} for "
                f"run {known[label]} and run {j}"
            )
        known[label] = j
    return np.repeat(labels, lengths)


def _read_labels(activity: Any, stimulus: Any) -> Array | None:
    ours, theirs = run_labels(activity, "activity"), run_labels(stimulus, "stimulus")
    if theirs is None:
        return ours
    if ours is None:
        raise ValueError(
            "the index of stimulus names runs, but that of activity does not: give runs"
        )
    # Where they differ in length, design_matrix says so.
    differs = ours != theirs if len(ours) == len(theirs) else np.zeros(1, bool)
    if differs.any():
        row = differs.argmax()
        raise ValueError(
            f"stimulus must have the runs of activity in its index: expected "
            f"{ours[row]!r} in row {row}, got {theirs[row]!r}"
        )
    return ours
