"""Probabilistic forecasting of neural activity by autoregressive flow matching."""

from .design import design_matrix
from .forecaster import AFMForecaster
from .metrics import coverage, crps, energy_score, pit, variogram_score
from .scorers import (
    make_trajectory_scorer,
    neg_crps_scorer,
    neg_energy_scorer,
    neg_variogram_scorer,
)
from .windows import SlidingWindow

__all__ = [
    "AFMForecaster",
    "SlidingWindow",
    "coverage",
    "crps",
    "design_matrix",
    "energy_score",
    "make_trajectory_scorer",
    "neg_crps_scorer",
    "neg_energy_scorer",
    "neg_variogram_scorer",
    "pit",
    "variogram_score",
]
__version__ = "0.1.0"
