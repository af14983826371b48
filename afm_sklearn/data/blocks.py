"""Held-out blocks that respect time and runs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .runs import begins_run

Array = NDArray[Any]

MIN_TRAINING_ROWS = 2


def time_folds(
    windows: Any, n_folds: int, n_lagged: int
) -> Iterator[tuple[Array, Array]]:
    """Hold out one block of consecutive rows after the other.

    Parameters
    ----------
    windows : array-like of shape (n, L, c)
        Windows in the order of time; NaN where not observed.
    n_folds : int
        Number of blocks; fewer where two would share their run.
    n_lagged : int
        Number of channels, the first ones, that are lagged activity.

    Yields
    ------
    train, held_out : ndarray of int
        Row indices. No training row shares a time step with a held-out row, neither in
        their windows nor as a target, so that up to L rows on each side of the block
        are in neither.

    Raises
    ------
    ValueError
        If fewer than two rows are left to fit on.

    Notes
    -----
    A block begins at the start of a run where there is one within half a block of its
    place. So many runs are held out whole, while a long run is cut.
    """
    n_rows = len(windows)
    rows = np.arange(n_rows)
    starts = np.flatnonzero(begins_run(windows, n_lagged))
    oldest = _oldest_steps(n_rows, windows.shape[1], starts)
    for first, stop in pairwise(block_edges(n_rows, n_folds, starts)):
        before = rows < oldest[first:stop].min()
        train = np.flatnonzero(before | (oldest >= stop))
        if len(train) < MIN_TRAINING_ROWS:
            raise ValueError(
                f"n_samples={n_rows} is too few for cv={n_folds} and windows of length "
                f"{windows.shape[1]}: {len(train)} rows share no step with held-out "
                f"rows {first} to {stop - 1}, expected at least {MIN_TRAINING_ROWS}"
            )
        yield train, rows[first:stop]


def _oldest_steps(n_rows: int, length: int, starts: Array) -> Array:
    """Oldest step that each row knows of: (n,).

    Row t knows of the steps t - L to t - 1 and of its own, step t, but of none before
    its run.
    """
    rows = np.arange(n_rows)
    run = np.searchsorted(starts, rows, side="right") - 1
    first = np.where(run >= 0, starts[run] if len(starts) else 0, -length)
    return np.maximum(rows - length, first)


def block_edges(n_rows: int, n_folds: int, starts: Array) -> list[int]:
    """Rows between which the blocks lie, from 0 to n_rows."""
    even = np.linspace(0, n_rows, n_folds + 1).round().astype(int)
    starts = np.concatenate([[0], starts, [n_rows]])
    nearest = starts[np.abs(starts - even[:, None]).argmin(axis=1)]
    is_near = np.abs(nearest - even) <= n_rows / n_folds / 2
    return np.unique(np.where(is_near, nearest, even)).tolist()


def hold_back(
    n_rows: int, length: int, starts: Array, fraction: float
) -> tuple[Array, Array]:
    """Split rows into those to fit and the last ones, a window apart.

    Whole last runs are held back where a run starts near the place of the cut; they
    share no step with the rows before, so that no gap is needed.

    Parameters
    ----------
    n_rows, length : int
        Number of rows and steps in a window.
    starts : array of int
        Rows at which a run starts.
    fraction : float
        Share of the rows to hold back.

    Returns
    -------
    fit_rows, held : arrays of int
        `held` is empty where too few rows would be left on either side.
    """
    rows, n_held = np.arange(n_rows), int(n_rows * fraction)
    cut = n_rows - n_held
    near = starts[np.abs(starts - cut) < 0.5 * n_held]
    if n_held >= 5 and len(near):
        cut = near[np.argmin(np.abs(near - cut))]
        return rows[:cut], rows[cut:]
    if n_held < 5 or cut - length < 5:
        return rows, rows[:0]
    return rows[: cut - length + 1], rows[cut:]
