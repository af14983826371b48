"""From a recording to the matrix that scikit-learn estimators are fitted on."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .checks import outer_level
from .data.numbers import as_columns
from .data.runs import label_starts
from .data.stacking import stack_runs
from .data.tables import is_polars, without_run_level
from .data.timing import check_order, check_times

__all__ = ["design_matrix"]

# Channels, for each step and in all, from which on they may be the time steps.
WIDE, MANY_CHANNELS = 4, 20


def design_matrix(activity: Any, stimulus: Any = None, runs: Any = None) -> Any:
    """Lay out what is known just before each time step.

    Row t of the result is ``[activity[t-1] | stimulus[t] | run]``. It never holds its
    own target, so that with ``y = activity``, unshifted, no estimator can look ahead,
    whichever rows are selected.

    Parameters
    ----------
    activity : array-like of shape (T, d) or (T,), or a list of runs
        One row a time step, one column a neuron, parcel or series, in any unit; NaN or
        masked where not observed. Time steps must be even within a run: times in the
        index of a DataFrame, of a DataArray and of a pynapple object are checked.
        A list of arrays of shape (T_i, d) or an array of shape (trials, steps,
        channels) is stacked; `stack_runs` gives the targets of the same rows. An xarray
        DataArray needs a dimension "time", whose steps become the rows.
    stimulus : array-like of shape (T, s) or (T,), or a list of runs, default=None
        What is shown or done while that step's activity is produced; NaN or masked
        where unknown. Rows are matched to those of `activity` by position. For a list
        of runs, a list of the same lengths.
    runs : array-like of shape (T,), default=None
        Labels of continuous recordings (runs, trials, sessions), of any type. The rows
        of a run must lie together. For a list of runs, one label a run, by default 0,
        1, ... For a DataFrame with a MultiIndex, by default the level named "run",
        "runs", "trial" or "session"; for a DataArray the coordinate along "time" of
        such a name.

    Returns
    -------
    X : ndarray or DataFrame of shape (T, d + s) or (T, d + s + 1)
        A pandas DataFrame where `activity` is one or a DataArray, a polars DataFrame
        where it is one, with columns ``"<name>_lag1"``, the names of the stimulus
        (``"stimulus_<j>"`` for an array) and ``"run"``. The activity part is NaN in the
        first row of each run. float32 if the activity and the stimulus are, else
        float64.

    Raises
    ------
    ValueError
        If an argument has the wrong shape or number of rows, holds infinities, dates or
        values that are no numbers, a run label is missing or comes back after another
        run, or two columns would have the same name. If times leave out steps or do not
        grow within a run, or if the index of `stimulus` or `runs` has labels of that of
        `activity` in other rows. If runs of a list differ in their columns, `stimulus`
        has other runs or lengths, or `runs` has not one label a run.

    Warns
    -----
    UserWarning
        If times within runs are uneven by more than 1 % of a step, or if nothing but
        `activity` is given and it has so many more columns than rows that these may be
        the time steps.

    Notes
    -----
    Numeric run labels keep their value. Other labels, and numbers too large to be told
    apart in the dtype of X, are numbered 0, 1, ... in order of appearance, anew in each
    call: use different small numbers as labels where the results of several calls are
    to be joined.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.design import design_matrix
    >>> activity = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    >>> design_matrix(activity, stimulus=[0.1, 0.2, 0.3], runs=["a", "a", "b"])
    array([[ nan,  nan,  0.1,  0. ],
           [ 1. , 10. ,  0.2,  0. ],
           [ nan,  nan,  0.3,  1. ]])
    >>> design_matrix([activity[:2], activity[2:]], runs=[7, 8])
    array([[nan, nan,  7.],
           [ 1., 10.,  7.],
           [nan, nan,  8.]])
    """
    recording = read_recording(activity, stimulus, runs)
    past, shown, labels = recording.past, recording.shown, recording.labels
    starts = recording.starts
    if shown is None and labels is None:
        _check_layout(past)
    parts = [past] if shown is None else [past, shown]
    dtype = np.result_type(*parts)
    if labels is not None:
        parts.append(_number_runs(labels, starts, dtype)[:, None])
    X = np.hstack(parts, dtype=dtype)
    d = past.shape[1]
    X[1:, :d] = past[:-1]
    X[starts, :d] = np.nan
    activity = recording.activity
    if not (hasattr(activity, "iloc") or is_polars(activity)):
        return X
    return _as_frame(X, activity, column_names(recording))


class Recording(NamedTuple):
    """A recording as tables, and the numbers and labels that these hold.

    Attributes
    ----------
    activity, stimulus : array-like
        As `stack_runs` returns them; the stimulus may be None.
    past, shown : ndarray of shape (T, d) and (T, s)
        The numbers in them; None without a stimulus.
    labels : ndarray of shape (T,) or None
        Of runs, as they went in.
    starts : ndarray of int
        Rows at which runs start.
    """

    activity: Any
    stimulus: Any
    past: NDArray[Any]
    shown: NDArray[Any] | None
    labels: NDArray[Any] | None
    starts: NDArray[np.intp]


def read_recording(activity: Any, stimulus: Any = None, runs: Any = None) -> Recording:
    """Read and check what `design_matrix` takes.

    Parameters
    ----------
    activity, stimulus, runs
        As in `design_matrix`, which says what is raised, too.

    Returns
    -------
    Recording

    Examples
    --------
    >>> recording = read_recording([[[1.0], [2.0]], [[3.0]]])
    >>> recording.past.ravel(), recording.starts
    (array([1., 2., 3.]), array([0, 2]))
    """
    activity, stimulus, runs = stack_runs(activity, stimulus, runs)
    past, shown, labels = as_numbers(activity, "activity"), None, None
    if stimulus is not None:
        shown = as_numbers(stimulus, "stimulus")
        _check_rows(shown, "stimulus", len(past))
        check_order(activity, stimulus, "stimulus")
    starts = np.zeros(1, dtype=np.intp)
    if runs is not None:
        labels = _read_runs(runs, n_rows=len(past))
        check_order(activity, runs, "runs")
        starts = label_starts(labels)
        _check_contiguous(labels, starts)
    for values, name in ((activity, "activity"), (stimulus, "stimulus")):
        check_times(without_run_level(values), name, None if runs is None else starts)
    return Recording(activity, stimulus, past, shown, labels, starts)


def as_numbers(values: Any, name: str) -> NDArray[Any]:
    """Return the numbers of a table of `stack_runs` as a matrix."""
    return as_columns(values.to_numpy() if is_polars(values) else values, name)


def _read_runs(runs: Any, n_rows: int) -> NDArray[Any]:
    labels = np.asarray(runs)
    if labels.ndim != 1:
        raise ValueError(
            f"runs must have shape (T,), one label a row of activity, "
            f"got shape {labels.shape}"
        )
    _check_rows(labels, "runs", n_rows)
    is_masked = np.zeros(n_rows, bool)
    if np.ma.isMaskedArray(runs):
        is_masked = np.ma.getmaskarray(runs)
    missing = _missing_labels(labels) | is_masked
    if missing.any():
        row = missing.argmax()
        label = "a masked label" if is_masked[row] else labels[row]
        raise ValueError(f"runs must label every row, got {label} in row {row}")
    return labels


def _check_layout(activity: NDArray[Any]) -> None:
    """Warn where rows are rather neurons than time steps."""
    n_steps, d = activity.shape
    if d > WIDE * n_steps and d > MANY_CHANNELS:
        warnings.warn(
            f"activity has {n_steps} steps and {d} channels: rows are time steps, "
            "columns are neurons, parcels or series. Pass activity.T if it lies the "
            "other way",
            UserWarning,
            stacklevel=outer_level(),
        )


def _missing_labels(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Mark None, NA, NaT and numbers that are not finite."""
    if labels.dtype.kind == "f":
        return ~np.isfinite(labels)
    if labels.dtype.kind != "O":
        return labels != labels
    # What is missing does not equal itself: NaN and NaT say no, NA says NA.
    equal = [label == label for label in labels]
    return np.array(
        [
            label is None or not (isinstance(same, bool | np.bool_) and same)
            for label, same in zip(labels, equal, strict=True)
        ]
    )


