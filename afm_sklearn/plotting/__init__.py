"""Displays of forecasts, their calibration and their scores, as in scikit-learn.

Each display is made by a class method ``from_estimator`` or ``from_predictions``, which
computes what is shown and plots it; ``plot`` draws it again on other axes. matplotlib
is imported when something is drawn, not before: ``pip install "afm-sklearn[plot]"``.
"""

from .coverage import CoverageDisplay
from .forecast import ForecastDisplay
from .pit import PITDisplay
from .score_by_horizon import ScoreByHorizonDisplay
from .training import TrainingDisplay

__all__ = [
    "CoverageDisplay",
    "ForecastDisplay",
    "PITDisplay",
    "ScoreByHorizonDisplay",
    "TrainingDisplay",
]
