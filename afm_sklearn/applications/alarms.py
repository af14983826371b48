"""A threshold that is seldom crossed, from evidence that depends on its past."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .evidence import PeriodScore, by_kind, recent_means

Array = NDArray[Any]

N_PATHS, PATH = 60, 60  # resampled recordings, and time constants that one lasts
WARM_UP = 3  # time constants until recent means have their spread
N_BLOCKS = 30  # that are resampled, if none is shorter than a time constant ..
LONGEST = 3  # .. or longer than so many
FEW, MANY = 10, 100  # alarms among all paths, between which the tail is extended
SMALLEST = 1e-6


def calibrate(
    evidence: Array, time_constant: float, rate: float, seed: int
) -> tuple[PeriodScore, float]:
    """Learn what is usual, and a threshold that usual data cross at a given rate.

    Recordings are made of blocks of the evidence, in which it depends on its past as
    it does. The usual mean is taken from one such recording and the alarms of
    another, so that the threshold allows for how little evidence there was.

    Parameters
    ----------
    evidence : ndarray of shape (m, k)
        Of steps that the forecaster was not fitted on.
    time_constant : float
        Of the recent means, in steps.
    rate : float
        Alarms a step: how often the score goes above the threshold.
    seed : int
        Of the resampling.

    Returns
    -------
    score : PeriodScore
    threshold : float

    Notes
    -----
    Rates below what the paths can show are reached by extending the logarithm of the
    rate as a line, which is too high where tails are Gaussian: the threshold then errs
    on the side of fewer alarms.
    """
    warm, start = int(WARM_UP * time_constant), np.zeros(1, int)
    # The spread of means of independent steps: the threshold sees to dependence, of
    # which a channel alone tells too little.
    scale = evidence.std(0) / np.sqrt(2 * time_constant - 1)
    scale = np.maximum(scale, SMALLEST)
    kinds = np.stack(
        [
            by_kind(recent_means(path, start, time_constant)[warm:] / scale)
            for path in _paths(evidence, time_constant, seed)
        ]
    )
    centre, spread = kinds.mean((0, 1)), np.maximum(kinds.std((0, 1)), SMALLEST)
    score = PeriodScore(time_constant, evidence.mean(0), scale, centre, spread)
    return score, _threshold(((kinds - centre) / spread).max(2), rate)


def _paths(evidence: Array, time_constant: float, seed: int) -> Iterator[Array]:
    """Resample recordings, each less the mean of another resample.

    Few blocks tell little of how far their means spread: about their own mean they
    spread too little, and each channel's spread is known to a chi-square of as many
    degrees of freedom as there are blocks.
    """
    rng, (m, k) = np.random.default_rng(seed), evidence.shape
    block = int(np.clip(m / N_BLOCKS, time_constant, LONGEST * time_constant))
    length, n_blocks = int(PATH * time_constant), m / block
    centred = (evidence - evidence.mean(0)) / np.sqrt(1 - 1 / n_blocks)
    for _ in range(N_PATHS):
        usual = centred[_rows(rng, m, m, block)].mean(0)
        spread = np.sqrt(n_blocks / rng.chisquare(n_blocks, k))
        yield (centred[_rows(rng, m, length, block)] - usual) * spread


def _rows(rng: np.random.Generator, m: int, length: int, block: int) -> Array:
    starts = rng.integers(m, size=-(-length // block))
    rows: Array = ((starts[:, None] + np.arange(block)).ravel()[:length]) % m
    return rows


def count_alarms(is_above: Array) -> int:
    """Count the periods in paths (n_paths, n) of truth values.

    Examples
    --------
    >>> count_alarms(np.array([[1, 1, 0, 1], [0, 0, 1, 1]], bool))
    3
    """
    return int((is_above[:, 1:] & ~is_above[:, :-1]).sum() + is_above[:, 0].sum())


def _threshold(paths: Array, rate: float) -> float:
    """Find the lowest threshold that is crossed at most so often."""
    wanted = rate * paths.size
    grid = np.quantile(paths, 1 - np.geomspace(0.5, 1 / paths.size, 200))
    counts = np.array([count_alarms(paths > level) for level in grid])
    first = int(counts.argmax())  # below it alarms merge
    grid, counts = grid[first:], counts[first:]
    if wanted >= FEW:
        return float(grid[np.argmax(counts <= wanted)])
    near, far = np.argmax(counts <= MANY), np.argmax(counts <= FEW)
    fall = np.log(max(counts[near], 1) / max(counts[far], 1))
    slope = max(fall / max(grid[far] - grid[near], SMALLEST), SMALLEST)
    return float(grid[far] + np.log(max(counts[far], 1) / wanted) / slope)
