"""Which family the targets belong to: what held-out blocks say."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.scaling import moments
from ..law.families import FAMILIES
from ..metrics import crps
from .data import TrainingData
from .linear import LinearStage, fit_linear

Array = NDArray[np.float64]

MAX_JUDGED_ROWS = 2000
N_DRAWS = 50


def choose_family(data: TrainingData) -> tuple[TrainingData, LinearStage]:
    """Fit the linear law in the family that forecasts blocks left out best.

    Whole numbers are not always counts: a heart rate has no spread that grows with
    its mean. So counts are a candidate where the targets are whole numbers, and have
    to show a lower CRPS than a Gaussian.

    Returns
    -------
    data : TrainingData
        With the targets as the family takes them.
    stage : LinearStage
    """
    asked = data.settings.family
    if asked == "counts":
        data = data.as_counts()
        return data, fit_linear(data)
    if asked == "gaussian" or not data.could_be_counts:
        return data, fit_linear(data)
    candidates = [(d, fit_linear(d)) for d in (data, data.as_counts())]
    scores = [_score(*candidate) for candidate in candidates]
    return candidates[int(np.argmin(scores))]


@torch.no_grad()
def _score(data: TrainingData, stage: LinearStage) -> float:
    """CRPS of forecasts of blocks left out, relative to the spread of each channel."""
    complete = np.flatnonzero(data.complete)
    rows = data.index(complete[:: max(1, len(complete) // MAX_JUDGED_ROWS)])
    at = stage.forecast[rows][:, None]
    scale = stage.law.log_scale.expand_as(at)
    law = FAMILIES[data.family](at, scale, torch.zeros_like(at))
    generator = torch.Generator(data.device).manual_seed(data.settings.seed)
    noise = data.empty(len(rows), N_DRAWS, data.n_outputs)
    draws = law.from_normal(noise.normal_(generator=generator)).double().cpu().numpy()
    losses = crps(data.target[rows].double().cpu().numpy(), draws) * data.y_scale
    _, spread = moments(data.y)
    relative = losses / spread
    return float(relative[np.isfinite(relative)].mean())
