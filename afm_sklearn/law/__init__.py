"""The conditional law of a step: start, predict, advance."""

from .additive import AdditiveLaw
from .distribution import StepDistribution
from .law import Law
from .pool import PoolLaw
from .residual import ResidualLaw
from .rollout import rollout
from .state import State
from .step import StepLaw

__all__ = [
    "AdditiveLaw",
    "Law",
    "PoolLaw",
    "ResidualLaw",
    "State",
    "StepDistribution",
    "StepLaw",
    "rollout",
]
