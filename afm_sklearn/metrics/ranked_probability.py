"""Continuous ranked probability score."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .arguments import Array, as_numbers
from .ensemble import check_ensemble, check_estimator, check_observations, chunks


def crps(y: ArrayLike, samples: ArrayLike, *, estimator: str = "fair") -> Array:
    r"""Continuous ranked probability score of each observation; lower is better.

    The score of the forecast distribution F for the observation y is

    .. math:: \mathrm{E}|X - y| - \tfrac12 \mathrm{E}|X - X'|,

    with X and X' independent draws from F [1]_. It generalises the absolute error
    to distributions and is proper: in the mean the true law scores best.

    Parameters
    ----------
    y : array-like of shape (n, d), (n, horizon, d) or (n,)
        Observations; NaN where missing.
    samples : array-like of shape (n, n_samples, d), (n, n_samples, horizon, d) or \
            (n, n_samples)
        Independent draws from the forecast of each row.
    estimator : {"fair", "nrg"}, default="fair"
        "fair" averages \|X - X'\| over pairs of different draws, and has the
        expectation of the exact score whatever the number of draws [2]_. "nrg"
        averages over all pairs, a draw and itself included; it scores the draws as
        if they were the whole distribution, and is too high by about 1 / n_samples
        of the spread.

    Returns
    -------
    ndarray of shape y.shape
        Scores in the units of y; NaN where y is NaN or there is no forecast.

    Raises
    ------
    ValueError
        If the shapes do not fit; if y or samples hold infinities; if a part of the
        draws of one observation is NaN; if there is one draw and the estimator is
        "fair".

    See Also
    --------
    energy_score : The same for vectors and whole trajectories.
    crps_gaussian : The exact score of a Gaussian forecast.

    Notes
    -----
    Time O(n_samples log n_samples) an observation, by sorting; the working memory
    is a few megabytes whatever the sizes.

    References
    ----------
    .. [1] T. Gneiting and A. E. Raftery, "Strictly proper scoring rules, prediction,
       and estimation", Journal of the American Statistical Association, 2007.
    .. [2] C. A. T. Ferro, "Fair scores for ensemble forecasts", Quarterly Journal of
       the Royal Meteorological Society, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.metrics import crps
    >>> samples = np.random.default_rng(0).normal(size=(1, 1000, 2))
    >>> crps([[0.0, 3.0]], samples).round(2)
    array([[0.24, 2.47]])
    """
    observed, drawn = check_ensemble(y, samples)
    m = drawn.shape[1]
    n_partners = m - 1 if check_estimator(estimator, m) else m
    # Half the sum of |x_i - x_j| over all ordered pairs is this sum over the
    # sorted x: the k-th smallest is above k others and below m - 1 - k.
    spread_weights = (2.0 * np.arange(m) - (m - 1)) / (m * n_partners)
    scores = np.empty(observed.shape)
    for rows, errors in chunks(drawn, joint=False):
        # Sorting errors instead of draws saves digits when y is large.
        errors -= observed[rows][..., None]
        errors.sort(axis=-1)
        spread = errors @ spread_weights
        np.abs(errors, out=errors)
        scores[rows] = errors.mean(axis=-1) - spread
    return scores


def crps_gaussian(y: ArrayLike, mean: ArrayLike, scale: ArrayLike) -> Array:
    """Exact continuous ranked probability score of Gaussian forecasts [1]_.

    Parameters
    ----------
    y : array-like of shape (n, d), (n, horizon, d) or (n,)
        Observations; NaN where missing.
    mean, scale : array-like, broadcast against y
        Mean and standard deviation of the forecast, in the units of y.

    Returns
    -------
    ndarray of shape y.shape
        Scores in the units of y, lower is better; NaN where an argument is NaN.

    Raises
    ------
    ValueError
        If scale is not positive, y is infinite, or the shapes do not fit.

    References
    ----------
    .. [1] T. Gneiting, A. E. Raftery, A. H. Westveld and T. Goldman, "Calibrated
       probabilistic forecasting using ensemble model output statistics and minimum
       CRPS estimation", Monthly Weather Review, 2005.

    Examples
    --------
    >>> from afm_sklearn.metrics import crps_gaussian
    >>> crps_gaussian([0.0, 3.0], mean=0.0, scale=1.0).round(4)
    array([0.2337, 2.4366])
    """
    # Imported here because its own import compiles code where numba is installed.
    from properscoring import crps_gaussian as exact

    observed = check_observations(y)
    location = _broadcast("mean", mean, observed.shape)
    spread = _broadcast("scale", scale, observed.shape)
    if (spread <= 0).any():
        raise ValueError(f"scale must be positive, got {np.nanmin(spread)}")
    return np.asarray(exact(observed, location, spread))


def _broadcast(name: str, values: ArrayLike, shape: tuple[int, ...]) -> Array:
    array = as_numbers(name, values)
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(
            f"{name} must broadcast to the shape {shape} of y, got {array.shape}"
        ) from None
