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
    DrawForecaster,
    Persistence,
    PoissonGLM,
    QuantileForecaster,
    ResidualForecaster,
)
from .comparison import compare, diebold_mariano
from .data.stacking import stack_runs
from .design import design_matrix
from .exceptions import OutOfDistributionWarning
from .forecast import forecast
from .forecaster import AFMForecaster
from .metrics import coverage, crps, energy_score, pit, variogram_score
from .pipelines import as_forecaster
from .saving import load, save
from .scorers import (
    make_trajectory_scorer,
    neg_crps_scorer,
    neg_energy_scorer,
    neg_variogram_scorer,
)
from .sessions import adaptation_curve, split_sessions, stack_sessions
from .windows import SlidingWindow

__all__ = [
    "AFMForecaster",
    "Climatology",
    "DirectForecaster",
    "DrawForecaster",
    "ForecastStream",
    "OutOfDistributionWarning",
    "Persistence",
    "PoissonGLM",
    "QuantileForecaster",
    "ResidualForecaster",
    "SlidingWindow",
    "SurpriseDetector",
    "adaptation_curve",
    "as_forecaster",
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
    "split_sessions",
    "stack_runs",
    "stack_sessions",
    "surprise",
    "variogram_score",
]
__version__ = "0.1.0"
