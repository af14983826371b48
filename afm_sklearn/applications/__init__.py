"""What forecasts are for."""

from .decode import decode
from .impute import impute
from .objectives import EventProbability, RaiseChannel, ReachTarget
from .planning import StimulusPlan, optimize_stimulus

__all__ = [
    "EventProbability",
    "RaiseChannel",
    "ReachTarget",
    "StimulusPlan",
    "decode",
    "impute",
    "optimize_stimulus",
]
