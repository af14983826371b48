"""What forecasts are for."""

from .objectives import EventProbability, RaiseChannel, ReachTarget
from .planning import StimulusPlan, optimize_stimulus

__all__ = [
    "EventProbability",
    "RaiseChannel",
    "ReachTarget",
    "StimulusPlan",
    "optimize_stimulus",
]
