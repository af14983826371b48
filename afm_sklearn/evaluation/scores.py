"""The scores by name, their mean over chunks, and the checks of their arguments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..metrics import crps, energy_score, variogram_score
from ..metrics.arguments import Array

SCORES = {"crps": crps, "energy": energy_score, "variogram": variogram_score}
JOINT = ("energy", "variogram")  # one score a row, not one an entry


class MeanScore:
    """Mean score over chunks, without what was not observed."""

    def __init__(self, score: str) -> None:
        self.score = score
        self.total = 0.0
        self.count = 0

    def add(self, y: Array, samples: ArrayLike) -> None:
        """Score one more chunk of draws."""
        scores = SCORES[self.score](y, samples)
        units = y.reshape(len(y), -1).sum(axis=1) if self.score in JOINT else y
        observed = scores[~np.isnan(units)]
        # A forecaster must not better its mean by passing on the hard rows.
        if np.isnan(observed).any():
            raise ValueError("the estimator drew NaN, which cannot be scored")
        self.total += float(observed.sum())
        self.count += observed.size

    def value(self) -> float:
        """Return the mean of what was added."""
        if not self.count:
            unit = "row without a missing entry" if self.score in JOINT else "entry"
            raise ValueError(f"y must hold an observed {unit} to score, got none")
        return self.total / self.count


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuse a value that is not among the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, got {value!r}")


def check_names(name: str, named: Iterable[Any]) -> None:
    """Refuse names of models that are no strings."""
    for key in named:
        if not isinstance(key, str):
            raise ValueError(f"{name} must have strings as names, got {key!r}")
