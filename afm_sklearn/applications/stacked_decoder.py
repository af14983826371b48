"""Decode movement from neurons in two passes that never see the movement's past."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils import Tags
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import check_is_fitted

from ..checks import seed_from
from ..data.labels import find_column
from ..data.numbers import as_columns
from ..data.runs import label_starts
from ..design import design_matrix
from ..forecaster import AFMForecaster
from ..windows import sliding_windows
from .decoder_input import check_lags, check_movement, check_rows, split_rows
from .first_pass import first_regressors, fit_first_pass

Array = NDArray[Any]

AT_LEAST_ONE = Interval(Integral, 1, None, closed="left")


class StackedDecoder(RegressorMixin, BaseEstimator):
    """Decode movement from neurons: p(movement now | all neurons until now).

    A first pass estimates the movement of each step from a short window of neurons,
    by regressions that are combined by their out-of-fold errors. The second pass is a
    forecaster that sees a long window of these estimates, up to the present one, and
    learns how they go with the movement: how far to trust them, how to smooth them,
    and what the movement may be around them.

    A forecaster that is rolled out trusts its own past too much: what neurons say now
    does not correct what was drawn before. Here no draw is fed back, and the second
    pass is calibrated on estimates that are as wrong as they will be.

    Parameters
    ----------
    regressors : list of estimators, default=None
        Of the first pass. By default a ridge regression and extremely randomised
        trees.
    forecaster : forecaster, default=None
        The second pass, which takes windows (n, `context`, d). By default an
        `AFMForecaster`.
    length : int, default=10
        Steps of neurons, the present one included, that the first pass sees.
    context : int, default=20
        Estimates, the present one included, that the second pass sees.
    run_column : int, str or None, default=None
        Column of X that marks runs.
    cv : int, default=5
        Blocks of consecutive rows that are held out in turn.
    random_state : int, RandomState or None, default=None
        Seed of both passes, where their own is None.

    Attributes
    ----------
    first_pass_ : FirstPass
        The fitted regressors, their weights, and how they are combined.
    forecaster_ : forecaster
        The fitted second pass.
    reach_ : int
        Steps of neurons that say all there is about the present: ``decode`` of the
        last `reach_` steps ends as that of a whole session does.
    n_outputs_ : int
        Movement channels d.
    run_column_ : int or None
        Index of the run column.

    Notes
    -----
    Draws of one step are joint over movement channels. Those of different steps are
    independent, as the answers of a filter are: they are no trajectories.

    The first pass is a stack of regressions [1]_; its default trees are those of [2]_.

    References
    ----------
    .. [1] L. Breiman (1996), Stacked regressions, Machine Learning 24, 49-64.
    .. [2] P. Geurts, D. Ernst and L. Wehenkel (2006), Extremely randomized trees,
       Machine Learning 63, 3-42.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from afm_sklearn import design_matrix
    >>> from afm_sklearn.applications.stacked_decoder import StackedDecoder
    >>> rng = np.random.default_rng(0)
    >>> movement = np.sin(np.arange(600) / 9.0)[:, None]
    >>> neurons = movement + rng.normal(size=(600, 6))
    >>> decoder = StackedDecoder([Ridge()], random_state=0)
    >>> _ = decoder.fit(design_matrix(movement, neurons)[:400], movement[:400])
    >>> draws = decoder.decode(neurons[400:], n_samples=50, random_state=0)
    >>> draws.shape
    (50, 200, 1)
    >>> bool(np.abs(draws.mean(0) - movement[400:]).mean() < 0.3)
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "regressors": [list, tuple, None],
        "forecaster": [HasMethods(["fit", "sample"]), None],
        "length": [AT_LEAST_ONE],
        "context": [AT_LEAST_ONE],
        "run_column": [Integral, str, None],
        "cv": [Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        regressors=None,
        forecaster=None,
        *,
        length=10,
        context=20,
        run_column=None,
        cv=5,
        random_state=None,
    ):
        self.regressors = regressors
        self.forecaster = forecaster
        self.length = length
        self.context = context
        self.run_column = run_column
        self.cv = cv
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Learn both passes.

        Parameters
        ----------
        X : array-like of shape (n, d + s) or (n, d + s + 1)
            Rows of ``design_matrix(movement, neurons, runs)``. The movement in it is
            checked and then left alone; neurons that were not recorded are NaN.
        y : array-like of shape (n, d) or (n,)
            The movement; NaN where missing.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X does not begin with the lagged movement, or has no neurons.
        """
        self._validate_params()
        regressors = first_regressors(self.regressors)
        X = check_rows(self, X, reset=True)
        targets = check_movement(self, y, len(X))
        self._one_dim = targets.ndim == 1
        targets = targets.reshape(len(X), -1)
        self.n_outputs_ = targets.shape[1]
        names = getattr(self, "feature_names_in_", None)
        self.run_column_ = find_column(self.run_column, X.shape[1], names)
        known, starts = split_rows(X, self.run_column_)
        check_lags(known, targets)
        seed = seed_from(self.random_state)
        windows = sliding_windows(known, self.length, starts)
        first, estimates = fit_first_pass(regressors, windows, targets, self.cv, seed)
        second = self.forecaster
        if second is None:
            second = AFMForecaster(autoregressive=False, random_state=seed)
        context = np.asarray(sliding_windows(estimates, self.context, starts))
        self.first_pass_ = first
        self.forecaster_ = clone(second).fit(context, targets)
        self.reach_ = self.length + self.context - 1
        return self

    def decode(
        self,
        neurons: Any,
        *,
        runs: Any = None,
        n_samples: int = 100,
        random_state: Any = None,
    ) -> Array:
        """Draw the movement at each step, given the neurons until then.

        Parameters
        ----------
        neurons : array-like of shape (T, s) or (T,)
            NaN where not recorded.
        runs : array-like of shape (T,), optional
            Labels of continuous recordings, which are decoded apart.
        n_samples : int, default=100
            Draws.
        random_state : int, RandomState or None, default=None
            Seed of the draws.

        Returns
        -------
        ndarray of shape (n_samples, T, d) or (n_samples, T)

        Raises
        ------
        ValueError
            If there are other neurons than in `fit`, or `runs` in only one of both.
        """
        check_is_fitted(self)
        shown, d = as_columns(neurons, "neurons"), self.n_outputs_
        has_runs = self.run_column_ is not None
        if has_runs != (runs is not None):
            given = "None, but were given" if has_runs else "given, but were not"
            raise ValueError(f"runs is {given} in fit")
        s = self.n_features_in_ - d - has_runs
        if shown.shape[1] != s:
            raise ValueError(f"neurons has {shown.shape[1]} columns, fit had {s}")
        X = design_matrix(np.full((len(shown), d), np.nan), shown, runs)
        starts = label_starts(X[:, -1]) if has_runs else None
        context = self._estimates(X[:, d : d + s], starts)
        draws = self._draw(context, n_samples, random_state)
        return np.moveaxis(draws, 0, 1)

    def sample(self, X: Any, n_samples: int = 100, random_state: Any = None) -> Array:
        """Draw the movement at each row, given the neurons until then.

        Parameters
        ----------
        X : array-like of shape (n, c)
            As in `fit`, in the order of time. The movement in it is not looked at.
        n_samples, random_state
            As in `decode`.

        Returns
        -------
        ndarray of shape (n, n_samples, d) or (n, n_samples)
        """
        return self._draw(self._context(X), n_samples, random_state)

    def predict(self, X: Any) -> Array:
        """Mean of the movement at each row; see `sample`.

        Returns
        -------
        ndarray of shape (n, d) or (n,)
        """
        context = self._context(X)
        mean = np.asarray(self.forecaster_.predict(context))
        return self._shape(mean.reshape(len(context), -1))

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        """Central interval of the movement at each row; see `sample`.

        Parameters
        ----------
        X : array-like of shape (n, c)
        coverage : float
            Probability that the interval is to hold, strictly between 0 and 1.

        Returns
        -------
        ndarray of shape (n, 2, d) or (n, 2)
            Lower and upper ends.
        """
        context = self._context(X)
        ends = np.asarray(self.forecaster_.predict_interval(context, coverage))
        return self._shape(ends.reshape(len(context), 2, -1))

    # -- helpers ---------------------------------------------------------------

    def _context(self, X: Any) -> Array:
        check_is_fitted(self)
        X = check_rows(self, X, reset=False)
        known, starts = split_rows(X, self.run_column_)
        return self._estimates(known[:, self.n_outputs_ :], starts)

    def _estimates(self, neurons: Array, starts: Array | None) -> Array:
        """Windows (n, context, d) of what the first pass makes of neurons (n, s)."""
        windows = sliding_windows(neurons, self.length, starts)
        estimates = self.first_pass_.predict(windows)
        return np.asarray(sliding_windows(estimates, self.context, starts))

    def _draw(self, context: Array, n_samples: int, random_state: Any) -> Array:
        draws = self.forecaster_.sample(context, n_samples, random_state=random_state)
        return self._shape(draws.reshape(len(context), n_samples, -1))

    def _shape(self, values: Array) -> Array:
        return values[..., 0] if self._one_dim else values

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        tags.regressor_tags.poor_score = True
        return tags
