"""Proper scores as scikit-learn scorers: pass them as ``scoring=``.

Every scorer draws from the fitted forecaster, scores the draws, and returns minus the
mean score, so that greater is better. `neg_crps_scorer`, `neg_energy_scorer` and
`neg_variogram_scorer` judge the next step, `make_trajectory_scorer` whole rollouts.
"""

from ..evaluation.unwrap import Forecaster
from .next_step import (
    SampleScorer,
    neg_crps_scorer,
    neg_energy_scorer,
    neg_variogram_scorer,
)
from .trajectory import TrajectoryScorer, make_trajectory_scorer

__all__ = [
    "Forecaster",
    "SampleScorer",
    "TrajectoryScorer",
    "make_trajectory_scorer",
    "neg_crps_scorer",
    "neg_energy_scorer",
    "neg_variogram_scorer",
]
