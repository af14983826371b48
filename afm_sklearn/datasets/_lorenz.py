"""Stochastic Lorenz 63."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np
from sklearn.utils import Bunch, check_scalar

from ._diffusion import Diffusion
from ._law import Array, Seed, make_generator
from ._renamed import takes_n_steps
from ._simulate import check_counts, record

_LINEAR = np.array([[-10.0, 28.0, 0.0], [10.0, -1.0, 0.0], [0.0, 0.0, -8.0 / 3.0]])


@dataclass(frozen=True, eq=False)
class Lorenz(Diffusion):
    """Lorenz 63 with sigma = 10, rho = 28, beta = 8/3."""

    def drift(self, x: Array) -> Array:
        drift = x @ _LINEAR
        drift[..., 1] -= x[..., 0] * x[..., 2]
        drift[..., 2] += x[..., 0] * x[..., 1]
        return drift


@takes_n_steps
def make_lorenz(
    n_times: int = 2000,
    n_runs: int = 1,
    *,
    noise: float = 3.0,
    interval: float = 0.1,
    n_substeps: int = 10,
    random_state: Seed = None,
) -> Bunch:
    r"""Simulate the Lorenz 63 system with dynamical noise, fully observed.

    .. math:: dx &= 10 (y - x) dt + \sigma dW_1 \\
              dy &= (x (28 - z) - y) dt + \sigma dW_2 \\
              dz &= (x y - \tfrac{8}{3} z) dt + \sigma dW_3

    integrated by Euler-Maruyama in ``n_substeps`` steps between two observed
    frames: the law of the next frame is a curved, state-dependent cloud that no
    linear model describes. Runs are independent and start from the stationary
    law. There is no stimulus.

    Parameters
    ----------
    n_times : int, default=2000
        Frames in each run.
    n_runs : int, default=1
        Number of runs; T = n_times * n_runs.
    noise : float, default=3.0
        sigma, per square root of Lorenz's unit of time.
    interval : float, default=0.1
        Time between two frames, in Lorenz's unit (a turn takes about 0.75).
    n_substeps : int, default=10
        Integration steps a frame; interval / n_substeps is at most 0.02.
    random_state : int, Generator, RandomState or None
        Seed or source of the noise.

    Returns
    -------
    Bunch
        ``activity`` (T, 3), ``stimulus`` None, ``runs`` (T,) and ``oracle``, the
        true law.

    References
    ----------
    E. N. Lorenz (1963), Deterministic nonperiodic flow, Journal of the
    Atmospheric Sciences 20, 130-141.

    Examples
    --------
    >>> from afm_sklearn.datasets import make_lorenz
    >>> data = make_lorenz(n_times=50, random_state=0)
    >>> data.activity.shape
    (50, 3)
    """
    check_counts(n_times=n_times, n_runs=n_runs, n_substeps=n_substeps)
    check_scalar(noise, "noise", Real, min_val=0)
    # Euler's scheme escapes to infinity with longer steps.
    check_scalar(
        interval,
        "interval",
        Real,
        min_val=0,
        max_val=0.02 * n_substeps,
        include_boundaries="right",
    )
    rng = make_generator(random_state)
    law = Lorenz(3, noise, interval / n_substeps, n_substeps)
    burn_in = int(np.ceil(20 / interval))
    start = np.array([0.0, 0.0, 25.0]) + 5 * rng.standard_normal((n_runs, 3))
    silence = np.empty((n_runs, burn_in + n_times, 0))
    return record(law, start, silence, burn_in, rng)
