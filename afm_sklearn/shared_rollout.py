"""Trajectories of a fitted law, whose samples share the past that they start from.

The first layers of the law are affine in the activity. What they make of the known
past and of the stimulus is computed once a window for all samples, and each sample
adds what its own drawn steps make of them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .law import StepLaw

BLOCK = 16  # steps whose known part is computed together


def shared_rollout(
    law: StepLaw,
    windows: Tensor,
    horizon: int,
    n_samples: int,
    *,
    stimulus: Tensor | None,
    lag_scale: Tensor,
    lag_offset: Tensor,
    noise: Callable[[int, int], Tensor],
    solver: str,
    n_steps: int,
) -> Tensor:
    """Do what `rollout` does, for standardised windows in which nothing is missing.

    Parameters
    ----------
    law : StepLaw
        The law of a step.
    windows : Tensor of shape (n, L, c)
        Standardised windows.
    horizon, n_samples : int
        Number of steps, and of trajectories a window.
    stimulus : Tensor of shape (n, horizon, c - d) or None
        The standardised stimulus during each forecast step.
    lag_scale, lag_offset : Tensor of shape (d,)
        A draw y enters the window as ``(y - lag_offset) / lag_scale``.
    noise : callable
        ``noise(n, k)`` is standard normal, (n, k, d).
    solver, n_steps
        How the flow is integrated.

    Returns
    -------
    Tensor of shape (n, n_samples, horizon, d)
    """
    n, length, n_channels = windows.shape
    d = len(lag_scale)
    known = windows.new_zeros(n, length + horizon - 1, n_channels)
    known[:, :length] = windows
    if stimulus is not None:
        known[:, length - 1 :, d:] = stimulus
    known = known.unfold(1, length, 1).transpose(2, 3)  # (n, horizon, L, c)
    out = windows.new_empty(n, n_samples, horizon, d)
    drawn = windows.new_empty(n * n_samples, horizon, d)
    size = min(BLOCK, n_samples)
    for step in range(horizon):
        if step % size == 0:
            block = known[:, step : step + size]
            shared = law.embed(block.flatten(0, 1), None)
            shared = [part.unflatten(0, (n, -1)) for part in shared]
        embedded = [part[:, step % size] for part in shared]
        if step == 0:
            y = law.draw_embedded(embedded, noise(n, n_samples), solver, n_steps)
        else:
            newest = drawn[:, max(0, step - law.reach) : step]
            added = law.embed_drawn(newest)
            embedded = [
                torch.add(part[:, None], own.unflatten(0, (n, -1))).flatten(0, 1)
                for part, own in zip(embedded, added, strict=True)
            ]
            at = noise(n * n_samples, 1)
            y = law.draw_embedded(embedded, at, solver, n_steps)
        out[:, :, step] = y.view(n, n_samples, d)
        drawn[:, step] = (y.reshape(-1, d) - lag_offset) / lag_scale
    return out
