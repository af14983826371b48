"""What the rows held back decide: what is kept, with what weight."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

N_EM_STEPS = 200
CONVERGED = 1e-5  # change of a weight in a step
MIN_WEIGHT = 0.02
MAX_DENSITIES = 1 << 19  # more observations hardly move weights


def pays(before: Array, after: Array) -> bool:
    """Whether the mean score of successive rows fell by more than its standard error.

    The error comes from the means of a few long blocks: the gains of neighbouring
    rows are alike, and counting them as independent would trust chance.
    """
    blocks = np.array_split(before - after, min(8, len(before)))
    gains = np.array([block.mean() for block in blocks])
    return bool(gains.mean() > gains.std(ddof=1) / np.sqrt(len(gains)))


def pool_weights(log_densities: Array) -> Array:
    """Weights of a linear pool that maximise its likelihood, by EM.

    Parameters
    ----------
    log_densities : array of shape (n, members)
        Log density of each observation under each member.

    Returns
    -------
    array of shape (members,)
        Non-negative, summing to one; weights below MIN_WEIGHT are set to zero.

    References
    ----------
    Hall & Mitchell (2007), Combining density forecasts, International Journal of
    Forecasting 23.

    Examples
    --------
    >>> pool_weights(np.array([[0.0, -9.0], [0.0, -9.0]]))
    array([1., 0.])
    """
    if len(log_densities) > MAX_DENSITIES:
        some = np.random.default_rng(0).integers(len(log_densities), size=MAX_DENSITIES)
        log_densities = log_densities[some]
    densities = np.array(log_densities.T, order="C")
    densities -= densities.max(0)
    np.exp(densities, out=densities)
    weights = np.full(len(densities), 1.0 / len(densities))
    shares = np.empty_like(densities)
    for _ in range(N_EM_STEPS):
        np.multiply(densities, weights.astype(densities.dtype)[:, None], out=shares)
        shares /= shares.sum(0)
        before, weights = weights, shares.mean(1, dtype=np.float64)
        if np.abs(weights - before).max() < CONVERGED:
            break
    weights = np.where(weights < MIN_WEIGHT, 0.0, weights)
    normalised: Array = weights / weights.sum()
    return normalised
