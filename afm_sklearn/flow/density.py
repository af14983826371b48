"""Log density by the instantaneous change of variables."""

from __future__ import annotations

import torch
from torch import Tensor

from .solvers import Velocity, integrate

EXACT_TRACE_UP_TO = 32
N_PROBES = 16
N_STEPS = 16


def trace_back(field: Velocity, z: Tensor) -> tuple[Tensor, Tensor]:
    """Integrate z (n, d) from t = 1 to 0, and the divergence from t = 0 to 1 beside.

    The trace is exact up to EXACT_TRACE_UP_TO channels and Hutchinson's estimate
    with fixed signs above (Chen et al., arXiv 1806.07366; Grathwohl et al.,
    arXiv 1810.01367).

    Returns
    -------
    z0 : Tensor of shape (n, d)
    gained : Tensor of shape (n,)
        Integral of the divergence: log p(z0) - gained is the log density of z.
    """
    d = z.shape[1]
    if d <= EXACT_TRACE_UP_TO:
        probes = torch.eye(d, dtype=z.dtype, device=z.device)
        weight = 1.0
    else:
        generator = torch.Generator().manual_seed(0)
        signs = torch.randint(0, 2, (N_PROBES, d), generator=generator) * 2 - 1
        probes, weight = signs.to(z), 1.0 / N_PROBES

    def augmented(state: Tensor, t: float) -> Tensor:
        with torch.enable_grad():
            point = state[:, :-1].detach().requires_grad_()
            out = field(point[:, None], t)[:, 0]
            trace = torch.zeros_like(state[:, -1])
            for probe in probes:
                (row,) = torch.autograd.grad((out * probe).sum(), point, None, True)
                trace = trace + weight * (row * probe).sum(1)
        return torch.cat([out.detach(), trace[:, None]], 1)

    state = torch.cat([z, torch.zeros_like(z[:, :1])], 1)
    state = integrate(augmented, state, solver="rk4", n_steps=N_STEPS, reverse=True)
    return state[:, :-1], -state[:, -1]
