"""A regressor for every lead time, and whole trajectories of their errors."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions

from ..answers import Draw
from ..base import BaseForecaster
from ..compute import row_parts
from ..data.blocks import time_folds
from ..evaluation.origins import Rows
from ..law.additive import AdditiveLaw
from .errors import LAWS, complete_rows, first_channels, learn_errors
from .history import channel_means, rows_with_past
from .lags import require_lags
from .leads import Leads, later, lead_features, predict_leads, reach
from .prediction import Prediction
from .regressor import check_regressor, seeded
from .ridge import LeaveOneOutRidge

Array = NDArray[Any]


class DirectForecaster(BaseForecaster):
    """Forecast each lead time by a regressor of its own, without rolling out.

    The regressor of lead h forecasts what happens h steps on from the window and the
    stimulus of all steps up to there. Nothing that is drawn is ever forecast from, so
    that errors of one step do not add up. A trajectory is the forecasts of all leads
    plus a trajectory of errors, whose law, joint over leads and channels and the same
    for every row, is learnt from forecasts of held-out blocks.

    Parameters
    ----------
    regressor : estimator, default=None
        Any scikit-learn regressor, fitted once a lead time as `ResidualForecaster`
        fits it. None is a ridge on standardised features, its penalty by
        leave-one-out error.
    horizon : int, default=16
        Lead times, the longest trajectory that can be asked for.
    residuals : {"gaussian", "bootstrap"}, default="gaussian"
        Law of the errors: Gaussian around zero, with a covariance over leads and
        channels that is shrunk as Ledoit and Wolf do, or the whole trajectories of
        errors that followed held-out rows, drawn with replacement.
    cv : int, default=5
        Number of blocks of consecutive rows that are held out in turn.
    window_length : int or None, default=None
        Steps in a window. With it X is rows of `design_matrix`, else windows.
    run_column : int, str or None, default=None
        With `window_length`, the column of X that marks runs.
    autoregressive : {"auto", True, False}, default="auto"
        Whether the first channels of X are the lagged targets, by which the later
        targets of a row are found: compared at fit, asserted, or denied. Needed unless
        ``horizon=1``.
    random_state : int, RandomState or None, default=None
        Seed of the regressor, where its own ``random_state`` is None.

    Attributes
    ----------
    regressors_ : list of estimators
        The regressors of the leads, 1 to horizon, fitted on all rows.
    residuals_ : ndarray of shape (m, horizon, d)
        Trajectories of errors, target minus forecast in units of y, of held-out rows
        that are followed by so many steps of their run inside their block.
    covariance_ : ndarray of shape (horizon * d, horizon * d)
        Covariance of the trajectories of errors around zero, lead by lead: shrunk
        with "gaussian", of the residuals as they are with "bootstrap".
    channel_means_ : ndarray of shape (c,)
        What a channel that is missing in a whole window is taken to be: its mean in
        `fit`.
    autoregressive_ : bool
        Whether the first channels of X are the lagged targets.
    lag_scale_, lag_offset_ : ndarray of shape (d,)
        The lagged channels of X are ``(y - lag_offset_) / lag_scale_``.
    n_outputs_ : int
        Number of target channels d.

    See Also
    --------
    ResidualForecaster : One regressor, rolled out step by step.

    Notes
    -----
    Direct forecasts do not trust a model beyond what it was fitted for, and have more
    variance than iterated ones where the model is right [1]_. The next step is lead 1:
    `sample` and `predict_interval` have the law of the first step of trajectories.
    A run ends where the newest lagged targets of a row are not the targets of the row
    before; no regressor sees what follows it, and no error trajectory crosses it.
    Gaps are filled, and rows without a past left out, as in `ResidualForecaster`.

    References
    ----------
    .. [1] M. Marcellino, J. H. Stock and M. W. Watson (2006), A comparison of direct
       and iterated multistep AR methods for forecasting macroeconomic time series,
       Journal of Econometrics 135, 499-526.

    Examples
    --------
    >>> from afm_sklearn import SlidingWindow, design_matrix
    >>> from afm_sklearn.baselines import DirectForecaster
    >>> from afm_sklearn.datasets import make_linear_var
    >>> data = make_linear_var(n_times=400, n_channels=3, random_state=0)
    >>> X = design_matrix(data.activity, data.stimulus)
    >>> windows = SlidingWindow(2).fit_transform(X)
    >>> model = DirectForecaster(horizon=4).fit(windows, data.activity)
    >>> shown = data.stimulus[None, :4]
    >>> model.sample_trajectories(windows[-1:], 4, stimulus=shown).shape
    (1, 100, 4, 3)
    """

    _rolls_out = False
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseForecaster._parameter_constraints,
        "regressor": "no_validation",  # see `check_regressor`
        "horizon": [Interval(Integral, 1, None, closed="left")],
        "residuals": [StrOptions(set(LAWS))],
        "cv": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(
        self,
        regressor: Any = None,
        horizon: int = 16,
        residuals: str = "gaussian",
        *,
        cv: int = 5,
        window_length: Any = None,
        run_column: Any = None,
        autoregressive: Any = "auto",
        random_state: Any = None,
    ) -> None:
        self.regressor = regressor
        self.horizon = horizon
        self.residuals = residuals
        self.cv = cv
        self.window_length = window_length
        self.run_column = run_column
        self.autoregressive = autoregressive
        self.random_state = random_state

    def _check_horizon(self, horizon: int) -> None:
        if horizon > len(self.regressors_):
            raise ValueError(
                f"horizon is {horizon}, but the forecaster was fitted for "
                f"horizon={len(self.regressors_)}"
            )

    def _trajectories(self, windows: Any, future: Array | None, horizon: int) -> Draw:
        if not self.autoregressive_:
            future = None
        d = self.n_outputs_
        means = torch.from_numpy(self._means(windows, future, horizon))
        errors = first_channels(self._errors, horizon * d)

        def draw(
            at: torch.Tensor, k: int, rows: Array, generator: torch.Generator
        ) -> torch.Tensor:
            noise = at.new_empty(len(at), k, horizon * d).normal_(generator=generator)
            return errors.draw(means[rows], noise).unflatten(2, (horizon, d))

        return draw

    @property
    def _has_density(self) -> bool:
        return self.residuals == "gaussian"

    def _width(self) -> int:
        return max(super()._width(), self.n_outputs_ * len(self.regressors_))

    def _check_parameters(self) -> None:
        if self.regressor is not None:
            check_regressor(self.regressor)

    def _fit(self, windows: Any, targets: Array, seed: int) -> None:
        if self.horizon > 1:
            require_lags(self, f"DirectForecaster with horizon={self.horizon}")
        given = np.asarray(windows)
        self.channel_means_ = channel_means(given)
        leads = self._leads(windows, targets)
        regressor = LeaveOneOutRidge() if self.regressor is None else self.regressor
        regressor = seeded(regressor, seed)
        folds = list(time_folds(windows, self.cv, self._n_lagged))
        errors = np.empty((len(given), self.horizon, self.n_outputs_))
        for _, held_out in folds:
            errors[held_out] = leads.ahead(held_out)
        self._check_trajectories(errors)
        for train, held_out in folds:
            fold = leads.fit(regressor, train)
            errors[held_out] -= predict_leads(
                fold, leads.features[held_out], leads.widths
            )
        self.regressors_ = leads.fit(regressor, np.arange(len(given)))
        paths = complete_rows(errors.reshape(len(given), -1), "the errors")
        self.residuals_ = paths.reshape(-1, *errors.shape[1:])
        self._errors, self.covariance_ = learn_errors(paths, self.residuals)
        self.law_ = AdditiveLaw(
            Prediction(self.regressors_[0], self.channel_means_),
            first_channels(self._errors, self.n_outputs_),
            torch.from_numpy(self.lag_scale_),
            torch.from_numpy(self.lag_offset_),
            is_exact=False,  # what the regressor predicts is what is predicted
        )

    def _check_trajectories(self, ahead: Array) -> None:
        n_whole = int(np.isfinite(ahead).all((1, 2)).sum())
        if n_whole < 2:
            raise ValueError(
                f"horizon={self.horizon} needs at least 2 rows that are followed by "
                f"{self.horizon} observed steps of their run inside one of the cv="
                f"{self.cv} blocks, got {n_whole} among n_samples={len(ahead)}"
            )

    @property
    def _n_lagged(self) -> int:
        return self.n_outputs_ if self.autoregressive_ else self.window_shape_[1]

    def _leads(self, windows: Any, targets: Array) -> Leads:
        n, d_lagged = len(windows), self._n_lagged
        linked = np.zeros(n - 1, bool)
        if self.horizon > 1:
            linked = Rows(self, windows, targets).linked
        reached = reach(linked, np.ones(n, bool))
        if reached.max() < self.horizon - 1:
            raise ValueError(
                f"horizon={self.horizon} needs runs of {self.horizon} steps, the "
                f"longest has {reached.max() + 1}"
            )
        shown = np.asarray(windows[:, -1])[:, d_lagged:]
        future = np.empty((n, self.horizon - 1, shown.shape[1]))
        for k in range(1, self.horizon):
            future[:, k - 1] = later(shown, k, reached)
        features = lead_features(np.asarray(windows), future, self.channel_means_)
        width = windows.shape[1] * windows.shape[2]
        widths = [width + k * shown.shape[1] for k in range(self.horizon)]
        return Leads(
            features, targets, linked, rows_with_past(windows, d_lagged), widths
        )

    def _means(self, windows: Any, future: Array | None, horizon: int) -> Array:
        """Forecasts of all leads (n, horizon * d)."""
        n, (length, c) = len(windows), self.window_shape_
        s = c - self._n_lagged
        means = np.empty((n, horizon * self.n_outputs_))
        widths = [length * c + k * s for k in range(horizon)]
        for rows in row_parts(n, widths[-1]):
            at = np.array(windows[rows], np.float64)
            ahead = np.empty((len(at), horizon - 1, s))
            if future is not None:
                at[:, -1, -s:], ahead = future[rows, 0], future[rows, 1:]
            features = lead_features(at, ahead, self.channel_means_)
            leads = predict_leads(self.regressors_[:horizon], features, widths)
            means[rows] = leads.reshape(len(at), -1)
        return means
