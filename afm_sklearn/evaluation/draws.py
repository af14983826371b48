"""Draws from a forecaster, in chunks of rows that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..compute import budget, row_parts
from ..metrics.arguments import Array
from .origins import Rows

Draws = Iterator[tuple[Array, Array]]


def draw_steps(rows: Rows, at: Array, n_samples: int, seed: int) -> Draws:
    """Yield the targets of the rows `at`, (k, d) or (k,), and draws of them."""
    per_row = n_samples * rows.targets.shape[1]
    for chunk, chunk_seed in _chunks(at, per_row, seed):
        samples = rows.forecaster.sample(
            rows.at(chunk), n_samples=n_samples, random_state=chunk_seed
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
            rows.at(chunk),
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
    parts = list(row_parts(len(at), entries_per_row, at_most=budget()))
    seeds = np.random.SeedSequence(seed).generate_state(len(parts))
    for part, chunk_seed in zip(parts, seeds, strict=True):
        yield at[part], int(chunk_seed)
