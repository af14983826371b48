"""Fill a recording by the smoother of a law, helped by the recording itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .beside import Beside, beside
from .hiding import ENTRIES_WANTED, beginnings, gaps, hidden_patterns
from .mixing import Mixture, mix
from .placing import GAPS_WANTED, copied_gaps
from .smoother import Smoother
from .surrogate import LinearSurrogate

Array = NDArray[Any]
Labels = NDArray[np.intp]

MOST_FITS = 2  # each with entries of its own hidden
MORE_FITS = 4  # where few gaps are hidden in each
MANY = 20  # moments at which gaps begin: their pattern is moved as a whole
N_DRAWS = 10  # of the smoother in a round, that tell its spread
MORE_DRAWS = 40  # where it is to be used


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
    live = _varies(y, spread)
    if law_alone or not live.any():
        return plain
    missing = np.isnan(y)
    has_few = beginnings(missing, labels).any(1).sum() < MANY
    hide = copied_gaps if has_few else hidden_patterns
    told: list[Told] = []
    for _ in range(MORE_FITS if has_few else MOST_FITS):
        rounds = [hidden & live for hidden in hide(missing, labels, rng)]
        rounds = [hidden for hidden in rounds if hidden.any()]
        if not rounds:
            break
        around = [smoother(hidden).draw_around(N_DRAWS, rng) for hidden in rounds]
        laws = [_moments(*one, lead.place) for one in around]
        left = np.where(np.any(rounds, axis=0), np.nan, y)
        shown = [np.where(hidden, np.nan, y) for hidden in rounds]
        filled = [one.mean for one in laws]
        others = beside(left, shown, filled, rounds, labels, spread)
        told += map(Told, rounds, laws, others)
        if _tells_enough(told, labels):
            break
    if not told:
        return plain
    weight, widening = _judge(y, labels, told)
    if weight > 0:
        wanted = missing & live
        other = beside(y, [y], [mean], [wanted], labels, spread)[0]
        own = _moments(*whole.draw_around(MORE_DRAWS, rng), lead.place)
        widening = widening * (1 - weight + weight * _ratio(wanted, own, other))
        mean = mean + weight * (other.mean - mean)
    return replace(plain, mean=mean, widening=widening)


class Told(NamedTuple):
    """What was hidden, and what the law and the rest of the recording say of it."""

    hidden: NDArray[np.bool_]
    law: Beside
    other: Beside


def _moments(draws: Array, mean: Array, place: Labels) -> Beside:
    size = np.sqrt(((draws - mean) ** 2).mean(0))
    return Beside(mean[place], size[place])


def _ratio(wanted: NDArray[np.bool_], law: Beside, other: Beside) -> Array:
    """How much wider (d,) the other is in a channel; 1 where nothing is wanted.

    Within a channel the law tells where it is wide: it draws.
    """
    own, its = ((wanted * one.size**2).sum(0) for one in (law, other))
    floor = np.finfo(float).tiny
    ratio: Array = np.sqrt((its + floor) / (own + floor))
    return np.where(wanted.any(0), ratio, 1.0)


def _tells_enough(told: Sequence[Told], labels: Labels) -> bool:
    n_gaps = sum(beginnings(one.hidden, labels).any(1).sum() for one in told)
    n_entries = sum(one.hidden.sum() for one in told)
    return bool(n_entries >= ENTRIES_WANTED and n_gaps >= GAPS_WANTED)


def _judge(y: Array, labels: Labels, told: Sequence[Told]) -> Mixture:
    """Weigh both by all hidden entries; gaps that begin together are one cluster."""
    truth, means, sizes, channels, clusters = [], [], [], [], []
    for hidden, law, other in told:
        step, channel = np.nonzero(hidden)
        number = gaps(hidden, labels)[hidden]
        first = np.full(number.max() + 1, len(y))
        np.minimum.at(first, number, step)
        # Copies that overlap, of other rounds, tell the same.
        first = first[number]
        lowest = np.full(len(y), y.shape[1])
        np.minimum.at(lowest, first, channel)
        length = max(1, round(len(number) / (number.max() + 1)))
        likewise = law.size * _ratio(hidden, law, other)
        truth.append(y[hidden])
        means.append([law.mean[hidden], other.mean[hidden]])
        sizes.append([law.size[hidden], likewise[hidden]])
        channels.append(channel)
        clusters.append(first // length * y.shape[1] + lowest[first])
    return mix(
        np.concatenate(truth),
        np.concatenate(means, axis=1),
        np.concatenate(sizes, axis=1),
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
