"""Find periods in which a recording does not behave as forecast."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import _num_samples, check_is_fitted

from ..checks import seed_from
from ..data.runs import begins_run, label_starts
from ..evaluation.draws import draw_steps
from ..evaluation.origins import Rows
from ..evaluation.unwrap import find_forecaster, require, unwrap
from .alarms import calibrate
from .evidence import normal_scores

Array = NDArray[Any]

MIN_CALIBRATION = 5  # time constants


class SurpriseDetector(OutlierMixin, BaseEstimator):
    """Find periods of abnormal dynamics: where forecasts go wrong, and for long.

    Evidence of each step against the forecaster is averaged over the recent past. An
    alarm is a period in which the average is above a threshold that data like those of
    training cross at a stated rate, however they depend on their past.

    Parameters
    ----------
    forecaster : estimator
        A forecaster, or a Pipeline or search that ends in one. A clone is fitted on
        the first rows. A fitted one is taken as it is in a
        `sklearn.frozen.FrozenEstimator`; all rows then calibrate, and must not be
        those that it was fitted on.
    time_constant : float, default=30
        Steps over which evidence is averaged. Short ones find what is strong and
        sudden, long ones what is weak and lasts.
    false_alarms : float, default=1.0
        False alarms that are expected ..
    per : int, default=1000
        .. in so many steps. One alarm an hour in bins of 20 ms is ``per=180_000``.
    calibration_fraction : float, default=0.3
        Share of the rows of `fit`, at their end, that set the threshold and are not
        fitted on.
    n_samples : int, default=100
        Draws a row.
    random_state : int, RandomState or None, default=None
        Seed of the draws and of the threshold, set once in `fit`: what a fitted
        detector says of the same rows is always the same.

    Attributes
    ----------
    forecaster_ : estimator
        The fitted forecaster.
    offset_ : float
        ``decision_function = score_samples - offset_``.
    period_score_ : PeriodScore
        What turns evidence into scores.

    Notes
    -----
    The methods take X and y, unlike those of scikit-learn's detectors of single rows:
    what is judged is the step y that followed X. Rows of `design_matrix` hold it only
    as the past of the next row, the last one not at all, and windows of neurons that
    decode a movement never.

    The evidence is normal scores of p-values, by channel and joint, and of the side
    on which each channel lies; see `p_values`. The threshold comes from a block
    bootstrap of held-out evidence [1]_, and is for alarms, not for rows: an alarm that
    lasts counts once. The held-out rows must be many, and have seen what is slow: where
    a stimulus or a drift takes hundreds of steps, a few hundred rows promise too much.
    Averages begin anew in each run.

    References
    ----------
    .. [1] H. R. Kuensch (1989), The jackknife and the bootstrap for general stationary
       observations, Annals of Statistics 17, 1217-1241.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn import Persistence, design_matrix
    >>> from afm_sklearn.applications.detector import SurpriseDetector
    >>> rng = np.random.default_rng(0)
    >>> steps = rng.normal(size=(1500, 3))
    >>> steps[1300:] *= 1.5
    >>> walk = steps.cumsum(0)
    >>> X = design_matrix(walk)
    >>> detector = SurpriseDetector(Persistence(), random_state=0)
    >>> detector = detector.fit(X[:1000], walk[:1000])
    >>> label = detector.predict(X[1000:], walk[1000:])
    >>> bool((label[:300] == 1).all()), bool((label[350:] == -1).all())
    (True, True)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "forecaster": "no_validation",
        "time_constant": [Interval(Real, 1, None, closed="left")],
        "false_alarms": [Interval(Real, 0, None, closed="neither")],
        "per": [Interval(Integral, 1, None, closed="left")],
        "calibration_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_samples": [Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        forecaster: Any,
        *,
        time_constant: float = 30,
        false_alarms: float = 1.0,
        per: int = 1000,
        calibration_fraction: float = 0.3,
        n_samples: int = 100,
        random_state: Any = None,
    ) -> None:
        self.forecaster = forecaster
        self.time_constant = time_constant
        self.false_alarms = false_alarms
        self.per = per
        self.calibration_fraction = calibration_fraction
        self.n_samples = n_samples
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the forecaster, and set the threshold on the rows after those.

        Parameters
        ----------
        X : array-like of shape (n, c) or (n, L, c)
            What the forecaster takes, of normal activity, in order of time.
        y : array-like of shape (n, d) or (n,)
            What followed; NaN where not observed.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If the forecaster cannot draw.
        ValueError
            If an argument of the constructor is out of range, X and y do not fit
            together, or too few rows are left to set the threshold.
        """
        self._validate_params()
        n, is_frozen = _num_samples(X), isinstance(self.forecaster, FrozenEstimator)
        held = n if is_frozen else int(self.calibration_fraction * n)
        needed = int(np.ceil(MIN_CALIBRATION * self.time_constant))
        if held < needed:
            raise ValueError(
                f"X has {n} rows, of which {held} set the threshold; time_constant="
                f"{self.time_constant:g} needs at least {needed} of them"
            )
        if is_frozen:
            forecaster = self.forecaster.estimator
        else:
            require(find_forecaster(self.forecaster), "sample", "forecaster")
            first = slice(n - held)
            forecaster = clone(self.forecaster).fit(_part(X, first), _part(y, first))
        seed = seed_from(self.random_state)
        rows = unwrap(forecaster, X, y, needs="sample")
        evidence = self._evidence(rows, np.arange(n - held, n), seed)
        rate = self.false_alarms / self.per
        score, threshold = calibrate(evidence, self.time_constant, rate, seed)
        self.forecaster_, self._seed = forecaster, seed
        self.period_score_, self.offset_ = score, -threshold
        return self

    def score_samples(self, X: Any, y: Any) -> Array:
        """Score the recent past of each row; low is abnormal.

        Parameters
        ----------
        X : array-like of shape (n, c) or (n, L, c)
            What the forecaster takes, in order of time.
        y : array-like of shape (n, d) or (n,)
            What followed; NaN, where not observed, is no evidence.

        Returns
        -------
        ndarray of shape (n,)
            Nothing after a row counts, so that the scores may be had while a
            recording goes on.
        """
        check_is_fitted(self)
        rows = unwrap(self.forecaster_, X, y, needs="sample")
        if rows.targets.shape[1] != len(self.period_score_.mean) // 2:
            raise ValueError(
                f"y has {rows.targets.shape[1]} columns, expected "
                f"{len(self.period_score_.mean) // 2}"
            )
        evidence = self._evidence(rows, np.arange(len(rows.y)), self._seed)
        return -self.period_score_(evidence, _run_starts(rows))

    def decision_function(self, X: Any, y: Any) -> Array:
        """Scores less the threshold: negative in an alarm; see `score_samples`.

        Parameters
        ----------
        X : array-like of shape (n, c) or (n, L, c)
            As in `score_samples`.
        y : array-like of shape (n, d) or (n,)
            As in `score_samples`.

        Returns
        -------
        ndarray of shape (n,)
        """
        return self.score_samples(X, y) - self.offset_

    def predict(self, X: Any, y: Any) -> Array:
        """Tell which rows belong to an alarm.

        Parameters
        ----------
        X : array-like of shape (n, c) or (n, L, c)
            As in `score_samples`.
        y : array-like of shape (n, d) or (n,)
            As in `score_samples`.

        Returns
        -------
        ndarray of int, shape (n,)
            -1 in an alarm, else 1.
        """
        return np.where(self.decision_function(X, y) < 0, -1, 1)

    def fit_predict(self, X: Any, y: Any) -> Array:
        """Fit, and judge the same rows.

        Parameters
        ----------
        X : array-like of shape (n, c) or (n, L, c)
            As in `fit`.
        y : array-like of shape (n, d) or (n,)
            As in `fit`.

        Returns
        -------
        ndarray of int, shape (n,)
        """
        return self.fit(X, y).predict(X, y)

    def _evidence(self, rows: Rows, at: Array, seed: int) -> Array:
        place, d = np.random.RandomState(seed), rows.targets.shape[1]
        parts = []
        for y, samples in draw_steps(rows, at, self.n_samples, seed):
            samples = np.reshape(samples, (len(y), self.n_samples, d))
            parts.append(normal_scores(y.reshape(len(y), d), samples, place))
        return np.concatenate(parts)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        return tags


def _part(values: Any, rows: slice) -> Any:
    return values.iloc[rows] if hasattr(values, "iloc") else values[rows]


def _run_starts(rows: Rows) -> Array:
    """Rows at which a run begins, the first among them."""
    if rows.runs is not None:
        return label_starts(rows.runs)
    X = rows.X if hasattr(rows.X, "shape") else np.asarray(rows.X)
    windows = X if X.ndim == 3 else X[:, None]
    begins = begins_run(windows, min(rows.targets.shape[1], windows.shape[2]))
    begins[0] = True
    return np.flatnonzero(begins)
