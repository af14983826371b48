"""Log density by the instantaneous change of variables."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .solvers import Time, Velocity, march

Divergence = Callable[[Tensor, Time], Tensor]

N_NODES = 32
STEP = 1 / 16  # of time, between nodes


def trace_back(
    velocity: Velocity, divergence: Divergence, z: Tensor, n_nodes: int = N_NODES
) -> tuple[Tensor, Tensor]:
    """Carry z from t = 1 to 0, and integrate the divergence beside.

    The divergence costs far more than the velocity. So z takes small steps of the
    classical Runge-Kutta method, and the divergence is looked at in few nodes, those
    of Gauss and Legendre (Chen et al., arXiv 1806.07366, for the equation).

    Parameters
    ----------
    velocity, divergence : callable
        Of z and t: of the shape of z, and of that without its last axis.
    z : Tensor of shape (..., d)
        The state at t = 1.
    n_nodes : int
        Nodes in time.

    Returns
    -------
    z0 : Tensor of shape (..., d)
        The state at t = 0.
    gained : Tensor of shape (...)
        Integral of the divergence: log p0(z0) - gained is the log density of z.

    Examples
    --------
    >>> z = torch.ones(1, 2)
    >>> z0, gained = trace_back(lambda z, t: 0.5 * z, lambda z, t: 1.0 + 0 * z[:, 0], z)
    >>> z0.round(decimals=4), gained.round(decimals=4)
    (tensor([[0.6065, 0.6065]]), tensor([1.]))
    """
    points, weights = np.polynomial.legendre.leggauss(n_nodes)
    times = ((1 - points) / 2).tolist()  # from 1 down to 0
    gained, start = torch.zeros_like(z[..., 0]), 1.0
    for end, weight in zip(sorted(times, reverse=True), weights / 2, strict=True):
        z = _carry(velocity, z, start, end)
        gained = gained + float(weight) * divergence(z, end)
        start = end
    return _carry(velocity, z, start, 0.0), gained


def _carry(velocity: Velocity, z: Tensor, start: float, end: float) -> Tensor:
    n_steps = math.ceil((start - end) / STEP)
    return march(velocity, z, start, end, solver="rk4", n_steps=n_steps)
