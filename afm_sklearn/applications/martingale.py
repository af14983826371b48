"""Bet against a forecaster, step by step: what wins much is evidence."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import logsumexp

EXPONENTS = np.linspace(0.1, 0.9, 9)  # of the bets, from bold to timid
SMALLEST = 1e-12


class SurpriseMartingale:
    r"""A test martingale on p-values, for a recording that is still going on.

    One starts with a wealth of 1 and bets at fair odds that p-values are not uniform,
    on small ones and on large ones alike: a channel that falls silent is forecast all
    too well. Half of the money is on each, in equal parts over several boldnesses.

    Attributes
    ----------
    log_wealth : float
        Natural logarithm of the wealth M by now. If the forecasts are right, the
        probability that M ever reaches 1 / alpha is at most alpha, however long the
        recording (Ville's inequality [1]_). It answers: was the model ever wrong?
    log_change : float
        Natural logarithm of the Shiryaev-Roberts statistic: the sum of the wealths of
        all bettors that began at some step since. If the forecasts are right it takes
        c steps or more, on average, until it reaches c [2]_. It answers: is the model
        wrong now? A false alarm an hour in bins of 20 ms is c = 180 000.

    See Also
    --------
    afm_sklearn.applications.detector.SurpriseDetector : Allows for forecasts that are
        not quite right, and finds periods.

    Notes
    -----
    .. math:: M_n = \frac{1}{2 K} \sum_k \left( \prod_t \epsilon_k
              p_t^{\epsilon_k - 1} + \prod_t \epsilon_k (1 - p_t)^{\epsilon_k - 1}
              \right)

    the power martingales of [1]_, mixed over :math:`\epsilon`. The bounds hold where a
    p-value is uniform given those before, as `surprise` gives them under the right law;
    a model that is a little wrong is found out in time.

    References
    ----------
    .. [1] V. Vovk, I. Nouretdinov and A. Gammerman (2003), Testing exchangeability
       on-line, ICML.
    .. [2] J. Shin, A. Ramdas and A. Rinaldo (2024), E-detectors: a nonparametric
       framework for sequential change detection, The New England Journal of
       Statistics in Data Science 2.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.applications.martingale import SurpriseMartingale
    >>> rng = np.random.default_rng(0)
    >>> martingale = SurpriseMartingale()
    >>> for p in rng.uniform(size=200):
    ...     wealth = martingale.update(p)
    >>> for p in rng.uniform(size=100) ** 2:
    ...     wealth = martingale.update(p)
    >>> bool(martingale.log_change > np.log(1000))
    True
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew with a wealth of 1."""
        self._log_bets = np.zeros((2, len(EXPONENTS)))
        self._log_changes = np.full((2, len(EXPONENTS)), -np.inf)

    def update(self, p: Any) -> float:
        """Bet on one more p-value.

        Parameters
        ----------
        p : float
            From 0 to 1; NaN, where nothing was observed, leaves everything as it is.

        Returns
        -------
        float
            `log_wealth`.

        Raises
        ------
        ValueError
            If p is no number from 0 to 1.
        """
        value = _as_probability(p)
        if not np.isnan(value):
            at = np.log(np.maximum([[value], [1 - value]], SMALLEST))
            gains = np.log(EXPONENTS) + (EXPONENTS - 1) * at
            self._log_bets = self._log_bets + gains
            self._log_changes = np.logaddexp(self._log_changes, 0.0) + gains
        return self.log_wealth

    @property
    def log_wealth(self) -> float:
        """Natural logarithm of the wealth."""
        return float(logsumexp(self._log_bets) - np.log(self._log_bets.size))

    @property
    def log_change(self) -> float:
        """Natural logarithm of the Shiryaev-Roberts statistic; minus infinity first."""
        if np.isneginf(self._log_changes).all():
            return -np.inf
        return float(logsumexp(self._log_changes) - np.log(self._log_changes.size))


def _as_probability(p: Any) -> float:
    try:
        value = float(p)
    except (TypeError, ValueError) as error:
        raise ValueError(f"p must be a number from 0 to 1, got {p!r}") from error
    if value < 0 or value > 1:
        raise ValueError(f"p must be a number from 0 to 1, got {p!r}")
    return value
