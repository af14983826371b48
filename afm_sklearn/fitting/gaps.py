"""What is expected where nothing was observed, learnt from what was."""

from __future__ import annotations

import torch

from ..data.store import WindowStore
from ..law.correlation import correlation_root, shrunk_correlation
from ..law.gaps import MAX_MEMORY, Gaps

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
    gaps.root.copy_(
        torch.as_tensor(correlation_root(shrunk_correlation(steps.numpy())))
    )
    return gaps
