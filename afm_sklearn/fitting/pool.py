"""The pool: candidates judged by trajectories of blocks that they did not see."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..law.pool import PoolLaw
from ..law.residual import ResidualLaw
from ..law.rollout import rollout
from ..law.step import StepLaw
from .candidates import Sample, candidates
from .data import TrainingData
from .linear import LinearStage
from .origins import origins, spread_rows, stimulus_at, windows_at
from .weights import Score, best_newcomer, weight_of_second, weights_by_score

Array = NDArray[Any]

HORIZON = 16
STEP = "crps", "energy"  # scores that weigh the next step; all weigh those after it
# Fewer where there are many channels, over which scores average too.
N_SAMPLES = 32, 48
N_STEP_ROWS = 50, 200  # of a block, from which the next step alone is drawn
N_ORIGINS = 8, 16  # of a block, from which trajectories are drawn
N_HELD = 4  # times as many among the rows that networks did not see
NUMBERS = 800
APART = 4  # steps between origins, at least
MIN_CASES = 8
MIN_SAMPLE = 40  # rows to learn errors from
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
    n_samples = _few_or_many(data, N_SAMPLES, 4)
    steps = spread_rows(rows[data.usable[rows]], n_rows)
    if data.settings.is_autoregressive:
        work = n_starts * n_samples * HORIZON * data.n_outputs**2
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
    n_samples = _few_or_many(data, N_SAMPLES, 4)
    p = law.start(windows_at(data, cases.rows)).predict()
    step = p.rsample(n_samples, generator=generator).cpu().numpy()
    paths: Array = np.empty((0, n_samples, 0, data.n_outputs))
    if cases.horizon:
        ahead = cases.starts[:, None] + np.arange(cases.horizon)
        drawn = rollout(
            law,
            windows_at(data, cases.starts),
            cases.horizon,
            n_samples,
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


def fit_pool(
    data: TrainingData, stage: LinearStage, sample: Sample, *, keeps_counts: bool
) -> tuple[dict[str, ResidualLaw], Array, list[dict[str, Any]]] | None:
    """Weigh the candidates by all blocks, each held out in turn.

    Returns
    -------
    laws : dict of str to ResidualLaw
        Candidates fitted on all rows.
    weights : array of shape (2, m)
        For the next step, and for those after it.
    selection : list of dict
        A record a candidate.
    None
        Where there is too little to learn from.
    """
    blocks = stage.means["stack"].blocks
    if len(blocks) < 2 or len(sample.rows) < MIN_SAMPLE:
        return None
    parts: dict[str, list[Score]] = {}
    names: list[str] = []
    for k, block in enumerate(blocks):
        laws = candidates(
            data, stage.features, stage.means, sample, k, keeps_counts=keeps_counts
        )
        names = list(laws)
        cases = cases_among(data, np.arange(block.start, block.stop))
        if not len(cases.rows):
            continue
        # The same noise for all: laws are compared draw by draw.
        draws = [draws_of(data, law, cases, k) for law in laws.values()]
        for name, score in scores_of(data, cases, draws).items():
            parts.setdefault(name, []).append(score)
    scores = {name: Score.joined(each) for name, each in parts.items()}
    if not scores or scores["crps"].to_y.shape[1] < MIN_CASES:
        return None
    weights = np.stack([weights_by_score(each) for each in by_lead(scores)])
    whole = candidates(
        data, stage.features, stage.means, sample, None, keeps_counts=keeps_counts
    )
    return whole, weights, _records(names, weights, scores)


def by_lead(scores: dict[str, Score]) -> tuple[list[Score], list[Score]]:
    """Scores that weigh the next step, and those that weigh the steps after it.

    These follow one another, too: each is as good as the law of one step.
    """
    every = {name: score for name, score in scores.items() if score.to_y.size}
    return [every[name] for name in STEP], list(every.values())


def _records(
    names: list[str], weights: Array, scores: dict[str, Score]
) -> list[dict[str, Any]]:
    """One record a candidate: its weights, and its scores with standard errors."""
    records = []
    for k, name in enumerate(names):
        weight, weight_ahead = map(float, weights[:, k])
        record: dict[str, Any] = {
            "candidate": name,
            "weight": weight,
            "weight ahead": weight_ahead,
        }
        for label, score in scores.items():
            single = score.single[k]
            if not len(single):
                continue
            record[label] = float(single.mean())
            error = single.std(ddof=1) / np.sqrt(len(single)) if len(single) > 1 else 0
            record[f"{label}, standard error"] = float(error)
        records.append(record)
    return records


def add_network(
    data: TrainingData,
    stage: LinearStage,
    own: LinearStage,
    sample: Sample,
    pool: tuple[dict[str, ResidualLaw], Array, list[dict[str, Any]]],
    newcomers: dict[str, StepLaw],
    *,
    keeps_counts: bool,
) -> list[tuple[str, float]]:
    """Choose laws with networks, and weigh them beside the pool.

    Both are judged by rows that they did not see, which end the recording. Everything
    linear is that of fits without its last block, in the pool (of the means of
    `stage`) and beside networks (of `own`).

    Returns
    -------
    list of (str, float)
        Name and weight of the best newcomer for the next step, and of that for the
        steps after it; empty where there is none.
    """
    _, weights, selection = pool
    blocks = stage.means["stack"].blocks
    rows = data.held[data.held >= blocks[-1].start]
    cases = cases_among(data, rows, N_HELD)
    if not newcomers or len(cases.rows) < MIN_CASES:
        return []
    without = candidates(
        data,
        stage.features,
        stage.means,
        sample,
        len(blocks) - 1,
        keeps_counts=keeps_counts,
    )
    judged: dict[str, Any] = {"pool": pooled(without, weights)}
    judged |= {n: _without_last_block(law, own) for n, law in newcomers.items()}
    seed = data.settings.seed
    draws = [draws_of(data, law, cases, seed) for law in judged.values()]
    scores = scores_of(data, cases, draws)
    shares, chosen = np.zeros((2, len(judged))), []
    for share, key, each in zip(
        shares, ("weight", "weight ahead"), by_lead(scores), strict=True
    ):
        best = best_newcomer(each)
        weight = weight_of_second([score.pair(0, best) for score in each])
        share[0], share[best] = 1 - weight, weight
        for record in selection:
            record[key] *= 1 - weight
        chosen.append((list(judged)[best], weight))
    selection += _records(list(judged), shares, scores)
    return chosen


def _without_last_block(law: StepLaw, stage: LinearStage) -> StepLaw:
    """Return the law with the linear forecast of a fit without the last block."""
    other = copy.deepcopy(law)
    if stage.fit is not None:
        linear = other.channels.linear
        coef, intercept = stage.fit.without(-1)
        linear.coef.copy_(torch.as_tensor(coef))
        linear.intercept.copy_(torch.as_tensor(intercept))
    return other


def pooled(laws: dict[str, ResidualLaw], weights: Array) -> PoolLaw:
    """Return the pool of the laws that have a weight (2, m)."""
    is_kept: Array = np.any(weights > 0, axis=0)
    kept = [law for law, k in zip(laws.values(), is_kept, strict=True) if k]
    logs = torch.as_tensor(weights[:, is_kept]).log().float()
    return PoolLaw(kept, *logs.to(kept[0].device)).to(kept[0].device).eval()
