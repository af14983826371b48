"""Movement from neurons: a forecaster as a filter that never sees its target."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_integer, seed_from
from ..data.runs import label_starts
from ..design import design_matrix
from ..evaluation.unwrap import unwrap

Array = NDArray[Any]


def decode(
    forecaster: Any,
    stimulus: Any,
    *,
    runs: Any = None,
    n_samples: int = 100,
    random_state: Any = None,
) -> Array:
    """Draw what went with a stimulus from the start of each run to its end.

    For decoding, the movement is the activity and the neurons are the stimulus: fit on
    ``design_matrix(movement, neurons, runs)``. What is drawn is fed back, as in a
    particle filter without weights: the movement itself is never seen.

    Parameters
    ----------
    forecaster : estimator
        A fitted forecaster that owns its window, or a Pipeline or search that ends in
        a forecaster.
    stimulus : array-like of shape (T, s) or (T,)
        Neurons; NaN where not recorded.
    runs : array-like of shape (T,), optional
        Run labels. Given if they were given in training.
    n_samples : int, default=100
        Draws of each run.
    random_state : int, RandomState or None, default=None
        Seed of the draws.

    Returns
    -------
    ndarray of shape (n_samples, T, d) or (n_samples, T)
        Means and quantiles over the first axis are the decoded movement and its
        intervals.

    Raises
    ------
    ValueError
        If the stimulus has other columns than in training.

    See Also
    --------
    afm_sklearn.applications.ForecastStream : One step at a time.
    afm_sklearn.applications.stacked_decoder.StackedDecoder : Feeds nothing back, which
        is better wherever the movement hardly changes from step to step.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from afm_sklearn import ResidualForecaster, design_matrix
    >>> from afm_sklearn.applications import decode
    >>> rng = np.random.default_rng(0)
    >>> movement = np.sin(np.arange(400) / 9.0)[:, None]
    >>> neurons = movement + 0.5 * rng.normal(size=(400, 6))
    >>> model = ResidualForecaster(Ridge(), window_length=2)
    >>> _ = model.fit(design_matrix(movement, neurons), movement)
    >>> draws = decode(model, neurons[:100], random_state=0)
    >>> draws.shape, bool(abs(draws[:, 50:].mean(0) - movement[50:100]).mean() < 0.2)
    ((100, 100, 1), True)
    """
    check_integer("n_samples", n_samples)
    shown = np.ma.filled(np.ma.asarray(stimulus, dtype=np.float64), np.nan)
    if shown.ndim == 1:
        shown = shown[:, None]
    if shown.ndim != 2 or not len(shown):
        raise ValueError(f"stimulus has shape {shown.shape}, expected (T, columns)")
    d = _n_outputs(forecaster)
    unseen = np.full((len(shown), d), np.nan)
    X = design_matrix(unseen, shown, runs)
    rows = unwrap(forecaster, X, unseen, needs="sample_trajectories")
    windows = rows.X if np.ndim(rows.X) == 3 else np.asarray(rows.X)[:, None]
    # What reaches the forecaster, where a scaler stands in front of it.
    shown = np.asarray(windows[:, -1])[:, d:]
    starts = np.array([0]) if runs is None else label_starts(np.asarray(runs))
    rng = np.random.RandomState(seed_from(random_state))
    parts = []
    for start, stop in zip(starts, [*starts[1:], len(shown)], strict=True):
        paths = rows.forecaster.sample_trajectories(
            windows[start : start + 1],
            int(stop - start),
            stimulus=shown[None, start:stop],
            n_samples=n_samples,
            random_state=rng,
        )
        parts.append(paths[0])
    return np.concatenate(parts, axis=1)


def _n_outputs(forecaster: Any) -> int:
    model = forecaster
    while not hasattr(model, "n_outputs_"):
        model = getattr(model, "best_estimator_", None) or model[-1]
    return int(model.n_outputs_)
