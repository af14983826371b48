"""A calcium indicator over spikes."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np
from scipy.special import gammaln, xlogy
from sklearn.utils import Bunch, check_scalar

from ._law import Array, Seed, make_generator
from ._renamed import takes_n_steps
from ._simulate import check_counts, record, smooth_series

MAX_RATE = 5.0
# At MAX_RATE more spikes than this have a probability of 1e-23.
MAX_SPIKES = 40
N_STIMULI = 2


@dataclass(frozen=True, eq=False)
class CalciumIndicator:
    """c_t = (g + r) c_{t-1} - g r c_{t-2} + a n_t + sigma e_t with Poisson n_t.

    The rate of n_t is ``rate * exp(stimulus_weights @ s_t)`` times a gain that all
    neurons share, ``1 + coupling * (pooling @ c_{t-1} - 1)``. ``rate``,
    ``amplitude`` and ``pooling`` are (d,), ``stimulus_weights`` (d, s).
    """

    rate: Array
    stimulus_weights: Array
    pooling: Array
    coupling: float
    amplitude: Array
    decay: float
    rise: float
    noise: float

    @property
    def order(self) -> int:
        return 2

    @property
    def n_outputs(self) -> int:
        return len(self.rate)

    @property
    def n_stimuli(self) -> int:
        return self.stimulus_weights.shape[1]

    def spike_rate(self, lags: Array, stimulus: Array) -> Array:
        """Mean spikes of each neuron in the step, (n, d)."""
        gain = 1 + self.coupling * (lags[:, -1] @ self.pooling - 1)
        tuned = self.rate * np.exp(stimulus @ self.stimulus_weights.T)
        return np.clip(gain[:, None] * tuned, 0, MAX_RATE)

    def mean(self, lags: Array, stimulus: Array) -> Array:
        spikes = self.spike_rate(lags, stimulus)
        return self._decayed(lags) + self.amplitude * spikes

    def draw(self, lags: Array, stimulus: Array, rng: np.random.Generator) -> Array:
        noise = self.noise * rng.standard_normal((len(lags), self.n_outputs))
        spikes = rng.poisson(self.spike_rate(lags, stimulus))
        return self._decayed(lags) + self.amplitude * spikes + noise

    def log_prob(self, lags: Array, stimulus: Array, target: Array) -> Array:
        rate = self.spike_rate(lags, stimulus)
        jump = target - self._decayed(lags)
        logs = np.full(target.shape, -np.inf)
        for spikes in range(MAX_SPIKES + 1):
            residual = (jump - self.amplitude * spikes) / self.noise
            log_count = xlogy(spikes, rate) - rate - gammaln(spikes + 1)
            logs = np.logaddexp(logs, log_count - 0.5 * residual**2)
        log_unit = np.log(self.noise) + 0.5 * np.log(2 * np.pi)
        return logs.sum(axis=1) - self.n_outputs * log_unit

    def _decayed(self, lags: Array) -> Array:
        now, before = lags[:, -1], lags[:, -2]
        return (self.decay + self.rise) * now - self.decay * self.rise * before


@takes_n_steps
def make_calcium(
    n_times: int = 2000,
    n_neurons: int = 20,
    n_runs: int = 1,
    *,
    mean_rate: float = 0.03,
    decay: float = 0.9,
    rise: float = 0.3,
    noise: float = 0.03,
    tuning: float = 0.6,
    coupling: float = 0.5,
    random_state: Seed = None,
) -> Bunch:
    r"""Simulate the fluorescence of a calcium indicator over spikes.

    .. math:: c_{i,t} &= (\gamma + \rho) c_{i,t-1} - \gamma \rho c_{i,t-2}
              + a_i n_{i,t} + \sigma e_{i,t}, \qquad
              n_{i,t} \sim \mathrm{Poisson}(\min(\lambda_{i,t}, 5)) \\
              \lambda_{i,t} &= \lambda_i \exp(\tau u_i^\top s_t - \tau^2 / 2)
              \, \max(0, 1 + \kappa (x_{t-1} - 1))

    The gain shared by all neurons follows the past fluorescence of the whole
    population: x is its mean in units of what it is on average. Preferred directions
    u_i tile the circle; rates lambda_i and amplitudes a_i are random. Noise enters
    the fluorescence itself, not its measurement, so that two steps of the past are
    all there is to know. Traces are near rest for most of the time, jump at a spike
    and decay smoothly: skewed, and predictable but for the jumps. Runs are
    independent and start from the stationary law.

    Parameters
    ----------
    n_times : int, default=2000
        Frames in each run.
    n_neurons : int, default=20
        Number of neurons d.
    n_runs : int, default=1
        Number of runs; T = n_times * n_runs.
    mean_rate : float, default=0.03
        Spikes a neuron and frame on average over neurons, at most 1.
    decay : float, default=0.9
        Share of the fluorescence that is left after a frame, gamma.
    rise : float, default=0.3
        The same for its rise, rho; at most ``decay``, 0 for a rise at once.
    noise : float, default=0.03
        sigma, in units of the jump at a spike (about 1).
    tuning : float, default=0.6
        Standard deviation tau of the log rate under the stimulus.
    coupling : float, default=0.5
        Strength kappa of the shared gain, in [0, 1).
    random_state : int, Generator, RandomState or None
        Seed or source of neurons, stimulus, spikes and noise.

    Returns
    -------
    Bunch
        ``activity`` (T, d) fluorescence, ``stimulus`` (T, 2) smooth series of unit
        variance, ``runs`` (T,) and ``oracle``, the true law;
        ``oracle.law.spike_rate`` gives the rate of the hidden spikes.

    Raises
    ------
    TypeError, ValueError
        Where an argument, which is named, is of the wrong type or out of its range.

    References
    ----------
    E. A. Pnevmatikakis et al. (2016), Simultaneous denoising, deconvolution, and
    demixing of calcium imaging data, Neuron 89, 285-299.

    Examples
    --------
    >>> from afm_sklearn.datasets import make_calcium
    >>> data = make_calcium(n_times=50, random_state=0)
    >>> data.activity.shape, data.stimulus.shape
    ((50, 20), (50, 2))
    """
    check_counts(n_times=n_times, n_neurons=n_neurons, n_runs=n_runs)
    check_scalar(
        mean_rate,
        "mean_rate",
        Real,
        min_val=0,
        max_val=MAX_RATE / 5,
        include_boundaries="right",
    )
    open_unit = {"min_val": 0, "max_val": 1, "include_boundaries": "neither"}
    check_scalar(decay, "decay", Real, **open_unit)
    check_scalar(rise, "rise", Real, min_val=0, max_val=decay)
    check_scalar(noise, "noise", Real, min_val=0, include_boundaries="neither")
    check_scalar(tuning, "tuning", Real, min_val=0)
    check_scalar(
        coupling, "coupling", Real, min_val=0, max_val=1, include_boundaries="left"
    )
    rng = make_generator(random_state)
    angle = np.linspace(0, 2 * np.pi, n_neurons, endpoint=False)
    rate = mean_rate * rng.gamma(2, 1 / 2, n_neurons)
    amplitude = np.exp(rng.normal(0, 0.3, n_neurons))
    level = amplitude * rate / ((1 - decay) * (1 - rise))
    law = CalciumIndicator(
        # exp(tuning^2 / 2) is the mean of the tuned factor over the stimulus.
        rate=rate * np.exp(-0.5 * tuning**2),
        stimulus_weights=tuning * np.c_[np.cos(angle), np.sin(angle)],
        pooling=np.full(n_neurons, 1 / level.sum()),
        coupling=coupling,
        amplitude=amplitude,
        decay=decay,
        rise=rise,
        noise=noise,
    )
    burn_in = int(np.ceil(10 / ((1 - decay) * (1 - coupling))))
    shape = (n_runs, burn_in + n_times, N_STIMULI)
    stimulus = smooth_series(shape, 0.95, rng)
    start = np.tile(level, (n_runs, 1))
    names = [f"stimulus_{i}" for i in range(N_STIMULI)]
    return record(law, start, stimulus, burn_in, rng, names)
