"""Recognise lagged targets among the channels of X, and their units."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .windows import Windows

Array = NDArray[np.float64]

AGREEMENT = 0.9  # of the rows that tell; some lie beside rows that were left out
MIN_TELLING = 3


def follows(windows: Any) -> NDArray[np.bool_] | None:
    """Tell which windows (n, L, c) follow the one before them, step by step.

    Returns
    -------
    array of bool, shape (n - 1,)
        Of all but the first. Where rows were left out, as between folds, or a run
        begins, a window does not.
    None
        Where windows have one step, which does not tell.
    """
    if windows.shape[1] < 2:
        return None
    is_next: NDArray[np.bool_] = np.diff(Windows.from_array(windows).starts) == 1
    return is_next


def find_lag_map(
    newest: Array, y: Array, linked: NDArray[np.bool_] | None = None
) -> tuple[Array, Array] | None:
    """Find scale and offset with ``newest[t + 1] = (y[t] - offset) / scale``.

    Parameters
    ----------
    newest : array of shape (n, d)
        First d channels of the newest step of each window.
    y : array of shape (n, d)
        Targets of the same rows.
    linked : array of bool, shape (n - 1,), optional
        Rows but the first that are known to follow the one before: see `follows`.

    Returns
    -------
    (scale, offset) of shape (d,) each, or None
        None if in some channel the consecutive rows do not agree. A row may
        disagree where rows were left out, as between folds. Rows that show a
        channel's most common values in both places say nothing, and are not
        counted: two silent neurons agree by chance.

    Examples
    --------
    >>> y = np.random.default_rng(0).normal(size=(50, 1))
    >>> scale, offset = find_lag_map(np.roll(y, 1, 0) / 2 - 1, y)
    >>> round(scale[0], 6), round(offset[0], 6)
    (np.float64(2.0), np.float64(2.0))
    """
    if newest.shape[1] != y.shape[1] or len(y) < 3:
        return None
    scale, offset, compared = np.ones(y.shape[1]), np.zeros(y.shape[1]), False
    for j in range(y.shape[1]):
        lag, target = newest[1:, j], y[:-1, j]
        pairs = np.isfinite(lag) & np.isfinite(target)
        if linked is not None:
            pairs &= linked
        lag, target = lag[pairs], target[pairs]
        if len(lag) < 2:  # never observed: nothing speaks for or against it
            continue
        if _says_nothing(lag, target) and (_varies(newest[:, j]) or _varies(y[:, j])):
            continue
        compared = True
        if _agree(lag, target):
            continue
        found = _affine(lag, target)
        if found is None or not _agree(found[0] * lag + found[1], target):
            return None
        scale[j], offset[j] = found
    return (scale, offset) if compared else None


def _says_nothing(lag: Array, target: Array) -> bool:
    return not (_varies(lag) or _varies(target)) and lag[0] == target[0]


def _varies(values: Array) -> bool:
    seen = values[np.isfinite(values)]
    return bool(len(seen) and (seen != seen[0]).any())


def _affine(lag: Array, target: Array) -> tuple[float, float] | None:
    """Slope and offset of most pairs, if they are not constant."""
    moved = np.diff(lag) != 0
    if not moved.any():
        return 1.0, float(np.median(target - lag))
    slope = float(np.median(np.diff(target)[moved] / np.diff(lag)[moved]))
    if slope == 0 or not np.isfinite(slope):
        return None
    return slope, float(np.median(target - slope * lag))


def _agree(a: Array, b: Array) -> bool:
    spread = np.std(b)
    close = np.abs(a - b) <= 1e-4 * (spread if spread else np.abs(b))
    telling = (a != np.median(a)) | (b != np.median(b))
    if telling.sum() < MIN_TELLING:
        return bool(close.all())
    return bool(close[telling].mean() >= AGREEMENT)
