"""The linear forecast that everything else corrects."""

from .features import LagFeatures
from .forecast import LinearForecast
from .poisson import fit_poisson
from .ridge import fit_ridge_stack

__all__ = ["LagFeatures", "LinearForecast", "fit_poisson", "fit_ridge_stack"]
