"""Proper scores and calibration of forecasts that are given as samples.

All functions share one layout. Observations ``y`` are (n, d), trajectories
(n, horizon, d), or (n,); ``samples`` have one more axis, of length ``n_samples``,
at position 1: (n, n_samples, d), (n, n_samples, horizon, d), or (n, n_samples).
A missing observation (NaN) gets a missing score, to be left out of means with
``np.nanmean``.
"""

from afm_sklearn.metrics._calibration import coverage, pit
from afm_sklearn.metrics._crps import crps, crps_gaussian
from afm_sklearn.metrics._energy import energy_score
from afm_sklearn.metrics._quantiles import (
    crps_sum,
    pinball_loss,
    weighted_quantile_loss,
)
from afm_sklearn.metrics._variogram import variogram_score

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
