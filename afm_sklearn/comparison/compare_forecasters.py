"""Fit, draw and score several forecasters on the same folds and origins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import check_cv
from sklearn.utils import indexable
from sklearn.utils.parallel import Parallel, delayed

from ..evaluation.draws import method_for
from ..evaluation.scores import check_choice, check_names
from ..evaluation.unwrap import find_forecaster, require
from ..metrics.arguments import Seed, find_seed
from ..progress import Line
from .losses import Task, evaluate_fold
from .table import Comparison
from .tabulate import tabulate


def compare(
    forecasters: Mapping[str, Any],
    X: Any,
    y: ArrayLike,
    *,
    cv: Any,
    horizon: int = 1,
    scores: str | Sequence[str] = ("crps", "energy"),
    n_samples: int = 100,
    n_jobs: int | None = None,
    groups: ArrayLike | None = None,
    random_state: Seed = 0,
    reference: str | None = None,
    verbose: int = 0,
) -> Comparison:
    """Compare forecasters on the same origins, lead time by lead time.

    Each forecaster is cloned and fitted on the training rows of every fold, draws
    joint trajectories from every possible row of the test rows, and is scored against
    what followed. All are scored on the same origins, with paired differences from a
    reference.

    Parameters
    ----------
    forecasters : dict of str to estimator
        Forecasters, or Pipelines that end in one: `AFMForecaster`,
        `ResidualForecaster`, `Oracle` or whatever has ``sample_trajectories`` (for
        ``horizon=1``, ``sample``).
    X : array-like of shape (n, c) or (n, L, c)
        Rows of `design_matrix` in the order of time, or windows of them for bare
        forecasters: the lagged targets first, then the stimulus.
    y : array-like of shape (n, d) or (n,)
        Targets; NaN where missing.
    cv : splitter, int or iterable of (train, test)
        As in `cross_validate`: `TimeSeriesSplit` inside a run, `GroupKFold` across.
    horizon : int, default=1
        Number of steps to draw, the next one included.
    scores : {"crps", "energy", "variogram"} or sequence of these
        Each is computed at every lead time alone: "crps" as the mean over channels,
        "energy" and "variogram" of the vector of channels. With "energy" and
        ``horizon > 1`` comes "energy_trajectory", the energy score of the whole
        trajectory as one vector; its lead time is the last one.
    n_samples : int, default=100
        Trajectories drawn from each origin, at least 2.
    n_jobs : int, optional
        Parallel jobs, each one forecaster in one fold. The results do not depend on
        it; the times may.
    groups : array-like of shape (n,), optional
        Run, session or subject of each row, for `cv` and for standard errors.
    random_state : int, RandomState or None, default=0
        Seed of the draws, the same for every forecaster.
    reference : str, optional
        Name of the forecaster from which differences are taken; by default the first.
    verbose : int, default=0
        Print a line a forecaster, and how far it is.

    Returns
    -------
    Comparison
        ``rows`` holds one dict for each score, lead time and model: ``model``,
        ``score``, ``lead_time`` (in steps, from 1); ``mean``, lower is better, and its
        ``standard_error``; ``difference``, the mean of model minus reference, negative
        where the model is better, and its ``difference_standard_error``;
        ``dm_statistic`` and ``p_value`` of the `diebold_mariano` test; ``n``, the
        number of origins; ``fit_seconds`` and ``sample_seconds``, of all folds
        together.

    Raises
    ------
    TypeError
        If a forecaster lacks the method that draws.
    ValueError
        If `forecasters` is empty or a name is no string, a score or the reference is
        unknown, `random_state` is no seed, no trajectory can start anywhere,
        forecasters disagree on where, or one draws NaN though nothing it needs is
        missing.

    See Also
    --------
    diebold_mariano : The test of the differences.
    afm_sklearn.make_trajectory_scorer : One number, for a search.

    Notes
    -----
    Origins are the test rows that `TrajectoryScorer.origins` states for "crps": no
    trajectory leaves its run or its fold. The stimulus of later steps is that of the
    later rows. An origin is left out for every forecaster where one of them draws NaN
    because something it needs is missing, as `Oracle` does at the start of a run.
    Joint scores also leave out what was observed in part.

    Standard errors treat `groups` as independent. From five on, they come from the
    totals of the groups; with fewer, or without any, all test rows in their order are
    one series: the notes of `diebold_mariano` hold for means as for differences. Where
    these ask for more losses than there are (20, or twice the lead time), the standard
    errors, the statistic and the p-value are NaN. The p-values are not corrected for
    the number of comparisons.

    Examples
    --------
    >>> from sklearn.model_selection import TimeSeriesSplit
    >>> from afm_sklearn import design_matrix
    >>> from afm_sklearn.comparison import compare
    >>> from afm_sklearn.datasets import make_linear_var
    >>> near, far = (make_linear_var(300, 2, random_state=seed) for seed in (0, 1))
    >>> X = design_matrix(near.activity, near.stimulus)
    >>> result = compare(
    ...     {"truth": near.oracle, "another world": far.oracle},
    ...     X[3:],
    ...     near.activity[3:],
    ...     cv=TimeSeriesSplit(3),
    ...     horizon=2,
    ...     n_samples=20,
    ... )
    >>> [(row["model"], row["lead_time"]) for row in result.rows[:3]]
    [('truth', 1), ('another world', 1), ('truth', 2)]
    >>> result.rows[1]["difference"] > 0
    True
    """
    names = (scores,) if isinstance(scores, str) else tuple(scores)
    task = Task(horizon, names, n_samples)
    _check_forecasters(forecasters, task)
    seed = find_seed(random_state)
    reference = next(iter(forecasters)) if reference is None else reference
    check_choice("reference", reference, tuple(forecasters))
    X, y, groups = indexable(X, y, groups)
    folds = list(check_cv(cv, y).split(X, y, groups))
    folds = [(np.asarray(train), np.asarray(test)) for train, test in folds]
    seeds = np.random.SeedSequence(seed).generate_state(len(folds))
    # Folds of a forecaster follow one another, and arrive in this order.
    results = Parallel(n_jobs=n_jobs, return_as="generator" if verbose else "list")(
        delayed(evaluate_fold)(name, estimator, X, y, fold, task, int(fold_seed))
        for name, estimator in forecasters.items()
        for fold, fold_seed in zip(folds, seeds, strict=True)
    )
    arriving = iter(results)
    by_model = {
        name: _take(name, arriving, len(folds), verbose) for name in forecasters
    }
    return tabulate(by_model, [test for _, test in folds], task, reference, groups)


def _take(name: str, arriving: Iterator[Any], n_folds: int, verbose: int) -> list[Any]:
    """Take the results of a forecaster as they arrive, and tell how far it is."""
    if not verbose:
        return list(islice(arriving, n_folds))
    line, taken = Line(name, n_folds), []
    for k, result in enumerate(islice(arriving, n_folds), 1):
        taken.append(result)
        line.step(k, f"fold {k} of {n_folds}")
    line.end(f"{n_folds} folds")
    return taken


def _check_forecasters(forecasters: Mapping[str, Any], task: Task) -> None:
    """Refuse what cannot be compared before anything is fitted."""
    if not isinstance(forecasters, Mapping) or not forecasters:
        raise ValueError(
            f"forecasters must be a dict of at least one estimator, got {forecasters!r}"
        )
    check_names("forecasters", forecasters)
    for name, estimator in forecasters.items():
        require(
            find_forecaster(estimator),
            method_for(task.horizon),
            f"forecasters[{name!r}]",
        )
