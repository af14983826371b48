"""Weigh imputations by how well they tell entries that were hidden on purpose."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[Any]

STANDARD_ERRORS = 2.0  # of a gain, within which it may be chance
FEW_CLUSTERS = 10.0  # that tell the error of a gain poorly
CAUTION = 2 / 3  # part of the way that is gone to shorter intervals
TINY = np.finfo(float).tiny
FEW = 30.0  # entries as which what all channels say counts for one channel


class Mixture(NamedTuple):
    """A combination of the law with another imputer.

    Attributes
    ----------
    weight : float
        Of the other, the rest being that of the law; of means and of spreads.
    widening : ndarray of shape (d,)
        Factor on the spread of each channel.
    """

    weight: float
    widening: Array


def mix(
    truth: Array, means: Array, sizes: Array, channel: Array, cluster: Array, d: int
) -> Mixture:
    """Choose the weight of least error and the widening, as far as they beat chance.

    Parameters
    ----------
    truth : ndarray of shape (n,)
        Entries that were hidden.
    means, sizes : ndarray of shape (2, n)
        Mean and standard deviation under the law, and as another imputer says.
    channel, cluster : ndarray of int, shape (n,)
        Entries of one cluster stand and fall together.
    d : int
        Number of channels.

    Returns
    -------
    Mixture
        The law alone, unwidened, where the other gains less than two standard errors;
        the better the gain is established, the nearer to the best (the positive-part
        rule of James & Stein, 1961).
    """
    count = np.bincount(channel, minlength=d).clip(1)
    unit = np.sqrt(np.bincount(channel, sizes[0] ** 2, d) / count)
    unit = np.maximum(unit, TINY)[channel]

    def mixed(weight: float) -> tuple[Array, Array]:
        """Return errors and sizes in units of the law."""
        share = np.array([1 - weight, weight])
        return (truth - share @ means) / unit, share @ sizes / unit

    def widened(weight: float) -> tuple[Array, Array]:
        errors, size = mixed(weight)
        width = _widening(errors, size, channel, cluster, d)
        return width, gaussian_crps(errors, 0.0, size * width[channel])

    # First the means, each with the width that suits it; then the width.
    apart = (means[1] - means[0]) / unit
    best = float(apart @ mixed(0.0)[0] / max(apart @ apart, TINY))
    best = min(max(best, 0.0), 1.0)
    weight = best * _trust(widened(0.0)[1] - widened(best)[1], cluster)
    errors, size = mixed(weight)
    width, after = widened(weight)
    same = gaussian_crps(errors, 0.0, size)
    # Intervals that are too short do more harm than some that are too long.
    width = np.where(width < 1, width**CAUTION, width)
    return Mixture(weight, width ** _trust(same - after, cluster))


def gaussian_crps(y: Array, mean: Any, size: Array) -> Array:
    """CRPS of Gaussian forecasts (Gneiting & Raftery, 2007)."""
    size = np.maximum(size, TINY)
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


def _widening(
    errors: Array, size: Array, channel: Array, cluster: Array, d: int
) -> Array:
    """Factor (d,) on the spread: of the channel, drawn towards that of all."""
    own = np.bincount(channel, errors**2, d)
    expected = np.bincount(channel, size**2, d)
    whole = own.sum() / max(expected.sum(), TINY)
    # Errors of a gap are alike: together they tell as little as their sums vary much.
    rest = errors**2 - whole * size**2
    gap = np.unique(cluster * d + channel, return_inverse=True)[1]
    alike = (np.bincount(gap, rest) ** 2).sum() / max((rest**2).sum(), TINY)
    few = FEW * max(1.0, alike)
    factor: Array = np.sqrt((own + few * whole) / (expected + few))
    return np.maximum(factor, 1e-3)
