"""From losses to the table: the same origins for all, means, and differences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..evaluation.origins import no_origin
from ..metrics.arguments import Array
from .losses import FoldLosses, Task
from .significance import t_test
from .standard_error import estimate_mean
from .table import Comparison, Entry


def tabulate(
    by_model: dict[str, list[FoldLosses]],
    tests: list[Array],
    task: Task,
    reference: str,
    groups: Any = None,
) -> Comparison:
    """Tabulate losses, given for each model fold by fold.

    Parameters
    ----------
    by_model : dict of str to list of FoldLosses
        One for each fold.
    tests : list of ndarray of shape (n_test,)
        Test rows of each fold.
    task : Task
        Names the columns of the losses.
    reference : str
        Model from which differences are taken.
    groups : array-like of shape (n,), optional
        Independent groups of all rows; by default all of them are one.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If there is no origin at all, or models disagree on where origins are.
    """
    _check_origins(by_model, task.horizon, sum(map(len, tests)))
    labels, order = _in_time(tests, groups)
    entries = _entries(by_model, task, reference, labels, order)
    return Comparison(tuple(entries), reference)


def _check_origins(
    by_model: dict[str, list[FoldLosses]], horizon: int, n_rows: int
) -> None:
    first, *others = by_model
    for name in others:
        for k, (a, b) in enumerate(zip(by_model[first], by_model[name], strict=True)):
            if not np.array_equal(a.origins, b.origins):
                raise ValueError(
                    f"forecasters must start from the same test rows, but {first!r} "
                    f"has {len(a.origins)} origins in fold {k} and {name!r} "
                    f"{len(b.origins)}. Make the run labels known to all of them, or "
                    "to none: SlidingWindow(run_column=...)"
                )
    if not sum(len(fold.origins) for fold in by_model[first]):
        raise no_origin(horizon, n_rows)


def _in_time(tests: list[Array], groups: Any) -> tuple[Array, Array]:
    """Label every test row with its independent group, and order the rows in time."""
    rows = np.concatenate(tests)
    if groups is None:
        labels = np.zeros(len(rows), dtype=int)
    else:
        labels = np.unique(np.asarray(groups), return_inverse=True)[1][rows]
    order = np.argsort(rows, kind="stable")
    return labels[order], order


def _entries(
    by_model: dict[str, list[FoldLosses]],
    task: Task,
    reference: str,
    labels: Array,
    order: Array,
) -> Iterator[Entry]:
    losses = np.stack(
        [
            np.concatenate([fold.losses for fold in folds])[order]
            for folds in by_model.values()
        ]
    )
    # One forecaster's missing forecast takes the row from all of them.
    losses[:, np.isnan(losses).any(axis=0)] = np.nan
    against = losses[list(by_model).index(reference)]
    for column, (score, lead_time) in enumerate(task.columns):
        for own, (name, folds) in zip(losses, by_model.items(), strict=True):
            mean = estimate_mean(own[:, column], labels, lead_time)
            difference = estimate_mean((own - against)[:, column], labels, lead_time)
            yield Entry(
                name,
                score,
                lead_time,
                mean.mean,
                mean.standard_error,
                difference.mean,
                difference.standard_error,
                *t_test(difference),
                mean.n,
                sum(fold.fit_seconds for fold in folds),
                sum(fold.sample_seconds for fold in folds),
            )
