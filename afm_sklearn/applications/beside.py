r"""Impute a channel from the others at the same step and from its own past and future.

A channel is a Gaussian process whose covariance is a sum,

.. math:: K = \sum_c v_c K_c ,

of white noise, of kernels over time, and of linear functions of the other channels:
of all alike, or foremost of those that go with it. The variances :math:`v_c` maximise
the likelihood by updates that never lower it (Zhou et al., MM algorithms for variance
components models, 2019).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve

Array = NDArray[Any]
Mask = NDArray[np.bool_]
Steps = NDArray[np.intp]

SMOOTH_SCALES = (1.0, 3.0, 9.0, 27.0)  # steps, of Matern kernels of order 3/2
ROUGH_SCALES = (4.0, 16.0)  # steps, of exponential kernels
POWERS = (0, 1)  # of the squared correlation with a channel, by which it counts
CORE, CONTEXT = 256, 48  # steps of a piece, and around it
FIRST, MORE = 40, 10  # updates of a channel, and of those that start from the average
FEWEST = 5  # observations that tell anything
FLOOR = 1e-6  # of a variance


class Beside(NamedTuple):
    """What other channels and other steps say: means and standard deviations (T, d)."""

    mean: Array
    size: Array


def beside(
    fitted: Array,
    shown: Sequence[Array],
    filled: Sequence[Array],
    wanted: Sequence[Mask],
    labels: Steps,
    spread: Array,
) -> list[Beside]:
    """Fit each channel to one recording, and tell what is wanted of others.

    Parameters
    ----------
    fitted : ndarray of shape (T, d)
        NaN where missing.
    shown : sequence of ndarray of shape (T, d)
        Where more may be known than in the first.
    filled : sequence of ndarray of shape (T, d)
        The same without gaps: what the other channels are taken to be.
    wanted : sequence of ndarray of bool, shape (T, d)
        What to tell of each.
    labels : ndarray of int, shape (T,)
        Number of the run of each step.
    spread : ndarray of shape (d,)
        Standard deviation of channels of which too little is known: they are as filled.

    Returns
    -------
    list of Beside
        As filled, but for what is wanted.
    """
    out = [Beside(one.copy(), np.tile(spread, (len(one), 1))) for one in filled]
    pieces = list(_pieces(labels))
    longest = np.arange(max(len(steps) for steps, _ in pieces))
    time = kernels(np.abs(longest[:, None] - longest))
    average, n_found = None, 0
    some = np.flatnonzero(np.any([mask.any(0) for mask in wanted], axis=0))
    for j in some.tolist():
        seen = ~np.isnan(fitted[:, j])
        size = fitted[seen, j].std() if seen.sum() >= FEWEST else 0.0
        if not size > 0:
            continue
        centre = fitted[seen, j].mean()
        weights = _weights(filled[0][seen], fitted[seen, j], j)
        most, _ = max(pieces, key=lambda piece: seen[piece[0]].sum())
        parts = _kernels(time, filled[0][most], weights)
        variances = _fit(parts, (fitted[most, j] - centre) / size, average)
        # Channels are much alike: the next one starts from the average.
        n_found += 1
        before = variances if average is None else average
        average = before + (variances - before) / n_found
        for one, whole, mask, told in zip(shown, filled, wanted, out, strict=True):
            for steps, core in pieces:
                at = core & mask[steps, j]
                if at.any():
                    parts = _kernels(time, whole[steps], weights)
                    given = (one[steps, j] - centre) / size
                    mean, sd = _condition(parts, given, at, variances)
                    told.mean[steps[at], j] = centre + size * mean
                    told.size[steps[at], j] = size * sd
    return out


def kernels(lag: Array) -> Array:
    """Covariances (c, ...) of unit variance over lags, white noise first."""
    far = [np.sqrt(3.0) * lag / scale for scale in SMOOTH_SCALES]
    return np.array(
        [
            (lag == 0).astype(float),
            *((1 + r) * np.exp(-r) for r in far),
            *(np.exp(-lag / scale) for scale in ROUGH_SCALES),
        ]
    )


def _pieces(labels: Steps) -> Iterator[tuple[Steps, Mask]]:
    """Cut runs into steps that are told together, and what is around them."""
    for label in range(labels[-1] + 1):
        steps = np.flatnonzero(labels == label)
        for at in range(0, len(steps), CORE):
            first = max(0, at - CONTEXT)
            piece = steps[first : at + CORE + CONTEXT]
            place = np.arange(len(piece)) + first - at
            yield piece, (place >= 0) & (place < CORE)


def _weights(others: Array, column: Array, j: int) -> Array:
    """Weight (k, d) of the square of each channel in linear functions for one."""
    size = ((others - others.mean(0)) ** 2).sum(0)
    size[j] = 0.0
    live = size > FLOOR * size.max()
    own = column - column.mean()
    shared = (own @ others[:, live]) ** 2 / size[live] / (own**2).sum()
    weight = np.zeros((len(POWERS), len(size)))
    for k, power in enumerate(POWERS):
        counts = np.maximum(shared, FLOOR) ** power
        weight[k, live] = counts / counts.sum() * len(others) / size[live]
    return weight


def _kernels(time: Array, others: Array, weights: Array) -> Array:
    """Covariances (c, W, W) of unit variance of a channel, white noise first."""
    n = len(others)
    rest = others - others.mean(0)
    linear = [(rest * weight) @ rest.T for weight in weights]
    return np.concatenate([time[:, :n, :n], linear])


def _fit(parts: Array, y: Array, start: Array | None) -> Array:
    """Variances (c,) of greatest likelihood of what is seen of y (W,)."""
    seen = ~np.isnan(y)
    parts, y = parts[:, seen][:, :, seen], y[seen]
    flat = parts.reshape(len(parts), -1)
    variances = np.full(len(parts), 1.0 / len(parts)) if start is None else start
    for _ in range(FIRST if start is None else MORE):
        covariance = np.tensordot(variances, parts, axes=1)
        precision = np.linalg.inv(covariance + FLOOR * np.eye(len(y)))
        known = precision @ y
        explained = flat @ np.outer(known, known).ravel()
        ratio = explained / np.maximum(flat @ precision.ravel(), FLOOR)
        variances = np.maximum(variances * np.sqrt(ratio.clip(0.0)), FLOOR)
    return variances


def _condition(
    parts: Array, y: Array, at: Mask, variances: Array
) -> tuple[Array, Array]:
    """Mean and standard deviation of entries of y (W,), given what is seen of it."""
    seen = ~np.isnan(y)
    covariance = np.tensordot(variances, parts, axes=1) + FLOOR * np.eye(len(y))
    if not seen.any():
        return np.zeros(at.sum()), np.sqrt(covariance.diagonal()[at])
    root = np.linalg.cholesky(covariance[np.ix_(seen, seen)])
    across = covariance[np.ix_(seen, at)]
    slopes = cho_solve((root, True), across)
    variance = covariance.diagonal()[at] - (slopes * across).sum(0)
    return y[seen] @ slopes, np.sqrt(np.maximum(variance, 0.0))
