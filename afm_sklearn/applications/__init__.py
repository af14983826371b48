"""What forecasts are for."""

from .decode import decode
from .detector import SurpriseDetector
from .impute import impute
from .martingale import SurpriseMartingale
from .novelty import novelty
from .objectives import EventProbability, RaiseChannel, ReachTarget
from .planning import StimulusPlan, optimize_stimulus
from .stacked_decoder import StackedDecoder
from .stream import ForecastStream
from .surprise import surprise

__all__ = [
    "EventProbability",
    "ForecastStream",
    "RaiseChannel",
    "ReachTarget",
    "StackedDecoder",
    "StimulusPlan",
    "SurpriseDetector",
    "SurpriseMartingale",
    "decode",
    "impute",
    "novelty",
    "optimize_stimulus",
    "surprise",
]
