"""Proper scores and calibration of forecasts that are given as samples.

All functions share one layout. Observations ``y`` are (n, d), trajectories
(n, horizon, d), or (n,); ``samples`` have one more axis, of length ``n_samples``,
at position 1: (n, n_samples, d), (n, n_samples, horizon, d), or (n, n_samples).
A missing observation (NaN) gets a missing score, to be left out of means with
``np.nanmean``.
"""

from .calibration import coverage, pit
from .energy import energy_score
from .quantiles import (
    crps_sum,
    pinball_loss,
    weighted_quantile_loss,
)
from .ranked_probability import crps, crps_gaussian
from .variogram import variogram_score

__all__ = [
    "coverage",
    "crps",
    "crps_gaussian",
    "crps_sum",
    "energy_score",
    "pinball_loss",
    "pit",
    "variogram_score",
    "weighted_quantile_loss",
]
