"""Compare forecasters on the same origins, lead time by lead time, with error bars."""

from .compare_forecasters import compare
from .significance import DieboldMariano, diebold_mariano
from .table import Comparison

__all__ = ["Comparison", "DieboldMariano", "compare", "diebold_mariano"]
