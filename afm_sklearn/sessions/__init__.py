"""Many sessions of different neurons: one X and y, one core, and new sessions."""

from .curve import adaptation_curve
from .stacked import StackedSessions
from .stacking import split_sessions, stack_sessions

__all__ = ["StackedSessions", "adaptation_curve", "split_sessions", "stack_sessions"]
