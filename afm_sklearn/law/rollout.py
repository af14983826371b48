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
        The stimulus during each step, in the units of X. Without it the first step
        has that of the window.
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
        rows = own.any(1).nonzero()[:, 0]
        if len(rows):
            state = member.start(windows[rows])
            seen = [step if step is None else step[rows] for step in shown]
            counts = own.sum(1)[rows]
            out[own] = draw_histories(state, seen, counts, generator)
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
    steps = [y[is_asked]]
    if len(shown) > 1:
        rows = torch.arange(n, device=y.device).repeat_interleave(counts)
        state = state.branch(rows)
    for before, now in pairwise(shown):
        state = state.advance(steps[-1], before)
        steps.append(state.predict(now).rsample(1, generator=generator)[:, 0])
    return torch.stack(steps, 1)


def common_rollout(
    law: Any,
    windows: Tensor,
    horizon: int,
    n_samples: int,
    *,
    stimulus: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw trajectories whose noise is the same for every window, and antithetic.

    To compare windows or stimuli with one another: what differs between them is not
    chance. Members of a pool draw trajectories in proportion to their weights.

    Parameters
    ----------
    law, windows, horizon, n_samples, stimulus, generator
        As for `rollout`.

    Returns
    -------
    Tensor of shape (n, n_samples, horizon, d)
        In the units of y. Their mean estimates the mean of the law; their spread over
        repetitions is not that of independent draws.
    """
    if isinstance(law, PoolLaw):
        members, weights = list(law.members), law.log_weights.exp()
        edges = (weights.cumsum(0) / weights.sum() * n_samples).round().long()
        counts = torch.diff(edges, prepend=edges.new_zeros(1)).tolist()
    else:
        members, counts = [law], [n_samples]
    shown = [None] * horizon if stimulus is None else stimulus.unbind(1)
    parts = [
        _common_histories(member.start(windows), shown, m, generator)
        for member, m in zip(members, counts, strict=True)
        if m
    ]
    return torch.cat(parts, 1)


def _common_histories(
    state: Any,
    shown: Sequence[Tensor | None],
    m: int,
    generator: torch.Generator | None,
) -> Tensor:
    """Draw m trajectories of each history with the same noise: (n, m, h, d)."""
    n, noise = len(state), None
    steps: list[Tensor] = []
    for h, now in enumerate(shown):
        if h:
            state = state.advance(steps[-1], shown[h - 1])
        p = state.predict(now)
        if noise is None:
            like = p.mean
            half = like.new_empty(len(shown), -(-m // 2), like.shape[1])
            half = half.normal_(generator=generator)
            noise = torch.cat([half, -half], 1)[:, :m]
            y = p.rsample(m, noise=noise[0].expand(n, -1, -1)).flatten(0, 1)
            rows = torch.arange(n, device=like.device).repeat_interleave(m)
            state = state.branch(rows)
        else:
            y = p.rsample(1, noise=noise[h].repeat(n, 1)[:, None])[:, 0]
        steps.append(y)
    return torch.stack(steps, 1).unflatten(0, (n, m))
