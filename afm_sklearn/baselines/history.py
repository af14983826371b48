"""Fill what was not observed in windows of history."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compute import row_parts
from ..data.runs import begins_run, regular_rows

Array = NDArray[Any]


def carry_forward(windows: Array) -> Array:
    """Replace NaN by the last value of the channel observed earlier in its window.

    Parameters
    ----------
    windows : ndarray of shape (n, L, c)
        Oldest step first.

    Returns
    -------
    ndarray of shape (n, L, c)
        NaN where nothing was observed before.

    Examples
    --------
    >>> carry_forward(np.array([[[np.nan], [1.0], [np.nan]]]))[0, :, 0]
    array([nan,  1.,  1.])
    """
    steps = np.arange(windows.shape[1])[:, None]
    seen = np.where(np.isnan(windows), 0, steps)
    return np.take_along_axis(windows, np.maximum.accumulate(seen, axis=1), axis=1)


def fill_history(windows: Array, default: Array) -> Array:
    """Replace every NaN by a guess, for regressors that take none.

    Parameters
    ----------
    windows : ndarray of shape (n, L, c)
        Oldest step first.
    default : ndarray of shape (c,)
        Value of a channel that was not observed in the whole window.

    Returns
    -------
    ndarray of shape (n, L, c)
        The last value observed earlier, else the next one observed, else the default.

    Examples
    --------
    >>> windows = np.array([[[np.nan, np.nan], [1.0, np.nan], [np.nan, np.nan]]])
    >>> fill_history(windows, default=np.array([0.0, 5.0]))[0]
    array([[1., 5.],
           [1., 5.],
           [1., 5.]])
    """
    if not np.isnan(windows).any():
        return windows
    forward = carry_forward(windows)
    filled = carry_forward(forward[:, ::-1])[:, ::-1]
    return np.where(np.isnan(filled), default, filled)


def channel_means(values: Array) -> Array:
    """Mean of each channel, the last axis, over what was observed; 0 without any."""
    axes = tuple(range(values.ndim - 1))
    count = np.maximum((~np.isnan(values)).sum(axis=axes), 1)
    return np.nansum(values, axis=axes, dtype=np.float64) / count


def rows_with_past(windows: Any, n_lagged: int) -> NDArray[np.bool_]:
    """Rows (n,) to fit on: those with a past, without gaps where nearly all are."""
    has_past = ~begins_run(windows, n_lagged)
    complete = np.zeros(len(has_past), bool)
    for rows in row_parts(len(complete), int(np.prod(windows.shape[1:]))):
        complete[rows] = ~np.isnan(np.asarray(windows[rows])).any((1, 2))
    return regular_rows(has_past, complete)
