"""A correlated Gaussian random walk."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..base import BaseForecaster
from ..law.additive import AdditiveLaw
from .errors import complete_rows, learn_errors
from .history import carry_forward, channel_means
from .lags import require_lags

Array = NDArray[Any]


class Persistence(BaseForecaster):
    """Forecast that nothing changes but by chance: a correlated random walk.

    The next step is the last observed value of each channel plus Gaussian noise,
    correlated between channels. Over a horizon of h steps the variance grows as h.

    Parameters
    ----------
    window_length : int or None, default=None
        Steps in a window. With it X is rows of `design_matrix`, else windows.
    run_column : int, str or None, default=None
        With `window_length`, the column of X that marks runs.
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
        self,
        *,
        window_length: Any = None,
        run_column: Any = None,
        autoregressive: Any = "auto",
        random_state: Any = None,
    ) -> None:
        self.window_length = window_length
        self.run_column = run_column
        self.autoregressive = autoregressive
        self.random_state = random_state

    def _fit(self, windows: Any, targets: Array, seed: int) -> None:
        require_lags(self, "Persistence")
        self.means_ = channel_means(targets)
        lags = np.asarray(windows[:, -1], np.float64)[:, : self.n_outputs_]
        last = lags * self.lag_scale_ + self.lag_offset_
        self.residuals_ = complete_rows(targets - last, "the errors")
        errors, self.covariance_ = learn_errors(self.residuals_, "gaussian")
        scale, offset = map(torch.from_numpy, (self.lag_scale_, self.lag_offset_))
        last_value = _LastValue(scale, offset, torch.from_numpy(self.means_))
        self.law_ = AdditiveLaw(last_value, errors, scale, offset)


class _LastValue:
    """The last value observed in a window, else the mean of the channel."""

    def __init__(
        self, scale: torch.Tensor, offset: torch.Tensor, means: torch.Tensor
    ) -> None:
        self.scale, self.offset, self.means = scale, offset, means

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        lags = windows[:, :, : len(self.scale)].numpy()
        last = torch.from_numpy(carry_forward(lags)[:, -1]) * self.scale + self.offset
        return torch.where(torch.isnan(last), self.means, last)
