"""What a system has to define: the law of one step given the past."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Seed = int | np.random.Generator | np.random.RandomState | None


class Law(Protocol):
    """The law of one step given the past.

    The simulation and the oracle both call ``draw``, so the oracle is the law
    of the data by construction.

    ``lags`` has shape (n, order, d), oldest first; ``stimulus`` (n, s) is what is
    shown during the step drawn. All values are finite.
    """

    @property
    def order(self) -> int:
        """Number of past steps the law depends on."""

    @property
    def n_outputs(self) -> int:
        """Number of channels d."""

    @property
    def n_stimuli(self) -> int:
        """Number of stimulus columns s."""

    def draw(self, lags: Array, stimulus: Array, rng: np.random.Generator) -> Array:
        """One independent draw for each row, (n, d)."""

    def mean(self, lags: Array, stimulus: Array) -> Array:
        """Conditional mean, (n, d), the same for a row whatever comes with it."""


def make_generator(random_state: Seed) -> np.random.Generator:
    """Return a generator that never reads or moves numpy's global one."""
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31, size=4))
    return np.random.default_rng(random_state)
