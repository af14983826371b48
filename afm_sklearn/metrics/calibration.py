"""Calibration: observations fall where the forecast says they do, or do not."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from .arguments import Array, check_levels, check_seed
from .ensemble import check_ensemble, chunks


def coverage(y: ArrayLike, samples: ArrayLike, level: float | ArrayLike = 0.9) -> Array:
    """Fraction of observations inside the central interval of the draws.

    A calibrated forecast covers as often as it says: the result is near `level`,
    lower for an overconfident forecast, higher for an underconfident one.

    Parameters
    ----------
    y : array-like of shape (n, d), (n, horizon, d) or (n,)
        Observations; those that are NaN are left out.
    samples : array-like of shape (n, n_samples, d), (n, n_samples, horizon, d) or \
            (n, n_samples)
        Independent draws from the forecast of each row.
    level : float or array-like of shape (n_levels,), default=0.9
        Nominal coverage, between 0 and 1.

    Returns
    -------
    ndarray of shape y.shape[1:], or (n_levels, *y.shape[1:])
        Observed coverage of each variable (and lead time); NaN where nothing was
        observed.

    Raises
    ------
    ValueError
        If level is not between 0 and 1, or as in `crps`.

    Notes
    -----
    The p-quantile of m draws is the order statistic at position p (m + 1),
    interpolated (Weibull's rule), so that a perfect forecast covers `level` in
    expectation, whatever m. Fewer than (1 + level) / (1 - level) draws cannot reach
    so far out: their whole range is taken, and covers less. Ends count as inside.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.metrics import coverage
    >>> rng = np.random.default_rng(0)
    >>> y, samples = rng.normal(size=(2000, 2)), rng.normal(size=(2000, 100, 2))
    >>> coverage(y, samples, level=0.9).round(2)
    array([0.9, 0.9])
    >>> coverage(y, 0.5 * samples, level=0.9).round(2)
    array([0.59, 0.6 ])
    """
    levels = check_levels("level", level)
    observed, drawn = check_ensemble(y, samples)
    inside = np.zeros((len(levels), *observed.shape[1:]))
    counted = np.zeros(observed.shape[1:])
    for rows, block in chunks(drawn, joint=False):
        block.sort(axis=-1)
        target = observed[rows]
        counted += (~np.isnan(target) & ~np.isnan(block[..., 0])).sum(axis=0)
        for k, tail in enumerate((1.0 - levels) / 2.0):
            above = target >= _weibull_quantile(block, tail)
            below = target <= _weibull_quantile(block, 1.0 - tail)
            inside[k] += (above & below).sum(axis=0)
    fraction = np.full(inside.shape, np.nan)
    np.divide(inside, counted, out=fraction, where=counted > 0)
    return fraction[0] if np.ndim(level) == 0 else fraction


def _weibull_quantile(ordered: Array, probability: float) -> Array:
    """Quantile of values sorted along the last axis, at position p (m + 1)."""
    last = ordered.shape[-1] - 1
    position = min(max(probability * (last + 2) - 1.0, 0.0), float(last))
    low = int(position)
    low_value, high_value = ordered[..., low], ordered[..., min(low + 1, last)]
    quantile: Array = low_value + (position - low) * (high_value - low_value)
    return quantile


def pit(
    y: ArrayLike,
    samples: ArrayLike,
    *,
    random_state: int | np.random.RandomState | np.random.Generator | None = None,
) -> Array:
    """Probability integral transform: the rank of y among the draws, in (0, 1).

    A calibrated forecast gives a flat histogram; an overconfident one piles up at
    both ends, an underconfident one in the middle, a biased one at one end [1]_.

    Parameters
    ----------
    y : array-like of shape (n, d), (n, horizon, d) or (n,)
        Observations; NaN where missing.
    samples : array-like of shape (n, n_samples, d), (n, n_samples, horizon, d) or \
            (n, n_samples)
        Independent draws from the forecast of each row.
    random_state : int, RandomState, Generator or None, default=None
        Places y at random between its neighbours among the draws, and among equal
        draws. Pass an int for the same values again. NumPy's global generator is
        not used.

    Returns
    -------
    ndarray of shape y.shape
        (number of draws below y + u (1 + number equal to y)) / (n_samples + 1) with
        u uniform on (0, 1), which is exactly uniform when y and the draws have one
        law, for counts [2]_ as well as for continuous values. NaN where y is NaN or
        there is no forecast.

    Raises
    ------
    ValueError
        As in `crps`, or if `random_state` is none of these.

    References
    ----------
    .. [1] T. Gneiting, F. Balabdaoui and A. E. Raftery, "Probabilistic forecasts,
       calibration and sharpness", Journal of the Royal Statistical Society B, 2007.
    .. [2] C. Czado, T. Gneiting and L. Held, "Predictive model assessment for count
       data", Biometrics, 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.metrics import pit
    >>> samples = np.random.default_rng(0).normal(size=(3, 999))
    >>> pit([-4.0, 0.0, 4.0], samples, random_state=0).round(1)
    array([0. , 0.5, 1. ])
    """
    observed, drawn = check_ensemble(y, samples)
    uniform = _uniform(random_state, observed.shape)
    rank = np.empty(observed.shape)
    for rows, block in chunks(drawn, joint=False):
        target = observed[rows][..., None]
        below = (block < target).sum(axis=-1)
        equal = (block == target).sum(axis=-1)
        rank[rows] = below + uniform[rows] * (equal + 1)
        rank[rows][np.isnan(block[..., 0])] = np.nan
    rank[np.isnan(observed)] = np.nan
    return rank / (drawn.shape[1] + 1)


def _uniform(
    random_state: int | np.random.RandomState | np.random.Generator | None,
    shape: tuple[int, ...],
) -> Array:
    if isinstance(random_state, np.random.Generator):
        return random_state.uniform(size=shape)
    check_seed(random_state)
    if random_state is None or isinstance(random_state, Integral):
        # Not from NumPy's global generator, and of better quality.
        return np.random.default_rng(random_state).uniform(size=shape)
    return check_random_state(random_state).uniform(size=shape)
