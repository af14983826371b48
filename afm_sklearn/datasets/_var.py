"""Stimulus-driven linear Gaussian vector autoregression."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
from scipy.linalg import solve_triangular
from sklearn.utils import Bunch, check_scalar

from ._law import Array, Seed, make_generator
from ._renamed import takes_n_steps
from ._simulate import check_counts, record, smooth_series


@dataclass(frozen=True, eq=False)
class LinearVAR:
    """y_t = sum_k A_k y_{t-k} + B s_t + e_t with e_t ~ N(0, C).

    ``lag_weights`` is (order, d, d), A_1 first; ``stimulus_weights`` is (d, s).
    """

    lag_weights: Array
    stimulus_weights: Array
    covariance: Array

    @property
    def order(self) -> int:
        return len(self.lag_weights)

    @property
    def n_outputs(self) -> int:
        return len(self.covariance)

    @property
    def n_stimuli(self) -> int:
        return self.stimulus_weights.shape[1]

    def mean(self, lags: Array, stimulus: Array) -> Array:
        mean = stimulus @ self.stimulus_weights.T
        for k, weights in enumerate(self.lag_weights, start=1):
            mean = mean + lags[:, -k] @ weights.T
        return mean

    def draw(self, lags: Array, stimulus: Array, rng: np.random.Generator) -> Array:
        noise = rng.standard_normal((len(lags), self.n_outputs))
        return self.mean(lags, stimulus) + noise @ self._root.T

    def log_prob(self, lags: Array, stimulus: Array, target: Array) -> Array:
        residual = target - self.mean(lags, stimulus)
        white = solve_triangular(self._root, residual.T, lower=True)
        log_scale = float(np.log(np.diag(self._root)).sum())
        log_unit = 0.5 * self.n_outputs * np.log(2 * np.pi)
        return -0.5 * (white**2).sum(axis=0) - log_scale - log_unit

    @property
    def _root(self) -> Array:
        return np.asarray(np.linalg.cholesky(self.covariance), dtype=np.float64)


@takes_n_steps
def make_linear_var(
    n_times: int = 2000,
    n_channels: int = 8,
    n_stimuli: int = 2,
    order: int = 1,
    n_runs: int = 1,
    *,
    noise: float = 1.0,
    spectral_radius: float = 0.9,
    stimulus_gain: float = 0.5,
    random_state: Seed = None,
) -> Bunch:
    r"""Simulate a stable linear Gaussian vector autoregression with a stimulus.

    .. math:: y_t = \sum_{k=1}^{p} A_k y_{t-k} + B s_t + e_t, \qquad
              e_t \sim N(0, \sigma^2 R)

    with random weights and a random correlation matrix R. The highest lag
    carries the largest weights, so a window shorter than ``order`` loses much.
    Each stimulus column is an AR(1) series of unit variance and memory 0.95.
    Runs are independent and start from the stationary law.

    Parameters
    ----------
    n_times : int, default=2000
        Steps in each run.
    n_channels : int, default=8
        Number of channels d.
    n_stimuli : int, default=2
        Number of stimulus columns s; 0 for none.
    order : int, default=1
        Number of lags p.
    n_runs : int, default=1
        Number of runs; T = n_times * n_runs.
    noise : float, default=1.0
        Standard deviation of each channel's innovation, sigma.
    spectral_radius : float, default=0.9
        Largest modulus of the eigenvalues of the dynamics, below 1.
    stimulus_gain : float, default=0.5
        Standard deviation of the entries of B.
    random_state : int, Generator, RandomState or None
        Seed or source of weights and noise.

    Returns
    -------
    Bunch
        ``activity`` (T, d), ``stimulus`` (T, s) or None, ``runs`` (T,) and
        ``oracle``, the true law; ``oracle.law.covariance`` is the exact
        conditional covariance and ``oracle.predict`` the exact mean.

    References
    ----------
    H. Luetkepohl (2005), New Introduction to Multiple Time Series Analysis,
    Springer, chapter 2.

    Examples
    --------
    >>> from afm_sklearn.datasets import make_linear_var
    >>> data = make_linear_var(n_times=50, n_runs=2, random_state=0)
    >>> data.activity.shape, data.stimulus.shape, data.runs.shape
    ((100, 8), (100, 2), (100,))
    """
    check_counts(n_times=n_times, n_channels=n_channels, order=order, n_runs=n_runs)
    check_scalar(n_stimuli, "n_stimuli", Integral, min_val=0)
    check_scalar(noise, "noise", Real, min_val=0, include_boundaries="neither")
    check_scalar(
        spectral_radius,
        "spectral_radius",
        Real,
        min_val=0,
        max_val=1,
        include_boundaries="neither",
    )
    rng = make_generator(random_state)
    law = LinearVAR(
        lag_weights=_stable_weights(order, n_channels, spectral_radius, rng),
        stimulus_weights=stimulus_gain * rng.standard_normal((n_channels, n_stimuli)),
        covariance=noise**2 * _random_correlation(n_channels, rng),
    )
    # The start is forgotten as radius**burn_in, here below 1e-8.
    burn_in = int(np.ceil(20 / (1 - spectral_radius)))
    stimulus = smooth_series((n_runs, burn_in + n_times, n_stimuli), 0.95, rng)
    start = np.zeros((n_runs, n_channels))
    names = [f"stimulus_{i}" for i in range(n_stimuli)]
    return record(law, start, stimulus, burn_in, rng, names)


def _stable_weights(
    order: int, d: int, radius: float, rng: np.random.Generator
) -> Array:
    """Random lag weights whose companion matrix has the given spectral radius."""
    weights = 0.5 * rng.standard_normal((order, d, d)) / np.sqrt(d)
    weights[-1] += 0.5 * np.eye(d)
    weights[:-1] *= 0.3
    companion = np.eye(order * d, k=-d)
    companion[:d] = np.hstack(list(weights))
    present = np.abs(np.linalg.eigvals(companion)).max()
    # A_k -> r**k A_k multiplies every eigenvalue of the companion by r.
    powers = np.arange(1, order + 1)
    return weights * (radius / present) ** powers[:, None, None]


def _random_correlation(d: int, rng: np.random.Generator) -> Array:
    """Random correlation matrix, well conditioned."""
    factors = rng.standard_normal((d, max(1, d // 2)))
    covariance = factors @ factors.T / factors.shape[1] + 0.5 * np.eye(d)
    scale = np.sqrt(np.diag(covariance))
    return covariance / np.outer(scale, scale)
