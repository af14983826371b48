"""Proper scores as scikit-learn scorers: pass them as ``scoring=``.

Every scorer draws from the fitted forecaster, scores the draws, and returns minus the
mean score, so that greater is better. `neg_crps_scorer`, `neg_energy_scorer` and
`neg_variogram_scorer` judge the next step, `make_trajectory_scorer` whole rollouts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing

from afm_sklearn.metrics import crps, energy_score, variogram_score
from afm_sklearn.metrics._ensemble import Array, check_observations

__all__ = [
    "Forecaster",
    "SampleScorer",
    "TrajectoryScorer",
    "make_trajectory_scorer",
    "neg_crps_scorer",
    "neg_energy_scorer",
    "neg_variogram_scorer",
]

_SCORES = {"crps": crps, "energy": energy_score, "variogram": variogram_score}
_JOINT = ("energy", "variogram")  # one score a row, not one an entry

# Entries drawn at once: 128 MiB of doubles.
_CHUNK_ENTRIES = 2**24


class Forecaster(Protocol):
    """What the scorers ask of a fitted estimator.

    X is whatever the steps before it in a Pipeline put out. With 1-D targets the last
    axis of what is returned is dropped. The trajectory scorers alone call
    ``sample_trajectories``; where the lagged channels of X are an affine image of the
    targets, the attributes ``lag_scale_`` and ``lag_offset_`` state it:
    lag = (y - lag_offset_) / lag_scale_.
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


class _Scorer:
    def _accept_sample_weight(self) -> bool:
        # A dict of scorers is asked for this when sample weights are fitted.
        return False


