"""Rows of training from which errors are learnt, and honest forecasts of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data import TrainingData
from .features import LagFeatures
from .forecast import LinearForecast
from .origins import spread_rows

Array = NDArray[Any]

MIN_ROWS, MAX_ROWS = 1000, 4000  # of training, that errors are resampled from ..
MAX_NUMBERS = 300_000  # .. of about so many numbers


@dataclass
class Sample:
    """Rows of training from which errors are learnt.

    Attributes
    ----------
    rows : ndarray of shape (m,)
    targets : ndarray of shape (m, d)
        In standard units, complete.
    y : ndarray of shape (m, d)
        The same as they are.
    forecasts : dict of str to ndarray of shape (m, d)
        Of each mean, by fits without the block of the row.
    """

    rows: Array
    targets: Array
    y: Array
    forecasts: dict[str, Array]

    def outside(self, block: slice | None, mean: str) -> Sample:
        """Return the rows that are not in a block, with the forecasts of one mean."""
        if block is None:
            return self
        keep = (self.rows < block.start) | (self.rows >= block.stop)
        forecasts = {mean: self.forecasts[mean][keep]}
        return Sample(self.rows[keep], self.targets[keep], self.y[keep], forecasts)


def take_sample(
    data: TrainingData, features: LagFeatures, means: dict[str, LinearForecast]
) -> Sample:
    """Forecast some rows of each block by the fits that left the block out."""
    observed = np.isfinite(data.y)
    seen = observed.all(1) & data.complete
    if seen.sum() < 0.5 * data.complete.sum():
        seen = (observed.mean(1) >= 0.5) & data.complete
    n_rows = int(np.clip(MAX_NUMBERS // data.n_outputs, MIN_ROWS, MAX_ROWS))
    rows = spread_rows(np.flatnonzero(seen), n_rows)
    shape = len(rows), data.n_outputs
    targets = data.target[data.index(rows)].cpu().double().numpy()
    forecasts = {name: np.empty(shape) for name in means}
    blocks = means["stack"].blocks
    for k, block in enumerate(blocks):
        here = np.flatnonzero((rows >= block.start) & (rows < block.stop))
        done = 0
        for inputs in features.chunks(rows[here]):
            at = here[done : done + len(inputs.rows)]
            for name, mean in means.items():
                forecasts[name][at] = mean.without(k)(inputs)
            done += len(at)
    y = np.array(data.y[rows], np.float64)
    donors = matched_rows(forecasts["stack"], np.isnan(y))
    columns = np.arange(y.shape[1])
    targets, y = targets[donors, columns], y[donors, columns]
    y = np.where(np.isnan(y), data.y_mean, y)  # of a channel that never was observed
    return Sample(rows, np.nan_to_num(targets), y, forecasts)


def matched_rows(forecasts: Array, missing: Array) -> NDArray[np.intp]:
    """Find, for each entry that is missing, the row whose outcome stands in for it.

    That of the nearest forecast of the channel: predictive mean matching, which keeps
    zeros, counts and the law of errors.

    Parameters
    ----------
    forecasts : ndarray of shape (m, d)
    missing : ndarray of bool, shape (m, d)

    Returns
    -------
    ndarray of int, shape (m, d)
        The row itself where it was observed, and where a channel never was.

    Examples
    --------
    >>> forecasts = np.array([[1.0], [2.0], [1.2], [3.0]])
    >>> matched_rows(forecasts, np.array([[0], [0], [1], [0]], bool)).ravel()
    array([0, 1, 0, 3])
    """
    out = np.tile(np.arange(len(forecasts))[:, None], (1, forecasts.shape[1]))
    for j in np.flatnonzero(missing.any(0) & ~missing.all(0)):
        given = np.flatnonzero(~missing[:, j])
        given = given[np.argsort(forecasts[given, j], kind="stable")]
        levels = forecasts[given, j]
        wanted = forecasts[missing[:, j], j]
        at = np.searchsorted((levels[1:] + levels[:-1]) / 2, wanted)
        out[missing[:, j], j] = given[at]
    return out
