"""What is expected where nothing was observed, learnt from what was."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.special import ndtr

from ..data.store import WindowStore
from ..law.correlation import correlation_root, shrunk_correlation
from ..law.gaps import MAX_MEMORY, MAX_NOISE, N_KNOTS, STATES, Gaps

MIN_PAIRS = 20  # of successive values that tell how a channel moves
MAX_ROWS = 5000  # that tell how channels of X depend on one another


def learn_gaps(store: WindowStore) -> Gaps:
    """Memory and correlation of the channels of X, from steps that were observed."""
    steps = store.steps[-MAX_ROWS:].cpu().double()
    c = steps.shape[1]
    gaps = Gaps(c)
    products = steps[1:] * steps[:-1]
    pairs = torch.isfinite(products)
    both = torch.where(pairs, products, 0.0).sum(0)
    size = [
        torch.where(pairs, part.square(), 0.0).sum(0)
        for part in (steps[1:], steps[:-1])
    ]
    memory = both / (size[0] * size[1]).sqrt().clamp(min=1e-12)
    gaps.memory.copy_(memory.clamp(-MAX_MEMORY, MAX_MEMORY))
    _tabulate(gaps, steps)
    gaps.root.copy_(
        torch.as_tensor(correlation_root(shrunk_correlation(steps.numpy())))
    )
    return gaps


def _tabulate(gaps: Gaps, steps: Tensor) -> None:
    """Learn by how much steps (T, c) deviate from what the one before lets expect."""
    before, after = steps[:-1], steps[1:]
    memory = gaps.memory.to(steps)
    moved = (after - memory * before) / (1 - memory.square()).sqrt()
    levels = ndtr(torch.linspace(-MAX_NOISE, MAX_NOISE, N_KNOTS, dtype=steps.dtype))
    for j in range(steps.shape[1]):
        seen = torch.isfinite(moved[:, j])
        if seen.sum() < MIN_PAIRS:
            continue
        last, rest = before[seen, j], moved[seen, j]
        edges = torch.quantile(last, last.new_tensor(STATES))
        state = (last[:, None] > edges).sum(1)
        gaps.edges[j].copy_(edges)
        for k in range(len(STATES) + 1):
            own = rest[state == k]
            own = own if len(own) >= MIN_PAIRS else rest
            gaps.deviation[j, k].copy_(torch.quantile(own - own.mean(), levels))
