"""Hide observed entries in the pattern of what is missing, to judge imputations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

ENTRIES_WANTED = 1500  # hidden entries that tell imputers apart
ROUNDS = (2, 10)  # at least and at most
MOST_HIDDEN = 0.25  # of what was observed, in all rounds
LEAST_KEPT = 0.15  # of the gaps in a shifted pattern


def hidden_patterns(
    missing: Mask, labels: NDArray[np.intp], rng: np.random.Generator
) -> list[Mask]:
    """Hide what was observed where the pattern falls when it is moved.

    The pattern of missing entries is moved along time within each run and turned among
    the channels, so that gaps keep their length and channels are lost together. Where
    as much is missing already, only some of the gaps are hidden: the share that is
    missing stays about as it is.

    Parameters
    ----------
    missing : ndarray of bool, shape (T, d)
    labels : ndarray of int, shape (T,)
        Number of the run of each step.
    rng : Generator

    Returns
    -------
    list of ndarray of bool, shape (T, d)
        One a round; none holds a missing entry. None at all where too little is left.
    """
    rounds: list[Mask] = []
    n_hidden, most = 0, MOST_HIDDEN * (~missing).sum()
    for _ in range(ROUNDS[1]):
        if len(rounds) >= ROUNDS[0] and n_hidden >= ENTRIES_WANTED:
            break
        hidden = _thinned(_moved(missing, labels, rng), missing, labels, rng)
        if 0 < hidden.sum() <= most - n_hidden:
            rounds.append(hidden)
            n_hidden += int(hidden.sum())
    return rounds


def beginnings(missing: Mask, labels: NDArray[np.intp]) -> Mask:
    """Tell the first entry of each stretch of missing ones in a run, (T, d)."""
    begins = missing.copy()
    begins[1:] &= ~(missing[:-1] & (labels[1:] == labels[:-1])[:, None])
    return begins


def gaps(missing: Mask, labels: NDArray[np.intp]) -> NDArray[np.intp]:
    """Count the stretches of missing entries, (T, d); -1 where nothing is missing."""
    begins = beginnings(missing, labels)
    numbers = begins.T.ravel().cumsum().reshape(missing.T.shape).T - 1
    return np.where(missing, numbers, -1)


def _moved(missing: Mask, labels: NDArray[np.intp], rng: np.random.Generator) -> Mask:
    turned = np.roll(missing, rng.integers(missing.shape[1]), axis=1)
    for label in range(labels[-1] + 1):
        steps = np.flatnonzero(labels == label)
        turned[steps] = np.roll(turned[steps], rng.integers(len(steps)), axis=0)
    return turned


def _thinned(
    moved: Mask, missing: Mask, labels: NDArray[np.intp], rng: np.random.Generator
) -> Mask:
    """Leave out gaps of the moved pattern that would add to what is missing."""
    there, wanted = missing.mean(1), moved.mean(1)
    room = np.maximum(wanted - there, 0.0) / np.maximum(wanted * (1 - there), 1e-12)
    numbers = gaps(moved, labels)
    if not moved.any():
        return moved
    # A gap is hidden as a whole, as its emptiest step allows.
    allowed = np.zeros(numbers.max() + 1)
    step = np.nonzero(moved)[0]
    np.maximum.at(allowed, numbers[moved], np.clip(room[step], LEAST_KEPT, 1.0))
    keep = rng.random(len(allowed)) < allowed
    return moved & ~missing & keep[numbers]
