"""The rollout engine: draw a step, advance, draw the next."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor


def rollout(
    law: Any,
    windows: Tensor,
    horizon: int,
    n_samples: int,
    *,
    stimulus: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw joint trajectories; each drawn step conditions the next.

    Parameters
    ----------
    law : object with ``start``
        Its states have ``predict``, ``advance`` and ``branch``.
    windows : Tensor of shape (n, L, c)
        Windows that end just before the first step, in the units of X.
    horizon, n_samples : int
        Steps, and trajectories a window.
    stimulus : Tensor of shape (n, horizon, s), optional
        The stimulus during each step, in the units of X.
    generator : torch.Generator, optional
        Source of the noise.

    Returns
    -------
    Tensor of shape (n, n_samples, horizon, d)
        In the units of y.
    """
    n, state = len(windows), law.start(windows)
    shown = [None] * horizon if stimulus is None else stimulus.unbind(1)
    y = state.predict(shown[0]).rsample(n_samples, generator=generator).flatten(0, 1)
    rows = torch.arange(n, device=y.device).repeat_interleave(n_samples)
    state, steps = state.branch(rows), [y]
    for before, now in pairwise(shown):
        state = state.advance(steps[-1], before)
        steps.append(state.predict(now).rsample(1, generator=generator)[:, 0])
    return torch.stack(steps, 1).unflatten(0, (n, n_samples))
