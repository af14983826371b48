"""What laws are judged on: held rows, and how draws score there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..law.rollout import rollout
from .data import TrainingData
from .origins import origins, spread_rows, stimulus_at, windows_at
from .weights import Score

Array = NDArray[Any]

HORIZON = 16
STEP = "crps", "energy"  # scores that weigh the next step; all weigh those after it
N_SAMPLES = 24  # what they leave to chance is little beside what cases do
# Fewer where there are many channels, over which scores average too.
N_STEP_ROWS = 50, 200  # of a block, from which the next step alone is drawn
N_ORIGINS = 8, 16  # of a block, from which trajectories are drawn
NUMBERS = 800
APART = 4  # steps between origins, at least
WORK = 1e9  # multiplications of a member in a block that trajectories may take


@dataclass(frozen=True)
class Cases:
    """What candidates are judged on.

    Attributes
    ----------
    rows : ndarray of shape (n,)
        Rows whose next step is drawn.
    starts : ndarray of shape (k,)
        Rows from which trajectories are drawn.
    horizon : int
        Their steps; 0 where there are none.
    """

    rows: Array
    starts: Array
    horizon: int


def _few_or_many(data: TrainingData, bounds: tuple[int, int], scale: int = 1) -> int:
    return int(np.clip(scale * NUMBERS // data.n_outputs, *bounds))


def cases_among(data: TrainingData, rows: Array, times: int = 1) -> Cases:
    """Choose cases among consecutive rows, with a horizon that they allow."""
    n_rows = times * _few_or_many(data, N_STEP_ROWS, 4)
    # Trajectories that overlap by more say little more.
    n_starts = min(times * _few_or_many(data, N_ORIGINS), max(8, len(rows) // APART))
    steps = spread_rows(rows[data.usable[rows]], n_rows)
    if data.settings.is_autoregressive:
        work = n_starts * N_SAMPLES * HORIZON * data.n_outputs**2
        n_starts = max(3, int(n_starts * min(1.0, WORK / work)))
        for horizon in (HORIZON, 8, 4, 2):
            starts = origins(data, rows, horizon, n_starts)
            if len(starts) >= min(n_starts, 3):
                return Cases(steps, starts, horizon)
    return Cases(steps, rows[:0], 0)


@torch.inference_mode()
def draws_of(
    data: TrainingData, law: Any, cases: Cases, seed: int
) -> tuple[Array, Array]:
    """Draw the next step (n, S, d) and trajectories (k, S, h, d), in standard units."""
    generator = torch.Generator(data.device).manual_seed(seed)
    mean, scale = data.y_moments
    p = law.start(windows_at(data, cases.rows)).predict()
    step = p.rsample(N_SAMPLES, generator=generator).cpu().numpy()
    paths: Array = np.empty((0, N_SAMPLES, 0, data.n_outputs))
    if cases.horizon:
        ahead = cases.starts[:, None] + np.arange(cases.horizon)
        drawn = rollout(
            law,
            windows_at(data, cases.starts),
            cases.horizon,
            N_SAMPLES,
            stimulus=stimulus_at(data, ahead),
            generator=generator,
        )
        paths = ((drawn.cpu().numpy() - mean) / scale).astype(np.float32)
    return ((step - mean) / scale).astype(np.float32), paths


def scores_of(
    data: TrainingData, cases: Cases, draws: list[tuple[Array, Array]]
) -> dict[str, Score]:
    """Scores of laws by name, each as heavy as the others in the choice."""
    mean, scale = data.y_moments
    y = (data.y[cases.rows] - mean) / scale
    step = [one for one, _ in draws]
    scores = {"crps": Score.of(step, y, False), "energy": Score.of(step, y, True)}
    if cases.horizon:
        ahead = cases.starts[:, None] + np.arange(cases.horizon)
        y = (data.y[ahead] - mean) / scale
        paths = [path for _, path in draws]
        near = min(8, cases.horizon)
        whole = [x[:, :, :near] for x in paths]
        scores["trajectory"] = Score.of(whole, y[:, :near], True)
        for name, lead in (("crps ahead", near), ("crps far ahead", cases.horizon)):
            at = [x[:, :, lead - 1] for x in paths]
            scores[name] = Score.of(at, y[:, lead - 1], False)
    return scores


def by_lead(scores: dict[str, Score]) -> tuple[list[Score], list[Score]]:
    """Scores that weigh the next step, and those that weigh the steps after it.

    These follow one another, too: each is as good as the law of one step.
    """
    every = {name: score for name, score in scores.items() if score.to_y.size}
    return [every[name] for name in STEP], list(every.values())
