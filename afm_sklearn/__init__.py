"""Probabilistic forecasting of neural activity by autoregressive flow matching."""

from .applications import (
    ForecastStream,
    SurpriseDetector,
    decode,
    impute,
    novelty,
    optimize_stimulus,
    surprise,
)
from .baselines import (
    Climatology,
    DirectForecaster,
    Persistence,
    PoissonGLM,
    ResidualForecaster,
)
from .comparison import compare, diebold_mariano
from .design import design_matrix
from .exceptions import OutOfDistributionWarning
from .forecast import forecast
from .forecaster import AFMForecaster
from .metrics import coverage, crps, energy_score, pit, variogram_score
from .saving import load, save
from .scorers import (
    make_trajectory_scorer,
    neg_crps_scorer,
    neg_energy_scorer,
    neg_variogram_scorer,
)
from .windows import SlidingWindow

__all__ = [
    "AFMForecaster",
    "Climatology",
    "DirectForecaster",
    "ForecastStream",
    "OutOfDistributionWarning",
    "Persistence",
    "PoissonGLM",
    "ResidualForecaster",
    "SlidingWindow",
    "SurpriseDetector",
    "compare",
    "coverage",
    "crps",
    "decode",
    "design_matrix",
    "diebold_mariano",
    "energy_score",
    "forecast",
    "impute",
    "load",
    "make_trajectory_scorer",
    "neg_crps_scorer",
    "neg_energy_scorer",
    "neg_variogram_scorer",
    "novelty",
    "optimize_stimulus",
    "pit",
    "save",
    "surprise",
    "variogram_score",
]
__version__ = "0.1.0"
