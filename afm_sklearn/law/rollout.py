"""The rollout engine: draw a step, advance, draw the next."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from .mixture import choose_parts
from .pool import PoolLaw


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
        Its states have ``predict``, ``advance`` and ``branch``. A member of a pool is
        drawn for each trajectory, and draws it to its end.
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
    n = len(windows)
    shown = [None] * horizon if stimulus is None else stimulus.unbind(1)
    if not isinstance(law, PoolLaw):
        counts = torch.full((n,), n_samples, device=windows.device)
        paths = draw_histories(law.start(windows), shown, counts, generator)
        return paths.unflatten(0, (n, n_samples))
    chosen = choose_parts(law.log_weights, n, n_samples, generator)
    shape = n, n_samples, horizon, law.frame.n_outputs
    out = torch.empty(shape, dtype=torch.float64, device=windows.device)
    for k, member in enumerate(law.members):
        own = chosen == k
        if bool(own.any()):
            state = member.start(windows)
            out[own] = draw_histories(state, shown, own.sum(1), generator)
    return out


def draw_histories(
    state: Any,
    shown: Sequence[Tensor | None],
    counts: Tensor,
    generator: torch.Generator | None,
) -> Tensor:
    """Draw trajectories from each history of a state, with gradients if it has them.

    Parameters
    ----------
    state : State
        Of n histories.
    shown : sequence of (Tensor of shape (n, s) or None)
        The stimulus during each step.
    counts : Tensor of int, shape (n,)
        Trajectories of each history.
    generator : torch.Generator or None
        Source of the noise.

    Returns
    -------
    Tensor of shape (sum of counts, horizon, d)
        In the units of y.
    """
    n, most = len(counts), int(counts.max())
    y = state.predict(shown[0]).rsample(most, generator=generator)
    is_asked = torch.arange(most, device=y.device) < counts[:, None]
    rows = torch.arange(n, device=y.device).repeat_interleave(counts)
    state, steps = state.branch(rows), [y[is_asked]]
    for before, now in pairwise(shown):
        state = state.advance(steps[-1], before)
        steps.append(state.predict(now).rsample(1, generator=generator)[:, 0])
    return torch.stack(steps, 1)
