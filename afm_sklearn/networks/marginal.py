"""A network that gives the law of every channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..marginals import Marginal
from ..marginals.gaussian import Params
from .architecture import Architecture

MIN_LOG_SCALE, MAX_LOG_SCALE = -6.0, 4.0


class MarginalNetwork(nn.Module):
    """Window in; location, log scale and log weight of K components a channel out.

    Locations are relative to the linear forecast, in units of its error. The last
    layer starts at zero: the untrained law is the linear forecast with K components
    spread over its error.

    Parameters
    ----------
    architecture : Architecture
        Encoder and sizes.
    marginal : Marginal
        Family of the channels' laws.
    unit : Tensor of shape (d,)
        Unit of a shift of the location: the error of the linear forecast.
    log_scale : Tensor of shape (d,)
        Log scale parameter to start from.
    n_components : int
        Components a channel, K.
    center : Tensor of shape (d,), optional
        Takes the place of the linear forecast, which is then not used: a network
        that does not see all the forecast sees could not correct it.
    """

    unit: Tensor
    center: Tensor | None
    keeps_mean = False  # that of the linear forecast

    def __init__(
        self,
        architecture: Architecture,
        marginal: Marginal,
        unit: Tensor,
        log_scale: Tensor,
        n_components: int,
        center: Tensor | None = None,
    ):
        super().__init__()
        self.register_buffer("center", center)
        self.marginal, self.n_components = marginal, n_components
        self.register_buffer("unit", unit)
        self.encoder = architecture.history_encoder()
        d, k = architecture.n_outputs, n_components
        width = architecture.hidden_dim
        self.layer = nn.Linear(width, width)
        self.outlet = nn.Linear(width, 3 * d * k)
        nn.init.zeros_(self.outlet.weight)
        nn.init.zeros_(self.outlet.bias)
        spread = torch.linspace(-1.0, 1.0, k) if k > 1 else torch.zeros(1)
        narrower = 0.3 if k > 1 else 0.0
        self.shift = nn.Parameter(spread[:, None].repeat(1, d))
        self.log_scale = nn.Parameter((log_scale - narrower).repeat(k, 1))

    @property
    def reach(self) -> int:
        """Steps that the network looks back."""
        return self.encoder.length

    def forward(self, x: Tensor, missing: Tensor | None, forecast: Tensor) -> Params:
        """Return the parameters (n, K, d), given the linear forecast (n, d)."""
        return self.law(self.encoder(x, missing), forecast)

    def law(self, h: Tensor, forecast: Tensor) -> Params:
        """Return the same, given the code (n, hidden_dim) of the windows."""
        h = functional.silu(h + self.layer(functional.silu(h)))
        loc, log_scale, log_weight = (
            self.outlet(h).unflatten(-1, (3, self.n_components, -1)).unbind(1)
        )
        if self.center is not None:
            forecast = self.center.expand_as(forecast)
        log_weight = functional.log_softmax(log_weight, 1)
        shift = loc + self.shift
        if self.keeps_mean:
            shift = shift - (log_weight.exp() * shift).sum(1, keepdim=True)
        return (
            forecast[:, None] + shift * self.unit,
            (log_scale + self.log_scale).clamp(MIN_LOG_SCALE, MAX_LOG_SCALE),
            log_weight,
        )

    def loss(
        self,
        x: Tensor,
        missing: Tensor | None,
        y: Tensor,
        forecast: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """Negative log likelihood, mean over the observed entries of y (n, d)."""
        observed = torch.isfinite(y)
        params = self(x, missing, forecast)
        log_density = self.marginal.log_density(torch.where(observed, y, 0.0), params)
        return -(log_density * observed).sum() / observed.sum().clamp(min=1)
