"""Sessions of different neurons that share the dynamics of their latents."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
from scipy.linalg import solve_triangular
from sklearn.utils import Bunch, check_scalar

from ._law import Array, Seed, make_generator
from ._renamed import takes_n_steps
from ._simulate import check_counts, record, smooth_series

BURN_IN = 50
N_FEATURES, N_UNITS = 16, 24  # of the stimulus, and of the recurrence
KEPT = 0.55  # of a latent from step to step


@dataclass(frozen=True, eq=False)
class LatentDynamics:
    """z -> .55 z + .8 W2 tanh(W1 z) + B tanh(A s + b)."""

    inward: Array
    outward: Array
    features: Array
    offset: Array
    drive: Array

    @classmethod
    def make(cls, k: int, s: int, rng: np.random.Generator) -> LatentDynamics:
        """Draw dynamics of k latents and s stimulus columns."""
        return cls(
            1.2 * rng.normal(size=(k, N_UNITS)) / np.sqrt(k),
            rng.normal(size=(N_UNITS, k)) / np.sqrt(N_UNITS),
            1.5 * rng.normal(size=(s, N_FEATURES)) / np.sqrt(max(1, s)),
            rng.normal(size=N_FEATURES),
            1.2 * rng.normal(size=(N_FEATURES, k)) / np.sqrt(N_FEATURES),
        )

    def step(self, z: Array, stimulus: Array) -> Array:
        """Return the latents that are expected next (n, k)."""
        shown = np.tanh(stimulus @ self.features + self.offset) @ self.drive
        return KEPT * z + 0.8 * np.tanh(z @ self.inward) @ self.outward + shown


@dataclass(frozen=True, eq=False)
class SharedLatents:
    """y_t = C f(R y_{t-1}, s_t) + C n_t + e_t, with R C = 1.

    The latents are read from the last step of all neurons; n_t and e_t are Gaussian.
    """

    dynamics: LatentDynamics
    loadings: Array  # C', (k, d)
    shared_noise: float
    private_noise: float

    @property
    def order(self) -> int:
        return 1

    @property
    def n_outputs(self) -> int:
        return self.loadings.shape[1]

    @property
    def n_stimuli(self) -> int:
        return len(self.dynamics.features)

    def mean(self, lags: Array, stimulus: Array) -> Array:
        latents = lags[:, -1] @ np.linalg.pinv(self.loadings)
        mean: Array = self.dynamics.step(latents, stimulus) @ self.loadings
        return mean

    def draw(self, lags: Array, stimulus: Array, rng: np.random.Generator) -> Array:
        mean, k = self.mean(lags, stimulus), len(self.loadings)
        shared = rng.standard_normal((len(mean), k)) @ self.loadings
        private = rng.standard_normal(mean.shape)
        return mean + self.shared_noise * shared + self.private_noise * private

    def log_prob(self, lags: Array, stimulus: Array, target: Array) -> Array:
        root = np.linalg.cholesky(self.covariance)
        error = target - self.mean(lags, stimulus)
        white = solve_triangular(root, error.T, lower=True)
        log_unit = np.log(np.diag(root)).sum() + 0.5 * len(root) * np.log(2 * np.pi)
        return np.asarray(-0.5 * (white**2).sum(axis=0) - log_unit)

    @property
    def covariance(self) -> Array:
        shared = self.shared_noise**2 * self.loadings.T @ self.loadings
        return shared + self.private_noise**2 * np.eye(self.n_outputs)


@takes_n_steps
def make_sessions(
    n_sessions: int = 8,
    n_times: int = 2400,
    n_neurons: int = 60,
    n_latents: int = 6,
    n_stimuli: int = 8,
    *,
    n_alien: int = 0,
    shared_noise: float = 0.1,
    private_noise: float = 0.3,
    random_state: Seed = None,
) -> list[Bunch]:
    r"""Simulate sessions of different neurons that share latent dynamics.

    .. math:: z_t = f(R y_{t-1}, s_t), \qquad
              y_t = C (z_t + n_t) + e_t, \qquad R C = 1

    with nonlinear f, the same in all sessions, random loadings C of each session's
    neurons, and Gaussian noise. Each stimulus column is an AR(1) series of memory .8.

    Parameters
    ----------
    n_sessions : int, default=8
        Sessions that share f.
    n_times : int, default=2400
        Steps of each.
    n_neurons : int, default=60
        Neurons of each, at least `n_latents`.
    n_latents : int, default=6
        Latents.
    n_stimuli : int, default=8
        Stimulus columns; 0 for none.
    n_alien : int, default=0
        Sessions that come after them and share nothing: each has an f of its own.
    shared_noise, private_noise : float, default=.1 and .3
        Standard deviations of n_t and e_t.
    random_state : int, Generator, RandomState or None
        Seed or source of dynamics, loadings and noise.

    Returns
    -------
    list of Bunch
        One a session, with ``activity`` (n_times, n_neurons), ``stimulus``
        (n_times, n_stimuli) or None, ``runs``, ``oracle``, the true law, and ``name``.

    Examples
    --------
    >>> from afm_sklearn.datasets import make_sessions
    >>> sessions = make_sessions(2, 100, n_alien=1, random_state=0)
    >>> [(session.name, session.activity.shape) for session in sessions]
    [('session 0', (100, 60)), ('session 1', (100, 60)), ('alien 0', (100, 60))]
    """
    check_counts(n_sessions=n_sessions, n_times=n_times, n_latents=n_latents)
    check_scalar(n_alien, "n_alien", Integral, min_val=0)
    check_scalar(n_stimuli, "n_stimuli", Integral, min_val=0)
    check_scalar(n_neurons, "n_neurons", Integral, min_val=n_latents)
    for name, value in (
        ("shared_noise", shared_noise),
        ("private_noise", private_noise),
    ):
        check_scalar(value, name, Real, min_val=0)
    rng = make_generator(random_state)
    common = LatentDynamics.make(n_latents, n_stimuli, rng)
    sessions = []
    for k in range(n_sessions + n_alien):
        is_alien = k >= n_sessions
        own = LatentDynamics.make(n_latents, n_stimuli, rng) if is_alien else common
        loadings = rng.normal(size=(n_latents, n_neurons)) / np.sqrt(n_latents)
        loadings *= rng.gamma(3, 1 / 3, n_neurons)
        law = SharedLatents(own, loadings, shared_noise, private_noise)
        stimulus = smooth_series((1, BURN_IN + n_times, n_stimuli), 0.8, rng)
        session = record(law, np.zeros((1, n_neurons)), stimulus, BURN_IN, rng)
        session.name = f"alien {k - n_sessions}" if is_alien else f"session {k}"
        sessions.append(session)
    return sessions
