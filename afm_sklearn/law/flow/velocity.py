"""The velocity network v(z, t, c) with feature-wise modulation."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from ...compute import SMALL_PART, budget, row_parts
from ..initial import ZeroLinear

Clock = tuple[Tensor, Tensor]

NORM_EPS = 1e-5


class VelocityNetwork(nn.Module):
    """Hidden layers scaled and shifted by the condition, with a skip from z.

    The skip is a gain per channel, so that no direction of z is lost in a
    hidden layer narrower than the population. The last layers start at zero:
    the untrained flow leaves its base distribution as it is.

    The condition enters through one affine map a layer (FiLM, Perez et al.,
    arXiv 1709.07871) whose window part is the same for all samples and solver
    stages: `modulation` computes it once.

    Parameters
    ----------
    n_outputs, hidden_dim, n_layers : int
        Channels d of z, width, and number of hidden layers.
    """

    layers: Any  # of Linear: lists of modules forget what they hold

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
        self.outlet = ZeroLinear(hidden_dim, n_outputs)
        self.gain = ZeroLinear(hidden_dim, n_outputs)

    def modulation(self, code: Tensor) -> Tensor:
        """Return the window's part of all scales and shifts, (n, ., width)."""
        return self.from_code(functional.silu(code))

    def clock(self, t: Tensor) -> Clock:
        """Return the time's part of them, and the gain of z; t is (n, ., 1)."""
        h = functional.silu(self.time(_fourier(t)))
        return self.from_time(h), self.gain(h)

    def forward(self, z: Tensor, clock: Clock, modulation: Tensor) -> Tensor:
        """Return dz/dt; z is (n, k, d), modulation (n, 1, width)."""
        film = self._film(clock, modulation)
        h = self.inlet(z)
        for layer, (scale, shift) in zip(self.layers, film, strict=True):
            normed = functional.layer_norm(h, (self.hidden_dim,), eps=NORM_EPS)
            h = h + layer(functional.silu(torch.addcmul(shift, normed, scale)))
        return torch.addcmul(self.outlet(functional.silu(h)), clock[1], z)

    def divergence(self, z: Tensor, clock: Clock, modulation: Tensor) -> Tensor:
        """Return the trace of the Jacobian of dz/dt by z, (n, k), exactly.

        The trace of a product does not change when its factors go round: behind the
        gains it is that of a matrix of the hidden layers. So it takes as many
        tangents as there are channels or hidden units, whichever are fewer.
        """
        film = self._film(clock, modulation)
        h = self.inlet(z)
        state: list[Tensor] = []
        for layer, (scale, shift) in zip(self.layers, film, strict=True):
            centered = h - h.mean(-1, keepdim=True)
            rate = (centered.square().mean(-1, keepdim=True) + NORM_EPS).rsqrt()
            normed = centered * rate
            active = torch.addcmul(shift, normed, scale)
            state += [normed, _silu_slope(active) * scale * rate]
            h = h + layer(functional.silu(active))
        state.append(_silu_slope(h))
        flat = [part.flatten(0, 1) for part in state]
        size = min(self.n_outputs, self.hidden_dim) * self.hidden_dim
        at_most = SMALL_PART if z.device.type == "cpu" else budget()
        traces = [
            self._kept(*(part[rows] for part in flat))
            for rows in row_parts(len(flat[0]), 4 * size, at_most)
        ]
        trace = torch.cat(traces) if traces else z.new_zeros(0)
        return clock[1].sum(-1) + trace.view(z.shape[:-1])

    def _film(self, clock: Clock, modulation: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the scale and the shift of each layer."""
        film = (modulation + clock[0]).chunk(2 * self.n_layers, -1)
        pairs = zip(film[::2], film[1::2], strict=True)
        return [(1 + scale, shift) for scale, shift in pairs]

    def _kept(self, *state: Tensor) -> Tensor:
        """Return traces; for gradients they are computed again, as tangents are big."""
        if not torch.is_grad_enabled():
            return self._trace(*state)
        trace: Tensor = checkpoint(
            self._trace, *state, use_reentrant=False, preserve_rng_state=False
        )
        return trace

    def _trace(self, *state: Tensor) -> Tensor:
        """Return the trace behind the gains, (m,).

        `state` has, for each layer, its normalised input and how fast its activation
        grows with that before it was scaled; then the slope at the outlet.
        """
        *parts, last = state
        inlet, outlet = self.inlet.weight, self.outlet.weight
        is_narrow = self.n_outputs < self.hidden_dim
        # Each row is what one direction has become; they are read out at the end.
        tangents = inlet.T if is_narrow else outlet.T @ inlet.T
        tangents = tangents.expand(len(last), -1, -1)
        readout = outlet * last[:, None] if is_narrow else torch.diag_embed(last)
        for k, (normed, slope) in enumerate(zip(parts[::2], parts[1::2], strict=True)):
            weight = self.layers[k].weight
            moved = _normed_tangents(tangents, normed) * slope[:, None]
            if k < self.n_layers - 1:
                tangents = tangents + moved @ weight.T
                continue
            # Only the trace of the last product is needed.
            turned = readout @ weight if is_narrow else last[:, :, None] * weight
            return (readout * tangents).sum((1, 2)) + (turned * moved).sum((1, 2))
        return (readout * tangents).sum((1, 2))


def _normed_tangents(tangents: Tensor, normed: Tensor) -> Tensor:
    """Return tangents behind a normalisation, but for its rate."""
    across = normed[:, None]
    along = (tangents * across).mean(-1, keepdim=True)
    return tangents - tangents.mean(-1, keepdim=True) - across * along


def _silu_slope(x: Tensor) -> Tensor:
    sigmoid = torch.sigmoid(x)
    return sigmoid * (1 + x * (1 - sigmoid))


def _fourier(t: Tensor) -> Tensor:
    angles = t * (math.pi * torch.arange(1, 9, device=t.device, dtype=t.dtype) / 2)
    return torch.cat([torch.sin(angles), torch.cos(angles)], -1)
