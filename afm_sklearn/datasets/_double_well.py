"""Coupled double wells: a population of noisy switches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from numbers import Real

import numpy as np
from sklearn.utils import Bunch, check_scalar

from ._diffusion import Diffusion
from ._law import Array, Seed, make_generator
from ._renamed import takes_n_steps
from ._simulate import check_counts, record


@dataclass(frozen=True, eq=False)
class DoubleWell(Diffusion):
    """Double wells with minima at -1 and 1 on a ring."""

    coupling: float

    def drift(self, x: Array) -> Array:
        # x * x * x, not x**3: numpy's power is ten times slower.
        return x @ self._linear - x * x * x

    @cached_property
    def _linear(self) -> Array:
        unit = np.eye(self.n_outputs)
        neighbours = 0.5 * (np.roll(unit, 1, axis=0) + np.roll(unit, -1, axis=0))
        return unit + self.coupling * (neighbours - unit)


@takes_n_steps
def make_double_well(
    n_times: int = 2000,
    n_channels: int = 5,
    n_runs: int = 1,
    *,
    noise: float = 0.45,
    coupling: float = 0.1,
    interval: float = 3.0,
    n_substeps: int = 30,
    random_state: Seed = None,
) -> Bunch:
    r"""Simulate weakly coupled double wells, fully observed.

    .. math:: dx_i = \left(x_i - x_i^3 + \kappa \left(\tfrac{1}{2}
              (x_{i-1} + x_{i+1}) - x_i\right)\right) dt + \sigma dW_i

    on a ring, by Euler-Maruyama. A channel rests near -1 or 1 and jumps between
    them under noise. The time between two frames is long enough for a channel
    seen near the barrier to have fallen into either well: the law of the next
    frame is bimodal, with its mean where few frames fall. Runs are independent
    and start from the stationary law. There is no stimulus.

    Parameters
    ----------
    n_times : int, default=2000
        Frames in each run.
    n_channels : int, default=5
        Number of wells d.
    n_runs : int, default=1
        Number of runs; T = n_times * n_runs.
    noise : float, default=0.45
        sigma, per square root of the unit of time (relaxation into a well takes
        half a unit).
    coupling : float, default=0.1
        Strength kappa of the pull towards the two neighbours.
    interval : float, default=3.0
        Time between two frames.
    n_substeps : int, default=30
        Integration steps a frame; interval / n_substeps is at most 0.1.
    random_state : int, Generator, RandomState or None
        Seed or source of the noise.

    Returns
    -------
    Bunch
        ``activity`` (T, d), ``stimulus`` None, ``runs`` (T,) and ``oracle``, the
        true law.

    References
    ----------
    H. A. Kramers (1940), Brownian motion in a field of force and the diffusion
    model of chemical reactions, Physica 7, 284-304.

    Examples
    --------
    >>> from afm_sklearn.datasets import make_double_well
    >>> data = make_double_well(n_times=50, random_state=0)
    >>> data.activity.shape
    (50, 5)
    """
    check_counts(
        n_times=n_times, n_channels=n_channels, n_runs=n_runs, n_substeps=n_substeps
    )
    check_scalar(noise, "noise", Real, min_val=0)
    check_scalar(coupling, "coupling", Real, min_val=0)
    # The cubic force makes Euler's scheme escape to infinity with longer steps.
    check_scalar(
        interval,
        "interval",
        Real,
        min_val=0,
        max_val=0.1 * n_substeps,
        include_boundaries="right",
    )
    rng = make_generator(random_state)
    law = DoubleWell(n_channels, noise, interval / n_substeps, n_substeps, coupling)
    # Signs are even odds by symmetry, so a short burn-in settles the wells.
    burn_in = int(np.ceil(200 / interval))
    start = rng.choice([-1.0, 1.0], size=(n_runs, n_channels))
    silence = np.empty((n_runs, burn_in + n_times, 0))
    return record(law, start, silence, burn_in, rng)
