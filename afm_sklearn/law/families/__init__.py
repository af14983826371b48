"""Laws of one channel, as maps between it and a standard normal variable."""

from .counts import CountMixture
from .family import Family
from .gaussian import GaussianMixture

FAMILIES: dict[str, type[Family]] = {
    family.name: family for family in (GaussianMixture, CountMixture)
}

__all__ = ["FAMILIES", "CountMixture", "Family", "GaussianMixture"]
