"""The steps after the last one of a recording."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checks import check_integer
from .design import design_matrix
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
    activity : array-like of shape (T, d) or (T,)
        What was observed; NaN where not.
    horizon : int
        Steps to draw.
    stimulus : array-like of shape (T, s) or (T,), optional
        The stimulus during the observed steps, as in `design_matrix`.
    future_stimulus : array-like of shape (horizon, s) or (horizon,), optional
        The stimulus during the steps to draw. Needed if there is a stimulus.
    runs : array-like of shape (T,), optional
        Run labels; the steps drawn continue the last run. Given if they were given in
        training.
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
        or has the wrong shape.

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
    observed = _columns("activity", activity)
    shown, ahead = None, None
    if stimulus is not None or future_stimulus is not None:
        shown, ahead = _stimuli(stimulus, future_stimulus, len(observed), horizon)
    # More rows than were observed: their stimulus passes through a Pipeline, too.
    n, d = observed.shape
    n_ahead = 1 if ahead is None else horizon
    y = np.vstack([observed, np.full((n_ahead, d), np.nan)])
    if shown is not None and ahead is not None:
        shown = np.vstack([shown, ahead])
    if runs is not None:
        labels = np.asarray(runs)
        runs = np.append(labels, np.repeat(labels[-1:], n_ahead))
    last, steps = take_apart(forecaster)
    X = as_fitted((*steps, last)[0], design_matrix(y, shown, runs))
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


def _stimuli(
    stimulus: Any, future: Any, n_steps: int, horizon: int
) -> tuple[Array, Array]:
    """Check the stimulus of the past and of the future against one another."""
    for name, given, other in (
        ("stimulus", stimulus, "future_stimulus"),
        ("future_stimulus", future, "stimulus"),
    ):
        if given is None:
            raise ValueError(f"{name} is None, but {other} is given")
    shown, ahead = _columns("stimulus", stimulus), _columns("future_stimulus", future)
    if len(shown) != n_steps:
        raise ValueError(f"stimulus has {len(shown)} steps, activity has {n_steps}")
    if len(ahead) != horizon:
        raise ValueError(
            f"future_stimulus has {len(ahead)} steps, horizon is {horizon}"
        )
    if shown.shape[1] != ahead.shape[1]:
        raise ValueError(
            f"future_stimulus has {ahead.shape[1]} columns, stimulus has "
            f"{shown.shape[1]}"
        )
    return shown, ahead


def _columns(name: str, values: Any) -> Array:
    array = np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or not len(array):
        raise ValueError(f"{name} has shape {array.shape}, expected (T, columns)")
    return array
