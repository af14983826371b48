"""The stimulus of steps to come, on its way through the steps of a Pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from ..checks import check_finite
from ..data.tables import is_polars
from ..metrics.arguments import Array
from ..windows import SlidingWindow
from .unwrap import unwrap

ROW_BY_ROW = ("sklearn.preprocessing.", "sklearn.impute.")
UNLIKE_NAN = 1.0  # in place of an activity not known, to tell whether it matters


def transform_stimulus(pipeline: Pipeline, X: Any, stimulus: Any, horizon: int) -> Any:
    """Bring the stimulus of steps to come into the units of the forecaster.

    It passes through the transformers as `afm_sklearn.forecast` has it: in rows that
    continue those of X, of the same run, where activity not known yet is NaN.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted: transformers and a forecaster, none of them a Pipeline or a search.
    X : array-like of shape (n, c)
        Rows of `design_matrix`, as the Pipeline takes them.
    stimulus : array-like of shape (n, horizon, s)
        For each row that of its own step and of those after it, in the units of X.
    horizon : int
        Steps, at least 1.

    Returns
    -------
    ndarray of shape (n, horizon, s')
        What ``sample_trajectories`` of the forecaster takes as its stimulus.

    Raises
    ------
    ValueError
        If X is not 2-D, its first columns are not the lagged targets or the last one
        not the run labels, the stimulus has the wrong shape or holds infinities, or a
        transformer makes stimulus channels of the activity.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from afm_sklearn import ResidualForecaster, design_matrix
    >>> rng = np.random.default_rng(0)
    >>> y, shown = rng.normal(size=100), rng.normal(10, 5, size=100)
    >>> X = design_matrix(y, shown)
    >>> pipe = make_pipeline(StandardScaler(), ResidualForecaster(Ridge())).fit(X, y)
    >>> mean = np.full((1, 2, 1), shown.mean())
    >>> transform_stimulus(pipe, X[:1], mean, 2).round(6)
    array([[[0.],
            [0.]]])
    """
    rows = np.array(X, dtype=np.float64)
    if rows.ndim != 2 or not len(rows):
        raise ValueError(
            f"X has shape {rows.shape}, expected rows (n, c) for a stimulus to pass "
            "through the steps before the forecaster"
        )
    forecaster = pipeline.steps[-1][1]
    if not getattr(forecaster, "autoregressive_", True):
        raise ValueError(
            "stimulus needs the first channels that reach the forecaster to be the "
            "lagged targets; those of the rows given to fit are not, nor a scaled copy "
            "of them"
        )
    n, c = rows.shape
    d, s = _columns(pipeline, c)
    shown = np.asarray(stimulus, dtype=np.float64)
    if shown.shape != (n, horizon, s):
        raise ValueError(
            f"stimulus has shape {shown.shape}, expected {(n, horizon, s)}: rows of X, "
            "steps of horizon, stimulus columns of X"
        )
    check_finite("stimulus", shown, forecaster)
    steps = np.repeat(rows[:, None], horizon, axis=1)
    steps[:, 1:, :d] = np.nan
    steps[:, :, d : d + s] = shown

    def newest(values: Array) -> Array:
        """Return the stimulus channels of rows that passed the transformers."""
        like, y = _like(X, values), np.zeros((len(values), d))
        reached = unwrap(pipeline, like, y, needs="sample_trajectories")
        return np.asarray(reached.newest[:, d:], dtype=np.float64)

    def after(i: int, ahead: Array) -> Array:
        return newest(np.vstack([rows[:i], ahead]))[i:]

    _refuse_mixing(after(n - 1, steps[-1]), after(n - 1, _filled(steps[-1], d)))
    if all(_takes_rows_alone(step) for _, step in pipeline.steps[:-1]):
        return newest(steps.reshape(-1, c)).reshape(n, horizon, -1)
    return np.stack([after(i, steps[i]) for i in range(n)])


def _columns(pipeline: Pipeline, n_columns: int) -> tuple[int, int]:
    """Count the activity columns and the stimulus columns of a row."""
    makers = [
        step
        for _, step in pipeline.steps
        if getattr(step, "run_column_", None) is not None
    ]
    for maker in makers:
        if maker.run_column_ != maker.n_features_in_ - 1:
            raise ValueError(
                "X must have its run column last, as design_matrix lays it out, got "
                f"run_column {maker.run_column_} of {maker.n_features_in_} columns"
            )
    forecaster = pipeline.steps[-1][1]
    law = getattr(forecaster, "law", None)  # of an oracle, which is not fitted
    d = forecaster.n_outputs_ if law is None else law.n_outputs
    return d, n_columns - d - bool(makers)


def _filled(steps: Array, d: int) -> Array:
    """Return steps with another activity where it is not known."""
    other = steps.copy()
    other[1:, :d] = UNLIKE_NAN
    return other


def _refuse_mixing(one: Array, other: Array) -> None:
    """Refuse a stimulus that depends on activity which is drawn only later."""
    differs = ~np.isclose(one, other, rtol=1e-9, atol=0, equal_nan=True)
    if differs.any():
        channel = int(differs.any(0).argmax())
        raise ValueError(
            f"stimulus channel {channel} that reaches the forecaster depends on the "
            "lagged activity, which is not known ahead: steps before the forecaster "
            "must make stimulus channels of stimulus columns alone"
        )


def _takes_rows_alone(step: Any) -> bool:
    """Tell transformers of which is known that they look at one row at a time.

    What a window adds is history; its newest row is the row itself.
    """
    if isinstance(step, SlidingWindow):
        return not step.flatten
    if isinstance(step, ColumnTransformer):
        parts = [part for _, part, _ in step.transformers_]
        return all(isinstance(p, str) or _takes_rows_alone(p) for p in parts)
    if isinstance(step, FunctionTransformer):
        return step.func is None
    return type(step).__module__.startswith(ROW_BY_ROW)


def _like(X: Any, values: Array) -> Any:
    """Return values in a container like that of X, with its column names."""
    if hasattr(X, "iloc"):
        return type(X)(values, columns=X.columns)
    if is_polars(X):
        return type(X)(values, schema=X.columns, orient="row")
    return values