@dataclass(frozen=True)
class SampleScorer(_Scorer):
    """Minus the mean score of draws of the next step; greater is better.

    A callable ``scorer(estimator, X, y) -> float`` for ``scoring=`` of `GridSearchCV`,
    `cross_validate` and their like, alone or as a value of a dict. The estimator is
    any with ``sample(X, n_samples, random_state)``, or a Pipeline or a fitted search
    that holds one.

    Parameters
    ----------
    score : {"crps", "energy", "variogram"}
        Score of the draws; the fair estimator, see `afm_sklearn.metrics`.
    n_samples : int, default=100
        Draws a row, at least 2. The mean does not depend on it, its noise does.
    random_state : int, default=0
        Seed of the draws, the same for every estimator, so that candidates of a search
        are compared on the same noise and a score comes out the same again.

    Notes
    -----
    Missing entries of y (NaN) are left out of the mean; rows with any, for the joint
    scores "energy" and "variogram". Draws are made and scored in chunks of rows, in
    bounded memory; the chunks depend on the shape of y alone.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.scorers import SampleScorer
    >>> class WhiteNoise:
    ...     def sample(self, X, n_samples=100, random_state=None):
    ...         rng = np.random.default_rng(random_state)
    ...         return rng.normal(size=(len(X), n_samples))
    >>> y = np.random.default_rng(1).normal(size=1000)
    >>> round(SampleScorer("crps", n_samples=50)(WhiteNoise(), y[:, None], y), 1)
    -0.6
    """

    score: str
    n_samples: int = 100
    random_state: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be scored."""
        _check_choice("score", self.score, tuple(_SCORES))
        _check_integer("n_samples", self.n_samples, at_least=2)

    def __call__(self, estimator: Any, X: Any, y: ArrayLike) -> float:
        """Draw from the estimator and score the draws.

        Parameters
        ----------
        estimator : estimator with ``sample``, Pipeline or search
            Fitted.
        X : array-like of shape (n, ...)
            What the estimator, or the whole Pipeline, takes.
        y : array-like of shape (n, d) or (n,)
            Targets; NaN where missing.

        Returns
        -------
        float
            Minus the mean score.

        Raises
        ------
        TypeError
            If the estimator has no method ``sample``.
        ValueError
            If nothing was observed, or draws are not finite or of the wrong shape.
        """
        forecaster, rows_of_X, _ = _unwrap(estimator, X)
        _require(forecaster, "sample")
        targets = check_observations(y)
        total = _Mean(self.score)
        per_row = self.n_samples * _n_outputs(targets)
        for rows, seed in _chunks(len(targets), per_row, self.random_state):
            samples = forecaster.sample(
                _safe_indexing(rows_of_X, rows),
                n_samples=self.n_samples,
                random_state=seed,
            )
            total.add(targets[rows], samples)
        return -total.value()


@dataclass(frozen=True)
class TrajectoryScorer(_Scorer):
    """Minus the mean score of joint draws of the next steps; greater is better.

    Made by `make_trajectory_scorer`, which documents the parameters.
    """

    score: str
    horizon: int
    stride: int = 1
    n_samples: int = 100
    random_state: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be scored."""
        _check_choice("score", self.score, ("crps", "energy"))
        _check_integer("horizon", self.horizon, at_least=1)
        _check_integer("stride", self.stride, at_least=1)
        _check_integer("n_samples", self.n_samples, at_least=2)

    def __call__(self, estimator: Any, X: Any, y: ArrayLike) -> float:
        """Draw trajectories from every origin and score them.

        Parameters
        ----------
        estimator : estimator with ``sample_trajectories``, Pipeline or search
            Fitted.
        X : array-like of shape (n, ...)
            What the estimator, or the whole Pipeline, takes: consecutive rows in order.
        y : array-like of shape (n, d) or (n,)
            Targets; NaN where missing.

        Returns
        -------
        float
            Minus the mean score.

        Raises
        ------
        TypeError
            If the estimator has no method ``sample_trajectories``.
        ValueError
            If there is no row to start from (see `origins`), or draws are not finite
            or of the wrong shape.
        """
        forecaster, windows, runs = _unwrap(estimator, X)
        _require(forecaster, "sample_trajectories")
        targets = check_observations(y)
        newest = _newest_rows(windows, targets)
        origins = self._origins(forecaster, newest, targets, runs)
        n_outputs = _n_outputs(targets)
        stimulus = newest[:, n_outputs:]
        total = _Mean(self.score)
        per_row = self.n_samples * self.horizon * n_outputs
        for rows, seed in _chunks(len(origins), per_row, self.random_state):
            steps = origins[rows, None] + np.arange(self.horizon)
            samples = forecaster.sample_trajectories(
                _safe_indexing(windows, origins[rows]),
                self.horizon,
                stimulus=stimulus[steps] if stimulus.shape[1] else None,
                n_samples=self.n_samples,
                random_state=seed,
            )
            total.add(targets[steps], samples)
        return -total.value()

    def origins(self, estimator: Any, X: Any, y: ArrayLike) -> Array:
        """State the rows from which trajectories are drawn and scored.

        Row t is an origin where rows t to t + horizon - 1 are consecutive steps of one
        run and their targets were observed: all of them for the energy score, any for
        "crps". Of these rows every `stride`-th is taken.

        Rows t and t + 1 are taken for consecutive steps of one run where nothing says
        otherwise: (1) the newest lagged channels of row t + 1 are not all NaN, which
        marks the start of a run, (2) where they and y[t] were observed they agree, and
        (3) the run labels are the same, where the estimator is a Pipeline with a step
        that knows its run column (`SlidingWindow`). With labels an all-NaN lag is also
        accepted after a step that was not observed at all.

        Parameters
        ----------
        estimator : estimator with ``sample_trajectories``, Pipeline or search
            Fitted.
        X : array-like of shape (n, ...)
            As in a call.
        y : array-like of shape (n, d) or (n,)
            Targets; NaN where missing.

        Returns
        -------
        ndarray of shape (n_origins,)
            Increasing row indices.

        Raises
        ------
        ValueError
            If there is none.
        """
        forecaster, windows, runs = _unwrap(estimator, X)
        targets = check_observations(y)
        newest = _newest_rows(windows, targets)
        return self._origins(forecaster, newest, targets, runs)

    def _origins(
        self, forecaster: Any, newest: Array, targets: Array, runs: Array | None
    ) -> Array:
        y = targets.reshape(len(targets), -1)
        lags = _in_units_of_y(forecaster, newest[:, : y.shape[1]])
        linked = _follows(y, lags, runs)
        over_steps = np.all if self.score in _JOINT else np.any
        starts = np.arange(max(0, len(y) - self.horizon + 1))
        path = starts[:, None] + np.arange(self.horizon)
        seen = over_steps(over_steps(~np.isnan(y), axis=1)[path], axis=1)
        starts = starts[seen & linked[path[:, :-1]].all(axis=1)]
        if not len(starts):
            raise ValueError(
                f"no row of X starts {self.horizon} consecutive observed steps of one "
                f"run, so that horizon={self.horizon} cannot be scored on these "
                f"{len(y)} rows. The newest lagged channels of a row must be the "
                "targets of the row before, as design_matrix lays them out"
            )
        return starts[:: self.stride]


def make_trajectory_scorer(
    score: str,
    horizon: int,
    *,
    stride: int = 1,
    n_samples: int = 100,
    random_state: int = 0,
) -> TrajectoryScorer:
    """Make a scorer of forecasts several steps ahead.

    It draws joint trajectories from many rows of X and scores them against the rows
    of y that follow. The stimulus of later steps is that of the later rows of X. No
    trajectory reaches across the end of a run, or across rows that a split took out:
    ``scorer.origins(estimator, X, y)`` states from which rows it starts.

    Parameters
    ----------
    score : {"crps", "energy"}
        "crps" averages over variables and lead times, "energy" judges each whole
        trajectory as one vector.
    horizon : int
        Number of steps drawn, the next one included.
    stride : int, default=1
        Start from every `stride`-th possible row, to save time.
    n_samples : int, default=100
        Trajectories a row, at least 2.
    random_state : int, default=0
        Seed of the draws, the same for every estimator.

    Returns
    -------
    TrajectoryScorer
        A callable ``scorer(estimator, X, y) -> float``, greater is better, for
        ``scoring=``. The estimator has ``sample_trajectories``, or is a Pipeline or a
        fitted search that holds one. Rows of X that reach it are (n, L, c) windows or
        (n, c), with the lagged targets first and the stimulus after them.

    Raises
    ------
    ValueError
        If an argument is out of range.

    See Also
    --------
    afm_sklearn.design_matrix : Lays X out as is needed here.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.scorers import make_trajectory_scorer
    >>> class WhiteNoise:
    ...     def sample_trajectories(
    ...         self, X, horizon, *, stimulus=None, n_samples=100, random_state=None
    ...     ):
    ...         rng = np.random.default_rng(random_state)
    ...         return rng.normal(size=(len(X), n_samples, horizon))
    >>> y = np.random.default_rng(1).normal(size=6)
    >>> X = np.array([[np.nan], [y[0]], [y[1]], [np.nan], [y[3]], [y[4]]])
    >>> scorer = make_trajectory_scorer("energy", horizon=2)
    >>> scorer.origins(WhiteNoise(), X, y)
    array([0, 1, 3, 4])
    >>> scorer(WhiteNoise(), X, y) < 0
    True
    """
    return TrajectoryScorer(score, horizon, stride, n_samples, random_state)


