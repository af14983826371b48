"""The linear Gaussian law nearest to a forecaster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compute import row_parts
from ..law.pool import PoolLaw
from ..law.step import StepLaw

Array = NDArray[Any]

N_REFERENCES = 3  # windows at which slopes are taken
N_NOISE_ROWS, N_NOISE_DRAWS = 20, 500  # that tell the covariance of a step
N_GROWTH = 400  # steps of a disturbance that tell whether it grows
JITTER = 1e-9  # of a variance


@dataclass(frozen=True)
class LinearSurrogate:
    """y_t = drift_t + sum_k A_k (y_{t-k} - centre) + e_t, with e_t of one covariance.

    Attributes
    ----------
    drift : ndarray of shape (T, d)
        Means with the past at its centre, under the stimulus of each step.
    weights : ndarray of shape (L, d, d)
        ``weights[k - 1][i, j]``: what channel i does k steps later to channel j.
    centre : ndarray of shape (d,)
        Mean activity.
    root : ndarray of shape (d, d)
        Lower Cholesky root of the covariance of a step.
    """

    drift: Array
    weights: Array
    centre: Array
    root: Array


def linear_surrogate(
    forecaster: Any, windows: Any, centre: Array, spread: Array, seed: int
) -> LinearSurrogate:
    """Take the slopes of the mean and the covariance of the draws.

    Parameters
    ----------
    forecaster : estimator with ``predict`` and ``sample``
        Its windows have the lagged targets first.
    windows : array-like of shape (T, L, c)
        Of all steps; NaN where not observed.
    centre, spread : ndarray of shape (d,)
        Mean and standard deviation of each channel, in the units of y.
    seed : int
        Of the draws.

    Returns
    -------
    LinearSurrogate
        The law itself, where it is linear and Gaussian.
    """
    d = len(centre)
    lag = (centre - forecaster.lag_offset_) / forecaster.lag_scale_
    step = spread / forecaster.lag_scale_
    n, length, c = windows.shape
    drift = np.empty((n, d))
    for rows in row_parts(n, length * c):
        drift[rows] = _predict(forecaster, _with_past(windows[rows], lag), d)
    weights = _slopes_of_pool(forecaster, length)
    if weights is None:
        weights = np.zeros((length, d, d))
        at = np.linspace(0, n - 1, N_REFERENCES + 2).astype(int)[1:-1]
        for reference in _filled(np.asarray(windows[at]), lag):
            slopes = _slopes(forecaster, reference, step, spread)
            weights += slopes / N_REFERENCES
    weights = _without_growth(weights)
    at = np.unique(np.linspace(0, n - 1, N_NOISE_ROWS).astype(int))
    known = _filled(np.asarray(windows[at]), lag)
    draws = forecaster.sample(known, N_NOISE_DRAWS, random_state=seed)
    draws = draws.reshape(len(at), N_NOISE_DRAWS, d)
    errors = (draws - draws.mean(1, keepdims=True)).reshape(-1, d)
    n_free = len(errors) - len(at)
    covariance = errors.T @ errors / max(1, n_free)
    floor = JITTER * np.maximum(spread**2, np.finfo(float).tiny)
    root = np.linalg.cholesky(covariance + np.diag(floor))
    return LinearSurrogate(drift, weights, centre, root)


def _slopes_of_pool(forecaster: Any, length: int) -> Array | None:
    """Mean slopes (L, d, d) of the linear forecasts of a pool; None without one.

    Draws of resampled values move in steps: slopes of their mean would be noise.
    """
    law = forecaster.law_
    if not isinstance(law, PoolLaw):
        return None
    frame, d = law.frame, law.frame.n_outputs
    unit = frame.y_scale / (frame.x_scale[:d] * frame.lag_scale)[:, None]
    weights = np.zeros((length, d, d))
    shares = law.log_weights_ahead.exp().tolist()
    for member, share in zip(law.members, shares, strict=True):
        is_step = isinstance(member, StepLaw)
        if is_step and member.channels.family != "gaussian":
            return None
        linear = member.channels.linear if is_step else member.linear
        slopes = (linear.slopes().double() * unit).cpu().numpy()
        weights[: linear.reach] += share * slopes
    return weights


def _without_growth(weights: Array) -> Array:
    """Damp slopes under which a disturbance would grow without end."""
    length, d, _ = weights.shape
    steps = [np.random.default_rng(0).normal(size=d) for _ in range(length)]
    sizes = []
    for _ in range(N_GROWTH):
        ahead = sum(y @ w for y, w in zip(reversed(steps), weights, strict=True))
        size = max(float(np.abs(ahead).max()), np.finfo(float).tiny)
        steps = [step / size for step in (*steps[1:], ahead)]
        sizes.append(np.log(size))
    growth = np.exp(np.mean(sizes[N_GROWTH // 2 :]))
    if growth <= 1.0:
        return weights
    # All roots of the recursion are divided by the growth.
    powers = growth ** np.arange(1, length + 1)
    damped: Array = weights / powers[:, None, None]
    return damped


def _slopes(forecaster: Any, reference: Array, step: Array, spread: Array) -> Array:
    """Slopes (L, d, d) of the mean at a window (L, c), over a standard deviation."""
    (length, c), d = reference.shape, len(step)
    weights = np.zeros((length, d, d))
    moves = [(k, i) for k in range(length) for i in range(d) if spread[i] > 0]
    for part in row_parts(len(moves), 2 * length * c):
        some = moves[part]
        up = np.repeat(reference[None], len(some), axis=0)
        down = up.copy()
        for row, (k, i) in enumerate(some):
            up[row, -1 - k, i] += 0.5 * step[i]
            down[row, -1 - k, i] -= 0.5 * step[i]
        ahead = _predict(forecaster, up, d) - _predict(forecaster, down, d)
        for row, (k, i) in enumerate(some):
            weights[k, i] = ahead[row] / spread[i]
    return weights


def _predict(forecaster: Any, windows: Array, d: int) -> Array:
    ahead: Array = np.asarray(forecaster.predict(windows)).reshape(-1, d)
    return ahead


def _with_past(windows: Any, lag: Array) -> Array:
    moved = np.array(windows, np.float64)
    moved[:, :, : len(lag)] = lag
    return moved


def _filled(windows: Array, lag: Array) -> Array:
    windows = windows.astype(np.float64)
    past = windows[:, :, : len(lag)]
    windows[:, :, : len(lag)] = np.where(np.isnan(past), lag, past)
    return windows
