"""A spiking population that follows a moving stimulus."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np
from scipy.special import gammaln, i0
from sklearn.utils import Bunch, check_scalar

from ._law import Array, Seed, make_generator
from ._renamed import takes_n_steps
from ._simulate import check_counts, moving_stimulus, record

MAX_RATE = 5.0


@dataclass(frozen=True, eq=False)
class PoissonPopulation:
    """n_t ~ Poisson(min(exp(b + W n_{t-1} + K s_t), MAX_RATE)).

    ``bias`` is (d,), ``lag_weights`` (d, d), ``stimulus_weights`` (d, s).
    """

    bias: Array
    lag_weights: Array
    stimulus_weights: Array

    @property
    def order(self) -> int:
        return 1

    @property
    def n_outputs(self) -> int:
        return len(self.bias)

    @property
    def n_stimuli(self) -> int:
        return self.stimulus_weights.shape[1]

    def mean(self, lags: Array, stimulus: Array) -> Array:
        drive = lags[:, -1] @ self.lag_weights.T + stimulus @ self.stimulus_weights.T
        # Clipping the drive, not the rate, so that exp never overflows.
        return np.exp(np.minimum(self.bias + drive, np.log(MAX_RATE)))

    def draw(self, lags: Array, stimulus: Array, rng: np.random.Generator) -> Array:
        return rng.poisson(self.mean(lags, stimulus)).astype(np.float64)

    def log_prob(self, lags: Array, stimulus: Array, target: Array) -> Array:
        rate = self.mean(lags, stimulus)
        logs = target * np.log(rate) - rate - gammaln(target + 1)
        is_count = (target >= 0) & (target == np.floor(target))
        return np.where(is_count, logs, -np.inf).sum(axis=1)


@takes_n_steps
def make_spiking_population(
    n_times: int = 2000,
    n_neurons: int = 30,
    n_runs: int = 1,
    *,
    mean_count: float = 0.3,
    tuning: float = 1.5,
    coupling: float = 0.5,
    refractoriness: float = 1.5,
    random_state: Seed = None,
) -> Bunch:
    r"""Simulate spike counts of neurons tuned to a stimulus moving on a circle.

    .. math:: n_{i,t} \sim \mathrm{Poisson}(\min(\lambda_{i,t}, 5)), \quad
              \log \lambda_{i,t} = b_i + \kappa \cos(\theta_t - \phi_i)
              + g_i v_t + \sum_j W_{ij} (n_{j,t-1} - m)

    Preferred positions phi_i tile the circle; the position theta moves with a
    smooth random speed v. W has ``-refractoriness`` on its diagonal and weak
    random excitation and inhibition elsewhere; m is the mean count. Runs are
    independent and start from the stationary law.

    Parameters
    ----------
    n_times : int, default=2000
        Time bins in each run.
    n_neurons : int, default=30
        Number of neurons d.
    n_runs : int, default=1
        Number of runs; T = n_times * n_runs.
    mean_count : float, default=0.3
        Spikes a neuron and bin, about: coupling moves it by some per cent.
    tuning : float, default=1.5
        Concentration kappa of the tuning curves.
    coupling : float, default=0.5
        Standard deviation of the summed weights onto a neuron.
    refractoriness : float, default=1.5
        Drop of the log rate for each spike in the previous bin.
    random_state : int, Generator, RandomState or None
        Seed or source of weights, stimulus and counts.

    Returns
    -------
    Bunch
        ``activity`` (T, d) counts as floats, ``stimulus`` (T, 3) with columns
        cos(theta), sin(theta) and speed v (unit variance), ``runs`` (T,) and
        ``oracle``, the true law.

    References
    ----------
    W. Truccolo et al. (2005), A point process framework for relating neural
    spiking activity to spiking history, neural ensemble, and extrinsic
    covariate effects, Journal of Neurophysiology 93, 1074-1089.

    Examples
    --------
    >>> from afm_sklearn.datasets import make_spiking_population
    >>> data = make_spiking_population(n_times=50, random_state=0)
    >>> data.activity.shape, data.stimulus.shape
    ((50, 30), (50, 3))
    """
    check_counts(n_times=n_times, n_neurons=n_neurons, n_runs=n_runs)
    check_scalar(
        mean_count,
        "mean_count",
        Real,
        min_val=0,
        max_val=MAX_RATE / 5,
        include_boundaries="right",
    )
    rng = make_generator(random_state)
    weights = rng.normal(0, coupling / np.sqrt(n_neurons), (n_neurons, n_neurons))
    np.fill_diagonal(weights, -refractoriness)
    preferred = np.linspace(0, 2 * np.pi, n_neurons, endpoint=False)
    speed_gain = rng.normal(0, 0.2, n_neurons)
    law = PoissonPopulation(
        # I0 is the mean of exp(kappa cos) over the circle.
        bias=np.log(mean_count / i0(tuning)) - mean_count * weights.sum(axis=1),
        lag_weights=weights,
        stimulus_weights=np.c_[
            tuning * np.cos(preferred), tuning * np.sin(preferred), speed_gain
        ],
    )
    burn_in = 100
    stimulus = moving_stimulus(n_runs, burn_in + n_times, rng)
    start = np.zeros((n_runs, n_neurons))
    return record(law, start, stimulus, burn_in, rng, ["cos", "sin", "speed"])
