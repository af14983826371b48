"""The steps after the last one of a recording."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checks import check_integer
from .data.tables import as_table
from .design import (
    Recording,
    as_numbers,
    column_names,
    design_matrix,
    read_recording,
)
from .evaluation.unwrap import as_fitted, take_apart, unwrap

Array = NDArray[Any]


def forecast(
    forecaster: Any,
    activity: Any,
    horizon: int,
    *,
    stimulus: Any = None,
    future_stimulus: Any = None,
    runs: Any = None,
    n_samples: int = 100,
    random_state: Any = None,
) -> Array:
    """Draw the steps after the last one of `activity`.

    Parameters
    ----------
    forecaster : estimator
        A fitted forecaster that owns its window, or a Pipeline or search that ends in
        a forecaster.
    activity : array-like of shape (T, d) or (T,), or a list of runs
        What was observed; NaN where not. Read and checked as in `design_matrix`.
    horizon : int
        Steps to draw.
    stimulus : array-like of shape (T, s) or (T,), or a list of runs, optional
        The stimulus during the observed steps, as in `design_matrix`.
    future_stimulus : array-like of shape (horizon, s) or (horizon,), optional
        The stimulus during the steps to draw. Needed if there is a stimulus.
    runs : array-like of shape (T,), optional
        Run labels, as in `design_matrix`, by default those of an index or of a list;
        the steps drawn continue the last run. Given if they were given in training.
    n_samples : int, default=100
        Trajectories.
    random_state : int, RandomState or None, default=None
        Seed of the draws.

    Returns
    -------
    ndarray of shape (n_samples, horizon, d) or (n_samples, horizon)

    Raises
    ------
    ValueError
        If a stimulus is given for the observed steps alone or the future ones alone,
        or has the wrong shape; if channels, stimulus and runs are not those of
        training, or the columns of DataFrames are in another order; or as in
        `design_matrix`.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn import Persistence, design_matrix, forecast
    >>> walk = np.random.default_rng(0).normal(size=(200, 2)).cumsum(0)
    >>> model = Persistence(window_length=3).fit(design_matrix(walk), walk)
    >>> forecast(model, walk, horizon=4, n_samples=50).shape
    (50, 4, 2)
    """
    check_integer("horizon", horizon)
    _check_both(stimulus, future_stimulus)
    recording = read_recording(activity, stimulus, runs)
    observed, shown, labels = recording.past, recording.shown, recording.labels
    # More rows than were observed: their stimulus passes through a Pipeline, too.
    n, d = observed.shape
    ahead, n_ahead = None, 1
    if shown is not None:
        ahead, n_ahead = _read_future(future_stimulus, shown, horizon), horizon
        shown = np.vstack([shown, ahead])
    y = np.vstack([observed, np.full((n_ahead, d), np.nan)])
    if labels is not None:
        labels = np.append(labels, np.repeat(labels[-1:], n_ahead))
    last, steps = take_apart(forecaster)
    first = (*steps, last)[0]
    _check_columns(first, d, 0 if shown is None else shown.shape[1], labels)
    _check_names(first, recording)
    X = as_fitted(first, design_matrix(y, shown, labels))
    rows = unwrap(forecaster, X, y, needs="sample_trajectories")
    if ahead is not None:
        ahead = rows.newest[n:, d:]
    paths: Array = rows.forecaster.sample_trajectories(
        rows.X[n : n + 1],
        horizon,
        stimulus=None if ahead is None else ahead[None],
        n_samples=n_samples,
        random_state=random_state,
    )
    return paths[0]


def _check_both(stimulus: Any, future: Any) -> None:
    """Refuse a stimulus of the past or of the future alone."""
    for name, given, other, is_given in (
        ("stimulus", stimulus, "future_stimulus", future is not None),
        ("future_stimulus", future, "stimulus", stimulus is not None),
    ):
        if given is None and is_given:
            raise ValueError(f"{name} is None, but {other} is given")


def _check_columns(first: Any, d: int, s: int, runs: Array | None) -> None:
    """Refuse what does not make rows as wide as those of training."""
    expected, n = getattr(first, "n_features_in_", None), d + s + (runs is not None)
    if expected is None or expected == n:
        return
    raise ValueError(
        f"activity has {d} channels, stimulus {s} and runs are "
        f"{'given' if runs is not None else 'not given'}, which makes {n} columns of "
        f"design_matrix, but {type(first).__name__} was fitted on {expected}"
    )


def _check_names(step: Any, recording: Recording) -> None:
    """Refuse tables whose columns are those of training in another order."""
    if not hasattr(recording.activity, "columns"):
        return
    known = list(getattr(step, "feature_names_in_", []))
    names = column_names(recording)
    if names != known and sorted(names) == sorted(known):
        raise ValueError(
            "activity and stimulus must have their columns in the order of training: "
            f"expected {known} in the rows of design_matrix, got {names}"
        )


def _read_future(future: Any, shown: Array, horizon: int) -> Array:
    """Check the stimulus of the future against that of the past."""
    name = "future_stimulus"
    ahead = as_numbers(as_table(future, name), name)
    if len(ahead) != horizon:
        raise ValueError(f"{name} has {len(ahead)} steps, horizon is {horizon}")
    if shown.shape[1] != ahead.shape[1]:
        raise ValueError(
            f"{name} has {ahead.shape[1]} columns, stimulus has {shown.shape[1]}"
        )
    return ahead
