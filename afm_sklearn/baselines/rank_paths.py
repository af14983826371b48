"""Dependence over lead times and channels from what followed past forecasts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch.special import ndtr

from ..law.errors import picked_rows
from .quantile_function import QuantileFunction

Array = NDArray[Any]


def rank_paths(stated: QuantileFunction, y: Array, rng: np.random.Generator) -> Array:
    """Return normal scores of the ranks that outcomes took in their forecasts.

    Ranks are those among all rows, so that each channel is standard normal whatever
    the calibration of the forecasts; where outcomes share a rank, as counts do, chance
    decides.

    Parameters
    ----------
    stated : QuantileFunction
        Of m forecasts of k numbers.
    y : ndarray of shape (m, k)
        What followed.
    rng : Generator

    Returns
    -------
    ndarray of shape (m, k)

    Examples
    --------
    >>> scores = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    >>> same = QuantileFunction(scores.repeat(3, 1)[..., None], scores)
    >>> y = np.array([[0.3], [-2.0], [5.0]])
    >>> rank_paths(same, y, np.random.default_rng(0)).ravel().round(2)
    array([ 0.  , -0.97,  0.97])
    """
    outcome = torch.from_numpy(y)
    below, up_to = (
        ndtr(stated.score(outcome, below=strictly)).numpy()
        for strictly in (True, False)
    )
    level = below + rng.random(y.shape) * (up_to - below)
    # Beyond the tails many levels are 0 or 1.
    order = np.lexsort((rng.random(y.shape), level), axis=0)
    rank = np.empty(y.shape)
    np.put_along_axis(rank, order, np.arange(len(y))[:, None] + 0.5, axis=0)
    return np.asarray(ndtri(rank / len(y)))


class RankPaths:
    """Whole paths of normal scores, drawn with replacement.

    Parameters
    ----------
    rows : ndarray of shape (m, k) or None
        Scores of lead times and channels; None makes all of them independent.
    """

    def __init__(self, rows: Array | None) -> None:
        self.rows = None if rows is None else torch.from_numpy(rows)

    def scores(self, noise: torch.Tensor) -> torch.Tensor:
        """Map standard normal noise (n, m, k) to scores of the first k numbers."""
        if self.rows is None:
            return noise
        return self.rows[picked_rows(noise, len(self.rows)), : noise.shape[-1]]
