"""Means of losses that depend on one another, with their standard errors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.fft import dct

from ..metrics.arguments import Array

MIN_GROUPS = 5  # from here on the groups themselves are the sample
MIN_LOSSES = 20


class Estimate(NamedTuple):
    """A mean with its standard error, and what its t statistic is referred to."""

    mean: float
    standard_error: float
    degrees_of_freedom: float
    n: int


def estimate_mean(values: Array, groups: Array, lead_time: int) -> Estimate:
    """Mean of dependent values with a standard error: `diebold_mariano` states how.

    Parameters
    ----------
    values : ndarray of shape (n,)
        In the order of time within each group; NaN where there is none.
    groups : ndarray of shape (n,)
        Integer labels.
    lead_time : int
        Steps from the origins to the events.

    Returns
    -------
    Estimate
        The standard error and degrees of freedom are NaN for fewer than `n_needed`
        values in fewer than five groups.

    Examples
    --------
    >>> independent = np.random.default_rng(0).normal(size=400)
    >>> estimate = estimate_mean(independent, np.zeros(400, int), lead_time=1)
    >>> round(estimate.standard_error, 2)  # 1 / sqrt(400)
    0.05
    """
    present = ~np.isnan(values)
    values, groups = values[present], groups[present]
    n = len(values)
    mean = float(values.mean()) if n else np.nan
    deviations = values - mean
    n_groups = len(np.unique(groups))
    if n_groups >= MIN_GROUPS:
        totals = np.bincount(groups, weights=deviations)
        variance = float(totals @ totals) * n_groups / ((n_groups - 1) * n)
        freedom = n_groups - 1.0
    elif n >= n_needed(lead_time):
        series = deviations[np.argsort(groups, kind="stable")]
        variance, freedom = _long_run_variance(series, lead_time)
    else:
        variance = freedom = np.nan
    return Estimate(mean, float(np.sqrt(variance / max(n, 1))), freedom, n)


def n_needed(lead_time: int) -> int:
    """Return how many values of one series give a standard error."""
    return max(MIN_LOSSES, 2 * lead_time)


def _long_run_variance(series: Array, lead_time: int) -> tuple[float, float]:
    """Variance of the mean of a centred series times n; its degrees of freedom."""
    n = len(series)
    persistence = _persistence(series)
    innovations = series[1:] - persistence * series[:-1]
    n_cosines = min(round(0.4 * n ** (2 / 3)), n // lead_time)
    power = dct(innovations, norm="ortho")[1 : n_cosines + 1] ** 2
    variance = power.mean() / (1 - persistence) ** 2
    uncertainty = 1.5 * (1 + persistence) / (n * (1 - persistence))
    return float(variance), float(1 / (1 / n_cosines + uncertainty))


def _persistence(series: Array) -> float:
    """Correlation of successive values, without the bias that it has in few."""
    n, total = len(series), series @ series
    correlation = series[1:] @ series[:-1] / total if total else 0.0
    return float(np.clip((n * correlation + 1) / (n - 3), 1 / n - 1, 1 - 1 / n))
