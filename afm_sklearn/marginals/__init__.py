"""Laws of one channel, as maps between it and a standard normal variable."""

from .counts import CountMixture
from .gaussian import GaussianMixture

Marginal = GaussianMixture | CountMixture

__all__ = ["CountMixture", "GaussianMixture", "Marginal"]
