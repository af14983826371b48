"""On which rows a network is trained, and how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .settings import Settings

Array = NDArray[Any]

STEPS = 3000  # optimiser steps of a training at max_epochs="auto"


@dataclass(frozen=True)
class Plan:
    """Rows to train on and to judge by, and how long to train."""

    rows: Array
    held: Array
    batch_size: int
    max_epochs: int
    patience: int

    @classmethod
    def usual(cls, rows: Array, held: Array, settings: Settings) -> Plan:
        """Return the plan that the settings ask for."""
        batch, epochs = settings.batch_size, settings.max_epochs
        n = len(rows)
        if batch == "auto":
            batch = int(np.clip(2 ** round(np.log2(max(n, 1) / 32)), 32, 256))
        if epochs == "auto":
            epochs = max(2, round(STEPS / max(1, -(-n // batch))))
        return cls(rows, held, batch, epochs, settings.n_iter_no_change)
