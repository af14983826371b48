"""Warnings of the package."""


class OutOfDistributionWarning(UserWarning):
    """A forecast was asked for far outside of what was seen in training."""
