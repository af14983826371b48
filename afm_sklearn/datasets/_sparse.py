"""Sparse events whose rates drift."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np
from scipy.special import gammaln, i0
from sklearn.utils import Bunch, check_scalar

from ._law import Array, Seed, make_generator
from ._renamed import takes_n_steps
from ._simulate import check_counts, moving_stimulus, record, smooth_series

MAX_RATE = 1.0
AMPLITUDE_SHAPE = 2.0


@dataclass(frozen=True, eq=False)
class SparseEvents:
    """An event with probability 1 - exp(-rate), of size 1 or of gamma amplitude.

    The rate is min(exp(b + burst * [y_{t-1} > 0] + K s_t), MAX_RATE). ``bias`` is
    (d,), ``stimulus_weights`` (d, s). Amplitudes have mean 1 and ``shape``; without
    a shape all are 1.
    """

    bias: Array
    burst: float
    stimulus_weights: Array
    shape: float | None

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
        return -np.expm1(-self._rate(lags, stimulus))

    def draw(self, lags: Array, stimulus: Array, rng: np.random.Generator) -> Array:
        chance = self.mean(lags, stimulus)
        is_event = rng.random(chance.shape) < chance
        events = is_event.astype(np.float64)
        if self.shape is not None:
            n_events = np.count_nonzero(is_event)
            events[is_event] = rng.gamma(self.shape, 1 / self.shape, n_events)
        return events

    def log_prob(self, lags: Array, stimulus: Array, target: Array) -> Array:
        rate = self._rate(lags, stimulus)
        log_event = np.log(-np.expm1(-rate)) + self._log_amplitude(target)
        return np.where(target == 0, -rate, log_event).sum(axis=1)

    def _rate(self, lags: Array, stimulus: Array) -> Array:
        drive = self.burst * (lags[:, -1] > 0) + stimulus @ self.stimulus_weights.T
        # Clipping the drive, not the rate, so that exp never overflows.
        return np.exp(np.minimum(self.bias + drive, np.log(MAX_RATE)))

    def _log_amplitude(self, target: Array) -> Array:
        """Log density of the amplitude of an event."""
        if self.shape is None:
            return np.where(target == 1, 0.0, -np.inf)
        scaled = self.shape * np.where(target > 0, target, 1.0)
        logs = (self.shape - 1) * np.log(scaled) - scaled - gammaln(self.shape)
        return np.where(target > 0, logs + np.log(self.shape), -np.inf)


@takes_n_steps
def make_sparse_events(
    n_times: int = 2000,
    n_neurons: int = 20,
    n_runs: int = 1,
    *,
    mean_rate: float = 0.02,
    tuning: float = 1.5,
    burst: float = 1.0,
    drift: float = 1.0,
    drift_time: float = 1000.0,
    amplitudes: bool = False,
    random_state: Seed = None,
) -> Bunch:
    r"""Simulate very sparse events of neurons whose rates drift.

    .. math:: P(y_{i,t} > 0) = 1 - \exp(-\min(\lambda_{i,t}, 1)), \quad
              \log \lambda_{i,t} = b_i + \kappa \cos(\theta_t - \phi_i)
              + \beta [y_{i,t-1} > 0] + g_i z_t

    Preferred positions phi_i tile the circle on which the position theta moves, as
    of place cells. The slow series z drifts over the recording, and the weights g_i
    have either sign: some neurons fall silent while others awake. It is a column of
    the stimulus, so that the law is known; leave the column out to see what a
    forecaster makes of a drift that it is not shown. Events are of size 1, or have
    gamma amplitudes as those of deconvolved calcium. Runs are independent and start
    from the stationary law.

    Parameters
    ----------
    n_times : int, default=2000
        Time bins in each run.
    n_neurons : int, default=20
        Number of neurons d.
    n_runs : int, default=1
        Number of runs; T = n_times * n_runs.
    mean_rate : float, default=0.02
        Events a neuron and bin, about: bursts move it by some per cent. At most 0.2.
    tuning : float, default=1.5
        Concentration kappa of the tuning curves.
    burst : float, default=1.0
        Rise beta of the log rate in the bin after an event.
    drift : float, default=1.0
        Standard deviation of the weights g on the drift; 0 for none.
    drift_time : float, default=1000.0
        Bins in which the drift forgets all but 1/e of itself.
    amplitudes : bool, default=False
        Whether events have amplitudes, of a gamma law with mean 1 and shape 2, or
        all have size 1.
    random_state : int, Generator, RandomState or None
        Seed or source of weights, stimulus, drift and events.

    Returns
    -------
    Bunch
        ``activity`` (T, d), ``stimulus`` (T, 3) with columns cos(theta), sin(theta)
        and drift z (unit variance), ``runs`` (T,) and ``oracle``, the true law. Its
        ``log_prob`` of amplitudes is the log probability of a zero and the log
        density of what is above.

    Raises
    ------
    TypeError, ValueError
        Where an argument, which is named, is of the wrong type or out of its range.

    References
    ----------
    Y. Ziv et al. (2013), Long-term dynamics of CA1 hippocampal place codes, Nature
    Neuroscience 16, 264-266.

    Examples
    --------
    >>> from afm_sklearn.datasets import make_sparse_events
    >>> data = make_sparse_events(n_times=50, random_state=0)
    >>> data.activity.shape, data.stimulus.shape
    ((50, 20), (50, 3))
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
    check_scalar(tuning, "tuning", Real, min_val=0)
    check_scalar(burst, "burst", Real, min_val=0)
    check_scalar(drift, "drift", Real, min_val=0)
    check_scalar(
        drift_time, "drift_time", Real, min_val=0, include_boundaries="neither"
    )
    check_scalar(amplitudes, "amplitudes", (bool, np.bool_))
    rng = make_generator(random_state)
    preferred = np.linspace(0, 2 * np.pi, n_neurons, endpoint=False)
    drift_weights = rng.normal(0, drift, n_neurons)
    law = SparseEvents(
        # I0 and exp(g^2 / 2) are the means of exp(kappa cos) and exp(g z).
        bias=np.log(mean_rate / i0(tuning)) - 0.5 * drift_weights**2,
        burst=burst,
        stimulus_weights=np.c_[
            tuning * np.cos(preferred), tuning * np.sin(preferred), drift_weights
        ],
        shape=AMPLITUDE_SHAPE if amplitudes else None,
    )
    burn_in = 100
    position = moving_stimulus(n_runs, burn_in + n_times, rng)[..., :2]
    memory = np.exp(-1 / drift_time)
    slow = smooth_series((n_runs, burn_in + n_times, 1), memory, rng)
    stimulus = np.concatenate([position, slow], axis=-1)
    start = np.zeros((n_runs, n_neurons))
    return record(law, start, stimulus, burn_in, rng, ["cos", "sin", "drift"])
