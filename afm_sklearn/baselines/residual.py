"""Any scikit-learn regressor as a probabilistic forecaster."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions

from ..base import BaseForecaster
from ..data.blocks import time_folds
from ..law.additive import AdditiveLaw
from .errors import LAWS, complete_rows, learn_errors
from .history import channel_means, rows_with_past
from .lags import require_lags
from .prediction import Prediction, flat_windows, predict_rows
from .regressor import INPUTS, check_regressor, fit_regressor, own_columns, seeded

Array = NDArray[Any]


class ResidualForecaster(BaseForecaster):
    """Make any scikit-learn regressor a probabilistic forecaster.

    The forecast is the prediction of the regressor plus an error. The law of the
    errors, joint over channels and the same for every row, is learnt from out-of-fold
    residuals, which an overfitting regressor cannot make small. The regressor is then
    fitted again on all rows.

    Parameters
    ----------
    regressor : estimator
        Any scikit-learn regressor, Pipelines and searches included. It is fitted on
        flat windows (n, L * c) without NaN. One that takes a single target, by its
        tags, is fitted once a channel, in a `MultiOutputRegressor`: boosted trees, and
        `GridSearchCV`, which so tunes each channel on its own.
    residuals : {"gaussian", "bootstrap"}, default="gaussian"
        Law of the errors: Gaussian around zero with a full covariance shrunk as Ledoit
        and Wolf do, or whole residual rows drawn with replacement.
    inputs : {"all", "own"}, default="all"
        What a channel is forecast from: the whole window, or its own past and the
        stimulus, by a clone of the regressor of its own. "own" with a ridge is a
        per-channel autoregression.
    cv : int, default=5
        Number of blocks of consecutive rows that are held out in turn.
    window_length : int or None, default=None
        Steps in a window. With it X is rows of `design_matrix`, else windows.
    run_column : int, str or None, default=None
        With `window_length`, the column of X that marks runs.
    autoregressive : {"auto", True, False}, default="auto"
        Whether the first channels of X are the lagged targets, which
        `sample_trajectories` needs: compared at fit, asserted, or denied.
    random_state : int, RandomState or None, default=None
        Seed of the regressor, where its own ``random_state`` is None.

    Attributes
    ----------
    regressor_ : estimator
        The regressor, fitted on all rows.
    residuals_ : ndarray of shape (m, d)
        Out-of-fold residuals, target minus prediction in units of y, of the rows with
        a past in which every target was observed.
    covariance_ : ndarray of shape (d, d)
        Covariance of the errors around zero: shrunk with "gaussian", of the
        residuals as they are with "bootstrap".
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
    afm_sklearn.AFMForecaster : Learns the law of the errors as a function of X.

    Notes
    -----
    Blocks are held out in the order of time, whole runs where there are many, and
    without the rows whose windows share a step with the block, so that each residual
    is the error of a forecast of something unseen [1]_. The distribution that the
    residuals give is the one of the jackknife+ and CV+ intervals [2]_, without their
    correction for the spread of the fits. Standardised residuals are shrunk [3]_: the
    variances stay as they are and the units of a channel do not matter.

    NaN in X is filled for the regressor: the last value of the channel observed
    earlier in the window, else the next, else its mean in `fit`. Rows without any past,
    as the first one of a run, are forecast like all others but not fitted on, nor are
    others with gaps where they are few: their large errors would widen the forecasts
    of all rows. NaN in y is left out: where
    some targets of a row are missing, one clone of the regressor is fitted a channel,
    on the rows that hold its target, and the law of the errors is learnt from
    complete rows.

    With `LinearRegression` on windows of p steps this is a vector autoregression
    VAR(p) with an exogenous stimulus (VARX) and Gaussian innovations, estimated by
    least squares [4]_; the stimulus acts over p steps, the current one included. See
    the second example.

    References
    ----------
    .. [1] D. R. Roberts et al. (2017), Cross-validation strategies for data with
       temporal, spatial, hierarchical, or phylogenetic structure, Ecography 40,
       913-929.
    .. [2] R. F. Barber, E. J. Candes, A. Ramdas and R. J. Tibshirani (2021),
       Predictive inference with the jackknife+, Annals of Statistics 49, 486-507.
    .. [3] O. Ledoit and M. Wolf (2004), A well-conditioned estimator for
       large-dimensional covariance matrices, Journal of Multivariate Analysis 88,
       365-411.
    .. [4] H. Luetkepohl (2005), New Introduction to Multiple Time Series Analysis,
       Springer, chapters 3 and 10.

    Examples
    --------
    Boosted trees, which take one target each, as a forecaster of four channels:

    >>> from sklearn.ensemble import GradientBoostingRegressor
    >>> from afm_sklearn import SlidingWindow, design_matrix
    >>> from afm_sklearn.baselines import ResidualForecaster
    >>> from afm_sklearn.datasets import make_linear_var
    >>> data = make_linear_var(
    ...     n_times=400, n_channels=4, order=2, n_runs=5, random_state=0
    ... )
    >>> X = design_matrix(data.activity, data.stimulus, data.runs)
    >>> windows = SlidingWindow(2, run_column=-1).fit_transform(X)
    >>> trees = ResidualForecaster(
    ...     GradientBoostingRegressor(n_estimators=5), residuals="bootstrap"
    ... )
    >>> trees.fit(windows, data.activity).sample(windows[:5], n_samples=20).shape
    (5, 20, 4)

    A VARX(2), rolled out over ten steps under a stimulus of one's choice:

    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> varx = make_pipeline(
    ...     SlidingWindow(2, run_column=-1), ResidualForecaster(LinearRegression())
    ... ).fit(X, data.activity)
    >>> A2_and_B2, A1_and_B1 = np.split(varx[-1].regressor_.coef_, 2, axis=1)
    >>> bool(np.abs(A1_and_B1[:, :4] - data.oracle.law.lag_weights[0]).max() < 0.15)
    True
    >>> silence = np.zeros((1, 10, 2))
    >>> varx[-1].sample_trajectories(windows[-1:], 10, stimulus=silence).shape
    (1, 100, 10, 4)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseForecaster._parameter_constraints,
        "regressor": "no_validation",  # see `check_regressor`
        "residuals": [StrOptions(set(LAWS))],
        "inputs": [StrOptions(set(INPUTS))],
        "cv": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(
        self,
        regressor: Any,
        residuals: str = "gaussian",
        *,
        inputs: str = "all",
        cv: int = 5,
        window_length: Any = None,
        run_column: Any = None,
        autoregressive: Any = "auto",
        random_state: Any = None,
    ) -> None:
        self.regressor = regressor
        self.residuals = residuals
        self.inputs = inputs
        self.cv = cv
        self.window_length = window_length
        self.run_column = run_column
        self.autoregressive = autoregressive
        self.random_state = random_state

    @property
    def _has_density(self) -> bool:
        return self.residuals == "gaussian"

    def _check_parameters(self) -> None:
        check_regressor(self.regressor)

    def _fit(self, windows: Any, targets: Array, seed: int) -> None:
        regressor = seeded(self.regressor, seed)
        n_lagged = self.n_outputs_ if self.autoregressive_ else windows.shape[2]
        given = np.asarray(windows)
        self.channel_means_ = channel_means(given)
        features = flat_windows(given, self.channel_means_)
        columns = None
        if self.inputs == "own":
            require_lags(self, "inputs='own'")
            columns = own_columns(given.shape[1], given.shape[2], n_lagged)
        # Forecasts from guesses err most: a few would widen the law of all rows.
        kept = rows_with_past(windows, n_lagged)
        targets = np.where(kept[:, None], targets, np.nan)
        errors = np.empty(targets.shape)
        for train, held_out in time_folds(windows, self.cv, n_lagged):
            fold = fit_regressor(regressor, features[train], targets[train], columns)
            predicted = predict_rows(fold, features[held_out])
            errors[held_out] = targets[held_out] - predicted
        self.regressor_ = fit_regressor(regressor, features, targets, columns)
        self.residuals_ = complete_rows(errors, "the errors")
        law, self.covariance_ = learn_errors(self.residuals_, self.residuals)
        self.law_ = AdditiveLaw(
            Prediction(self.regressor_, self.channel_means_),
            law,
            torch.from_numpy(self.lag_scale_),
            torch.from_numpy(self.lag_offset_),
            is_exact=False,  # what the regressor predicts is what is predicted
        )
