"""Evidence of each step against a forecaster, summed up over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import ndtri

from ..metrics.calibration import pit
from .surprise import p_values

Array = NDArray[Any]


def normal_scores(y: Array, samples: Array, random_state: Any) -> Array:
    """Return what draws say about observations, as standard normal scores.

    Parameters
    ----------
    y : ndarray of shape (n, d)
        What happened; NaN where not observed.
    samples : ndarray of shape (n, n_samples, d)
        Draws of the forecasts.
    random_state : RandomState
        Places observations among their neighbours.

    Returns
    -------
    ndarray of shape (n, 2 * d + 1)
        Of each channel on which side of its forecast it lies, and how surprising it
        is; then how surprising all channels are together. Zero where not observed.
        If the forecasts are right each is standard normal, and independent in time.
    """
    u = pit(y, samples, random_state=random_state)
    together = p_values(y, samples, random_state=random_state)
    p = np.column_stack([2 * np.minimum(u, 1 - u), together])
    return np.nan_to_num(np.hstack([ndtri(u), -ndtri(p)]))


def recent_means(evidence: Array, starts: Array, time_constant: float) -> Array:
    """Exponentially weighted means over the steps up to each, from zero in each run.

    Parameters
    ----------
    evidence : ndarray of shape (n, k)
    starts : ndarray of int
        Rows at which a run begins; the first is 0.
    time_constant : float
        In steps.

    Returns
    -------
    ndarray of shape (n, k)

    Examples
    --------
    >>> recent_means(np.ones((4, 1)), np.array([0, 3]), 2.0).ravel()
    array([0.5  , 0.75 , 0.875, 0.5  ])
    """
    new = 1 / time_constant
    out = np.empty_like(evidence)
    for start, stop in zip(starts, [*starts[1:], len(evidence)], strict=True):
        out[start:stop] = lfilter([new], [1, new - 1], evidence[start:stop], axis=0)
    return out


@dataclass(frozen=True)
class PeriodScore:
    """How far the recent past is from what is usual.

    The largest of three kinds of evidence, each in units of its usual spread: a
    channel that stays on one side of its forecasts, surprise of the channels on the
    whole, and joint surprise. Too little surprise counts as too much does: a channel
    that has fallen silent is forecast all too well.

    Attributes
    ----------
    time_constant : float
        In steps.
    mean, scale : ndarray of shape (2 * d + 1,)
        Usual mean of the evidence, and spread of its recent means.
    centre, spread : ndarray of shape (3,)
        Usual mean and spread of the three kinds.
    """

    time_constant: float
    mean: Array
    scale: Array
    centre: Array
    spread: Array

    def __call__(self, evidence: Array, starts: Array) -> Array:
        """Return the score (n,) of each step of runs that begin at `starts`."""
        means = recent_means(evidence - self.mean, starts, self.time_constant)
        kinds = by_kind(means / self.scale)
        scores: Array = ((kinds - self.centre) / self.spread).max(1)
        return scores


def by_kind(standardised: Array) -> Array:
    """Return the three kinds of evidence (n, 3) of standardised means (n, 2 d + 1)."""
    d = standardised.shape[1] // 2
    level = np.abs(standardised[:, :d]).max(1)
    size = np.sqrt(np.square(standardised[:, d : 2 * d]).mean(1))
    return np.column_stack([level, size, np.abs(standardised[:, -1])])
