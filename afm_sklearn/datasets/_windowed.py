"""A simulated law applied to windows, of which some rows may not be known."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..law.windowed import WindowedState
from ._law import Array, Law

Mask = NDArray[np.bool_]


def unpack(law: Law, windows: Array) -> tuple[Array, Array, Mask]:
    """Lags (n, order, d), stimulus (n, s) and which rows are fully known."""
    d = law.n_outputs
    lags, stimulus = windows[:, -law.order :, :d], windows[:, -1, d:]
    return lags, stimulus, finite(lags) & finite(stimulus)


def draw_windows(
    law: Law, windows: Array, n_samples: int, rng: np.random.Generator
) -> Array:
    """Independent draws (n, n_samples, d) of the step that windows lead to."""
    lags, stimulus, known = unpack(law, windows)
    draws = law.draw(
        np.repeat(lags[known], n_samples, axis=0),
        np.repeat(stimulus[known], n_samples, axis=0),
        rng,
    )
    return spread(draws.reshape(-1, n_samples, law.n_outputs), known)


class Rollable:
    """A law that the rollout engine can start, step and draw from."""

    def __init__(self, law: Law, rng: np.random.Generator):
        self.law, self.rng = law, rng

    def start(self, windows: torch.Tensor) -> WindowedState:
        """Return the state before the step that windows (n, L, c) lead to."""
        unit = torch.ones(self.law.n_outputs, dtype=torch.float64)
        return WindowedState(
            lambda at: _Draws(self.law, at, self.rng), windows, unit, 0 * unit
        )


class _Draws:
    """Draws of the step that windows lead to."""

    def __init__(self, law: Law, windows: torch.Tensor, rng: np.random.Generator):
        self.law, self.windows, self.rng = law, windows, rng

    def rsample(self, n_samples: int, *, generator: Any = None) -> torch.Tensor:
        draws = draw_windows(self.law, self.windows.numpy(), n_samples, self.rng)
        return torch.from_numpy(draws)


def finite(values: Array) -> Mask:
    """Which rows hold no NaN at all."""
    return np.isfinite(values.sum(axis=tuple(range(1, values.ndim))))


def spread(values: Array, known: Mask) -> Array:
    """Put the rows of ``values`` where ``known``, and NaN elsewhere."""
    out = np.full((len(known), *values.shape[1:]), np.nan)
    out[known] = values
    return out
