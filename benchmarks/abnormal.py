"""Simulated recordings whose dynamics change halfway through every run.

Each scenario is the true law of a simulator of the package, and what becomes of it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from afm_sklearn import datasets
from afm_sklearn.datasets._simulate import moving_stimulus

N_NEURONS, MEAN_COUNT = 20, 0.5
DRIFT, DRIFT_TIME = 1.0, 50  # of a log rate, and steps until it is reached
FADING, REST = 0.93, 0.3  # radius of a rhythm that dies out, and what shocks remain


@dataclass(frozen=True)
class Scenario:
    """A law, and the law that holds so many steps after the change."""

    law: Any
    later: Callable[[int], Any]
    burn_in: int
    is_driven: bool = False

    def record(self, n_steps, n_runs, seed, onset=None):
        """Activity (n_runs * n_steps, d), stimulus or None, and run labels."""
        rng, d, order = np.random.default_rng(seed), self.law.n_outputs, self.law.order
        n = self.burn_in + n_steps
        shown = np.empty((n_runs, n, 0))
        if self.is_driven:
            shown = moving_stimulus(n_runs, n, rng)
        path = np.zeros((n_runs, order + n, d))
        for t in range(n):
            since = t - self.burn_in - n_steps if onset is None else t - self.burn_in
            since -= onset or 0
            law = self.law if since < 0 else self.later(since)
            path[:, order + t] = law.draw(path[:, t : order + t], shown[:, t], rng)
        activity = path[:, order + self.burn_in :].reshape(-1, d)
        stimulus = shown[:, self.burn_in :].reshape(len(activity), -1)
        runs = np.repeat(np.arange(n_runs), n_steps)
        return activity, stimulus if self.is_driven else None, runs


def switched_coupling():
    """Spiking neurons whose connections change places; mean rates stay."""
    law = _spiking(coupling=0.7)
    weights = law.lag_weights
    off = ~np.eye(len(weights), dtype=bool)
    other = weights.copy()
    other[off] = np.random.default_rng(5).permutation(weights[off])
    bias = law.bias + (weights - other).sum(1) * MEAN_COUNT
    changed = replace(law, lag_weights=other, bias=bias)
    return Scenario(law, lambda since: changed, burn_in=100, is_driven=True)


def drifting_neuron():
    """Spiking neurons of which one drifts to 2.7 times its rate."""
    law = _spiking(coupling=0.5)

    def later(since):
        bias = law.bias.copy()
        bias[3] += DRIFT * min(1.0, since / DRIFT_TIME)
        return replace(law, bias=bias)

    return Scenario(law, later, burn_in=100, is_driven=True)


def lost_rhythm():
    """Oscillating channels, the fastest of whose three rhythms dies out."""
    law = datasets.make_oscillator(10, 12, random_state=0).oracle.law
    first, second = law.lag_weights
    # All matrices of this law have the same eigenvectors.
    modes = np.linalg.eigh((first + first.T) / 2)[1]
    parts = [np.diag(modes.T @ m @ modes) for m in (first, second, law.covariance)]
    a, b, shocks = (part.copy() for part in parts)
    rhythms = np.argsort(b)[:3]
    fast = rhythms[a[rhythms].argmin()]
    a[fast] *= FADING / np.sqrt(-b[fast])
    b[fast] = -(FADING**2)
    shocks[fast] *= REST
    first, second, covariance = ((modes * part) @ modes.T for part in (a, b, shocks))
    changed = replace(
        law,
        lag_weights=np.stack([first, second]),
        covariance=(covariance + covariance.T) / 2,
    )
    return Scenario(law, lambda since: changed, burn_in=2000)


def synchrony():
    """Noisy switches that come to pull one another along, as in a seizure."""
    law = datasets.make_double_well(10, 8, random_state=0).oracle.law
    changed = replace(law, coupling=0.5)
    return Scenario(law, lambda since: changed, burn_in=50)


def _spiking(coupling):
    data = datasets.make_spiking_population(
        10, N_NEURONS, mean_count=MEAN_COUNT, coupling=coupling, random_state=0
    )
    return data.oracle.law


SCENARIOS = {
    "switched coupling": switched_coupling,
    "lost rhythm": lost_rhythm,
    "drifting neuron": drifting_neuron,
    "synchrony": synchrony,
}
