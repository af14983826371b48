"""What the index of a recording says about its time steps."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import outer_level

Array = NDArray[Any]

EVEN = 0.01  # deviation from the median step, relative, that is called even
GAP = 1.5  # median steps from which samples are missing in between


def is_time_series(values: Any) -> bool:
    """Tell whether values are samples with their times, as pynapple keeps them.

    Such objects have times ``t`` in seconds, data ``d`` and a ``time_support``.
    """
    is_frame = hasattr(values, "iloc")  # its columns may have these names
    return not is_frame and all(hasattr(values, k) for k in ("t", "d", "time_support"))


def check_times(values: Any, name: str, starts: Array | None = None) -> None:
    """Refuse a time index that has gaps inside a run.

    Parameters
    ----------
    values : DataFrame, Series, pynapple object or array
        Only what has a time index (dates, time differences or floating-point numbers)
        or times ``t`` is checked.
    name : str
        The argument, for messages.
    starts : ndarray of shape (n_runs,), default=None
        Rows at which a run begins; ``None`` where no runs are given.

    Raises
    ------
    ValueError
        If a time is missing, or within a run does not grow or leaves out a step.

    Warns
    -----
    UserWarning
        If the steps within runs differ by more than 1 %.

    Examples
    --------
    >>> import pandas as pd
    >>> times = pd.Series([1.0, 2.0, 3.0, 4.0], index=[0.0, 0.1, 0.2, 5.0])
    >>> check_times(times, "activity", starts=np.array([0, 3]))
    >>> check_times(times, "activity")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: the time index of activity has a gap before row 3, from 0.2 to 5.0: ...
    """
    times = _time_index(values)
    if times is None:
        return
    ticks = _ticks(times)
    _check_known(ticks, name)
    inside = np.ones(len(ticks) - 1, bool)
    if starts is not None:
        inside[starts[1:] - 1] = False
    steps = np.diff(ticks).astype(float)
    if not inside.any():
        return

    def place(at: Any) -> str:
        return f"row {at + 1}, from {times[at]} to {times[at + 1]}"

    back = inside & (steps <= 0)
    if back.any():
        raise ValueError(
            f"the time index of {name} must grow from row to row of a run, but does "
            f"not before {place(back.argmax())}"
        )
    step = np.median(steps[inside])
    gaps = inside & (steps > GAP * step)
    if gaps.any():
        raise ValueError(
            f"the time index of {name} has a gap before {place(gaps.argmax())}: "
            f"{steps[gaps.argmax()] / step:.3g} times the median step. "
            + ("Pass runs, with" if starts is None else "Give runs")
            + " a new label from there on, or insert rows of NaN"
        )
    off = np.where(inside, np.abs(steps - step) / step, 0)
    if off.max() > EVEN:
        warnings.warn(
            f"the time index of {name} has uneven steps, which are taken as even: "
            f"{steps[off.argmax()] / step:.3g} times the median step before "
            f"{place(off.argmax())}",
            UserWarning,
            stacklevel=outer_level(),
        )


def check_order(activity: Any, other: Any, name: str) -> None:
    """Refuse an index that holds labels of another in other rows.

    Parameters
    ----------
    activity, other : DataFrame, Series or array
        As long as one another. Only where both have an index it is looked at.
    name : str
        The argument that `other` is, for the error.

    Raises
    ------
    ValueError
        If they have labels in common, yet not in the same rows. No labels in common
        say nothing: rows are matched by position.

    Examples
    --------
    >>> import pandas as pd
    >>> activity = pd.Series([1.0, 2.0], index=["a", "b"])
    >>> check_order(activity, pd.Series([3.0, 4.0]), "stimulus")
    >>> check_order(activity, activity[::-1], "stimulus")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: stimulus is matched to activity by position, but row 0 has the index ...
    """
    if not (hasattr(activity, "iloc") and hasattr(other, "iloc")):
        return
    ours, theirs = activity.index, other.index
    if ours.dtype.kind != theirs.dtype.kind:
        return  # seconds are no positions
    moved = np.asarray(ours, object) != np.asarray(theirs, object)
    if ours.equals(theirs) or not moved.any() or not ours.isin(theirs).any():
        return
    row = moved.argmax()
    raise ValueError(
        f"{name} is matched to activity by position, but row {row} has the index "
        f"{ours[row]} in activity and {theirs[row]} in {name}: bring both into one "
        f"order with {name}.loc[activity.index], or drop an index that means nothing "
        "with reset_index(drop=True)"
    )


def _time_index(values: Any) -> Any:
    """Return dates, time differences or floating-point times, else None."""
    if is_time_series(values):
        return np.asarray(values.t)
    index = values.index if hasattr(values, "iloc") else None
    return index if index is not None and index.dtype.kind in "mMf" else None


def _ticks(times: Any) -> Array:
    """Return times as numbers, exact where they are whole."""
    if times.dtype.kind == "f":
        return np.asarray(times, dtype=float)
    return np.asarray(times.asi8)


def _check_known(ticks: Array, name: str) -> None:
    is_nat = np.iinfo(np.int64).min
    unknown = ~np.isfinite(ticks) if ticks.dtype.kind == "f" else ticks == is_nat
    if unknown.any():
        raise ValueError(
            f"the time index of {name} must hold a time for every row, got none in row "
            f"{unknown.argmax()}"
        )
