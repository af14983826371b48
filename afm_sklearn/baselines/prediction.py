"""What a fitted regressor predicts from windows, as the mean of a law."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .history import fill_history

Array = NDArray[Any]


class Prediction:
    """What a fitted regressor predicts from flat windows whose gaps are filled."""

    def __init__(self, regressor: Any, channel_means: Array) -> None:
        self.regressor, self.channel_means = regressor, channel_means

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        """Map windows (n, L, c) to means (n, d)."""
        features = flat_windows(windows.numpy(), self.channel_means)
        return torch.from_numpy(predict_rows(self.regressor, features))


def predict_rows(regressor: Any, features: Array) -> Array:
    """Predict (n, d) from features (n, p), also where d is 1."""
    predicted = np.asarray(regressor.predict(features), np.float64)
    return predicted.reshape(len(features), -1)


def flat_windows(windows: Array, channel_means: Array) -> Array:
    """Return windows (n, L, c) without gaps as rows of features (n, L * c)."""
    # One dtype, whatever X has: draws and means then see the same numbers.
    windows = windows.astype(np.float64, copy=False)
    return fill_history(windows, channel_means).reshape(len(windows), -1)
