"""A fitted Pipeline with the methods of the forecaster at its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.metaestimators import available_if

from .checks import LEVELS, check_integer
from .evaluation.ahead import transform_stimulus

Array = NDArray[Any]


def _has(method: str) -> Callable[[Any], bool]:
    """Tell a method that the forecaster has from one that it lacks."""
    return lambda fitted: hasattr(fitted.forecaster, method)


class FittedPipeline:
    """A fitted Pipeline that answers as the forecaster at its end does.

    Made by `as_forecaster`. X of every method is what the whole Pipeline takes: rows of
    `design_matrix`, each with the rows of its history before it. Results are in units
    of y. To start from the newest row alone, pass as many rows as a window has and take
    the last result. A method that the forecaster lacks is missing here, too.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted, with a forecaster as its last step.

    Attributes
    ----------
    pipeline : Pipeline
        All steps in one line.
    forecaster : estimator
        The last of them, for all else: ``forecaster.law_``.
    best_estimator_ : Pipeline
        The same, under the name by which scorers, `forecast`, plots and applications
        look into a search.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from afm_sklearn import Persistence, SlidingWindow, as_forecaster
    >>> walk = np.arange(50.0)
    >>> X = np.r_[np.nan, walk[:-1]][:, None]
    >>> pipe = make_pipeline(SlidingWindow(2), Persistence()).fit(X, walk)
    >>> as_forecaster(pipe).predict(X[-2:])
    array([47., 48.])
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.pipeline!r})"

    @property
    def forecaster(self) -> Any:
        """The last step."""
        return self.pipeline.steps[-1][1]

    @property
    def best_estimator_(self) -> Pipeline:
        """The Pipeline, under the name that a search has for it."""
        return self.pipeline

    def predict(self, X: Any) -> Array:
        """Conditional mean, as ``predict`` of the Pipeline.

        Parameters
        ----------
        X : array-like of shape (n, c)
            What the whole Pipeline takes.

        Returns
        -------
        ndarray of shape (n, d) or (n,)
        """
        mean: Array = self.forecaster.predict(self._transform(X))
        return mean

    @available_if(_has("predict_quantiles"))
    def predict_quantiles(
        self, X: Any, alpha: Any = LEVELS, *, quantiles: Any = None
    ) -> Array:
        """Quantiles of each channel.

        Parameters
        ----------
        X : array-like of shape (n, c)
            What the whole Pipeline takes.
        alpha : float or sequence of float
            Levels, strictly between 0 and 1.
        quantiles : float or sequence of float, optional
            Another name of `alpha`.

        Returns
        -------
        ndarray of shape (n, n_alpha, d) or (n, n_alpha)

        Raises
        ------
        ValueError
            If a level is not strictly between 0 and 1, or both names are given.
        """
        X, ask = self._transform(X), self.forecaster.predict_quantiles
        return ask(X, alpha, quantiles=quantiles)

    @available_if(_has("predict_interval"))
    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        """Central interval of each channel.

        Parameters
        ----------
        X : array-like of shape (n, c)
            What the whole Pipeline takes.
        coverage : float
            Probability that the interval is to hold, strictly between 0 and 1.

        Returns
        -------
        ndarray of shape (n, 2, d) or (n, 2)
            Lower and upper ends.
        """
        return self.forecaster.predict_interval(self._transform(X), coverage)

    def sample(self, X: Any, n_samples: int = 100, random_state: Any = None) -> Array:
        """Independent draws of the next step.

        Parameters
        ----------
        X : array-like of shape (n, c)
            What the whole Pipeline takes.
        n_samples : int
            Draws a row.
        random_state : int, RandomState or None
            Seed of the draws.

        Returns
        -------
        ndarray of shape (n, n_samples, d) or (n, n_samples)
        """
        draws: Array = self.forecaster.sample(
            self._transform(X), n_samples, random_state
        )
        return draws

    @available_if(_has("sample_trajectories"))
    def sample_trajectories(
        self,
        X: Any,
        horizon: int,
        *,
        stimulus: Any = None,
        n_samples: int = 100,
        random_state: Any = None,
    ) -> Array:
        """Joint draws of the next `horizon` steps, from every row.

        Parameters
        ----------
        X : array-like of shape (n, c)
            What the whole Pipeline takes.
        horizon : int
            Steps to draw.
        stimulus : array-like of shape (n, horizon, s), optional
            The stimulus during each step to draw, in the units of the stimulus columns
            of X: it passes through the steps before the forecaster. Its first step
            replaces that of the row. Needed when there is a stimulus and
            ``horizon > 1``.
        n_samples : int
            Trajectories a row.
        random_state : int, RandomState or None
            Seed of the draws.

        Returns
        -------
        ndarray of shape (n, n_samples, horizon, d) or (n, n_samples, horizon)

        Raises
        ------
        ValueError
            If the first channels that reach the forecaster are not the lagged targets;
            the stimulus is missing, of the wrong shape or not finite; or a step makes
            stimulus channels of the activity, which is not known ahead.

        Notes
        -----
        Steps before the forecaster see rows like those of X: all rows up to the one to
        start from, then one for each step to draw, of the same run and with NaN for the
        activity not known yet. Where all of them are scikit-learn's own scalers and
        imputers, also of some columns, which take each row by itself, the rows before
        are left out; otherwise the time grows with the square of the number of rows.
        """
        check_integer("horizon", horizon)
        if stimulus is not None:
            stimulus = transform_stimulus(self.pipeline, X, stimulus, horizon)
        return self.forecaster.sample_trajectories(
            self._transform(X),
            horizon,
            stimulus=stimulus,
            n_samples=n_samples,
            random_state=random_state,
        )

    @available_if(_has("log_prob"))
    def log_prob(self, X: Any, y: Any) -> Array:
        """Log density of y given X; what is missing in y (NaN) is marginalised.

        Parameters
        ----------
        X : array-like of shape (n, c)
            What the whole Pipeline takes.
        y : array-like of shape (n, d) or (n,)
            Targets.

        Returns
        -------
        ndarray of shape (n,)
            In nats.
        """
        return self.forecaster.log_prob(self._transform(X), y)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R2 of the mean, averaged over channels, whatever a search was scored by.

        Parameters
        ----------
        X : array-like of shape (n, c)
            What the whole Pipeline takes.
        y : array-like of shape (n, d) or (n,)
            Targets; NaN where missing.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows.

        Returns
        -------
        float
        """
        return float(self.forecaster.score(self._transform(X), y, sample_weight))

    @available_if(_has("summary"))
    def summary(self) -> str:
        """Tell what the fit of the forecaster kept and why, as its own ``summary``.

        Returns
        -------
        str
        """
        told: str = self.forecaster.summary()
        return told

    def _transform(self, X: Any) -> Any:
        for _, step in self.pipeline.steps[:-1]:
            X = step.transform(X)
        return X
