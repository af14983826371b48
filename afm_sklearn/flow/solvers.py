"""Solvers of ``dz/dt = velocity(z, t)`` from t = 0 to t = 1 or back."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Velocity = Callable[[Tensor, float], Tensor]

# Butcher tableaux (Hairer, Norsett & Wanner, Solving Ordinary Differential
# Equations I, sections II.1 and II.5): nodes, stage matrix, weights.
_EXPLICIT: dict[str, tuple[list[float], list[list[float]], list[float]]] = {
    "euler": ([0.0], [[]], [1.0]),
    "midpoint": ([0.0, 0.5], [[], [0.5]], [0.0, 1.0]),
    "heun": ([0.0, 1.0], [[], [1.0]], [0.5, 0.5]),
    "rk4": (
        [0.0, 0.5, 0.5, 1.0],
        [[], [0.5], [0.0, 0.5], [0.0, 0.0, 1.0]],
        [1 / 6, 1 / 3, 1 / 3, 1 / 6],
    ),
}
_DOPRI_NODES = [0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0]
_DOPRI_STAGES = [
    [],
    [1 / 5],
    [3 / 40, 9 / 40],
    [44 / 45, -56 / 15, 32 / 9],
    [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
    [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
    [35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
]
_DOPRI_WEIGHTS = [35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0]
_DOPRI_ERROR = [
    71 / 57600,
    0.0,
    -71 / 16695,
    71 / 1920,
    -17253 / 339200,
    22 / 525,
    -1 / 40,
]

SOLVERS = ("euler", "midpoint", "heun", "rk4", "dopri5")


def integrate(
    velocity: Velocity,
    z: Tensor,
    *,
    solver: str = "midpoint",
    n_steps: int = 2,
    reverse: bool = False,
    tolerance: float = 1e-5,
) -> Tensor:
    """Carry ``z`` along the flow, from t = 0 to t = 1.

    Parameters
    ----------
    velocity : callable
        ``velocity(z, t)`` with t a float in [0, 1], of the shape of z.
    z : Tensor of shape (..., d)
        The state at the start.
    solver : {"euler", "midpoint", "heun", "rk4", "dopri5"}
        The first four take ``n_steps`` equal steps of 1, 2, 2 and 4
        evaluations; "dopri5" (Dormand & Prince 1980) chooses its own steps.
    n_steps : int
        Steps of the fixed-step solvers; the first trial step of "dopri5".
    reverse : bool
        Integrate from t = 1 to t = 0.
    tolerance : float
        Absolute and relative error per step that "dopri5" allows.

    Returns
    -------
    Tensor of the shape of z

    Examples
    --------
    >>> import torch
    >>> z = integrate(lambda z, t: z, torch.ones(1), solver="rk4", n_steps=8)
    >>> round(float(z), 4)
    2.7183
    """
    if solver == "dopri5":
        return _dormand_prince(velocity, z, n_steps, reverse, tolerance)
    if solver not in _EXPLICIT:
        raise ValueError(f"solver={solver!r} is unknown, expected one of {SOLVERS}")
    nodes, stages, weights = _EXPLICIT[solver]
    step = (-1.0 if reverse else 1.0) / n_steps
    for k in range(n_steps):
        t = (n_steps - k) / n_steps if reverse else k / n_steps
        slopes = _slopes(velocity, z, t, step, nodes, stages)
        z = _advance(z, slopes, weights, step)
    return z


def _slopes(
    velocity: Velocity,
    z: Tensor,
    t: float,
    step: float,
    nodes: list[float],
    stages: list[list[float]],
) -> list[Tensor]:
    slopes: list[Tensor] = []
    for node, stage in zip(nodes, stages, strict=True):
        slopes.append(velocity(_advance(z, slopes, stage, step), t + node * step))
    return slopes


def _advance(
    z: Tensor, slopes: list[Tensor], weights: list[float], step: float
) -> Tensor:
    for slope, weight in zip(slopes, weights, strict=True):
        if weight:
            z = torch.add(z, slope, alpha=weight * step)
    return z


def _dormand_prince(
    velocity: Velocity, z: Tensor, n_steps: int, reverse: bool, tolerance: float
) -> Tensor:
    sign = -1.0 if reverse else 1.0
    done, step = 0.0, 1.0 / n_steps
    while done < 1.0:
        step = min(step, 1.0 - done)
        t = 1.0 - done if reverse else done
        slopes = _slopes(velocity, z, t, sign * step, _DOPRI_NODES, _DOPRI_STAGES)
        proposal = _advance(z, slopes, _DOPRI_WEIGHTS, sign * step)
        error = _advance(torch.zeros_like(z), slopes, _DOPRI_ERROR, step)
        allowed = tolerance * (1.0 + torch.maximum(z.abs(), proposal.abs()))
        ratio = float((error / allowed).abs().max()) if z.numel() else 0.0
        if ratio <= 1.0 or step < 1e-6:
            z = proposal
            done = 1.0 if 1.0 - done - step < 1e-9 else done + step
        step *= min(5.0, max(0.2, 0.9 * (ratio + 1e-12) ** -0.2))
    return z
