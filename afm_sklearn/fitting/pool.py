"""The pool: candidates judged by trajectories of blocks that they did not see."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..law.pool import PoolLaw
from ..law.step import StepLaw
from .candidates import Candidates, without_block
from .cases import Cases, by_lead, cases_among, draws_of, scores_of
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
    candidates: Candidates,
) -> tuple[dict[str, Any], Array, list[dict[str, Any]]] | None:
    """Weigh the candidates by all blocks, each held out in turn.

    After half of the blocks the race goes on among few of them.

    Returns
    -------
    laws : dict of str to law
        The candidates of the pool, fitted on all rows.
    weights : array of shape (2, m)
        For the next step, and for those after it.
    selection : list of dict
        A record a candidate.
    None
        Where there is too little to learn from.
    """
    data, blocks = candidates.data, candidates.blocks
    if len(blocks) < 2 or len(candidates.sample.rows) < MIN_SAMPLE:
        return None
    parts: list[dict[str, Score]] = []
    names, is_open = candidates.names, True
    left: list[dict[str, Any]] = []
    for k, block in enumerate(blocks):
        cases = cases_among(data, np.arange(block.start, block.stop))
        if not len(cases.rows):
            continue
        parts.append(_scores(candidates, names, k, cases))
        if is_open and len(parts) >= max(2, len(blocks) // 2):
            names, parts, left = _still_racing(names, parts)
            is_open = False
    if not parts:
        return None
    scores = _joined(parts)
    if scores["crps"].to_y.shape[1] < MIN_CASES:
        return None
    uses = by_lead(scores)
    few = few_of(uses, MOST)
    weights: Array = np.zeros((2, len(names)))
    for row, use in zip(weights, uses, strict=True):
        row[few] = weights_by_score([score.of_laws(few) for score in use])
    records = _records(names, weights, scores, len(parts))
    kept = [names[i] for i in few]
    return candidates.without(None, kept), weights[:, few], records + left


def _scores(
    candidates: Candidates, names: list[str], block: int, cases: Cases
) -> dict[str, Score]:
    """Score candidates on the block, fitted without it."""
    # The same noise for all: laws are compared draw by draw.
    tasks = [partial(_draws, candidates, name, block, cases) for name in names]
    return scores_of(candidates.data, cases, candidates.data.run(tasks))


def _draws(
    candidates: Candidates, name: str, block: int, cases: Cases
) -> tuple[Array, Array]:
    """Draws of a candidate fitted without the block, which is not kept: it is large."""
    law = candidates.without(block, [name])[name]
    return draws_of(candidates.data, law, cases, block)


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
    candidates: Candidates,
    own: LinearStage,
    pool: tuple[dict[str, Any], Array, list[dict[str, Any]]],
    newcomers: dict[str, StepLaw],
) -> list[tuple[str, float]]:
    """Choose laws with networks, and weigh them beside the pool.

    Both are judged by rows that they did not see, which end the recording. Everything
    linear is that of fits without its last block, in the pool and beside networks (of
    the stage `own`).

    Returns
    -------
    list of (str, float)
        Name and weight of the best newcomer for the next step, and of that for the
        steps after it; empty where there is none.
    """
    laws, weights, selection = pool
    data, blocks = candidates.data, candidates.blocks
    rows = data.held[data.held >= blocks[-1].start]
    cases = cases_among(data, rows, N_HELD)
    if not newcomers or len(cases.rows) < MIN_CASES:
        return []
    last = len(blocks) - 1
    judged: dict[str, Any] = {"pool": pooled(candidates.without(last, laws), weights)}
    judged |= {n: without_block(law, own, last) for n, law in newcomers.items()}
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


def pooled(laws: dict[str, Any], weights: Array) -> PoolLaw:
    """Return the pool of the laws that have a weight (2, m)."""
    is_kept: Array = np.any(weights > 0, axis=0)
    kept = [law for law, k in zip(laws.values(), is_kept, strict=True) if k]
    logs = torch.as_tensor(weights[:, is_kept]).log().float()
    return PoolLaw(kept, *logs.to(kept[0].device)).to(kept[0].device).eval()
