"""Fill a recording by the smoother of a law, helped by the recording itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .hiding import ENTRIES_WANTED, beginnings, gaps, hidden_patterns
from .local import local_means
from .mixing import Mixture, mix
from .smoother import Smoother
from .surrogate import LinearSurrogate

Array = NDArray[Any]
Labels = NDArray[np.intp]

MOST_FITS = 4  # each with entries of its own hidden
MANY = 20  # moments at which gaps begin: what holds of others on average holds of them
N_DRAWS = 5  # of the smoother in a round, that tell its spread


@dataclass(frozen=True)
class Filled:
    """A Gaussian law of what is missing.

    Attributes
    ----------
    mean : ndarray of shape (T, d)
    law_mean : ndarray of shape (T, d)
        Around which the smoother draws.
    widening : ndarray of shape (d,)
        Of the draws of the smoother.
    smoother : Smoother
    place : ndarray of int, shape (T,)
        Where the smoother has the steps of the recording.
    """

    mean: Array
    law_mean: Array
    widening: Array
    smoother: Smoother
    place: Labels

    def draw(self, n_samples: int, rng: np.random.Generator) -> Array:
        """Draw recordings (n_samples, T, d)."""
        draws = self.smoother.draw(n_samples, rng)[:, self.place]
        if self.mean is self.law_mean and (self.widening == 1.0).all():
            return draws
        wide: Array = self.mean + self.widening * (draws - self.law_mean)
        return wide


def fill(
    law: LinearSurrogate,
    y: Array,
    labels: Labels,
    spread: Array,
    length: int,
    law_alone: bool,
    rng: np.random.Generator,
) -> Filled:
    """Smooth under the law, and as entries hidden on purpose say, by other means.

    Where there are few gaps it is the law alone: what helps elsewhere need not help in
    them.

    Parameters
    ----------
    law : LinearSurrogate
    y : ndarray of shape (T, d)
        NaN where missing.
    labels : ndarray of int, shape (T,)
        Number of the run of each step.
    spread : ndarray of shape (d,)
        Standard deviation of the channels.
    length : int
        Steps of a window.
    law_alone : bool
        Hide nothing.
    rng : Generator

    Returns
    -------
    Filled
    """
    rng = rng.spawn(1)[0]  # draws are those of the law, whatever is hidden
    law, lead = _with_lead_in(law, y, labels, length)

    def smoother(hidden: NDArray[np.bool_] | None = None) -> Smoother:
        known = lead.y.copy()
        if hidden is not None:
            known[lead.place] = np.where(hidden, np.nan, y)
        return Smoother(law, known, lead.follows, spread)

    whole = smoother()
    mean = whole.mean()[lead.place]
    plain = Filled(mean, mean, np.ones(y.shape[1]), whole, lead.place)
    live = np.flatnonzero(_varies(y, spread))
    missing = np.isnan(y)
    n_moments = beginnings(missing, labels).any(1).sum()
    if law_alone or not len(live) or n_moments < MANY:
        return plain
    path = _path(law, lead.follows)[lead.place]
    seed = int(rng.integers(2**31))
    told: list[Any] = []
    for _ in range(MOST_FITS):
        rounds = hidden_patterns(missing, labels, rng)
        rounds = [hidden for hidden in rounds if hidden[:, live].any()]
        if not rounds:
            break
        left = np.where(np.any(rounds, axis=0), np.nan, y)
        shown = [np.where(hidden, np.nan, y) for hidden in rounds]
        beside = local_means(left, shown, labels, live, law, path, spread, seed)
        for hidden, others in zip(rounds, beside, strict=True):
            draws, law_mean = smoother(hidden).draw_around(N_DRAWS, rng)
            size = np.sqrt(((draws - law_mean) ** 2).mean(0))[lead.place]
            told.append((hidden, np.stack([law_mean[lead.place], *others]), size))
        if sum(hidden.sum() for hidden, _, _ in told) >= ENTRIES_WANTED:
            break
    if not told:
        return plain
    mixture = _judge(y, labels, live, told)
    mixed = mean
    if mixture.weights[0] < 1.0:
        others = local_means(y, [y], labels, live, law, path, spread, seed)[0]
        means = np.stack([mean, *others])
        mixed = mean.copy()
        mixed[:, live] = np.tensordot(mixture.weights, means[:, :, live], axes=1)
    return replace(plain, mean=mixed, widening=mixture.widening)


def _judge(y: Array, labels: Labels, live: Labels, told: Sequence[Any]) -> Mixture:
    """Weigh means by all hidden entries; a gap is one cluster in its round.

    Gaps of several channels at once are one, too.
    """
    truth, means, sizes, channels, clusters = [], [], [], [], []
    n_clusters = 0
    for hidden, mean, size in told:
        some = hidden.copy()
        some[:, np.setdiff1d(np.arange(y.shape[1]), live)] = False
        step, channel = np.nonzero(some)
        number = gaps(some, labels)[some]
        first = np.full(number.max() + 1, len(y))
        np.minimum.at(first, number, step)
        truth.append(y[some])
        means.append(mean[:, some])
        sizes.append(size[some])
        channels.append(channel)
        clusters.append(first[number] + n_clusters)
        n_clusters += len(y)
    return mix(
        np.concatenate(truth),
        np.concatenate(means, axis=1),
        np.concatenate(sizes),
        np.concatenate(channels),
        np.concatenate(clusters),
        y.shape[1],
    )


def _varies(y: Array, spread: Array) -> NDArray[np.bool_]:
    seen = ~np.isnan(y)
    low = np.where(seen, y, np.inf).min(0)
    high = np.where(seen, y, -np.inf).max(0)
    return (spread > 0) & (high > low)


class LeadIn(NamedTuple):
    """A recording with steps before each run that nobody saw.

    Attributes
    ----------
    y : ndarray of shape (T', d)
        NaN before the runs.
    follows : ndarray of bool, shape (T',)
        Steps with a whole window before them.
    place : ndarray of int, shape (T,)
        Where the steps of the recording are.
    """

    y: Array
    follows: NDArray[np.bool_]
    place: Labels


def _with_lead_in(
    law: LinearSurrogate, y: Array, labels: Labels, length: int
) -> tuple[LinearSurrogate, LeadIn]:
    """Let each run begin twice a window earlier, unobserved.

    The first of these steps are independent, the rest follow the law, so that what is
    observed first in a run has about the law of any other step.
    """
    n, d = y.shape
    place = np.arange(n) + 2 * length * (labels + 1)
    total = int(place[-1]) + 1
    whole, drift = np.full((total, d), np.nan), np.tile(law.centre, (total, 1))
    whole[place], drift[place] = y, law.drift
    follows = np.ones(total, bool)
    first = place[np.diff(labels, prepend=-1) > 0] - 2 * length
    follows[(first[:, None] + np.arange(length)).ravel()] = False
    return replace(law, drift=drift), LeadIn(whole, follows, place)


def _path(law: LinearSurrogate, follows: NDArray[np.bool_]) -> Array:
    """Follow the law where nothing is observed (T', d)."""
    away = np.zeros(law.drift.shape)
    for t in np.flatnonzero(follows):
        away[t] = law.drift[t] - law.centre
        for k, weights in enumerate(law.weights, 1):
            away[t] += away[t - k] @ weights
    path: Array = law.centre + away
    return path
