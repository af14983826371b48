"""Recordings from other libraries, and forecasts back to them."""

from .draws import to_frame, to_xarray
from .from_pynapple import from_pynapple
from .recording import Recording

__all__ = ["Recording", "from_pynapple", "to_frame", "to_xarray"]
