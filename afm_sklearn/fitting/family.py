"""Which family the targets belong to: what held-out blocks say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from ..compute import row_parts
from ..data.scaling import moments
from ..law.families import FAMILIES
from ..metrics import crps
from .data import TrainingData
from .linear import LinearStage, fit_linear

Array = NDArray[np.float64]

MAX_JUDGED_ROWS = 2000
N_DRAWS = 50


def choose_family(
    data: TrainingData,
) -> tuple[TrainingData, LinearStage, LinearStage | None]:
    """Fit the linear law in the family that forecasts blocks left out best.

    Whole numbers are not always counts: a heart rate has no spread that grows with
    its mean. So counts are a candidate where the targets are whole numbers, and have
    to show a lower CRPS than a Gaussian.

    Returns
    -------
    data : TrainingData
        With the targets as the family takes them.
    stage : LinearStage
    means : LinearStage or None
        That of real values, whose means a pool is made of; None where it was not
        fitted.

    Raises
    ------
    ValueError
        If counts are asked for and a target is none.
    """
    asked = data.settings.family
    if asked == "counts":
        _check_counts(data.y)
    if asked == "gaussian" or (asked == "auto" and not data.could_be_counts):
        stage = fit_linear(data)
        return data, stage, stage
    counts = data.as_counts()
    if asked == "counts" and data.settings.base != "auto":
        return counts, fit_linear(counts), None
    stages = fit_linear(data), fit_linear(counts)
    if asked == "counts" or _score(counts, stages[1]) < _score(data, stages[0]):
        nothing = (
            stages[0].forecast[:0].clone()
        )  # forecasts are as large as the targets
        return counts, stages[1], replace(stages[0], forecast=nothing)
    return data, stages[0], stages[0]


def _check_counts(y: Array) -> None:
    for rows in row_parts(*y.shape):
        other = y[rows][(y[rows] < 0) | (y[rows] % 1 != 0) & ~np.isnan(y[rows])]
        if len(other):
            raise ValueError(
                "family='counts' needs targets that are whole numbers >= 0, got "
                f"{other[0]:g} in y"
            )


@torch.no_grad()
def _score(data: TrainingData, stage: LinearStage) -> float:
    """CRPS of forecasts of blocks left out, relative to the spread of each channel."""
    complete = np.flatnonzero(data.complete)
    rows = data.index(complete[:: max(1, len(complete) // MAX_JUDGED_ROWS)])
    generator = torch.Generator(data.device).manual_seed(data.settings.seed)
    _, spread = moments(data.y)
    losses = []
    for part in row_parts(len(rows), N_DRAWS * data.n_outputs):
        some = rows[part]
        at = stage.forecast[some][:, None]
        scale = stage.law.log_scale.expand_as(at)
        law = FAMILIES[data.family](at, scale, torch.zeros_like(at))
        law = law.within(stage.law.low, stage.law.high)
        noise = data.empty(len(some), N_DRAWS, data.n_outputs)
        draws = law.from_normal(noise.normal_(generator=generator)).double()
        target = data.target[some].double().cpu().numpy()
        losses.append(crps(target, draws.cpu().numpy()) * data.y_scale / spread)
    relative = np.concatenate(losses)
    return float(relative[np.isfinite(relative)].mean())
