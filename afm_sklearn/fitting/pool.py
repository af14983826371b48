"""The pool: candidates judged by trajectories of blocks that they did not see."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..law.pool import PoolLaw
from ..law.residual import ResidualLaw
from ..law.step import StepLaw
from .candidates import Sample, candidates
from .cases import by_lead, cases_among, draws_of, scores_of
from .data import TrainingData
from .linear import LinearStage
from .weights import (
    Score,
    best_newcomer,
    few_of,
    weight_of_second,
    weights_by_score,
)

Array = NDArray[Any]

N_HELD = 4  # times as many cases among the rows that networks did not see
MIN_CASES = 8
# More members hardly score better on blocks that had no part in the choice, and take
# as much longer to draw from.
MOST_IN_RACE, MOST = 8, 6
MIN_SAMPLE = 40  # rows to learn errors from


def fit_pool(
    data: TrainingData, stage: LinearStage, sample: Sample, *, keeps_counts: bool
) -> tuple[dict[str, ResidualLaw], Array, list[dict[str, Any]]] | None:
    """Weigh the candidates by all blocks, each held out in turn.

    After half of the blocks the race goes on among few of them.

    Returns
    -------
    laws : dict of str to ResidualLaw
        The candidates of the pool, fitted on all rows.
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
    make = partial(
        candidates, data, stage.features, stage.means, sample, keeps_counts=keeps_counts
    )
    parts: list[dict[str, Score]] = []
    names: list[str] | None = None
    left: list[dict[str, Any]] = []
    for k, block in enumerate(blocks):
        cases = cases_among(data, np.arange(block.start, block.stop))
        if not len(cases.rows):
            continue
        laws = make(k, only=names)
        # The same noise for all: laws are compared draw by draw.
        draws = [draws_of(data, law, cases, k) for law in laws.values()]
        parts.append(scores_of(data, cases, draws))
        if names is None and len(parts) >= max(2, len(blocks) // 2):
            names, parts, left = _still_racing(list(laws), parts)
    if not parts:
        return None
    names, scores = names or list(laws), _joined(parts)
    if scores["crps"].to_y.shape[1] < MIN_CASES:
        return None
    uses = by_lead(scores)
    few = few_of(uses, MOST)
    weights: Array = np.zeros((2, len(names)))
    for row, use in zip(weights, uses, strict=True):
        row[few] = weights_by_score([score.of_laws(few) for score in use])
    records = _records(names, weights, scores, len(parts))
    kept = [names[i] for i in few]
    return make(None, only=kept), weights[:, few], records + left


def _still_racing(
    names: list[str], parts: list[dict[str, Score]]
) -> tuple[list[str], list[dict[str, Score]], list[dict[str, Any]]]:
    """Return the candidates that go on, their scores, and records of the others."""
    scores = _joined(parts)
    few = few_of(by_lead(scores), MOST_IN_RACE)
    rest = np.setdiff1d(np.arange(len(names)), few)
    left = {name: score.of_laws(rest) for name, score in scores.items()}
    nothing = np.zeros((2, len(rest)))
    return (
        [names[i] for i in few],
        [{name: s.of_laws(few) for name, s in part.items()} for part in parts],
        _records([names[i] for i in rest], nothing, left, len(parts)),
    )


def _joined(parts: list[dict[str, Score]]) -> dict[str, Score]:
    """Return the scores of the cases of all blocks, by name."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {n: Score.joined([p[n] for p in parts if n in p]) for n in names}


def _records(
    names: list[str], weights: Array, scores: dict[str, Score], n_blocks: int
) -> list[dict[str, Any]]:
    """One record a candidate: its weights, and its scores with standard errors.

    They are those of so many blocks.
    """
    records = []
    for k, name in enumerate(names):
        weight, weight_ahead = map(float, weights[:, k])
        record: dict[str, Any] = {
            "candidate": name,
            "weight": weight,
            "weight ahead": weight_ahead,
            "blocks": n_blocks,
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
    laws, weights, selection = pool
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
        only=laws,
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
        weight = weight_of_second([score.of_laws([0, best]) for score in each])
        share[0], share[best] = 1 - weight, weight
        for record in selection:
            record[key] *= 1 - weight
        chosen.append((list(judged)[best], weight))
    selection += _records(list(judged), shares, scores, 1)
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