class _Mean:
    """Mean score over chunks, without what was not observed."""

    def __init__(self, score: str) -> None:
        self.score = score
        self.total = 0.0
        self.count = 0

    def add(self, y: Array, samples: ArrayLike) -> None:
        scores = _SCORES[self.score](y, samples)
        units = y.reshape(len(y), -1).sum(axis=1) if self.score in _JOINT else y
        observed = scores[~np.isnan(units)]
        # A forecaster must not better its mean by passing on the hard rows.
        if np.isnan(observed).any():
            raise ValueError("the estimator drew NaN, which cannot be scored")
        self.total += float(observed.sum())
        self.count += observed.size

    def value(self) -> float:
        if not self.count:
            unit = "row without a missing entry" if self.score in _JOINT else "entry"
            raise ValueError(f"y must hold an observed {unit} to score, got none")
        return self.total / self.count


def _unwrap(estimator: Any, X: Any) -> tuple[Any, Any, Array | None]:
    """Walk to the forecaster itself: it, the X it takes, and run labels if visible."""
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
            return estimator, X, runs


def _require(forecaster: Any, method: str) -> None:
    if not callable(getattr(forecaster, method, None)):
        name = type(forecaster).__name__
        raise TypeError(
            f"estimator must have a method {method} to be scored as a probabilistic "
            f"forecaster, got {name}; ResidualForecaster adds it to any regressor"
        )


def _chunks(n: int, entries_per_row: int, seed: int) -> Iterator[tuple[slice, int]]:
    """Slices of rows whose draws fit in memory, each with a seed of its own."""
    step = max(1, _CHUNK_ENTRIES // entries_per_row)
    starts = range(0, n, step)
    seeds = np.random.SeedSequence(seed).generate_state(len(starts))
    for start, chunk_seed in zip(starts, seeds, strict=True):
        yield slice(start, start + step), int(chunk_seed)


def _n_outputs(targets: Array) -> int:
    return 1 if targets.ndim == 1 else targets.shape[1]


def _newest_rows(windows: Any, targets: Array) -> Array:
    """Return the channels known just before each target: (n, c)."""
    rows = np.asarray(windows)
    newest = rows[:, -1] if rows.ndim == 3 else rows
    if len(newest) != len(targets):
        raise ValueError(
            f"X and y must have the same number of rows, got {len(newest)} and "
            f"{len(targets)}"
        )
    if newest.ndim != 2 or newest.shape[1] < _n_outputs(targets):
        raise ValueError(
            f"X must hold the {_n_outputs(targets)} lagged targets first, as (n, c) or "
            f"windows (n, L, c), got shape {rows.shape}"
        )
    return newest


def _in_units_of_y(forecaster: Any, lags: Array) -> Array:
    scale = getattr(forecaster, "lag_scale_", None)
    offset = getattr(forecaster, "lag_offset_", None)
    lags = lags if scale is None else lags * np.asarray(scale)
    return lags if offset is None else lags + np.asarray(offset)


def _follows(y: Array, lags: Array, runs: Array | None) -> Array:
    """Tell whether row t + 1 is the next step of the run of row t: (n - 1,).

    `lags` are the newest lagged channels in the units of y: see
    `TrajectoryScorer.origins` for the rule.
    """
    now, then = y[:-1], lags[1:]
    # Wide enough for float32, and for scaling undone by estimated numbers.
    tolerance = 1e-5 * np.abs(np.nan_to_num(y)).max(axis=0)
    differs = (np.abs(then - now) > tolerance).any(axis=1)
    unknown = np.isnan(then).all(axis=1)
    if runs is None:
        return ~unknown & ~differs
    begins = unknown & ~np.isnan(now).all(axis=1)
    return (runs[1:] == runs[:-1]) & ~begins & ~differs


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, got {value!r}")


def _check_integer(name: str, value: Any, *, at_least: int) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < at_least:
        raise ValueError(f"{name} must be an integer >= {at_least}, got {value!r}")


neg_crps_scorer = SampleScorer("crps")
neg_energy_scorer = SampleScorer("energy")
neg_variogram_scorer = SampleScorer("variogram")
