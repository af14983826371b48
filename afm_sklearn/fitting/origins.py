"""Rows of the training data from which trajectories can be drawn and judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..compute import row_parts
from .data import TrainingData

Array = NDArray[Any]

CHECKED = 20  # rows looked at for each one wanted


def spread_rows(rows: Array, n: int) -> Array:
    """Take about n of the rows, evenly spaced.

    Examples
    --------
    >>> spread_rows(np.arange(10), 3)
    array([1, 5, 8])
    """
    if len(rows) <= n:
        return rows
    return rows[((np.arange(n) + 0.5) * len(rows) / n).astype(int)]


def origins(data: TrainingData, rows: Array, horizon: int, n: int) -> NDArray[np.intp]:
    """Find about n rows that start `horizon` observed steps of one run.

    Parameters
    ----------
    data : TrainingData
    rows : array of int
        Consecutive rows among which to look; trajectories end inside.
    horizon, n : int
        Steps, and rows wanted.

    Returns
    -------
    array of int
        Fewer, or none, where there are not so many.
    """
    rows = rows[: max(0, len(rows) - horizon + 1)]
    rows = spread_rows(rows[data.usable[rows]], CHECKED * n)
    if not len(rows):
        return rows
    is_start = np.zeros(len(data.y) + 1, bool)
    is_start[data.starts] = True
    ahead = rows[:, None] + np.arange(horizon)
    good = ~is_start[ahead[:, 1:]].any(1)
    is_seen: Array = np.isfinite(data.y).any(axis=1)  # type: ignore[assignment]
    good &= is_seen[ahead].all(1)
    good &= _linked(data, ahead[:, :-1].ravel()).reshape(len(rows), -1).all(1)
    return spread_rows(rows[good], n)


def _linked(data: TrainingData, rows: Array) -> Array:
    """Whether the newest lags of the row after each one are its targets."""
    s, d = data.settings, data.n_outputs
    _, spread = data.y_moments
    newest, linked = data.store.newest(1), np.ones(len(rows), bool)
    for part in row_parts(len(rows), d):
        steps = newest[data.index(rows[part] + 1)][:, 0, :d].cpu().double().numpy()
        lags = steps * data.x_scale[:d] + data.x_mean[:d]
        apart = np.abs(lags * s.lag_scale + s.lag_offset - data.y[rows[part]])
        with np.errstate(invalid="ignore"):
            linked[part] = ~(apart > 1e-3 * spread).any(1)
    return linked


def windows_at(data: TrainingData, rows: Array) -> torch.Tensor:
    """Windows (k, L, c) of rows, in the units of X."""
    x = data.store[data.index(rows)].double()
    scale, mean = (torch.as_tensor(v).to(x) for v in (data.x_scale, data.x_mean))
    return x * scale + mean


def stimulus_at(data: TrainingData, rows: Array) -> torch.Tensor | None:
    """Stimulus (..., s) of rows (...), in the units of X; None where there is none."""
    d = data.n_outputs
    if not data.settings.is_autoregressive or data.store.steps.shape[1] == d:
        return None
    newest = data.store.newest(1)[data.index(rows.ravel())][:, 0, d:].double()
    scale, mean = (
        torch.as_tensor(v[d:]).to(newest) for v in (data.x_scale, data.x_mean)
    )
    return (newest * scale + mean).unflatten(0, rows.shape)
