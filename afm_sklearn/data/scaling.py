"""Scale of the channels, and cells that cannot be part of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compute import row_parts

Array = NDArray[Any]

ROUNDING = 64 * np.finfo(np.float64).eps
N_LOOKED_AT = 2000  # rows that tell where a channel usually lies
FAR = 100.0  # times farther from the median than any other cell
MAX_WILD, MAX_WILD_SHARE = 3, 1e-3
MAX_CODE_SHARE = 0.2  # of cells that hold one and the same far value


def moments(values: Array) -> tuple[Array, Array]:
    """Mean and scale by column; 0 and 1 where nothing was observed or varies.

    They do not depend on the unit: a column is flat only if rounding explains all
    of its variation.

    Parameters
    ----------
    values : array of shape (n, c)
        NaN where not observed.

    Returns
    -------
    mean, scale : arrays of shape (c,)

    Examples
    --------
    >>> mean, scale = moments(np.array([[1e8, 2e-13], [1e8 + 2, 4e-13]]))
    >>> (mean - 1e8).round(3).tolist()[0], scale[0].item()
    (1.0, 1.0)
    """
    parts = [values[part] for part in row_parts(*values.shape)]
    count = np.maximum(np.sum([np.isfinite(part).sum(0) for part in parts], 0), 1)
    mean = np.sum([np.nansum(part, 0, dtype=np.float64) for part in parts], 0) / count
    # What a sum far from zero rounds away is put right by a second one.
    rest = [np.nansum(part - mean, 0, dtype=np.float64) for part in parts]
    mean = mean + np.sum(rest, 0) / count
    # Relative to the largest deviation: squares of small or large units would vanish.
    largest = np.max([_largest(part - mean) for part in parts], 0)
    flat = largest <= ROUNDING * np.abs(mean)
    unit = np.where(flat, 1.0, largest)
    square = np.sum([np.nansum(((part - mean) / unit) ** 2, 0) for part in parts], 0)
    return mean, np.where(flat, 1.0, unit * np.sqrt(square / count))


def _largest(deviations: Array) -> Array:
    return np.nan_to_num(np.abs(deviations)).max(0, initial=0.0)


def wild_cells(values: Array) -> tuple[Array, Array]:
    """Find cells that are no part of their channel's distribution.

    These are a few cells more than `FAR` times farther from the median than all the
    others, as an artefact is, or any number that hold one such value, as a code for
    missing values is.

    Parameters
    ----------
    values : array of shape (n, c)
        NaN where not observed.

    Returns
    -------
    rows, columns : arrays of int

    Examples
    --------
    >>> values = np.random.default_rng(0).normal(size=(200, 2))
    >>> values[7, 1] = 1e6
    >>> wild_cells(values)
    (array([7]), array([1]))
    """
    n, c = values.shape
    looked_at = values[:: max(1, n // N_LOOKED_AT)]
    usual = np.full((3, c), np.nan)
    some = np.isfinite(looked_at).any(0)
    if some.any():
        usual[:, some] = np.nanquantile(looked_at[:, some], [0.1, 0.5, 0.9], axis=0)
    low, median, high = usual
    reach = FAR / 2 * np.maximum(high - median, median - low)
    suspects = np.zeros(c, bool)
    for part in row_parts(n, c):
        with np.errstate(invalid="ignore"):
            suspects |= (np.abs(values[part] - median) > reach).any(0)
    rows, columns = [], []
    for j in np.flatnonzero(suspects):
        found = _wild(values[:, j])
        rows.append(found)
        columns.append(np.full(len(found), j))
    if not rows:
        return np.empty(0, int), np.empty(0, int)
    return np.concatenate(rows), np.concatenate(columns)


def _wild(channel: Array) -> Array:
    """Rows of one channel (n,) that hold wild cells."""
    observed = np.flatnonzero(np.isfinite(channel))
    seen = channel[observed]
    distance = np.abs(seen - np.median(seen))
    order = np.argsort(-distance, kind="stable")
    far = distance[order]
    n_most = int(MAX_CODE_SHARE * len(far)) + 1
    above, below = far[:n_most], far[1 : n_most + 1]
    above = above[: len(below)]
    gaps = np.flatnonzero((below > 0) & (above > FAR * below))
    if not len(gaps):
        return observed[:0]
    group = order[: gaps[-1] + 1]
    is_few = len(group) <= max(MAX_WILD, MAX_WILD_SHARE * len(far))
    is_code = len(np.unique(seen[group])) == 1
    return np.sort(observed[group]) if is_few or is_code else observed[:0]
