"""Hide copies of few gaps elsewhere, one by one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Labels = NDArray[np.intp]

GAPS_WANTED = 30  # copies that tell imputers apart
ROUNDS = 10  # at most
TRIES = 200  # to find a place, a round
CROWD = 0.05  # of channels that may be lost at a step beyond what gaps lose
MOST_HIDDEN = 0.25  # of a channel in all rounds, or as much as a gap takes
HIDDEN_AT_ONCE = 0.1  # of all entries
AROUND = 5  # steps before and after a gap in which its channels are seen


def copied_gaps(missing: Mask, labels: Labels, rng: np.random.Generator) -> list[Mask]:
    """Hide copies of gaps where everything was observed.

    What is lost at consecutive steps is one gap. A copy lasts as long and takes as
    many channels, at another moment and turned among the channels.

    Parameters
    ----------
    missing : ndarray of bool, shape (T, d)
    labels : ndarray of int, shape (T,)
        Number of the run of each step.
    rng : Generator

    Returns
    -------
    list of ndarray of bool, shape (T, d)
        One a round; none holds a missing entry.
    """
    blocks = _blocks(missing, labels)
    crowd = max(missing.sum(1).max(), CROWD * missing.shape[1])
    most = max(missing.mean(0).max(), MOST_HIDDEN)
    rounds: list[Mask] = []
    away = missing.copy()
    n_copies = 0
    for _ in range(ROUNDS):
        lost = missing.copy()
        for _ in range(TRIES):
            if n_copies >= GAPS_WANTED or (lost & ~missing).mean() > HIDDEN_AT_ONCE:
                break
            place = _place(blocks[rng.integers(len(blocks))], missing.shape, rng)
            taken = place.copy.any(0)
            steps = labels[place.around]
            if (
                steps[0] == steps[-1]
                and not lost[place.around][:, taken].any()
                and (lost | place.copy).sum(1).max() <= crowd
                and (away | place.copy)[:, taken].mean(0).max() <= most
            ):
                lost |= place.copy
                away |= place.copy
                n_copies += 1
        hidden = lost & ~missing
        if hidden.any():
            rounds.append(hidden)
    return rounds


class Place(NamedTuple):
    """A copy of a gap (T, d), and the steps of it and around it."""

    copy: Mask
    around: slice


def _place(block: Mask, shape: tuple[int, int], rng: np.random.Generator) -> Place:
    first = int(rng.integers(shape[0] - len(block) + 1))
    copy = np.zeros(shape, bool)
    copy[first : first + len(block)] = np.roll(block, rng.integers(shape[1]), axis=1)
    return Place(copy, slice(max(0, first - AROUND), first + len(block) + AROUND))


def _blocks(missing: Mask, labels: Labels) -> list[Mask]:
    """Cut out what is lost at consecutive steps of a run, (length, d) each."""
    steps = np.flatnonzero(missing.any(1))
    apart = (np.diff(steps) > 1) | (np.diff(labels[steps]) > 0)
    return [missing[part] for part in np.split(steps, np.flatnonzero(apart) + 1)]
