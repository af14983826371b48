"""Weigh imputations by how well they tell entries that were hidden on purpose."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[Any]

GRID = 20  # parts of the whole that a weight may take
STANDARD_ERRORS = 1.5  # of a gain, within which it may be chance
FEW_CLUSTERS = 10.0  # that tell the error of a gain poorly
CAUTION = 2 / 3  # part of the way that is gone to shorter intervals
FEW = 30.0  # entries as which what all channels say counts for one channel


class Mixture(NamedTuple):
    """A combination of means, and a factor on the spread of the first.

    Attributes
    ----------
    weights : ndarray of shape (m,)
        Of the means; they sum to one. The first is that of the law.
    widening : ndarray of shape (d,)
        Of each channel.
    """

    weights: Array
    widening: Array


def mix(
    truth: Array, means: Array, size: Array, channel: Array, cluster: Array, d: int
) -> Mixture:
    """Choose weights and widening of least CRPS, as far as it is beyond chance.

    Parameters
    ----------
    truth : ndarray of shape (n,)
        Entries that were hidden.
    means : ndarray of shape (m, n)
        What each imputer says; the first is the law.
    size : ndarray of shape (n,)
        Standard deviation under the law.
    channel, cluster : ndarray of int, shape (n,)
        Entries of one cluster stand and fall together.
    d : int
        Number of channels.

    Returns
    -------
    Mixture
        The law alone, unwidened, where others gain less than 1.5 standard errors; the
        better the gain is established, the nearer to the best (the positive-part
        rule of James & Stein, 1961).
    """
    m = len(means)
    law = np.eye(m)[0]
    count = np.bincount(channel, minlength=d).clip(1)
    unit = np.sqrt(np.bincount(channel, size**2, d) / count)
    unit = np.maximum(unit, np.finfo(float).tiny)[channel]
    best, least = law, np.inf
    for weights in _simplex(m):
        errors = (truth - weights @ means) / unit
        width = np.sqrt((errors**2).sum() / ((size / unit) ** 2).sum())
        after = gaussian_crps(errors, 0.0, width * size / unit).mean()
        if after < least:
            best, least = weights, after
    # First the means, each with the width that suits it; then the width.
    plain = _widening(truth - means[0], size, unit, channel, d)
    wide = gaussian_crps(truth, means[0], size * plain[channel]) / unit
    mixed = _widening(truth - best @ means, size, unit, channel, d)
    after = gaussian_crps(truth, best @ means, size * mixed[channel]) / unit
    weights = law + _trust(wide - after, cluster) * (best - law)
    width = _widening(truth - weights @ means, size, unit, channel, d)
    after = gaussian_crps(truth, weights @ means, size * width[channel]) / unit
    same = gaussian_crps(truth, weights @ means, size) / unit
    # Intervals that are too short do more harm than some that are too long.
    width = np.where(width < 1, width**CAUTION, width)
    return Mixture(weights, width ** _trust(same - after, cluster))


def gaussian_crps(y: Array, mean: Any, size: Array) -> Array:
    """CRPS of Gaussian forecasts (Gneiting & Raftery, 2007)."""
    size = np.maximum(size, np.finfo(float).tiny)
    z = (y - mean) / size
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    out: Array = size * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    return out


def _trust(gains: Array, cluster: Array) -> float:
    """How far to go for gains: 0 where they may be chance, 1 far beyond."""
    sums = np.bincount(cluster, gains)
    used = np.bincount(cluster) > 0
    gain, k = sums.sum(), int(used.sum())
    if k < 2 or gain <= 0:
        return 0.0
    n = np.bincount(cluster)[used]
    rest = sums[used] - n * gain / n.sum()
    error = (rest**2).sum() * k / (k - 1)
    # Weights were chosen among many, and few clusters tell little of their own error.
    least = STANDARD_ERRORS**2 * (1.0 + FEW_CLUSTERS / k)
    return float(max(0.0, 1.0 - least * error / gain**2))


def _widening(errors: Array, size: Array, unit: Array, channel: Array, d: int) -> Array:
    """Factor (d,) on the spread: of the channel, drawn towards that of all."""
    own = np.bincount(channel, (errors / unit) ** 2, d)
    expected = np.bincount(channel, (size / unit) ** 2, d)
    whole = own.sum() / max(expected.sum(), np.finfo(float).tiny)
    factor: Array = np.sqrt((own + FEW * whole) / (expected + FEW))
    return np.maximum(factor, 1e-3)


def _simplex(m: int) -> list[Array]:
    """Weights on a grid that sum to one."""
    corners = np.array(list(np.ndindex((GRID + 1,) * m)))
    return list(corners[corners.sum(1) == GRID] / GRID)
