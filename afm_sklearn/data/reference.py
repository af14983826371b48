"""A few rows of a recording that stand for all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MAX_ROWS = 1000


def reference_rows(windows: Any) -> Array:
    """Return the newest rows of windows that are spread evenly over the recording.

    Parameters
    ----------
    windows : array-like of shape (n, L, c)

    Returns
    -------
    ndarray of shape (m, c)
        At most 1000 rows, in order of time.

    Examples
    --------
    >>> reference_rows(np.arange(3000.0).reshape(3000, 1, 1))[:3, 0]
    array([0., 3., 6.])
    """
    n = len(windows)
    at = np.linspace(0, n - 1, min(n, MAX_ROWS)).round().astype(int)
    rows: Array = np.array(windows[at, -1])
    return rows
