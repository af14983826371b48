"""A network whose core many sessions of different neurons share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..initial import UnitLinear, ZeroLinear
from .encoders import lag_weights
from .marginal import MAX_LOG_SCALE, MIN_LOG_SCALE, Params


class Core(nn.Module):
    """What sessions share: from latents of a window and its stimulus to effects.

    Parameters
    ----------
    length : int
        Steps in a window, L.
    n_latents : int
        Latents k of a step.
    n_stimuli : int
        Stimulus channels s.
    n_effects : int
        Effects m on the next step.
    hidden_dim : int
        Width.
    n_layers : int
        Residual layers.
    """

    def __init__(
        self,
        length: int,
        n_latents: int,
        n_stimuli: int,
        n_effects: int,
        hidden_dim: int,
        n_layers: int,
    ):
        super().__init__()
        self.length, self.n_latents, self.n_stimuli = length, n_latents, n_stimuli
        self.n_effects = n_effects
        self.history = UnitLinear(length * n_latents, hidden_dim)
        if n_stimuli:
            self.stimulus = nn.Sequential(
                UnitLinear(length * n_stimuli, hidden_dim),
                nn.SiLU(),
                UnitLinear(hidden_dim, hidden_dim),
            )
        self.layers = nn.ModuleList(
            nn.Linear(hidden_dim, hidden_dim) for _ in range(n_layers)
        )
        self.effect = nn.Linear(hidden_dim, n_effects)

    def embed(self, latents: Tensor, stimulus: Tensor) -> Tensor:
        """Embed latents (n, L, k), in which it is affine, and stimuli (n, L, s)."""
        out: Tensor = self.history((latents * lag_weights(latents)).flatten(1))
        if self.n_stimuli:
            out = out + self.stimulus(stimulus.flatten(1))
        return out

    def embed_later(self, latents: Tensor) -> Tensor:
        """Return what the newest steps (n, h, k) add, where they were zero."""
        latents = latents[:, -self.length :]
        flat = (latents * lag_weights(latents)).flatten(1)
        return functional.linear(flat, self.history.weight[:, -flat.shape[1] :])

    def effects(self, embedded: Tensor) -> Tensor:
        """Return the effects (n, m)."""
        h = embedded
        for layer in self.layers:
            h = h + layer(functional.silu(h))
        effects: Tensor = self.effect(functional.silu(h))
        return effects


class ReadIn(nn.Module):
    """Reads latents from the neurons of one session, and hands them to the core.

    Parameters
    ----------
    core : Core
    n_lagged : int
        Neurons d.

    Attributes
    ----------
    basis : Tensor of shape (d, k)
        Directions in which the activity of the session varies most, of unit variance.
    turn : Parameter of shape (k, k)
        From them to the latents.
    """

    basis: Tensor
    scales = (1, 1)  # two parts: for the core, and the newest step as it is

    def __init__(self, core: Core, n_lagged: int):
        super().__init__()
        self.core, self.length, self.n_lagged = core, core.length, n_lagged
        self.register_buffer("basis", torch.zeros(n_lagged, core.n_latents))
        self.turn = nn.Parameter(torch.empty(core.n_latents, core.n_latents))

    def forward(self, x: Tensor, missing: Tensor | None) -> Tensor:
        """Map windows (n, L, c) to effects and the newest activity (n, m + d)."""
        return self.encode(self.embed(x, missing))

    def embed(self, x: Tensor, missing: Tensor | None) -> list[Tensor]:
        """Return what is affine in the activity of standardised windows."""
        x = x[:, -self.length :]
        own = self.core.embed(self._latents(x), x[..., self.n_lagged :])
        return [own, x[:, -1, : self.n_lagged]]

    def embed_drawn(self, steps: Tensor) -> list[Tensor]:
        """Return what the newest steps (n, h, d) add to it, where they were zero."""
        return [self.core.embed_later(self._latents(steps)), steps[:, -1]]

    def encode(self, embedded: Sequence[Tensor]) -> Tensor:
        """Return effects and the newest activity (n, m + d)."""
        return torch.cat([self.core.effects(embedded[0]), embedded[1]], 1)

    def _latents(self, steps: Tensor) -> Tensor:
        return steps[..., : self.n_lagged] @ (self.basis @ self.turn)


class SharedNetwork(nn.Module):
    """Gaussian laws around each neuron's own memory and what the core adds.

    Parameters
    ----------
    core : Core
        Shared with other sessions.
    n_outputs : int
        Neurons d of this session.

    Attributes
    ----------
    unit : Tensor of shape (d,)
        Unit of a shift of the mean: the error of the memory alone.
    memory : Parameter of shape (d,)
        What a neuron keeps of its last value.
    """

    n_components, is_centered = 1, False
    unit: Tensor

    def __init__(self, core: Core, n_outputs: int):
        super().__init__()
        self.encoder = ReadIn(core, n_outputs)
        self.outlet = ZeroLinear(core.n_effects, n_outputs)
        self.log_scale = nn.Parameter(torch.empty(n_outputs))
        self.memory = nn.Parameter(torch.empty(n_outputs))
        self.register_buffer("unit", torch.ones(n_outputs))

    @property
    def reach(self) -> int:
        """Steps that the network looks back."""
        return self.encoder.length

    def config(self) -> dict[str, Any]:
        """Return what `Architecture.member` builds it from."""
        core = self.encoder.core
        return {
            "sees": "core",
            "n_latents": core.n_latents,
            "n_effects": core.n_effects,
            "n_layers": len(core.layers),
        }

    def own_parameters(self) -> list[nn.Parameter]:
        """Return what is not the core's."""
        return [self.memory, self.encoder.turn, *self.outlet.parameters()]

    def forward(
        self, code: Tensor, forecast: Tensor, keeps_mean: bool = False
    ) -> Params:
        """Return location, log scale and log weight (n, 1, d) of each channel."""
        effects, newest = code.split(
            [code.shape[1] - len(self.unit), len(self.unit)], 1
        )
        loc = forecast + self.memory * newest + self.outlet(effects) * self.unit
        log_scale = self.log_scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE)
        log_scale = log_scale.expand_as(loc)
        return loc[:, None], log_scale[:, None], torch.zeros_like(loc)[:, None]
