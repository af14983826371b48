"""Counts in overlapping bins."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np
from scipy.special import gammaln, xlog1py, xlogy
from sklearn.utils import Bunch, check_scalar

from ._law import Array, Seed, make_generator
from ._renamed import takes_n_steps
from ._simulate import check_counts, record, smooth_series

MAX_INFLOW = 5.0
N_STIMULI = 2


@dataclass(frozen=True, eq=False)
class ThinnedCounts:
    """y_t ~ Binomial(y_{t-1}, survival) + Poisson(inflow).

    The inflow is ``rate * exp(stimulus_weights @ s_t)`` times the gain
    ``1 + lag_weights @ (y_{t-1} - level)``, within 0 and MAX_INFLOW.
    ``lag_weights`` is (d, d), ``stimulus_weights`` (d, s).
    """

    survival: float
    level: float
    rate: float
    lag_weights: Array
    stimulus_weights: Array

    @property
    def order(self) -> int:
        return 1

    @property
    def n_outputs(self) -> int:
        return len(self.lag_weights)

    @property
    def n_stimuli(self) -> int:
        return self.stimulus_weights.shape[1]

    def inflow(self, lags: Array, stimulus: Array) -> Array:
        """Mean count that is new in the step, (n, d)."""
        gain = 1 + (lags[:, -1] - self.level) @ self.lag_weights.T
        tuned = self.rate * np.exp(stimulus @ self.stimulus_weights.T)
        return np.clip(gain * tuned, 0, MAX_INFLOW)

    def mean(self, lags: Array, stimulus: Array) -> Array:
        return self.survival * lags[:, -1] + self.inflow(lags, stimulus)

    def draw(self, lags: Array, stimulus: Array, rng: np.random.Generator) -> Array:
        present = _as_counts(lags[:, -1]).astype(np.int64)
        # A generator of their own, so that no row depends on the rows after it.
        arrivals = np.random.default_rng(rng.integers(2**63))
        kept = rng.binomial(present, self.survival)
        new = arrivals.poisson(self.inflow(lags, stimulus))
        return (kept + new).astype(np.float64)

    def log_prob(self, lags: Array, stimulus: Array, target: Array) -> Array:
        present, inflow = _as_counts(lags[:, -1]), self.inflow(lags, stimulus)
        logs = np.full(target.shape, -np.inf)
        for kept in range(int(present.max(initial=0)) + 1):
            left, new = present - kept, target - kept
            possible = (left >= 0) & (new >= 0) & (new == np.floor(new))
            left, new = np.where(possible, left, 0), np.where(possible, new, 0)
            log_kept = _log_choose(kept + left, kept)
            log_kept += xlogy(kept, self.survival) + xlog1py(left, -self.survival)
            log_new = xlogy(new, inflow) - inflow - gammaln(new + 1)
            joint = np.where(possible, log_kept + log_new, -np.inf)
            logs = np.logaddexp(logs, joint)
        return logs.sum(axis=1)


def _as_counts(values: Array) -> Array:
    wrong = (values < 0) | (values != np.floor(values))
    if wrong.any():
        raise ValueError(
            f"X must hold counts (whole numbers from 0) in its lagged channels, "
            f"got {values[wrong][0]}"
        )
    return values


def _log_choose(n: Array, k: int) -> Array:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


@takes_n_steps
def make_overlapping_counts(
    n_times: int = 2000,
    n_neurons: int = 20,
    n_runs: int = 1,
    *,
    mean_count: float = 3.0,
    bin_length: float = 10.0,
    tuning: float = 0.6,
    coupling: float = 0.5,
    random_state: Seed = None,
) -> Bunch:
    r"""Simulate smooth counts, as of spikes in bins that overlap.

    .. math:: y_{i,t} &\sim \mathrm{Binomial}(y_{i,t-1}, 1 - 1/L)
              + \mathrm{Poisson}(\min(\lambda_{i,t}, 5)) \\
              \lambda_{i,t} &= \frac{m}{L}
              \exp(\tau u_i^\top s_t - \tau^2 / 2)
              \, \max(0, 1 + \sum_j W_{ij} (y_{j,t-1} / m - 1))

    A bin of L steps that moves on by one step drops the spikes of its oldest step
    and takes in those of a new one, so that successive counts share most of their
    spikes. Here every spike leaves the bin with probability 1/L a step: it is
    counted for L steps on average instead of exactly, and the last counts are all
    there is to know (an integer-valued autoregression). At a constant rate the
    counts are Poisson with mean m and autocorrelation (1 - 1/L)^k at lag k, where
    bins of a fixed length would have 1 - k/L. The preferred directions u_i of
    the neurons tile the circle, and the weights W are random. Runs are independent
    and start from the stationary law.

    Parameters
    ----------
    n_times : int, default=2000
        Steps in each run.
    n_neurons : int, default=20
        Number of neurons d.
    n_runs : int, default=1
        Number of runs; T = n_times * n_runs.
    mean_count : float, default=3.0
        Spikes m of a neuron in a bin, about: coupling moves it by up to a fifth.
        At most ``bin_length``.
    bin_length : float, default=10.0
        Steps L that a spike stays in the bin on average, at least 1 (no overlap).
    tuning : float, default=0.6
        Standard deviation tau of the log rate under the stimulus.
    coupling : float, default=0.5
        Standard deviation of the summed weights W onto a neuron, in [0, 1).
    random_state : int, Generator, RandomState or None
        Seed or source of weights, stimulus and counts.

    Returns
    -------
    Bunch
        ``activity`` (T, d) counts as floats, ``stimulus`` (T, 2) smooth series of
        unit variance, ``runs`` (T,) and ``oracle``, the true law;
        ``oracle.law.inflow`` gives the rate of new spikes.

    Raises
    ------
    TypeError, ValueError
        Where an argument, which is named, is of the wrong type or out of its range.

    References
    ----------
    M. A. Al-Osh, A. A. Alzaid (1987), First-order integer-valued autoregressive
    (INAR(1)) process, Journal of Time Series Analysis 8, 261-275.

    Examples
    --------
    >>> from afm_sklearn.datasets import make_overlapping_counts
    >>> data = make_overlapping_counts(n_times=50, random_state=0)
    >>> data.activity.shape, data.stimulus.shape
    ((50, 20), (50, 2))
    """
    check_counts(n_times=n_times, n_neurons=n_neurons, n_runs=n_runs)
    check_scalar(bin_length, "bin_length", Real, min_val=1)
    check_scalar(
        mean_count,
        "mean_count",
        Real,
        min_val=0,
        max_val=bin_length * MAX_INFLOW / 5,
        include_boundaries="right",
    )
    check_scalar(tuning, "tuning", Real, min_val=0)
    check_scalar(
        coupling, "coupling", Real, min_val=0, max_val=1, include_boundaries="left"
    )
    rng = make_generator(random_state)
    coupled = rng.normal(0, coupling / np.sqrt(n_neurons), (n_neurons, n_neurons))
    angle = np.linspace(0, 2 * np.pi, n_neurons, endpoint=False)
    law = ThinnedCounts(
        survival=1 - 1 / bin_length,
        level=mean_count,
        # exp(tuning^2 / 2) is the mean of the tuned factor over the stimulus.
        rate=mean_count / bin_length * np.exp(-0.5 * tuning**2),
        lag_weights=coupled / mean_count,
        stimulus_weights=tuning * np.c_[np.cos(angle), np.sin(angle)],
    )
    burn_in = int(np.ceil(20 * bin_length / (1 - coupling)))
    shape = (n_runs, burn_in + n_times, N_STIMULI)
    stimulus = smooth_series(shape, 0.95, rng)
    start = np.full((n_runs, n_neurons), np.round(mean_count))
    names = [f"stimulus_{i}" for i in range(N_STIMULI)]
    return record(law, start, stimulus, burn_in, rng, names)
