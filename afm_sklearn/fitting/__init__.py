"""From windows and targets to a fitted law: linear, learned, flow; what pays stays."""

from .settings import BASES, FAMILY_CHOICES, Settings
from .stages import Fitted, fit_law

__all__ = ["BASES", "FAMILY_CHOICES", "Fitted", "Settings", "fit_law"]
