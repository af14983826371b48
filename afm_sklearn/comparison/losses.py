"""What one forecaster loses in one fold, by origin and lead time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils import _safe_indexing

from ..checks import check_integer
from ..evaluation.draws import draw_ahead, method_for
from ..evaluation.origins import Rows
from ..evaluation.scores import SCORES, check_choice
from ..evaluation.unwrap import unwrap
from ..metrics.arguments import Array

TRAJECTORY = "energy_trajectory"


@dataclass(frozen=True)
class Task:
    """What is asked of every forecaster in every fold."""

    horizon: int
    scores: tuple[str, ...]
    n_samples: int

    def __post_init__(self) -> None:
        """Refuse what cannot be scored."""
        check_integer("horizon", self.horizon, at_least=1)
        check_integer("n_samples", self.n_samples, at_least=2)
        if not self.scores:
            raise ValueError(
                f"scores must name at least one of {tuple(SCORES)}, got none"
            )
        for score in self.scores:
            check_choice("scores", score, tuple(SCORES))

    @property
    def columns(self) -> list[tuple[str, int]]:
        """Score and lead time of each column of the losses."""
        leads = range(1, self.horizon + 1)
        columns = [(score, lead) for score in self.scores for lead in leads]
        if self._scores_trajectories:
            columns.append((TRAJECTORY, self.horizon))
        return columns

    @property
    def _scores_trajectories(self) -> bool:
        return "energy" in self.scores and self.horizon > 1

    def losses(self, y: Array, samples: Array) -> Array:
        """Losses (n, n_columns) of draws (n, n_samples, horizon, d)."""
        parts = [losses_by_lead(score, y, samples) for score in self.scores]
        if self._scores_trajectories:
            parts.append(SCORES["energy"](y, samples)[:, None])
        return np.concatenate(parts, axis=1)


@dataclass(frozen=True)
class FoldLosses:
    """Losses of one forecaster in one fold.

    ``losses`` is (n_test, n_columns), NaN in rows that are no origin, or where the
    forecaster had no forecast.
    """

    losses: Array
    origins: Array
    fit_seconds: float = 0.0
    sample_seconds: float = 0.0


def losses_by_lead(score: str, y: Array, samples: Array) -> Array:
    """Losses (n, horizon) of each lead time alone; CRPS is a mean over channels."""
    if score == "crps":
        return _mean_over_channels(SCORES[score](y, samples))
    leads = range(y.shape[1])
    return np.stack([SCORES[score](y[:, h], samples[:, :, h]) for h in leads], axis=1)


def evaluate_fold(
    name: str,
    estimator: Any,
    X: Any,
    y: ArrayLike,
    fold: tuple[Array, Array],
    task: Task,
    seed: int,
) -> FoldLosses:
    """Fit a clone on the training rows of a fold and score it on the test rows."""
    train, test = fold
    start = perf_counter()
    fitted = clone(estimator).fit(_safe_indexing(X, train), _safe_indexing(y, train))
    fit_seconds = perf_counter() - start
    scored = score_fitted(
        name, fitted, _safe_indexing(X, test), _safe_indexing(y, test), task, seed
    )
    return replace(scored, fit_seconds=fit_seconds)


def score_fitted(
    name: str, estimator: Any, X: Any, y: ArrayLike, task: Task, seed: int
) -> FoldLosses:
    """Score a fitted estimator on every origin among the rows of X."""
    rows = unwrap(estimator, X, y, needs=method_for(task.horizon))
    origins = rows.origins(task.horizon, complete=False)
    losses = np.full((len(rows.y), len(task.columns)), np.nan)
    sample_seconds, done = 0.0, 0
    draws = draw_ahead(rows, origins, task.horizon, task.n_samples, seed)
    for seconds, (targets, samples) in _timed(draws):
        chunk = origins[done : done + len(targets)]
        _check_declined(name, rows, chunk, samples)
        losses[chunk] = task.losses(targets, samples)
        sample_seconds += seconds
        done += len(targets)
    return FoldLosses(losses, origins, sample_seconds=sample_seconds)


def _check_declined(name: str, rows: Rows, chunk: Array, samples: Array) -> None:
    """Refuse NaN draws, unless something the forecaster needs was not observed."""
    declined = np.isnan(samples).any(axis=(1, 2, 3))
    if not declined.any():
        return
    steps = chunk[declined, None] + np.arange(samples.shape[2])
    windows = np.asarray(rows.at(chunk[declined])).reshape(len(steps), -1)
    complete = ~np.isnan(windows).any(axis=1)
    if rows.newest.shape[1] > samples.shape[3]:
        complete &= ~np.isnan(rows.stimulus[steps]).any(axis=(1, 2))
    if complete.any():
        raise ValueError(
            f"forecasters[{name!r}] drew NaN from {complete.sum()} rows of X in which "
            "nothing is missing"
        )


def _mean_over_channels(scores: Array) -> Array:
    """Mean over the last axis without NaN; NaN where nothing is left."""
    count = (~np.isnan(scores)).sum(axis=-1)
    mean = np.full(count.shape, np.nan)
    np.divide(np.nansum(scores, axis=-1), count, out=mean, where=count > 0)
    return mean


def _timed(iterator: Iterator[Any]) -> Iterator[tuple[float, Any]]:
    """Yield the seconds spent on making each item, and the item."""
    while True:
        start = perf_counter()
        try:
            item = next(iterator)
        except StopIteration:
            return
        yield perf_counter() - start, item
