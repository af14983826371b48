"""The rollout engine: draw a step, push it into the window, draw the next.

One engine serves every forecaster of the package: it knows how windows move
in time and nothing of how a step is drawn.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Draw = Callable[[Tensor, int], Tensor]


def rollout(
    draw: Draw,
    windows: Tensor,
    horizon: int,
    n_samples: int,
    *,
    n_outputs: int,
    stimulus: Tensor | None = None,
    lag_scale: Tensor | float = 1.0,
    lag_offset: Tensor | float = 0.0,
) -> Tensor:
    """Draw joint trajectories by feeding every draw back into its own window.

    Parameters
    ----------
    draw : callable
        ``draw(windows, k)`` returns ``k`` independent draws of the next step
        for each window, shape (len(windows), k, n_outputs).
    windows : Tensor of shape (n, L, c)
        Channels are ``[lagged targets (n_outputs) | stimulus (c - n_outputs)]``;
        the last row is what is known just before the first forecast step.
    horizon : int
        Number of steps to draw.
    n_samples : int
        Trajectories per window.
    n_outputs : int
        Number of target channels d.
    stimulus : Tensor of shape (n, horizon, c - n_outputs), optional
        The stimulus during each forecast step. Its first step replaces the
        stimulus in the last row of the window. Without it the window's own
        last row serves the first step, and ``horizon`` must be 1 or c equal
        to n_outputs.
    lag_scale, lag_offset : Tensor of shape (n_outputs,) or float
        A draw y enters the window as ``(y - lag_offset) / lag_scale``: the
        lagged channels may be an affine image of the targets (a scaler).

    Returns
    -------
    Tensor of shape (n, n_samples, horizon, n_outputs)
    """
    n, length, n_channels = windows.shape
    if stimulus is not None:
        windows = windows.clone()
        windows[:, -1, n_outputs:] = stimulus[:, 0]
    elif horizon > 1 and n_channels > n_outputs:
        raise ValueError(
            f"stimulus is None, but the windows have {n_channels - n_outputs} stimulus "
            f"channels and horizon is {horizon}"
        )
    step = draw(windows, n_samples)
    out = step.new_empty(n, n_samples, horizon, n_outputs)
    out[:, :, 0] = step
    if horizon == 1:
        return out

    # Consecutive windows overlap: one buffer holds the whole walk and each
    # window is a view into it, so that no step shifts or copies the past.
    walk = windows.new_empty(n, n_samples, length + horizon - 1, n_channels)
    walk[:, :, :length] = windows[:, None]
    flat = walk.view(n * n_samples, length + horizon - 1, n_channels)
    for h in range(1, horizon):
        newest = walk[:, :, length + h - 1]
        newest[..., :n_outputs] = (out[:, :, h - 1] - lag_offset) / lag_scale
        if stimulus is not None:
            newest[..., n_outputs:] = stimulus[:, None, h]
        step = draw(flat[:, h : h + length], 1)
        out[:, :, h] = step.view(n, n_samples, n_outputs)
    return out
