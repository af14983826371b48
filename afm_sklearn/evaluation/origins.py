"""The rows that a forecaster may start from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing

from ..data.runs import begins_run
from ..metrics.arguments import Array


@dataclass(frozen=True)
class Rows:
    """A forecaster, the rows of X that reach it, and their targets.

    Parameters
    ----------
    forecaster : estimator with ``sample`` or ``sample_trajectories``
        The last step of what was passed as an estimator.
    X : array-like of shape (n, L, c) or (n, c)
        What the steps before it in a Pipeline put out, or its own windows. Never
        written out as a whole.
    y : ndarray of shape (n, d) or (n,)
        Targets; NaN where missing.
    runs : ndarray of shape (n,) or None
        Run labels, where the forecaster or a step before it knows them.

    Examples
    --------
    >>> y = np.array([1.0, 2.0, 3.0, 4.0])
    >>> lags = np.array([[np.nan], [1.0], [np.nan], [3.0]])
    >>> Rows(None, lags, y).origins(2, complete=True)
    array([0, 2])
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
        n_outputs, X = self.targets.shape[1], self._shaped
        newest = np.asarray(X[:, -1] if X.ndim == 3 else X)
        if newest.ndim != 2 or newest.shape[1] < n_outputs:
            raise ValueError(
                f"X must hold the {n_outputs} lagged targets first, as (n, c) or "
                f"windows (n, L, c), got shape {X.shape}"
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
        observed = ~np.isnan(now).all(axis=1)
        begins = self._begins_run()[1:]
        if self.runs is None:
            # Windows that do not know of runs reach across their ends.
            forgotten = observed & np.isnan(then).all(axis=1)
            return ~begins & ~forgotten & ~differs
        return (self.runs[1:] == self.runs[:-1]) & ~(begins & observed) & ~differs

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

    def at(self, rows: Array) -> Any:
        """Return some rows of X, (k, L, c) or (k, c), in the container of X."""
        return _safe_indexing(self.X, rows)

    def _begins_run(self) -> Array:
        windows = self._shaped if self._shaped.ndim == 3 else self.newest[:, None]
        return begins_run(windows, self.targets.shape[1])

    @property
    def _shaped(self) -> Any:
        return self.X if hasattr(self.X, "shape") else np.asarray(self.X)

    def _lags_in_units_of_y(self) -> Array:
        lags = self.newest[:, : self.targets.shape[1]]
        scale = getattr(self.forecaster, "lag_scale_", None)
        offset = getattr(self.forecaster, "lag_offset_", None)
        lags = lags if scale is None else lags * np.asarray(scale)
        return lags if offset is None else lags + np.asarray(offset)


def no_origin(horizon: int, n_rows: int) -> ValueError:
    """Return the error for data in which no trajectory can start."""
    return ValueError(
        f"no row of X starts {horizon} consecutive observed steps of one run, so that "
        f"horizon={horizon} cannot be scored on these {n_rows} rows. The newest lagged "
        "channels of a row must be the targets of the row before, as design_matrix "
        "lays them out"
    )
