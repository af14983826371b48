"""Scorers of forecasts several steps ahead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from ..checks import check_integer
from ..evaluation.draws import draw_trajectories
from ..evaluation.origins import Rows, no_origin
from ..evaluation.scores import JOINT, MeanScore, check_choice
from ..evaluation.unwrap import find_fitted, unwrap
from ..metrics.arguments import Array, Seed, check_seed, find_seed
from ..sessions.scoring import mean_over_sessions
from ..sessions.stacked import StackedSessions
from .scorer import Scorer


@dataclass(frozen=True)
class TrajectoryScorer(Scorer):
    """Minus the mean score of joint draws of the next steps; greater is better.

    Made by `make_trajectory_scorer`, which documents the parameters.
    """

    score: str
    horizon: int
    stride: int = 1
    n_samples: int = 100
    random_state: Seed = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be scored."""
        check_choice("score", self.score, ("crps", "energy"))
        check_integer("horizon", self.horizon, at_least=1)
        check_integer("stride", self.stride, at_least=1)
        check_integer("n_samples", self.n_samples, at_least=2)
        check_seed(self.random_state)

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
        if isinstance(X, StackedSessions):
            return mean_over_sessions(find_fitted(estimator), X, y, self)
        rows = unwrap(estimator, X, y, needs="sample_trajectories")
        origins = self._origins(rows)
        mean = MeanScore(self.score)
        seed = find_seed(self.random_state)
        for targets, samples in draw_trajectories(
            rows, origins, self.horizon, self.n_samples, seed
        ):
            mean.add(targets, samples)
        return -mean.value()

    def origins(self, estimator: Any, X: Any, y: ArrayLike) -> Array:
        """State the rows from which trajectories are drawn and scored.

        Row t is an origin where rows t to t + horizon - 1 are consecutive steps of one
        run and their targets were observed: all of them for the energy score, any for
        "crps". Of these rows every `stride`-th is taken.

        Rows t and t + 1 are taken for consecutive steps of one run where nothing says
        otherwise:

        1. Row t + 1 does not start a run: the lagged channels of its window are not NaN
           in every step. A step that was lost inside a run therefore cuts nothing
           where windows have more than one; rows (n, c) are windows of one step.
        2. Where its newest lagged channels and y[t] were observed they agree.
        3. The run labels are the same, where they are known: from the run column of the
           forecaster, or of a step before it in a Pipeline (`SlidingWindow`).

        With labels, rule 1 holds only where y[t] was observed, for after lost steps a
        window may be empty inside a run. Without them, lagged channels that are all NaN
        after an observed y[t] also start a run: the window does not know of runs.

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
        return self._origins(unwrap(estimator, X, y, needs="sample_trajectories"))

    def _origins(self, rows: Rows) -> Array:
        starts = rows.origins(self.horizon, complete=self.score in JOINT)
        if not len(starts):
            raise no_origin(self.horizon, len(rows.y))
        return starts[:: self.stride]


def make_trajectory_scorer(
    score: str,
    horizon: int,
    *,
    stride: int = 1,
    n_samples: int = 100,
    random_state: Seed = 0,
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
    random_state : int, RandomState or None, default=0
        Seed of the draws; an integer is the same for every estimator.

    Returns
    -------
    TrajectoryScorer
        A callable ``scorer(estimator, X, y) -> float``, greater is better, for
        ``scoring=``. The estimator has ``sample_trajectories``, or is a Pipeline or a
        fitted search that holds one. Rows of X that reach it are (n, L, c) windows or
        (n, c), with the lagged targets first and the stimulus after them, or rows of
        which it makes such windows.

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
