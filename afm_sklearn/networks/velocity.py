"""The velocity network v(z, t, c) with feature-wise modulation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

Clock = tuple[Tensor, Tensor]


class VelocityNetwork(nn.Module):
    """Hidden layers scaled and shifted by the condition, with a skip from z.

    The skip is a gain per channel, so that no direction of z is lost in a
    hidden layer narrower than the population. The last layers start at zero:
    the untrained flow leaves its base distribution as it is.

    The condition enters through one affine map a layer (FiLM, Perez et al.,
    arXiv 1709.07871) whose window part is the same for all samples and solver
    stages: `modulation` computes it once.
    """

    def __init__(self, n_outputs: int, hidden_dim: int, n_layers: int):
        super().__init__()
        self.n_outputs, self.hidden_dim, self.n_layers = n_outputs, hidden_dim, n_layers
        width = 2 * hidden_dim * n_layers
        self.inlet = nn.Linear(n_outputs, hidden_dim)
        self.layers = nn.ModuleList(
            nn.Linear(hidden_dim, hidden_dim) for _ in range(n_layers)
        )
        self.from_code = nn.Linear(hidden_dim, width)
        self.from_time = nn.Linear(hidden_dim, width)
        self.time = nn.Sequential(
            nn.Linear(16, hidden_dim), nn.SiLU(), nn.Linear(hidden_dim, hidden_dim)
        )
        self.outlet = nn.Linear(hidden_dim, n_outputs)
        self.gain = nn.Linear(hidden_dim, n_outputs)
        for layer in (self.outlet, self.gain):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def modulation(self, code: Tensor) -> Tensor:
        """Return the window's part of all scales and shifts, (n, ., width)."""
        return self.from_code(functional.silu(code))

    def clock(self, t: Tensor) -> Clock:
        """Return the time's part of them, and the gain of z; t is (n, ., 1)."""
        h = functional.silu(self.time(_fourier(t)))
        return self.from_time(h), self.gain(h)

    def forward(self, z: Tensor, clock: Clock, modulation: Tensor) -> Tensor:
        """Return dz/dt; z is (n, k, d), modulation (n, 1, width)."""
        from_time, gain = clock
        film = (modulation + from_time).chunk(2 * self.n_layers, -1)
        h = self.inlet(z)
        for layer, scale, shift in zip(self.layers, film[::2], film[1::2], strict=True):
            normed = functional.layer_norm(h, (self.hidden_dim,))
            h = h + layer(functional.silu(torch.addcmul(shift, normed, 1 + scale)))
        return torch.addcmul(self.outlet(functional.silu(h)), gain, z)


def _fourier(t: Tensor) -> Tensor:
    angles = t * (math.pi * torch.arange(1, 9, device=t.device, dtype=t.dtype) / 2)
    return torch.cat([torch.sin(angles), torch.cos(angles)], -1)
