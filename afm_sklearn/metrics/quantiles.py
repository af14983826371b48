"""Scores of quantiles, and the two that the GluonTS literature reports."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .arguments import Array, as_numbers, check_levels
from .ensemble import check_ensemble, check_observations, chunks

#: The 19 levels 0.05, 0.10, ..., 0.95 of published weighted quantile losses.
QUANTILES = tuple(k / 20 for k in range(1, 20))


def pinball_loss(
    y: ArrayLike, quantile_forecasts: ArrayLike, alpha: float | ArrayLike
) -> Array:
    r"""Pinball (quantile) loss of each observation and level; lower is better.

    .. math:: \max\{\alpha (y - q), (\alpha - 1)(y - q)\}

    It is least in the mean when q is the quantile of level alpha [1]_. Twice its
    integral over all levels is the continuous ranked probability score.

    Parameters
    ----------
    y : array-like of shape (n, d), (n, horizon, d) or (n,)
        Observations; NaN where missing.
    quantile_forecasts : array-like of shape (n, n_alpha, d), \
            (n, n_alpha, horizon, d) or (n, n_alpha)
        Forecast quantiles, as from ``predict_quantiles``.
    alpha : float or array-like of shape (n_alpha,)
        Levels between 0 and 1, in the order of axis 1 of the forecasts.

    Returns
    -------
    ndarray of the shape of quantile_forecasts
        Losses in the units of y; NaN where y is NaN.

    Raises
    ------
    ValueError
        If the shapes do not fit, a level is not between 0 and 1, or y is infinite.

    References
    ----------
    .. [1] R. Koenker and G. Bassett, "Regression quantiles", Econometrica, 1978.

    Examples
    --------
    >>> from afm_sklearn.metrics import pinball_loss
    >>> pinball_loss([1.0], [[0.0, 0.0, 3.0]], alpha=[0.1, 0.5, 0.9]).round(2)
    array([[0.1, 0.5, 0.2]])
    """
    levels = check_levels("alpha", alpha)
    observed = check_observations(y)
    forecasts = as_numbers("quantile_forecasts", quantile_forecasts)
    expected = (*observed.shape[:1], len(levels), *observed.shape[1:])
    if forecasts.shape != expected:
        raise ValueError(
            f"quantile_forecasts must have shape {expected} to go with y of shape "
            f"{observed.shape} and {len(levels)} levels, got {forecasts.shape}"
        )
    levels = levels.reshape(-1, *[1] * (observed.ndim - 1))
    error = observed[:, None] - forecasts
    return np.maximum(levels * error, (levels - 1.0) * error)


def weighted_quantile_loss(
    y: ArrayLike, samples: ArrayLike, quantiles: ArrayLike = QUANTILES
) -> float:
    r"""Weighted quantile loss of a whole forecast; lower is better.

    For each level, twice the sum of all pinball losses over the sum of all
    \|y\|; then the mean over levels. This is ``mean_wQuantileLoss`` of GluonTS [1]_,
    a relative error without units.

    Parameters
    ----------
    y : array-like of shape (n, d), (n, horizon, d) or (n,)
        Observations; those that are NaN are left out.
    samples : array-like of shape (n, n_samples, d), (n, n_samples, horizon, d) or \
            (n, n_samples)
        Independent draws from the forecast of each row.
    quantiles : array-like of shape (n_quantiles,), default=0.05, 0.10, ..., 0.95
        Levels between 0 and 1. The default are the 19 levels of published tables.

    Returns
    -------
    float
        The loss.

    Raises
    ------
    ValueError
        If a level is not between 0 and 1, if the observations are all missing or
        zero, if there is no forecast for an observation, or as in `crps`.

    Notes
    -----
    As in GluonTS the quantile of level q of m draws is the one at position
    round(q (m - 1)) in their order, counted from 0, without interpolation.

    References
    ----------
    .. [1] A. Alexandrov et al., "GluonTS: probabilistic and neural time series
       modeling in Python", Journal of Machine Learning Research, 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.metrics import weighted_quantile_loss
    >>> rng = np.random.default_rng(0)
    >>> y, samples = rng.normal(5, 1, (500, 2)), rng.normal(5, 1, (500, 100, 2))
    >>> round(weighted_quantile_loss(y, samples), 2)
    0.12
    """
    levels = check_levels("quantiles", quantiles)
    observed, drawn = check_ensemble(y, samples)
    seen = ~np.isnan(observed)
    total = np.abs(observed[seen]).sum()
    if total == 0:
        raise ValueError("y must hold an observation other than 0, got none")
    places = np.round(levels * (drawn.shape[1] - 1)).astype(int)
    loss = np.zeros(len(levels))
    for rows, block in chunks(drawn, joint=False):
        if np.isnan(block[seen[rows]]).any():
            raise ValueError("samples must be a forecast of every observation, got NaN")
        block.sort(axis=-1)
        forecasts = np.moveaxis(block[..., places], -1, 1)
        losses = pinball_loss(observed[rows], forecasts, levels)
        loss += np.nansum(losses, axis=(0, *range(2, losses.ndim)))
    return float(2.0 * loss.mean() / total)


def crps_sum(
    y: ArrayLike, samples: ArrayLike, quantiles: ArrayLike = QUANTILES
) -> float:
    """Weighted quantile loss of the sum over variables, "CRPS-sum".

    This is ``m_sum_mean_wQuantileLoss`` of GluonTS, which papers on multivariate
    forecasts report [1]_ as an approximation to the continuous ranked probability
    score of the sum, relative to its mean absolute value. It judges one number a
    step: a forecast can have the right sum and wrong variables.

    Parameters
    ----------
    y : array-like of shape (n, d) or (n, horizon, d)
        Observations. A step of which any variable is NaN is left out.
    samples : array-like of shape (n, n_samples, d) or (n, n_samples, horizon, d)
        Independent draws from the joint forecast of each row.
    quantiles : array-like of shape (n_quantiles,), default=0.05, 0.10, ..., 0.95
        Levels between 0 and 1.

    Returns
    -------
    float
        The loss, without units; lower is better.

    Raises
    ------
    ValueError
        As in `weighted_quantile_loss`.

    References
    ----------
    .. [1] D. Salinas et al., "High-dimensional multivariate forecasting with
       low-rank Gaussian copula processes", NeurIPS, 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.metrics import crps_sum
    >>> rng = np.random.default_rng(0)
    >>> y, samples = rng.normal(5, 1, (500, 4)), rng.normal(5, 1, (500, 100, 4))
    >>> round(crps_sum(y, samples), 2)
    0.06
    """
    observed, drawn = check_ensemble(y, samples)
    if observed.ndim == 1:
        raise ValueError(f"y must have an axis of variables, got {observed.shape}")
    return weighted_quantile_loss(
        observed.sum(-1), drawn.sum(-1, dtype=float), quantiles
    )
