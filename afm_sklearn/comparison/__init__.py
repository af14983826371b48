"""Compare forecasters on the same origins, lead time by lead time, with error bars."""

from ._compare import compare
from ._inference import DieboldMariano, diebold_mariano
from ._result import Comparison

__all__ = ["Comparison", "DieboldMariano", "compare", "diebold_mariano"]
