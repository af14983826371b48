"""Draws from a forecaster, in chunks of rows that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from sklearn.utils import _safe_indexing

from afm_sklearn.metrics._ensemble import Array

from ._origins import Rows

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


Draws = Iterator[tuple[Array, Array]]


def draw_steps(rows: Rows, at: Array, n_samples: int, seed: int) -> Draws:
    """Yield the targets of the rows `at`, (k, d) or (k,), and draws of them."""
    per_row = n_samples * rows.targets.shape[1]
    for chunk, chunk_seed in _chunks(at, per_row, seed):
        samples = rows.forecaster.sample(
            _safe_indexing(rows.X, chunk), n_samples=n_samples, random_state=chunk_seed
        )
        yield rows.y[chunk], samples


def draw_trajectories(
    rows: Rows, origins: Array, horizon: int, n_samples: int, seed: int
) -> Draws:
    """Yield what followed `origins`, (k, horizon, d) or (k, horizon), and draws of it.

    The stimulus of later steps is that of the later rows.
    """
    stimulus = rows.stimulus
    per_row = n_samples * horizon * rows.targets.shape[1]
    for chunk, chunk_seed in _chunks(origins, per_row, seed):
        steps = chunk[:, None] + np.arange(horizon)
        samples = rows.forecaster.sample_trajectories(
            _safe_indexing(rows.X, chunk),
            horizon,
            stimulus=stimulus[steps] if stimulus.shape[1] else None,
            n_samples=n_samples,
            random_state=chunk_seed,
        )
        yield rows.y[steps], samples


def draw_ahead(
    rows: Rows, origins: Array, horizon: int, n_samples: int, seed: int
) -> Draws:
    """Yield observations (k, horizon, d) and draws (k, n_samples, horizon, d).

    A single step is drawn with ``sample``, which needs no lagged targets in X.
    """
    if horizon == 1:
        draws = draw_steps(rows, origins, n_samples, seed)
    else:
        draws = draw_trajectories(rows, origins, horizon, n_samples, seed)
    d = rows.targets.shape[1]
    for y, samples in draws:
        expected = (len(y), n_samples, *y.shape[1:])
        if np.shape(samples) != expected:
            raise ValueError(
                f"the estimator must draw samples of shape {expected}, got "
                f"{np.shape(samples)}"
            )
        yield (
            y.reshape(len(y), horizon, d),
            np.reshape(samples, (len(y), n_samples, horizon, d)),
        )


def method_for(horizon: int) -> str:
    """Name the method of a forecaster that `draw_ahead` calls."""
    return "sample" if horizon == 1 else "sample_trajectories"


def _chunks(at: Array, entries_per_row: int, seed: int) -> Iterator[tuple[Array, int]]:
    """Cut rows into chunks whose draws fit in memory, each with a seed of its own."""
    step = max(1, _CHUNK_ENTRIES // entries_per_row)
    starts = range(0, len(at), step)
    seeds = np.random.SeedSequence(seed).generate_state(len(starts))
    for start, chunk_seed in zip(starts, seeds, strict=True):
        yield at[start : start + step], int(chunk_seed)
