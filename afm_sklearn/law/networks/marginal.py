"""A network that gives the law of every channel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..initial import ZeroLinear
from .encoders import HistoryEncoder

MIN_LOG_SCALE, MAX_LOG_SCALE = -6.0, 4.0

Params = tuple[Tensor, Tensor, Tensor]


class MarginalNetwork(nn.Module):
    """Window in; location, log scale and log weight of K components a channel out.

    Locations are relative to the linear forecast, in units of its error. The last
    layer starts at zero: the untrained law is the linear forecast with K components
    spread over its error.

    Parameters
    ----------
    encoder : HistoryEncoder
        Encoder of the window.
    hidden_dim, n_outputs, n_components : int
        Width, channels d and components a channel K.
    is_centered : bool
        Whether `center` takes the place of the linear forecast: a network that does
        not see all the forecast sees could not correct it.

    Attributes
    ----------
    unit : Tensor of shape (d,)
        Unit of a shift of the location: the error of the linear forecast.
    center : Tensor of shape (d,)
        See `is_centered`.
    """

    unit: Tensor
    center: Tensor

    def __init__(
        self,
        encoder: HistoryEncoder,
        hidden_dim: int,
        n_outputs: int,
        n_components: int,
        is_centered: bool,
    ):
        super().__init__()
        self.encoder, self.n_components = encoder, n_components
        self.is_centered = is_centered
        self.layer = nn.Linear(hidden_dim, hidden_dim)
        self.outlet = ZeroLinear(hidden_dim, 3 * n_outputs * n_components)
        self.shift = nn.Parameter(torch.empty(n_components, n_outputs))
        self.log_scale = nn.Parameter(torch.empty(n_components, n_outputs))
        self.register_buffer("unit", torch.ones(n_outputs))
        self.register_buffer("center", torch.zeros(n_outputs))

    @torch.no_grad()
    def start_from(self, unit: Tensor, log_scale: Tensor, center: Tensor) -> None:
        """Set unit and center, and spread the components over log scales (d,)."""
        k = self.n_components
        spread = torch.linspace(-1.0, 1.0, k) if k > 1 else torch.zeros(1)
        self.unit.copy_(unit)
        self.center.copy_(center)
        self.shift.copy_(spread[:, None])
        self.log_scale.copy_(log_scale - (0.3 if k > 1 else 0.0))

    @property
    def reach(self) -> int:
        """Steps that the network looks back."""
        return self.encoder.length

    def config(self) -> dict[str, Any]:
        """Return what `Architecture.member` builds it from."""
        return {
            "sees": "newest" if self.reach == 1 else "window",
            "n_components": self.n_components,
            "is_centered": self.is_centered,
        }

    def forward(
        self, code: Tensor, forecast: Tensor, keeps_mean: bool = False
    ) -> Params:
        """Return the parameters (n, K, d).

        Parameters
        ----------
        code : Tensor of shape (n, hidden_dim)
            What the encoder made of the windows.
        forecast : Tensor of shape (n, d)
            The linear forecast.
        keeps_mean : bool
            Keep the mean of the forecast.
        """
        h = functional.silu(code + self.layer(functional.silu(code)))
        loc, log_scale, log_weight = (
            self.outlet(h).unflatten(-1, (3, self.n_components, -1)).unbind(1)
        )
        if self.is_centered:
            forecast = self.center.expand_as(forecast)
        log_weight = functional.log_softmax(log_weight, 1)
        shift = loc + self.shift
        if keeps_mean:
            shift = shift - (log_weight.exp() * shift).sum(1, keepdim=True)
        return (
            forecast[:, None] + shift * self.unit,
            (log_scale + self.log_scale).clamp(MIN_LOG_SCALE, MAX_LOG_SCALE),
            log_weight,
        )
