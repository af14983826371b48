"""From a fitted Pipeline or search to what answers as its forecaster does."""

from __future__ import annotations

from typing import Any

from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import check_is_fitted

from .evaluation.unwrap import take_apart
from .fitted_pipeline import FittedPipeline

__all__ = ["FittedPipeline", "as_forecaster"]


def as_forecaster(estimator: Any) -> Any:
    """Return what draws and states quantiles as the forecaster in a Pipeline does.

    Parameters
    ----------
    estimator : estimator, Pipeline or search
        Fitted; ends in a forecaster. Pipelines, searches and
        `sklearn.frozen.FrozenEstimator` may be nested.

    Returns
    -------
    FittedPipeline or forecaster
        A view, not a copy: nothing is fitted again. Where no step precedes the
        forecaster, the forecaster itself.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted, or is a search with ``refit=False``.
    TypeError
        If it does not end in a forecaster, transforms its targets, or a step before
        the forecaster cannot transform.

    See Also
    --------
    forecast : Draws the steps after the last one of a recording.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from afm_sklearn import Persistence, SlidingWindow, design_matrix
    >>> from afm_sklearn.pipelines import as_forecaster
    >>> walk = np.random.default_rng(0).normal(size=(200, 2)).cumsum(0)
    >>> X = design_matrix(walk)
    >>> pipe = make_pipeline(StandardScaler(), SlidingWindow(3), Persistence())
    >>> model = as_forecaster(pipe.fit(X, walk))
    >>> model.predict_interval(X).shape
    (200, 2, 2)
    >>> model.sample_trajectories(X[-3:], horizon=5, n_samples=10).shape
    (3, 10, 5, 2)
    """
    if isinstance(estimator, FittedPipeline):
        return estimator
    check_is_fitted(estimator)
    forecaster, transformers = take_apart(estimator)
    _check_forecaster(forecaster)
    steps = [step for outer in transformers for step in _flat(outer)]
    for step in steps:
        if not callable(getattr(step, "transform", None)):
            raise TypeError(
                "estimator must have steps with a method transform before the "
                f"forecaster, got {type(step).__name__}"
            )
    return FittedPipeline(make_pipeline(*steps, forecaster)) if steps else forecaster


def _check_forecaster(forecaster: Any) -> None:
    if isinstance(forecaster, TransformedTargetRegressor):
        raise TypeError(
            "estimator must leave its targets as they are, got "
            "TransformedTargetRegressor, whose forecaster knows nothing of the units "
            "of y. Forecasters scale targets themselves: leave it out, or transform "
            "the activity before design_matrix"
        )
    if hasattr(forecaster, "cv_results_"):
        raise NotFittedError(
            f"estimator holds a {type(forecaster).__name__} with refit=False, which "
            "keeps no fitted forecaster: expected refit=True"
        )
    if not callable(getattr(forecaster, "sample", None)):
        raise TypeError(
            "estimator must end in a forecaster, which must have a method sample, got "
            f"{type(forecaster).__name__}; ResidualForecaster makes a forecaster of "
            "any regressor"
        )
    check_is_fitted(forecaster)


def _flat(step: Any) -> list[Any]:
    """Return the steps in a step, which may be a Pipeline itself."""
    if isinstance(step, FrozenEstimator):
        return _flat(step.estimator)
    if isinstance(step, Pipeline):
        inner = [one for _, one in step.steps if one is not None]
        return [one for s in inner if s != "passthrough" for one in _flat(s)]
    return [step]
