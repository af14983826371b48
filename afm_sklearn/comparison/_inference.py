"""Means of losses that depend on one another: their errors, and a test of zero."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from afm_sklearn.checks import check_integer
from afm_sklearn.metrics._ensemble import Array, as_numbers

# From here on the groups themselves are the sample, see `diebold_mariano`.
MIN_CLUSTERS = 5


class DieboldMariano(NamedTuple):
    """Outcome of `diebold_mariano`."""

    statistic: float
    p_value: float


class Estimate(NamedTuple):
    """A mean with its standard error, and what its t statistic is referred to."""

    mean: float
    standard_error: float
    degrees_of_freedom: float
    n: int


def diebold_mariano(
    loss_a: ArrayLike,
    loss_b: ArrayLike,
    *,
    lead_time: int = 1,
    groups: ArrayLike | None = None,
) -> DieboldMariano:
    r"""Test whether two forecasts of the same events are equally good on average.

    Parameters
    ----------
    loss_a, loss_b : array-like of shape (n,)
        Losses of the two forecasts, lower is better, in the order of time and evenly
        spaced. Events where either is NaN are left out and keep their place in time.
    lead_time : int, default=1
        Steps from the origin of the forecasts to the event, h. Losses of forecasts h
        steps ahead share h - 1 steps and are autocorrelated accordingly.
    groups : array-like of shape (n,), optional
        Labels of independent series, such as runs or subjects. By default all losses
        are one series.

    Returns
    -------
    DieboldMariano
        ``statistic``, negative where a is better, and the two-sided ``p_value``. Both
        are NaN for losses that are the same throughout.

    Raises
    ------
    ValueError
        If the shapes differ, fewer than two differences are left, or `lead_time` is
        not a positive integer.

    Notes
    -----
    The statistic [1]_ is the mean :math:`\bar d` of the n differences
    :math:`d_t = a_t - b_t` over its standard error. That comes from

    .. math:: \frac{1}{n} \sum_{|k| \le L} \left(1 - \frac{|k|}{L + 1}\right)
              \hat\gamma_k, \qquad L = \max(2 (h - 1), \lfloor 1.3 \sqrt n \rfloor)

    with the sample autocovariances :math:`\hat\gamma_k` inside each group. More than
    the classical h - 1 lags are taken because the differences of imperfect forecasts
    are autocorrelated at any lead time, and because the weights that keep the sum
    positive would shrink the last of those [3]_. The small-sample correction [2]_
    divides by the expectation of that sum for white noise, which yields the published
    factor for weights of one. The statistic is compared with Student's t with
    :math:`\min(n - 1, 1.5\, n / (L + 1))` degrees of freedom, as many as the sum has.

    With five groups or more, the sum over lags gives way to the sum of squares of the
    total deviation in each group, whatever the dependence within, and the degrees of
    freedom are the number of groups less one: the question is then whether the
    difference would be found again in a new group.

    References
    ----------
    .. [1] F. X. Diebold and R. S. Mariano, "Comparing predictive accuracy", Journal of
       Business & Economic Statistics, 1995.
    .. [2] D. Harvey, S. Leybourne and P. Newbold, "Testing the equality of prediction
       mean squared errors", International Journal of Forecasting, 1997.
    .. [3] E. Lazarus, D. J. Lewis, J. H. Stock and M. W. Watson, "HAR inference:
       recommendations for practice", Journal of Business & Economic Statistics, 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.comparison import diebold_mariano
    >>> rng = np.random.default_rng(0)
    >>> loss_a, loss_b = rng.normal(size=(2, 400))
    >>> diebold_mariano(loss_a - 1.0, loss_b).p_value < 0.001
    True
    """
    check_integer("lead_time", lead_time, at_least=1)
    a, b = _series("loss_a", loss_a), _series("loss_b", loss_b)
    if a.shape != b.shape:
        raise ValueError(
            f"loss_a and loss_b must have one shape, got {a.shape} and {b.shape}"
        )
    estimate = estimate_mean(a - b, _labels(groups, len(a)), lead_time)
    if estimate.n < 2:
        raise ValueError(
            "loss_a and loss_b must hold at least 2 pairs of observed losses, got "
            f"{estimate.n}"
        )
    return t_test(estimate)


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
        The standard error is NaN for fewer than two values.
    """
    present = ~np.isnan(values)
    n = int(present.sum())
    mean = float(values[present].mean()) if n else np.nan
    if n < 2:
        return Estimate(mean, np.nan, np.nan, n)
    series = [(values - mean)[groups == label] for label in np.unique(groups[present])]
    if len(series) >= MIN_CLUSTERS:
        variance = _clustered_variance(series) / n**2
        freedom = len(series) - 1.0
    else:
        n_lags = max(2 * (lead_time - 1), int(1.3 * np.sqrt(n)))
        n_lags = min(n_lags, max(len(one) for one in series) - 1)
        variance = _long_run_variance(series, n_lags) / n
        freedom = min(n - 1.0, 1.5 * n / (n_lags + 1))
    return Estimate(mean, float(np.sqrt(variance)), freedom, n)


def t_test(estimate: Estimate) -> DieboldMariano:
    """Two-sided t test of a mean of zero."""
    if estimate.mean == 0.0 and estimate.standard_error == 0.0:
        return DieboldMariano(np.nan, np.nan)
    with np.errstate(divide="ignore"):
        statistic = np.divide(estimate.mean, estimate.standard_error)
    p_value = 2.0 * stats.t.sf(np.abs(statistic), estimate.degrees_of_freedom)
    return DieboldMariano(float(statistic), float(p_value))


def _clustered_variance(series: list[Array]) -> float:
    """Variance of the sum over independent groups."""
    totals = np.array([np.nansum(one) for one in series])
    return float((totals**2).sum()) * len(series) / (len(series) - 1)


def _long_run_variance(series: list[Array], n_lags: int) -> float:
    """Variance of the mean times n, without the bias it would have for white noise."""
    n = sum(int((~np.isnan(one)).sum()) for one in series)
    total = correction = 0.0
    for lag in range(n_lags + 1):
        weight = (1 if lag == 0 else 2) * (1 - lag / (n_lags + 1))
        for one in series:
            products = one[lag:] * one[: max(len(one) - lag, 0)]
            total += weight * float(np.nansum(products))
            correction += weight * int((~np.isnan(products)).sum())
    # The weights make the sum positive up to rounding.
    return max(total, 0.0) / (n - correction / n)


def _series(name: str, loss: ArrayLike) -> Array:
    values = as_numbers(name, loss).astype(np.float64)
    if values.ndim != 1:
        raise ValueError(f"{name} must have shape (n,), got {values.shape}")
    return values


def _labels(groups: Any, n: int) -> Array:
    if groups is None:
        return np.zeros(n, dtype=int)
    labels = np.asarray(groups)
    if labels.shape != (n,):
        raise ValueError(f"groups must have shape ({n},), got {labels.shape}")
    return np.unique(labels, return_inverse=True)[1]
