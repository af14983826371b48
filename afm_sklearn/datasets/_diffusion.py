"""Diffusions seen at intervals: Euler-Maruyama between the observed frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._law import Array

N_PATHS = 2000


@dataclass(frozen=True, eq=False)
class Diffusion:
    """dx = f(x) dt + sigma dW, observed every ``n_substeps * dt``.

    The law is that of the Euler-Maruyama scheme itself, so that the oracle is
    exact and no discretisation error separates it from the data.
    """

    n_outputs: int
    noise: float
    dt: float
    n_substeps: int

    @property
    def order(self) -> int:
        return 1

    @property
    def n_stimuli(self) -> int:
        return 0

    def drift(self, x: Array) -> Array:
        """f(x), for states on the last axis."""
        raise NotImplementedError

    def draw(self, lags: Array, stimulus: Array, rng: np.random.Generator) -> Array:
        x = lags[:, -1]
        scale = self.noise * np.sqrt(self.dt)
        for _ in range(self.n_substeps):
            shock = rng.standard_normal(x.shape)
            x = x + self.dt * self.drift(x) + scale * shock
        return x

    def mean(self, lags: Array, stimulus: Array) -> Array:
        """Mean over ``N_PATHS`` antithetic noise paths shared by all rows."""
        half = (self.n_substeps, N_PATHS // 2, self.n_outputs)
        shocks = np.random.default_rng(0).standard_normal(half)
        shocks *= self.noise * np.sqrt(self.dt)
        paths = np.concatenate([shocks, -shocks], axis=1)
        means = [self._mean_of_row(x, paths) for x in lags[:, -1]]
        return np.reshape(means, (-1, self.n_outputs))

    def _mean_of_row(self, x: Array, paths: Array) -> Array:
        for shock in paths:
            x = x + self.dt * self.drift(x) + shock
        return x.mean(axis=0)
