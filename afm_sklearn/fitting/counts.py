"""Whether targets are counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compute import row_parts

Array = NDArray[Any]

MAX_COUNT = 100  # integers above it are taken for real values


def is_counts(y: Array) -> bool:
    """Whether all observed targets are whole numbers from 0 to MAX_COUNT.

    Examples
    --------
    >>> is_counts(np.array([[0.0, 2.0], [1.0, np.nan]])), is_counts(np.array([[0.5]]))
    (True, False)
    """
    if not (np.nanmin(y) >= 0 and 1 <= np.nanmax(y) <= MAX_COUNT):
        return False
    parts = (y[rows] for rows in row_parts(*y.shape))
    return all(
        bool(((part == np.round(part)) | np.isnan(part)).all()) for part in parts
    )
