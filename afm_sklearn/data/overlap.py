"""The time steps that successive windows share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from ..compute import row_parts

Array = NDArray[Any]


def shared_rows(windows: Array) -> Array | None:
    """View windows that overlap in memory as the time steps they share.

    Parameters
    ----------
    windows : ndarray of shape (n, L, c)

    Returns
    -------
    ndarray of shape (n + L - 1, c) or None
        A read-only view in which window i is rows i to ``i + L - 1``; None where
        successive windows do not lie in memory like that.

    Examples
    --------
    >>> X = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> views = np.lib.stride_tricks.sliding_window_view(X, 2, axis=0)
    >>> shared_rows(views.transpose(0, 2, 1)).ravel()
    array([1., 2., 3., 4.])
    """
    n, length, c = windows.shape
    if length == 1:
        return windows[:, 0]
    if n == 0 or windows.strides[0] != windows.strides[1]:
        return None
    shape, strides = (n + length - 1, c), windows.strides[1:]
    return as_strided(windows, shape, strides, writeable=False)


def joined_rows(windows: Array) -> tuple[Array, NDArray[np.intp]]:
    """Copy the time steps of windows, those that successive windows share only once.

    Parameters
    ----------
    windows : ndarray of shape (n, L, c)
        Floating-point numbers; NaN equals NaN.

    Returns
    -------
    rows : ndarray of shape (T', c)
        A window that does not continue the one before brings all its steps.
    starts : ndarray of shape (n,)
        Window i is ``rows[starts[i] : starts[i] + L]``.

    Examples
    --------
    >>> windows = np.array([[[1.0], [2.0]], [[2.0], [3.0]], [[7.0], [8.0]]])
    >>> rows, starts = joined_rows(windows)
    >>> rows.ravel(), starts
    (array([1., 2., 3., 7., 8.]), array([0, 1, 3]))
    """
    n, length, c = windows.shape
    if n == 0:
        return np.full((length, c), np.nan, windows.dtype), np.zeros(0, np.intp)
    fresh = _unlike_shifted(windows)
    starts = np.cumsum(np.where(fresh, length, 1)) - length
    rows = np.empty((starts[-1] + length, c), windows.dtype)
    rows[starts + length - 1] = windows[:, -1]
    for i in np.flatnonzero(fresh):
        rows[starts[i] : starts[i] + length] = windows[i]
    return rows, starts


def held_rows(
    starts: NDArray[np.integer], length: int, n_rows: int
) -> NDArray[np.bool_]:
    """Tell which rows any window holds.

    Parameters
    ----------
    starts : ndarray of shape (n,)
        First rows of the windows.
    length : int
        Rows in a window, L.
    n_rows : int
        Number of rows, T'.

    Returns
    -------
    ndarray of bool, shape (T',)
        If there is no window, the first ``length`` rows count as held.

    Examples
    --------
    >>> held_rows(np.array([3, 0]), 2, 6)
    array([ True,  True, False,  True,  True, False])
    """
    starts = starts if len(starts) else np.zeros(1, np.intp)
    opened = np.bincount(starts, minlength=n_rows + 1)
    closed = np.bincount(starts + length, minlength=n_rows + 1)
    return np.cumsum(opened - closed)[:-1] > 0


def _unlike_shifted(windows: Array) -> NDArray[np.bool_]:
    """Which windows are not the one before, moved on by a step."""
    fresh = np.ones(len(windows), dtype=bool)
    for part in row_parts(len(windows) - 1, windows[0].size):
        before, now = windows[:-1][part, 1:], windows[1:][part, :-1]
        same = (before == now) | (np.isnan(before) & np.isnan(now))
        fresh[1:][part] = ~same.all((1, 2))
    return fresh
