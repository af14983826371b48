"""Out-of-fold splits that respect time and runs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MIN_TRAINING_ROWS = 2


def time_folds(
    windows: Array, n_folds: int, n_lagged: int
) -> Iterator[tuple[Array, Array]]:
    """Hold out one block of consecutive rows after the other.

    Parameters
    ----------
    windows : ndarray of shape (n, L, c)
        Windows in the order of time; NaN where not observed.
    n_folds : int
        Number of blocks; fewer where two would share their run.
    n_lagged : int
        Number of channels, the first ones, whose newest step is NaN throughout where
        a run starts.

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
    oldest = _oldest_steps(windows)
    starts = np.flatnonzero(np.isnan(windows[:, -1, :n_lagged]).all(axis=1))
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


def _oldest_steps(windows: Array) -> Array:
    """Oldest step that each row knows of: (n,).

    Row t knows of the steps t - L to t - 1 and of its own, step t. At the start of a
    run its window is NaN and it knows of less.
    """
    n_rows, length, _ = windows.shape
    seen = np.any(~np.isnan(windows), axis=2)
    reach = np.where(np.any(seen, axis=1), length - seen.argmax(axis=1), 0)
    return np.arange(n_rows) - reach


def block_edges(n_rows: int, n_folds: int, starts: Array) -> list[int]:
    """Rows between which the blocks lie, from 0 to n_rows."""
    even = np.linspace(0, n_rows, n_folds + 1).round().astype(int)
    starts = np.concatenate([[0], starts, [n_rows]])
    nearest = starts[np.abs(starts - even[:, None]).argmin(axis=1)]
    is_near = np.abs(nearest - even) <= n_rows / n_folds / 2
    return np.unique(np.where(is_near, nearest, even)).tolist()
