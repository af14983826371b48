"""From windows and targets to a fitted law: linear, learned, flow; what pays stays."""

from ._fit import fit_step_law
from ._settings import BASES, Settings

__all__ = ["BASES", "Settings", "fit_step_law"]
