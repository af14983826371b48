"""Impute from the recording itself: a stationary process fitted to what is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .stationary import StationarySmoother
from .surrogate import LinearSurrogate

Array = NDArray[Any]

CORE, CONTEXT = 256, 48  # steps of a piece, and around it
MOST_CHANNELS = 128  # smoothed together
MOST_PIECES = 8  # fitted to
LAW_STEPS = 300.0  # steps as which the law counts where it is the prior
FADING = 0.98  # a step, of what the law remembers: its spectrum stays finite
SETTLING = 10.0  # observations as which the law's mean of a channel counts


class Pieces(NamedTuple):
    """Stretches of runs with what is around them.

    Attributes
    ----------
    steps : ndarray of int, shape (m, W)
        -1 where the piece has ended.
    is_core : ndarray of bool, shape (m, W)
        Every step of the recording is in the core of one piece.
    """

    steps: NDArray[np.intp]
    is_core: NDArray[np.bool_]

    def cut(self, y: Array) -> Array:
        """Cut a recording (T, d) into pieces (m, W, d)."""
        return np.where((self.steps >= 0)[:, :, None], y[self.steps], np.nan)

    def join(self, pieces: Array, n: int) -> Array:
        """Put pieces (m, W, d) together to a recording (n, d)."""
        out = np.empty((n, pieces.shape[2]))
        out[self.steps[self.is_core]] = pieces[self.is_core]
        return out


def cut_pieces(labels: NDArray[np.intp]) -> Pieces:
    """Cut runs into pieces of at most 256 steps and 48 around them."""
    whole, cores = [], []
    for label in range(labels[-1] + 1):
        steps = np.flatnonzero(labels == label)
        for at in range(0, len(steps), CORE):
            first = max(0, at - CONTEXT)
            piece = steps[first : at + CORE + CONTEXT]
            whole.append(piece)
            cores.append((at - first, min(at + CORE, len(steps)) - first))
    width = max(len(piece) for piece in whole)
    padded = np.full((len(whole), width), -1)
    is_core = np.zeros(padded.shape, bool)
    for row, (piece, (first, last)) in enumerate(zip(whole, cores, strict=True)):
        padded[row, : len(piece)] = piece
        is_core[row, first:last] = True
    return Pieces(padded, is_core)


def local_means(
    fitted: Array,
    shown: Sequence[Array],
    labels: NDArray[np.intp],
    live: NDArray[np.intp],
    law: LinearSurrogate,
    path: Array,
    spread: Array,
    seed: int,
) -> list[Array]:
    """Fit to one recording, and smooth others of the same process.

    Parameters
    ----------
    fitted : ndarray of shape (T, d)
        NaN where missing.
    shown : sequence of ndarray of shape (T, d)
        Where more may be known than in the first.
    labels : ndarray of int, shape (T,)
        Number of the run of each step.
    live : ndarray of int
        Channels that vary; the others stay at their path.
    law : LinearSurrogate
        Prior of the second process.
    path : ndarray of shape (T, d)
        What the law expects where nothing was observed, around which the second is.
    spread : ndarray of shape (d,)
        Standard deviation of a channel of which nothing is known.
    seed : int

    Returns
    -------
    list of ndarray of shape (2, T, d)
        Means by a process of the recording alone, and by one with the law as its prior.
    """
    own = np.broadcast_to(law.centre, fitted.shape)
    pieces = cut_pieces(labels)
    out = [np.repeat(path[None], 2, axis=0) for _ in shown]
    for some in np.array_split(live, -(-len(live) // MOST_CHANNELS)):
        seen = [one[:, some] for one in shown]
        for k, around in enumerate((own, path)):
            prior = law if k else None
            there = pieces, around[:, some], spread[some], prior, some, seed
            means = _smooth(fitted[:, some], seen, *there)
            for whole, mean in zip(out, means, strict=True):
                whole[k][:, some] = mean
    return out


def _smooth(
    fitted: Array,
    shown: Sequence[Array],
    pieces: Pieces,
    around: Array,
    spread: Array,
    law: LinearSurrogate | None,
    some: NDArray[np.intp],
    seed: int,
) -> list[Array]:
    """Fit to one recording, and smooth others (T, d)."""
    rest = fitted - around
    count = (~np.isnan(rest)).sum(0)
    offset = np.nansum(rest, 0) / (count + SETTLING)
    rest = rest - offset
    variance = np.nansum(rest**2, 0) + SETTLING * spread**2
    scale = np.sqrt(np.maximum(variance / (count + SETTLING), np.finfo(float).tiny))
    cut = pieces.cut(rest / scale)
    at = np.unique(np.linspace(0, len(cut) - 1, MOST_PIECES).astype(int))
    process = StationarySmoother(cut[at], np.ones(len(scale)))
    d, n_steps = len(scale), int((pieces.steps[at] >= 0).sum())
    prior = None if law is None else _spectrum(law, process.n, scale, some)
    process.fit(np.random.default_rng(seed), d / (d + n_steps), prior, LAW_STEPS)
    means = []
    for one in shown:
        process.set_pieces(pieces.cut((one - around - offset) / scale))
        mean = pieces.join(process.mean(), len(one))
        means.append(mean * scale + offset + around)
    return means


def _spectrum(
    law: LinearSurrogate, n: int, scale: Array, some: NDArray[np.intp]
) -> Array:
    """Real part of the cross-spectrum (n // 2 + 1, d, d) of a law, in units."""
    d = len(law.centre)
    angle = 2 * np.pi * np.arange(n // 2 + 1) / n
    out = np.empty((len(angle), len(scale), len(scale)))
    for row, omega in enumerate(angle):
        turns = (FADING * np.exp(-1j * omega)) ** np.arange(1, len(law.weights) + 1)
        filtered = np.eye(d) - np.tensordot(turns, law.weights, axes=1)
        waves = np.linalg.solve(filtered.T, law.root)[some] / scale[:, None]
        out[row] = (waves @ waves.conj().T).real
    return out
