"""Linear forecasts that are iterated: rolled-out means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .data import TrainingData
from .features import LagFeatures
from .forecast import LinearMap
from .origins import stimulus_at

Array = NDArray[Any]


class Starts(NamedTuple):
    """Where trajectories start and what follows, in standard units.

    Attributes
    ----------
    x : ndarray of shape (k, n_lags, c)
        The newest steps of the windows, filled.
    earlier : ndarray of shape (k, n_own, d)
        The activity of the steps before those.
    stimulus : ndarray of shape (k, h, s)
        During each step.
    y : ndarray of shape (k, h, d)
        What followed.
    """

    x: Array
    earlier: Array
    stimulus: Array
    y: Array


class Iterated:
    """Iterates linear forecasts of the training data.

    Parameters
    ----------
    data : TrainingData
    features : LagFeatures
        What a forecast is made from.

    Attributes
    ----------
    gain, bias : ndarray of shape (d,)
        Standardised lags are ``gain * forecast + bias``.
    """

    def __init__(self, data: TrainingData, features: LagFeatures):
        self.data, self.features, d = data, features, data.n_outputs
        self.n_lags = features.n_lags
        mean, scale = data.y_moments
        lag_scale = data.settings.lag_scale * data.x_scale[:d]
        offset = data.settings.lag_scale * data.x_mean[:d] + data.settings.lag_offset
        self.gain, self.bias = scale / lag_scale, (mean - offset) / lag_scale

    def starts(self, rows: Array, horizon: int) -> Starts:
        """Return what trajectories from rows (k,) start from, and what follows."""
        data, d = self.data, self.data.n_outputs
        ahead = rows[:, None] + np.arange(horizon)
        n_projected, c = self.features.n_projected, self.features.n_channels
        x = [np.empty((0, self.n_lags * c))]
        earlier = [np.empty((0, self.features.n_own, d))]
        for inputs in self.features.chunks(rows):
            x.append(inputs.features[:, n_projected:].double().numpy())
            earlier.append(inputs.earlier.double().numpy())
        shown, stimulus = stimulus_at(data, ahead), np.zeros((*ahead.shape, 0))
        if shown is not None:
            centre, unit = data.x_mean[d:], data.x_scale[d:]
            stimulus = np.nan_to_num((shown.cpu().numpy() - centre) / unit)
        y = data.target[data.index(ahead.ravel())].cpu().double().numpy()
        return Starts(
            np.concatenate(x).reshape(len(rows), self.n_lags, c),
            np.concatenate(earlier),
            stimulus,
            y.reshape(*ahead.shape, d),
        )

    def means(self, starts: Starts, of: LinearMap) -> Iterator[Array]:
        """Yield the forecasts (k, d) of each step; they may diverge."""
        x, earlier, horizon = starts.x, starts.earlier, starts.y.shape[1]
        (n, d), n_own = (len(x), len(of.intercept)), len(of.own)
        of_projections, coef = of.parts()
        for h in range(horizon):
            ahead = x.reshape(n, len(coef)) @ coef + of.intercept
            if n_own:
                ahead += (earlier * of.own).sum(1)
                ahead += np.tensordot(earlier @ of.basis, of_projections, 2)
            yield ahead
            if h + 1 < horizon:
                lags = ahead * self.gain + self.bias
                newest = np.concatenate([lags, starts.stimulus[:, h + 1]], 1)
                if n_own:
                    earlier = np.concatenate([earlier[:, 1:], x[:, :1, :d]], 1)
                x = np.concatenate([x[:, 1:], newest[:, None]], 1)
