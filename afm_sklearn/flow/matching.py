"""Conditional flow matching on normal scores."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.special import ndtr, ndtri

from ..networks.architecture import Architecture
from ..networks.velocity import Clock, VelocityNetwork
from .paths import PATHS
from .solvers import Velocity

MAX_CLOCKS = 64


class Flow(nn.Module):
    """A flow from correlated Gaussian noise to the normal scores of a window.

    Parameters
    ----------
    architecture : Architecture
        Encoder and sizes.
    factor : Tensor of shape (d, d)
        Lower triangular; the noise is ``factor @ e`` with e standard normal.
    path : {"trigonometric", "linear"}
        Path between noise and data.
    """

    factor: Tensor

    def __init__(self, architecture: Architecture, factor: Tensor, path: str):
        super().__init__()
        self.register_buffer("factor", factor)
        self.path = PATHS[path]()
        self._clocks: dict[tuple[float, torch.dtype, torch.device], Clock] = {}
        self.encoder = architecture.history_encoder()
        self.velocity = VelocityNetwork(
            architecture.n_outputs, architecture.hidden_dim, architecture.n_layers
        )

    def field(self, x: Tensor, missing: Tensor | None) -> Velocity:
        """Encode the windows once; return their velocity, of z (n, k, d) and t."""
        return self.field_of(self.encoder(x, missing))

    def field_of(self, code: Tensor) -> Velocity:
        """Return the same, given the code (n, hidden_dim) of the windows."""
        modulation = self.velocity.modulation(code)[:, None]

        def velocity(z: Tensor, t: float) -> Tensor:
            return self.velocity(z, self._clock(t, z), modulation)

        return velocity

    def _clock(self, t: float, like: Tensor) -> Clock:
        """Compute what the time does to the velocity; in sampling, once for good."""
        key = t, like.dtype, like.device
        keeps = torch.is_inference_mode_enabled()
        if keeps and key in self._clocks:
            return self._clocks[key]
        clock = self.velocity.clock(like.new_full((1, 1, 1), t))
        # An adaptive solver has times of its own, without end.
        if keeps and len(self._clocks) < MAX_CLOCKS:
            self._clocks[key] = clock
        return clock

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_clocks": {}}  # a copy may change its device

    def loss(
        self,
        x: Tensor,
        missing: Tensor | None,
        low: Tensor,
        high: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """Conditional flow-matching loss (Lipman et al., arXiv 2210.02747, eq. 9).

        `low` and `high` (n, d) are the ends of the interval of normal scores of
        each target, equal for real values and NaN for missing ones.
        """
        observed = torch.isfinite(low)
        noise = low.new_empty(2, *low.shape).normal_(generator=generator)
        z0, stand_in = noise @ self.factor.T
        share = torch.empty_like(low).uniform_(generator=generator)
        # A missing entry is replaced by a draw of the noise, as input only.
        z1 = torch.where(observed, uniform_score(low, high, share), stand_in)
        t = low.new_empty(len(low), 1).uniform_(generator=generator)
        z, target = self.path.interpolate(z0, z1, t)
        modulation = self.velocity.modulation(self.encoder(x, missing))
        clock = self.velocity.clock(t[:, None])
        velocity = self.velocity(z[:, None], clock, modulation[:, None])[:, 0]
        loss = (velocity - target) ** 2 * observed
        return loss.sum() / observed.sum().clamp(min=1)


def uniform_score(low: Tensor, high: Tensor, share: Tensor) -> Tensor:
    """Return the score at a share of the probability between low and high."""
    flip = torch.where(low > 0, -1.0, 1.0)  # the lower tail keeps its digits
    a, b = ndtr(flip * low), ndtr(flip * high)
    return torch.where(low == high, low, flip * ndtri(torch.lerp(a, b, share)))
