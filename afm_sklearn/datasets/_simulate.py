"""Turn a law into a recording: the one loop over time that all systems share."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np
from scipy.signal import lfilter
from sklearn.utils import Bunch, check_scalar

from ._law import Array, Law
from ._oracle import Oracle


def record(
    law: Law,
    start: Array,
    stimulus: Array,
    burn_in: int,
    rng: np.random.Generator,
    stimulus_names: Sequence[str] = (),
) -> Bunch:
    """Simulate all runs side by side and lay them end to end.

    Parameters
    ----------
    law : Law
        The law of one step.
    start : ndarray of shape (n_runs, d)
        State before the first simulated step, repeated over all lags.
    stimulus : ndarray of shape (n_runs, burn_in + n_times, s)
        Stimulus during each simulated step; s may be 0.
    burn_in : int
        Steps simulated first and thrown away, so that runs start from the
        stationary law.
    rng : numpy.random.Generator
        Source of the randomness.
    stimulus_names : sequence of str
        One name a stimulus column.

    Returns
    -------
    Bunch
        The data, as described by the public makers.
    """
    n_runs, n_simulated, n_stimuli = stimulus.shape
    order, n_outputs = law.order, law.n_outputs
    path = np.empty((n_runs, order + n_simulated, n_outputs))
    path[:, :order] = start[:, None]
    for t in range(n_simulated):
        path[:, order + t] = law.draw(path[:, t : order + t], stimulus[:, t], rng)

    activity = path[:, order + burn_in :].reshape(-1, n_outputs)
    shown = stimulus[:, burn_in:].reshape(len(activity), n_stimuli)
    return Bunch(
        activity=activity,
        stimulus=shown if n_stimuli else None,
        runs=np.repeat(np.arange(n_runs), n_simulated - burn_in),
        oracle=Oracle(law),
        stimulus_names=list(stimulus_names),
    )


def smooth_series(
    shape: tuple[int, ...], memory: float, rng: np.random.Generator
) -> Array:
    """Stationary AR(1) series of unit variance; time is axis 1 of ``shape``."""
    shocks = rng.standard_normal(shape)
    shocks[:, 1:] *= np.sqrt(1 - memory**2)
    return lfilter([1.0], [1.0, -memory], shocks, axis=1)


def moving_stimulus(n_runs: int, n_times: int, rng: np.random.Generator) -> Array:
    """Columns cos, sin and speed of a walk on a circle, (n_runs, n_times, 3)."""
    speed = smooth_series((n_runs, n_times), 0.98, rng)
    start = rng.uniform(0, 2 * np.pi, (n_runs, 1))
    position = start + np.cumsum(0.1 * speed, axis=1)
    return np.stack([np.cos(position), np.sin(position), speed], axis=-1)


def check_counts(**counts: int) -> None:
    """Refuse sizes that are not integers of at least 1."""
    for name, value in counts.items():
        check_scalar(value, name, Integral, min_val=1)
