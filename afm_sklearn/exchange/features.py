"""Features of their own clock, brought to the steps of the activity."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.numbers import Array

REACH = 0.75  # median steps of the features, to the nearest of their samples


def interpolate(times: Array, samples: Array, at: Array, name: str) -> Array:
    """Interpolate samples linearly, nowhere far from one of them.

    Parameters
    ----------
    times : ndarray of shape (m,)
        Seconds of the samples, growing.
    samples : ndarray of shape (m, s)
        NaN where missing, and then in the values next to it.
    at : ndarray of shape (T,)
        Seconds to interpolate at.
    name : str
        The argument, for the error.

    Returns
    -------
    ndarray of shape (T, s)
        Before the first sample and after the last one, the value of that sample.

    Raises
    ------
    ValueError
        If times do not grow, or a value is asked for further than 0.75 median steps
        from every sample.

    Examples
    --------
    >>> interpolate(np.array([0.0, 1.0]), np.array([[0.0], [10.0]]), [0.3], "features")
    array([[3.]])
    """
    at = np.asarray(at, float)
    steps = np.diff(times)
    if not np.isfinite(times).all() or (steps <= 0).any():
        raise ValueError(f"{name} must have time stamps that grow from row to row")
    after = np.searchsorted(times, at)
    near = np.stack([times[(after - 1).clip(0)], times[after.clip(max=len(times) - 1)]])
    distance = np.abs(near - at).min(0)
    step = np.median(steps) if len(steps) else 0.0
    far = distance > REACH * step
    if far.any():
        row = far.argmax()
        raise ValueError(
            f"{name} must have samples at the steps of activity, but {far.sum()} of "
            f"{len(at)} steps, the first at {at[row]:.6g} s, are further than {REACH} "
            f"of the median step of {name} ({step:.6g} s) from the nearest sample, "
            f"here {distance[row]:.6g} s. Give epochs in which both were recorded, or "
            "resample it"
        )
    columns = [np.interp(at, times, column) for column in samples.T]
    return np.stack(columns, axis=1)


def named_columns(values: Any, name: str) -> tuple[Array, list[Any]]:
    """Return the data of a pynapple object as a matrix, and the names of its columns.

    Parameters
    ----------
    values : Tsd, TsdFrame or TsdTensor
        A tensor has one column an entry.
    name : str
        Name of a series that has none.

    Returns
    -------
    matrix : ndarray of shape (T, c)
    names : list of length c
        Those of a frame as they came, "<i>_<j>" of a tensor.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> named_columns(SimpleNamespace(d=np.ones((5, 1, 2))), "activity")[1]
    ['0_0', '0_1']
    """
    data = np.asarray(values.d)
    matrix = data.reshape(len(data), -1)
    if data.ndim == 1:
        return matrix, [name]
    if hasattr(values, "columns"):
        return matrix, list(values.columns)
    indices = np.ndindex(data.shape[1:])
    return matrix, ["_".join(map(str, index)) for index in indices]
