"""Recognise lagged targets among the channels of X, and their units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def find_lag_map(newest: Array, y: Array) -> tuple[Array, Array] | None:
    """Find scale and offset with ``newest[t + 1] = (y[t] - offset) / scale``.

    Parameters
    ----------
    newest : array of shape (n, d)
        First d channels of the newest step of each window.
    y : array of shape (n, d)
        Targets of the same rows.

    Returns
    -------
    (scale, offset) of shape (d,) each, or None
        None if in some channel fewer than half of the consecutive rows agree. A
        row may disagree where rows were left out, as between folds. Rows that show
        a channel's most common values in both places say nothing, and are not
        counted: two silent neurons agree by chance.
    """
    if newest.shape[1] != y.shape[1] or len(y) < 3:
        return None
    scale, offset, compared = np.ones(y.shape[1]), np.zeros(y.shape[1]), False
    for j in range(y.shape[1]):
        lag, target = newest[1:, j], y[:-1, j]
        pairs = np.isfinite(lag) & np.isfinite(target)
        lag, target = lag[pairs], target[pairs]
        if len(lag) < 2:  # never observed: nothing speaks for or against it
            continue
        compared = True
        if _agree(lag, target):
            continue
        moved = np.diff(lag) != 0
        if moved.any():
            scale[j] = np.median(np.diff(target)[moved] / np.diff(lag)[moved])
        offset[j] = np.median(target - scale[j] * lag)
        if scale[j] == 0 or not _agree(scale[j] * lag + offset[j], target):
            return None
    return (scale, offset) if compared else None


def _agree(a: Array, b: Array) -> bool:
    close = np.isclose(a, b, rtol=1e-4, atol=1e-4 * (np.std(b) + 1e-12))
    telling = (a != np.median(a)) | (b != np.median(b))
    return bool((close[telling] if telling.any() else close).mean() > 0.5)
