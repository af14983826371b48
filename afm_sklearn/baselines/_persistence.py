"""A correlated Gaussian random walk."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._additive import AdditiveForecaster
from ._history import carry_forward, channel_means

Array = NDArray[Any]


class Persistence(AdditiveForecaster):
    """Forecast that nothing changes but by chance: a correlated random walk.

    The next step is the last observed value of each channel plus Gaussian noise,
    correlated between channels. Over a horizon of h steps the variance grows as h.

    Parameters
    ----------
    autoregressive : {"auto", True}, default="auto"
        Whether to find out at fit that the first channels of X are the lagged targets,
        or to take it for granted. Without them there is nothing to persist.
    random_state : int, RandomState or None, default=None
        Taken like every forecaster does; there is no chance in fitting this one.

    Attributes
    ----------
    residuals_ : ndarray of shape (m, d)
        One-step differences, in units of y, of rows in which all of them are known.
    covariance_ : ndarray of shape (d, d)
        Ledoit-Wolf covariance of the one-step differences around zero.
    means_ : ndarray of shape (d,)
        Means of the targets in `fit`, forecast for a channel that was not observed in
        the whole window.
    autoregressive_ : bool
        True.
    lag_scale_, lag_offset_ : ndarray of shape (d,)
        The lagged channels of X are ``(y - lag_offset_) / lag_scale_``.
    n_outputs_ : int
        Number of target channels d.

    See Also
    --------
    Climatology : No memory at all, where this one has nothing else.

    Notes
    -----
    Hard to beat on series that drift, such as exchange rates [1]_. The noise is that of
    one step also where the last observation is older, as after lost samples, and where
    there is none, as at the start of a run.

    References
    ----------
    .. [1] R. A. Meese and K. Rogoff (1983), Empirical exchange rate models of the
       seventies: do they fit out of sample?, Journal of International Economics 14,
       3-24.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn import design_matrix
    >>> from afm_sklearn.baselines import Persistence
    >>> walk = np.random.default_rng(0).normal(size=(500, 2)).cumsum(axis=0)
    >>> X = design_matrix(walk)
    >>> model = Persistence().fit(X, walk)
    >>> bool((model.predict(X[-1:]) == walk[-2]).all())
    True
    >>> model.sample_trajectories(X[-1:], horizon=20).shape
    (1, 100, 20, 2)
    """

    def __init__(
        self, *, autoregressive: Any = "auto", random_state: Any = None
    ) -> None:
        self.autoregressive = autoregressive
        self.random_state = random_state

    def _fit(self, windows: Array, targets: Array, seed: int) -> None:
        if not self.autoregressive_:
            raise ValueError(
                "Persistence needs the first channels of X to be the lagged targets, "
                f"but {self._why_not}"
            )
        self.means_ = channel_means(targets)
        self._learn_errors(targets - self._to_units_of_y(windows[:, -1]))

    def _mean(self, windows: Array) -> Array:
        newest = carry_forward(windows[:, :, : self.n_outputs_])[:, -1]
        last = self._to_units_of_y(newest)
        return np.where(np.isnan(last), self.means_, last)

    def _to_units_of_y(self, newest: Array) -> Array:
        lags = newest[:, : self.n_outputs_].astype(np.float64)
        return lags * self.lag_scale_ + self.lag_offset_
