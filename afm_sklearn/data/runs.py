"""Where runs start, read by one rule."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compute import row_parts

Array = NDArray[Any]

MOSTLY = 0.9  # of the usable rows


def label_starts(labels: Array) -> NDArray[np.intp]:
    """Find the rows at which the run label changes.

    Parameters
    ----------
    labels : ndarray of shape (T,)
        Run labels.

    Returns
    -------
    ndarray of shape (n_runs,)
        Increasing row indices; the first is 0.

    Examples
    --------
    >>> label_starts(np.array([7, 7, 7, 2, 2]))
    array([0, 3])
    """
    return np.flatnonzero(np.append(True, labels[1:] != labels[:-1]))


def begins_run(windows: Any, n_lagged: int) -> NDArray[np.bool_]:
    """Tell which windows start a run: those whose whole past is padding.

    A single lost sample does not start a run, unless a window holds no other.

    Parameters
    ----------
    windows : array-like of shape (n, L, c)
        Windows of lagged activity and stimulus; NaN where not observed.
    n_lagged : int
        Channels, the first ones, that are lagged activity.

    Returns
    -------
    ndarray of bool, shape (n,)

    Examples
    --------
    >>> nan = np.nan
    >>> windows = np.array([[nan, nan], [nan, 1.0], [1.0, nan], [nan, 3.0]])[..., None]
    >>> begins_run(windows, 1)
    array([ True, False, False, False])
    """
    n, length, _ = windows.shape
    begins = np.empty(n, bool)
    for rows in row_parts(n, length * n_lagged):
        past = np.asarray(windows[rows])[:, :, :n_lagged]
        begins[rows] = np.isnan(past).all((1, 2))
    return begins


def regular_rows(
    usable: NDArray[np.bool_], complete: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Choose rows to fit on: complete ones, where nearly all usable ones are.

    Of a signal that can be forecast to a percent, a few windows with a guess in them
    have larger errors than all others together.

    Parameters
    ----------
    usable : ndarray of bool, shape (n,)
        Rows with a past and a target.
    complete : ndarray of bool, shape (n,)
        Rows whose windows have no gaps.

    Returns
    -------
    ndarray of bool, shape (n,)

    Examples
    --------
    >>> usable, complete = np.ones(20, bool), np.arange(20) > 0
    >>> regular_rows(usable, complete).sum(), regular_rows(usable, ~complete).sum()
    (np.int64(19), np.int64(20))
    """
    both = usable & complete
    return both if both.sum() >= MOSTLY * usable.sum() else usable
