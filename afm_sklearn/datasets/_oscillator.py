"""Noisy rhythms mixed into channels."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

import numpy as np
from sklearn.utils import Bunch, check_scalar

from ._law import Array, Seed, make_generator
from ._renamed import takes_n_steps
from ._simulate import check_counts, record
from ._var import LinearVAR

BACKGROUND_MEMORY = 0.95


@takes_n_steps
def make_oscillator(
    n_times: int = 2000,
    n_channels: int = 8,
    n_runs: int = 1,
    *,
    periods: Sequence[float] = (40.0, 20.0, 10.0),
    spectral_radius: float = 0.995,
    background: float = 0.1,
    random_state: Seed = None,
) -> Bunch:
    r"""Simulate channels that mix a few noisy rhythms, like an EEG.

    .. math:: y_t = M u_t, \qquad u_{k,t} = 2 r \cos(2 \pi / P_k) \, u_{k,t-1}
              - r^2 u_{k,t-2} + \sigma_k e_{k,t}

    for the sources k that are rhythms, of unit variance and period P_k; the other
    sources are a weak background, AR(1) series of memory 0.95. There are as many
    sources as channels, and M is a random rotation, so that the channels are a
    vector autoregression of order 2 themselves. From two steps of the past the next
    one is known almost without error; one step alone does not tell the phase. The
    phase is lost after some 1 / (1 - r) steps. Runs are independent and start from
    the stationary law. There is no stimulus.

    Parameters
    ----------
    n_times : int, default=2000
        Samples in each run.
    n_channels : int, default=8
        Number of channels d.
    n_runs : int, default=1
        Number of runs; T = n_times * n_runs.
    periods : sequence of float, default=(40.0, 20.0, 10.0)
        Period P of each rhythm in samples, above 2; at most ``n_channels`` rhythms.
    spectral_radius : float, default=0.995
        Share r of a rhythm's amplitude that is left after a sample, in [0.95, 1).
    background : float, default=0.1
        Standard deviation of the other sources.
    random_state : int, Generator, RandomState or None
        Seed or source of the mixing and the noise.

    Returns
    -------
    Bunch
        ``activity`` (T, d), ``stimulus`` None, ``runs`` (T,) and ``oracle``, the
        true law; ``oracle.law.covariance`` is the exact conditional covariance and
        ``oracle.predict`` the exact mean.

    Raises
    ------
    TypeError, ValueError
        Where an argument, which is named, is of the wrong type or out of its range.

    References
    ----------
    A. Neumaier, T. Schneider (2001), Estimation of parameters and eigenmodes of
    multivariate autoregressive models, ACM Transactions on Mathematical Software
    27, 27-57.

    Examples
    --------
    >>> from afm_sklearn.datasets import make_oscillator
    >>> data = make_oscillator(n_times=50, random_state=0)
    >>> data.activity.shape
    (50, 8)
    """
    check_counts(n_times=n_times, n_channels=n_channels, n_runs=n_runs)
    if np.ndim(periods) != 1 or not 1 <= len(periods) <= n_channels:
        raise ValueError(
            f"periods must be a sequence of 1 to {n_channels} periods, no more than "
            f"channels, got {periods!r}"
        )
    for period in periods:
        check_scalar(period, "periods", Real, min_val=2, include_boundaries="neither")
    check_scalar(
        spectral_radius,
        "spectral_radius",
        Real,
        min_val=BACKGROUND_MEMORY,
        max_val=1,
        include_boundaries="left",
    )
    check_scalar(
        background, "background", Real, min_val=0, include_boundaries="neither"
    )
    rng = make_generator(random_state)
    n_others = n_channels - len(periods)
    turn = 2 * np.pi / np.asarray(periods, dtype=np.float64)
    first = np.r_[
        2 * spectral_radius * np.cos(turn), np.full(n_others, BACKGROUND_MEMORY)
    ]
    second = np.r_[np.full(len(periods), -(spectral_radius**2)), np.zeros(n_others)]
    spread = np.r_[np.ones(len(periods)), np.full(n_others, background)]
    shocks = spread**2 / _variance(first, second)
    mixing = np.linalg.qr(rng.standard_normal((n_channels, n_channels)))[0]
    lag_weights = [mixing * weight @ mixing.T for weight in (first, second)]
    covariance = mixing * shocks @ mixing.T
    law = LinearVAR(
        lag_weights=np.stack(lag_weights),
        stimulus_weights=np.empty((n_channels, 0)),
        covariance=(covariance + covariance.T) / 2,
    )
    # The start is forgotten as radius**burn_in, here below 1e-4.
    burn_in = int(np.ceil(10 / (1 - spectral_radius)))
    silence = np.empty((n_runs, burn_in + n_times, 0))
    return record(law, np.zeros((n_runs, n_channels)), silence, burn_in, rng)


def _variance(first: Array, second: Array) -> Array:
    """Stationary variance of an AR(2) series with shocks of unit variance."""
    return (1 - second) / ((1 + second) * ((1 - second) ** 2 - first**2))
