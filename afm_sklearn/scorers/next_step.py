"""Scorers of the next step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..checks import check_integer
from ..evaluation.draws import draw_steps
from ..evaluation.scores import SCORES, MeanScore, check_choice
from ..evaluation.unwrap import find_fitted, unwrap
from ..metrics.arguments import Seed, check_seed, find_seed
from ..sessions.scoring import mean_over_sessions
from ..sessions.stacked import StackedSessions
from .scorer import Scorer


@dataclass(frozen=True)
class SampleScorer(Scorer):
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
    random_state : int, RandomState or None, default=0
        Seed of the draws. An integer is the same for every estimator, so that
        candidates of a search are compared on the same noise and a score comes out the
        same again.

    Notes
    -----
    Missing entries of y (NaN) are left out of the mean; rows with any, for the joint
    scores "energy" and "variogram". Draws are made and scored in chunks of rows, which
    depend on the shape of y and on scikit-learn's ``working_memory`` alone.

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
    random_state: Seed = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be scored."""
        check_choice("score", self.score, tuple(SCORES))
        check_integer("n_samples", self.n_samples, at_least=2)
        check_seed(self.random_state)

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
        if isinstance(X, StackedSessions):
            return mean_over_sessions(find_fitted(estimator), X, y, self)
        rows = unwrap(estimator, X, y, needs="sample")
        mean = MeanScore(self.score)
        every_row = np.arange(len(rows.y))
        seed = find_seed(self.random_state)
        for targets, samples in draw_steps(rows, every_row, self.n_samples, seed):
            mean.add(targets, samples)
        return -mean.value()


neg_crps_scorer = SampleScorer("crps")
neg_energy_scorer = SampleScorer("energy")
neg_variogram_scorer = SampleScorer("variogram")
