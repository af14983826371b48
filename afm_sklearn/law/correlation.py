"""Correlations between channels, shrunk towards none."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compute import row_parts

Array = NDArray[Any]

# Lets the Cholesky root exist where channels are copies of one another.
JITTER = 1e-9


def shrunk_correlation(values: Array) -> Array:
    """Ledoit-Wolf estimate of the correlation about zero, in bounded memory.

    Parameters
    ----------
    values : array of shape (n, d)
        Missing entries (NaN) count as uncorrelated with all others, as do channels
        that are zero throughout, and all channels of a single row.

    Returns
    -------
    array of shape (d, d)

    References
    ----------
    Ledoit & Wolf (2004), A well-conditioned estimator for large-dimensional covariance
    matrices, Journal of Multivariate Analysis 88.

    Examples
    --------
    >>> shrunk_correlation(np.array([[1.0, 1.0, 0.0], [-1.0, -1.0, 0.0]])).tolist()
    [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    n, d = values.shape
    if n < 2:
        return np.eye(d)
    parts = [values[rows] for rows in row_parts(n, d)]
    squares = [np.nansum(np.square(part), 0, dtype=np.float64) for part in parts]
    scale = np.sqrt(np.sum(squares, 0) / n)
    live = np.flatnonzero(scale)
    sample, fourth = np.zeros((len(live), len(live))), 0.0
    for part in parts:
        unit = np.nan_to_num(part[:, live] / scale[live])
        sample += unit.T @ unit / n
        fourth += np.square(np.square(unit).sum(1)).sum() / n
    size = np.square(sample).sum()
    noise, distance = (fourth - size) / n, size - len(live)  # the trace is exact
    if distance > 0:
        shrinkage = min(max(noise, 0.0) / distance, 1.0)
        sample = (1 - shrinkage) * sample + shrinkage * np.eye(len(live))
    correlation = np.eye(d)
    correlation[np.ix_(live, live)] = sample
    return correlation


def correlation_root(correlation: Array) -> Array:
    """Return the lower triangular root (d, d), also of a singular correlation."""
    root: Array = np.linalg.cholesky(correlation + JITTER * np.eye(len(correlation)))
    return root
