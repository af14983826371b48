"""Epochs of a recording: which sample lies in which, and whether steps are even."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.numbers import Array
from ..data.timing import EVEN


def read_epochs(epochs: Any, name: str) -> tuple[Array, Array]:
    """Return where epochs start and end.

    Parameters
    ----------
    epochs : IntervalSet
        With ``start`` and ``end`` in seconds.
    name : str
        The argument, for the error.

    Returns
    -------
    start, end : ndarray of shape (k,)

    Raises
    ------
    ValueError
        If there is none, or they overlap or are out of order.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> read_epochs(SimpleNamespace(start=[0.0], end=[1.5]), "epochs")
    (array([0.]), array([1.5]))
    """
    if not (hasattr(epochs, "start") and hasattr(epochs, "end")):
        raise ValueError(
            f"{name} must be an IntervalSet with start and end, got "
            f"{type(epochs).__name__}"
        )
    start, end = (
        np.asarray(edge, float).ravel() for edge in (epochs.start, epochs.end)
    )
    if not len(start) or len(start) != len(end):
        raise ValueError(
            f"{name} must have as many ends as starts and one at least, got "
            f"{len(start)} starts and {len(end)} ends"
        )
    wrong = (end <= start) | np.append(start[1:] < end[:-1], False)
    if wrong.any() or not np.isfinite([start, end]).all():
        raise ValueError(
            f"{name} must follow one another without overlap, got epoch "
            f"{wrong.argmax()} from {start[wrong.argmax()]} to {end[wrong.argmax()]}"
        )
    return start, end


def find_epochs(times: Array, start: Array, end: Array) -> Array:
    """Find the number of the epoch in which each time lies.

    Parameters
    ----------
    times : ndarray of shape (T,)
    start, end : ndarray of shape (k,)
        What `read_epochs` returns. A time on a common edge belongs to the later epoch.

    Returns
    -------
    ndarray of int, shape (T,)
        -1 outside all epochs.

    Examples
    --------
    >>> times = np.array([0.5, 1.5, 2.5])
    >>> find_epochs(times, np.array([0.0, 2.0]), np.array([1.0, 3.0]))
    array([ 0, -1,  1])
    """
    numbers = np.searchsorted(start, times, side="right") - 1
    return np.where((numbers >= 0) & (times <= end[numbers]), numbers, -1)


def check_even(times: Array, runs: Array, name: str) -> None:
    """Refuse steps within epochs that differ from the median one by more than 1 %.

    Parameters
    ----------
    times : ndarray of shape (T,)
        Seconds.
    runs : ndarray of shape (T,)
        Number of the epoch.
    name : str
        The argument, for the error.

    Raises
    ------
    ValueError
        If a step is uneven, or times do not grow.

    Examples
    --------
    >>> check_even(np.array([0.0, 0.1, 5.0, 5.1]), np.array([0, 0, 1, 1]), "activity")
    """
    inside = runs[1:] == runs[:-1]
    steps = np.diff(times)
    if not inside.any():
        return
    if not (steps[inside] > 0).all():
        row = (inside & ~(steps > 0)).argmax()
        raise ValueError(
            f"{name} must have time stamps that grow, got {times[row]:.6g} s and then "
            f"{times[row + 1]:.6g} s in epoch {runs[row]}"
        )
    median = np.median(steps[inside])
    off = np.where(inside, np.abs(steps - median), 0.0)
    if off.max() > EVEN * median:
        row = off.argmax()
        raise ValueError(
            f"{name} has uneven time stamps in epoch {runs[row]}: a step of "
            f"{steps[row]:.6g} s from {times[row]:.6g} to {times[row + 1]:.6g}, the "
            f"median step is {median:.6g} s. Split the epochs there, or bring the "
            "samples to even steps, as bin_average(bin_size) of pynapple does"
        )
