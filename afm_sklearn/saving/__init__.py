"""Fitted forecasters in one file each, which executes nothing when it is read."""

from .save import load, save

__all__ = ["load", "save"]
