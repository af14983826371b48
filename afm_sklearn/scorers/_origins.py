"""From an estimator and its data to the forecaster, and the rows it may start from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline

from afm_sklearn.metrics._ensemble import Array, check_observations


@dataclass(frozen=True)
class Rows:
    """A forecaster, the rows of X that reach it, and their targets.

    Parameters
    ----------
    forecaster : estimator with ``sample`` or ``sample_trajectories``
        The last step of what was passed as an estimator.
    X : array-like of shape (n, L, c) or (n, c)
        What the steps before it in a Pipeline put out.
    y : ndarray of shape (n, d) or (n,)
        Targets; NaN where missing.
    runs : ndarray of shape (n,) or None
        Run labels, where a step before the forecaster knows them.
    """

    forecaster: Any
    X: Any
    y: Array
    runs: Array | None = None

    @property
    def targets(self) -> Array:
        """The targets as (n, d), also for a single one."""
        return self.y.reshape(len(self.y), -1)

    @cached_property
    def newest(self) -> Array:
        """The channels known just before each target: (n, c)."""
        rows = np.asarray(self.X)
        newest = rows[:, -1] if rows.ndim == 3 else rows
        n_outputs = self.targets.shape[1]
        if len(newest) != len(self.y):
            raise ValueError(
                "X and y must have the same number of rows, got "
                f"{len(newest)} and {len(self.y)}"
            )
        if newest.ndim != 2 or newest.shape[1] < n_outputs:
            raise ValueError(
                f"X must hold the {n_outputs} lagged targets first, as (n, c) or "
                f"windows (n, L, c), got shape {rows.shape}"
            )
        return newest

    @property
    def stimulus(self) -> Array:
        """The channels after the lagged targets: (n, s)."""
        return self.newest[:, self.targets.shape[1] :]

    @cached_property
    def linked(self) -> Array:
        """Whether row t + 1 is the next step of the run of row t: (n - 1,).

        The rule is stated by `TrajectoryScorer.origins`.
        """
        now, then = self.targets[:-1], self._lags_in_units_of_y()[1:]
        # Wide enough for float32, and for scaling undone by estimated numbers.
        tolerance = 1e-5 * np.abs(np.nan_to_num(self.targets)).max(axis=0)
        differs = (np.abs(then - now) > tolerance).any(axis=1)
        unknown = np.isnan(then).all(axis=1)
        if self.runs is None:
            return ~unknown & ~differs
        begins = unknown & ~np.isnan(now).all(axis=1)
        return (self.runs[1:] == self.runs[:-1]) & ~begins & ~differs

    def origins(self, horizon: int, *, complete: bool) -> Array:
        """Rows that start `horizon` consecutive observed steps of one run.

        Parameters
        ----------
        horizon : int
            Number of steps, the row itself included.
        complete : bool
            Ask for every target of these steps; for any of them otherwise.

        Returns
        -------
        ndarray of shape (n_origins,)
            Increasing row indices; empty where there is none.
        """
        over_steps = np.all if complete else np.any
        starts = np.arange(max(0, len(self.y) - horizon + 1))
        path = starts[:, None] + np.arange(horizon)
        seen = over_steps(over_steps(~np.isnan(self.targets), axis=1)[path], axis=1)
        # A single step needs no lagged targets in X, which a decoder does not have.
        if horizon > 1:
            seen &= self.linked[path[:, :-1]].all(axis=1)
        return starts[seen]

    def _lags_in_units_of_y(self) -> Array:
        lags = self.newest[:, : self.targets.shape[1]]
        scale = getattr(self.forecaster, "lag_scale_", None)
        offset = getattr(self.forecaster, "lag_offset_", None)
        lags = lags if scale is None else lags * np.asarray(scale)
        return lags if offset is None else lags + np.asarray(offset)


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

    Raises
    ------
    TypeError
        If the forecaster has no such method.
    ValueError
        If y holds infinities or has more than two axes.
    """
    runs = None
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif isinstance(estimator, Pipeline):
            for _, step in estimator.steps[:-1]:
                if step is None or step == "passthrough":
                    continue
                if getattr(step, "run_column_", None) is not None:
                    runs = np.asarray(X)[:, step.run_column_]
                X = step.transform(X)
            estimator = estimator.steps[-1][1]
        else:
            require(estimator, needs)
            return Rows(estimator, X, _check_targets(y), runs)


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


def no_origin(horizon: int, n_rows: int) -> ValueError:
    """Return the error for data in which no trajectory can start."""
    return ValueError(
        f"no row of X starts {horizon} consecutive observed steps of one run, so that "
        f"horizon={horizon} cannot be scored on these {n_rows} rows. The newest lagged "
        "channels of a row must be the targets of the row before, as design_matrix "
        "lays them out"
    )


def _check_targets(y: ArrayLike) -> Array:
    targets = check_observations(y)
    if targets.ndim > 2:
        raise ValueError(f"y must have shape (n, d) or (n,), got {targets.shape}")
    return targets
