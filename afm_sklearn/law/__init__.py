"""The conditional law of a step: start, predict, advance."""

from .additive import AdditiveLaw
from .distribution import StepDistribution
from .rollout import rollout
from .state import State
from .step import StepLaw

__all__ = ["AdditiveLaw", "State", "StepDistribution", "StepLaw", "rollout"]
