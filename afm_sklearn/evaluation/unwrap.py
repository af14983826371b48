"""From an estimator and its data to the forecaster and the rows that reach it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import _num_samples

from ..metrics.arguments import Array
from ..metrics.ensemble import check_observations
from .origins import Rows


class Forecaster(Protocol):
    """What the scorers ask of a fitted estimator.

    X is whatever the steps before it in a Pipeline put out. With 1-D targets the last
    axis of what is returned is dropped. The trajectory scorers alone call
    ``sample_trajectories``; where the lagged channels of X are an affine image of the
    targets, the attributes ``lag_scale_`` and ``lag_offset_`` state it:
    lag = (y - lag_offset_) / lag_scale_.

    A forecaster that makes its own windows has a ``window_length`` that is not None, an
    attribute ``run_column_`` (int or None), and a method ``make_windows`` that turns
    rows (n, c) into windows (n, L, c). The other methods take such windows too.
    """

    def sample(self, X: Any, n_samples: int, random_state: int) -> Array:
        """Draw the next step: (n, n_samples, d)."""

    def sample_trajectories(
        self,
        X: Any,
        horizon: int,
        *,
        stimulus: Array | None,
        n_samples: int,
        random_state: int,
    ) -> Array:
        """Draw the next steps jointly: (n, n_samples, horizon, d)."""


def unwrap(estimator: Any, X: Any, y: ArrayLike, *, needs: str) -> Rows:
    """Walk through fitted searches and Pipelines to the forecaster itself.

    Parameters
    ----------
    estimator : estimator, Pipeline or search
        Fitted.
    X : array-like of shape (n, ...)
        What the estimator, or the whole Pipeline, takes.
    y : array-like of shape (n, d) or (n,)
        Targets; NaN where missing.
    needs : str
        Name of the method that the forecaster must have.

    Returns
    -------
    Rows
        Windows, where the forecaster makes its own: their history stays whole
        whichever of them are drawn from.

    Raises
    ------
    TypeError
        If the forecaster has no such method.
    ValueError
        If y holds infinities, has more than two axes, or not as many rows as X.

    Examples
    --------
    >>> from sklearn.dummy import DummyRegressor
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = np.array([[1.0], [3.0]]), np.array([0.0, 1.0])
    >>> model = make_pipeline(StandardScaler(), DummyRegressor()).fit(X, y)
    >>> rows = unwrap(model, X, y, needs="predict")
    >>> rows.forecaster, rows.X.tolist()
    (DummyRegressor(), [[-1.0], [1.0]])
    """
    runs = None
    estimator, steps = take_apart(estimator)
    for step in steps:
        given, X = X, step.transform(X)  # a step says best what is wrong
        runs = _read_runs(step, given, runs)
    require(estimator, needs)
    if getattr(estimator, "window_length", None) is not None and np.ndim(X) == 2:
        given, X = X, estimator.make_windows(X)
        runs = _read_runs(estimator, given, runs)
    targets = _check_targets(y)
    if _num_samples(X) != len(targets):
        raise ValueError(
            "X and y must have the same number of rows, got "
            f"{_num_samples(X)} and {len(targets)}"
        )
    return Rows(estimator, X, targets, runs)


def take_apart(estimator: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the forecaster at the end of searches and Pipelines, and what precedes."""
    steps: list[Any] = []
    while True:
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif isinstance(estimator, Pipeline):
            before = [step for _, step in estimator.steps[:-1]]
            steps += [s for s in before if s is not None and s != "passthrough"]
            estimator = estimator.steps[-1][1]
        else:
            return estimator, tuple(steps)


def find_fitted(estimator: Any) -> Any:
    """Return the best estimator of a fitted search, and anything else as it is."""
    while hasattr(estimator, "best_estimator_"):
        estimator = estimator.best_estimator_
    return estimator


def find_forecaster(estimator: Any) -> Any:
    """Return the forecaster in a Pipeline or a search that may not be fitted yet."""
    while True:
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "estimator"):
            estimator = estimator.estimator
        else:
            return estimator


def require(forecaster: Any, method: str, name: str = "estimator") -> None:
    """Refuse a forecaster without a method of that name."""
    if not callable(getattr(forecaster, method, None)):
        kind = type(forecaster).__name__
        raise TypeError(
            f"{name} must have a method {method} to be scored as a probabilistic "
            f"forecaster, got {kind}; ResidualForecaster adds it to any regressor"
        )


def _read_runs(step: Any, X: Any, known: Array | None) -> Array | None:
    """Return the run labels that a step takes out of X, or those known before."""
    column = getattr(step, "run_column_", None)
    return known if column is None else np.asarray(X)[:, column]


def _check_targets(y: ArrayLike) -> Array:
    targets = check_observations(y)
    if targets.ndim > 2:
        raise ValueError(f"y must have shape (n, d) or (n,), got {targets.shape}")
    return targets


def as_fitted(step: Any, X: Array) -> Any:
    """Return rows as what a step was fitted on: columns with names, or without."""
    names = getattr(step, "feature_names_in_", None)
    if names is None or len(names) != X.shape[1]:  # a step says best what is wrong
        return X
    import pandas as pd  # no dependency: whoever fitted on a DataFrame has it

    return pd.DataFrame(X, columns=names)
