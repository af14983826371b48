"""Solvers of ``dz/dt = velocity(z, t)`` from t = 0 to t = 1 or back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# Of z (n, ..., d) and a time: a number, or a tensor (n, 1, ..., 1) of one a row.
Time = float | Tensor
Velocity = Callable[[Tensor, Time], Tensor]

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

_ORDER = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4, "dopri5": 5}
MIN_STEP = 1e-5  # is taken, whatever its error
MAX_STEPS_NEEDED = 64


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
        ``velocity(z, t)`` of the shape of z, with t in [0, 1]: a number, for "dopri5"
        a tensor (n, 1, ..., 1).
    z : Tensor of shape (n, ..., d)
        The state at the start.
    solver : {"euler", "midpoint", "heun", "rk4", "dopri5"}
        The first four take ``n_steps`` equal steps of 1, 2, 2 and 4
        evaluations; "dopri5" (Dormand & Prince 1980) chooses the steps of each row,
        whatever rows come with it.
    n_steps : int
        Steps of the fixed-step solvers; the first trial step of "dopri5".
    reverse : bool
        Integrate from t = 1 to t = 0.
    tolerance : float
        Absolute and relative error per step that "dopri5" allows.

    Returns
    -------
    Tensor of the shape of z

    Raises
    ------
    ValueError
        If the solver is unknown or there is no step.

    Examples
    --------
    >>> import torch
    >>> z = integrate(lambda z, t: z, torch.ones(1), solver="rk4", n_steps=8)
    >>> round(float(z), 4)
    2.7183
    """
    if n_steps < 1:
        raise ValueError(f"n_steps is {n_steps}, expected at least 1")
    if solver == "dopri5":
        return _dormand_prince(velocity, z, n_steps, reverse, tolerance)
    start, end = (1.0, 0.0) if reverse else (0.0, 1.0)
    return march(velocity, z, start, end, solver=solver, n_steps=n_steps)


def march(
    velocity: Velocity,
    z: Tensor,
    start: float,
    end: float,
    *,
    solver: str,
    n_steps: int,
) -> Tensor:
    """Carry ``z`` from one time to another in equal steps.

    Parameters are those of `integrate`; "dopri5" takes no equal steps.
    """
    if solver not in _EXPLICIT:
        raise ValueError(f"solver={solver!r} is unknown, expected one of {SOLVERS}")
    nodes, stages, weights = _EXPLICIT[solver]
    step = (end - start) / n_steps
    for k in range(n_steps):
        t = start + k * step
        slopes = _slopes(velocity, z, t, step, nodes, stages)
        z = _advance(z, slopes, weights, step)
    return z


def steps_needed(field: Velocity, z: Tensor, solver: str, tolerance: float) -> int:
    """Return about the least number of steps that is enough.

    Steps are doubled until that hardly moves draws; then fewer are compared with the
    finest solution, in steps of an eighth.

    Parameters
    ----------
    field : callable
        The velocity.
    z : Tensor of shape (n, k, d)
        Noise to try it on.
    solver : str
        As `integrate` has it.
    tolerance : float
        Allowed error of the draws of each channel (root mean square), relative to
        their spread.

    Returns
    -------
    int
        At most 64.

    Examples
    --------
    >>> z = torch.linspace(-1, 1, 9).view(1, 9, 1)
    >>> steps_needed(lambda z, t: 0.0 * z, z, "midpoint", 0.01)
    1
    >>> steps_needed(lambda z, t: 3.0 * z, z, "midpoint", 0.01)
    20
    """

    def carried(n_steps: int) -> Tensor:
        return integrate(field, z, solver=solver, n_steps=n_steps)

    order = _ORDER[solver]
    n_steps, before, after = 1, carried(1), carried(2)
    while n_steps < MAX_STEPS_NEEDED:
        moved = _apart(before, after)
        if bool((moved <= tolerance * (1 - 0.5**order)).all()):
            break
        n_steps *= 2
        before, after = after, carried(2 * n_steps)
    else:
        return n_steps
    left = tolerance - moved / (2**order - 1)  # but for the error of the finest
    for fewer in range(n_steps // 2, n_steps, max(1, n_steps // 8)):
        if fewer and bool((_apart(carried(fewer), after) <= left).all()):
            return fewer
    return n_steps


def _apart(some: Tensor, finer: Tensor) -> Tensor:
    """Root mean square distance of draws of each channel, relative to their spread.

    That is the spread of the draws of one history, not what histories differ by.
    """
    apart = (some - finer).square().mean((0, 1)).sqrt()
    spread = finer.var(1).mean(0).sqrt()
    return torch.where(apart > 0, apart / spread, 0.0)


def _slopes(
    velocity: Velocity,
    z: Tensor,
    t: Time,
    step: Time,
    nodes: Sequence[float],
    stages: Sequence[Sequence[float]],
) -> list[Tensor]:
    slopes: list[Tensor] = []
    for node, stage in zip(nodes, stages, strict=True):
        slopes.append(velocity(_advance(z, slopes, stage, step), t + node * step))
    return slopes


def _advance(
    z: Tensor, slopes: Sequence[Tensor], weights: Sequence[float], step: Time
) -> Tensor:
    for slope, weight in zip(slopes, weights, strict=True):
        if isinstance(step, Tensor):
            z = z + slope * (weight * step)
        elif weight:
            z = torch.add(z, slope, alpha=weight * step)
    return z


def _dormand_prince(
    velocity: Velocity, z: Tensor, n_steps: int, reverse: bool, tolerance: float
) -> Tensor:
    sign = -1.0 if reverse else 1.0
    done = z.new_zeros(len(z), *[1] * (z.ndim - 1))
    step = torch.full_like(done, 1.0 / n_steps)
    while bool((done < 1.0).any()):
        step = torch.minimum(step, 1.0 - done)
        t = 1.0 - done if reverse else done
        slopes = _slopes(velocity, z, t, sign * step, _DOPRI_NODES, _DOPRI_STAGES)
        proposal = _advance(z, slopes, _DOPRI_WEIGHTS, sign * step)
        ratio = _error_ratio(z, proposal, slopes, step, tolerance)
        accepted = (ratio <= 1.0) | (step <= MIN_STEP)
        z = torch.where(accepted, proposal, z)
        done = torch.where(accepted, done + step, done)
        # The last step leaves but rounding; a row that is not finite stays so.
        lost = ~torch.isfinite(z).flatten(1).all(1).view_as(done)
        done = torch.where(lost | (done > 1.0 - 1e-6), 1.0, done)
        factor = (0.9 * (ratio + 1e-12) ** -0.2).clamp(0.2, 5.0).nan_to_num(0.2)
        step = step * factor
    return z


@torch.no_grad()
def _error_ratio(
    z: Tensor, proposal: Tensor, slopes: list[Tensor], step: Tensor, tolerance: float
) -> Tensor:
    """Return the error of each row's step, relative to what is allowed."""
    error = _advance(torch.zeros_like(z), slopes, _DOPRI_ERROR, step)
    allowed = tolerance * (1.0 + torch.maximum(z.abs(), proposal.abs()))
    return (error / allowed).abs().flatten(1).amax(1).view_as(step)