def _check_rows(array: NDArray[Any], name: str, n_rows: int) -> None:
    if len(array) != n_rows:
        raise ValueError(
            f"{name} must have one row for each row of activity: expected {n_rows} "
            f"rows, got {len(array)}"
        )


def _check_contiguous(labels: NDArray[Any], starts: NDArray[np.intp]) -> None:
    """Refuse a label that comes back."""
    seen: set[Any] = set()
    for start, name in zip(starts, labels[starts].tolist(), strict=True):
        if name in seen:
            raise ValueError(
                f"runs must be contiguous: label {name!r} comes back in row {start} "
                "after another run"
            )
        seen.add(name)


def _number_runs(
    labels: NDArray[Any], starts: NDArray[np.intp], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Give each run a number."""
    numbers = np.arange(len(starts))
    if labels.dtype.kind in "biuf":
        with np.errstate(over="ignore"):
            values = labels[starts].astype(dtype)
        # Large labels may collide in float32, which would join two runs.
        if np.isfinite(values).all() and len(np.unique(values)) == len(values):
            numbers = values
    return np.repeat(numbers, np.diff(starts, append=len(labels)))


def column_names(recording: Recording) -> list[str]:
    """Name the columns that `design_matrix` makes of a recording."""
    activity, stimulus = recording.activity, recording.stimulus
    names = [f"{name}_lag1" for name in _names(activity, "activity", recording.past)]
    if recording.shown is not None:
        names += _names(stimulus, "stimulus", recording.shown)
    return names if recording.labels is None else [*names, "run"]


def _names(values: Any, name: str, array: NDArray[Any]) -> list[str]:
    if hasattr(values, "columns"):
        return [str(column) for column in values.columns]
    if getattr(values, "name", None) is not None:
        return [str(values.name)]
    return [f"{name}_{j}" for j in range(array.shape[1])]


def _as_frame(X: NDArray[Any], activity: Any, columns: list[str]) -> Any:
    twice = sorted(name for name, count in Counter(columns).items() if count > 1)
    if twice:
        raise ValueError(
            "columns of activity and stimulus must have names that differ in X (where "
            f"activity gets '_lag1' and runs become 'run'), got {twice} twice"
        )
    # No dependencies: whoever passes a DataFrame has its library.
    if is_polars(activity):
        import polars

        return polars.DataFrame(X, schema=columns, orient="row")
    import pandas as pd

    return pd.DataFrame(X, index=activity.index, columns=columns)
