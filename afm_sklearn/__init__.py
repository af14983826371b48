"""Probabilistic forecasting of neural activity by autoregressive flow matching."""

from .design import design_matrix
from .windows import SlidingWindow

__all__ = ["SlidingWindow", "design_matrix"]
__version__ = "0.1.0"
