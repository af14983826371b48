"""The conditional law of one step: windows in, draws and densities out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..networks.encoders import HistoryEncoder
from ..networks.velocity import VelocityNetwork
from .paths import PATHS
from .solvers import Velocity, integrate


@dataclass(frozen=True)
class Architecture:
    """What the networks are built from."""

    encoder: str
    length: int
    n_channels: int
    n_outputs: int
    n_lagged: int
    groups: Mapping[str, Sequence[int]]
    scales: Sequence[int]
    hidden_dim: int
    n_layers: int

    def history_encoder(self) -> HistoryEncoder:
        """Build a history encoder of this architecture."""
        return HistoryEncoder(
            self.encoder,
            n_lagged=self.n_lagged,
            groups=self.groups,
            length=self.length,
            scales=self.scales,
            hidden_dim=self.hidden_dim,
            n_layers=self.n_layers,
        )


class Standardizer(nn.Module):
    """Bring windows to unit scale, fill what is missing and flag it."""

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return filled standardised windows and missing flags, both (n, L, c)."""
        x = (x.to(self.mean) - self.mean) / self.scale
        missing = torch.isnan(x)
        if missing.any():
            x = _carry(x, missing)
        return x, missing.to(x)


def _carry(x: Tensor, missing: Tensor) -> Tensor:
    """Fill with the last value observed in the window, else the next, else 0."""
    for order in (1, -1):
        x = x if order == 1 else x.flip(1)
        gap = torch.isnan(x)
        steps = torch.arange(x.shape[1], device=x.device)[None, :, None]
        latest = torch.where(gap, 0, steps).cummax(1).values
        x = x.gather(1, latest)
        x = x if order == 1 else x.flip(1)
    return torch.nan_to_num(x)


class Base(nn.Module):
    """Mean and scale of the next step given its window, in units of the target.

    A linear forecast, plus (if ``learned``) a network's correction of its mean
    and log scale. The correction starts at zero.
    """

    coef: Tensor
    intercept: Tensor
    log_scale: Tensor

    def __init__(
        self,
        architecture: Architecture,
        coef: Tensor,
        intercept: Tensor,
        scale: Tensor,
        *,
        learned: bool,
    ):
        super().__init__()
        self.register_buffer("coef", coef)
        self.register_buffer("intercept", intercept)
        self.register_buffer("log_scale", scale.log())
        self.learned = learned
        if learned:
            self.encoder = architecture.history_encoder()
            width, d = architecture.hidden_dim, architecture.n_outputs
            outlet = nn.Linear(width, 2 * d)
            nn.init.zeros_(outlet.weight)
            nn.init.zeros_(outlet.bias)
            self.head = nn.Sequential(
                nn.SiLU(), nn.Linear(width, width), nn.SiLU(), outlet
            )

    def forward(self, x: Tensor, missing: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and scale, both (n, d)."""
        n_lags = self.coef.shape[0] // x.shape[2]
        features = x[:, x.shape[1] - n_lags :].reshape(len(x), -1)
        mean = torch.addmm(self.intercept, features, self.coef)
        log_scale = self.log_scale.expand_as(mean)
        if self.learned:
            shift, log_gain = self.head(self.encoder(x, missing)).chunk(2, -1)
            mean = mean + shift * self.log_scale.exp()
            log_scale = log_scale + 5 * torch.tanh(log_gain / 5)
        return mean, log_scale.exp()

    def loss(
        self, x: Tensor, missing: Tensor, y: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Gaussian negative log likelihood over the observed entries of y."""
        mean, scale = self(x, missing)
        observed = torch.isfinite(y)
        error = torch.where(observed, y - mean, 0.0) / scale
        loss = 0.5 * error**2 + scale.log()
        return (loss * observed).sum() / observed.sum().clamp(min=1)


class Flow(nn.Module):
    """A flow from correlated Gaussian noise to the standardised error of a base."""

    factor: Tensor

    def __init__(
        self, architecture: Architecture, base: Base, factor: Tensor, path: str
    ):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.register_buffer("factor", factor)
        self.path = PATHS[path]()
        self.mean_gain = 2 / math.pi if path == "trigonometric" else 1.0
        self.encoder = architecture.history_encoder()
        self.velocity = VelocityNetwork(
            architecture.n_outputs, architecture.hidden_dim, architecture.n_layers
        )
        if base.learned:
            self.encoder.load_state_dict(base.encoder.state_dict())

    def loss(
        self, x: Tensor, missing: Tensor, y: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Conditional flow-matching loss over the observed entries of y."""
        mean, scale = self.base(x, missing)
        observed = torch.isfinite(y)
        noise = torch.randn(
            2, *y.shape, generator=generator, device=y.device, dtype=y.dtype
        )
        z0, stand_in = noise @ self.factor.T
        # A missing entry is replaced by a draw of the base, as input only.
        z1 = torch.where(observed, (y - mean) / scale, stand_in)
        t = torch.rand(len(y), 1, generator=generator, device=y.device, dtype=y.dtype)
        z, target = self.path.interpolate(z0, z1, t)
        modulation = self.velocity.modulation(self.encoder(x, missing))
        velocity = self.velocity(z[:, None], t[:, None], modulation[:, None])[:, 0]
        loss = (velocity - target) ** 2 * observed
        return loss.sum() / observed.sum().clamp(min=1)


class StepLaw(nn.Module):
    """p(y | window): a base and, if it paid, a flow on top.

    Every method takes raw windows (n, L, c) and works in the units of y.
    """

    y_mean: Tensor
    y_scale: Tensor
    factor: Tensor

    def __init__(
        self,
        standardizer: Standardizer,
        base: Base,
        flow: Flow | None,
        factor: Tensor,
        y_mean: Tensor,
        y_scale: Tensor,
    ):
        super().__init__()
        self.standardizer, self.base, self.flow = standardizer, base, flow
        self.register_buffer("factor", factor)
        self.register_buffer("y_mean", y_mean)
        self.register_buffer("y_scale", y_scale)

    def _field(self, x: Tensor, missing: Tensor, flow: Flow) -> Velocity:
        modulation = flow.velocity.modulation(flow.encoder(x, missing))[:, None]

        def velocity(z: Tensor, t: float) -> Tensor:
            return flow.velocity(z, z.new_full((1, 1, 1), t), modulation)

        return velocity

    def mean(self, windows: Tensor) -> Tensor:
        """Conditional mean, (n, d).

        At t = 0 the velocity is the path's derivative there times the mean of
        z1, whatever z0: one evaluation, no noise.
        """
        x, missing = self.standardizer(windows)
        mean, scale = self.base(x, missing)
        if self.flow is not None:
            start = torch.zeros_like(mean)[:, None]
            drift = self._field(x, missing, self.flow)(start, 0.0)[:, 0]
            mean = mean + scale * drift * self.flow.mean_gain
        return self.y_mean + self.y_scale * mean

    def draw(self, windows: Tensor, noise: Tensor, solver: str, n_steps: int) -> Tensor:
        """Map standard normal noise (n or 1, k, d) to draws (n, k, d)."""
        x, missing = self.standardizer(windows)
        mean, scale = self.base(x, missing)
        z = noise @ self.factor.T
        if self.flow is not None:
            field = self._field(x, missing, self.flow)
            z = integrate(
                field, z.expand(len(x), -1, -1), solver=solver, n_steps=n_steps
            )
        z = mean[:, None] + scale[:, None] * z
        return self.y_mean + self.y_scale * z

    def log_prob(self, windows: Tensor, y: Tensor, n_steps: int = 16) -> Tensor:
        """Log density of y (n, d), by the instantaneous change of variables."""
        x, missing = self.standardizer(windows)
        mean, scale = self.base(x, missing)
        z = ((y - self.y_mean) / self.y_scale - mean) / scale
        gained = torch.zeros_like(z[:, 0])
        if self.flow is not None:
            field = self._field(x, missing, self.flow)
            z, gained = _trace_back(field, z, n_steps)
        white = torch.linalg.solve_triangular(self.factor, z.T, upper=False).T
        volume = self.factor.diagonal().log().sum() + (scale * self.y_scale).log().sum(
            1
        )
        normal = -0.5 * (white**2 + math.log(2 * math.pi)).sum(1)
        return normal - gained - volume


EXACT_TRACE_UP_TO = 32
N_PROBES = 16


def _trace_back(field: Velocity, z: Tensor, n_steps: int) -> tuple[Tensor, Tensor]:
    """Integrate z from t = 1 to 0, and the divergence from t = 0 to 1 beside it.

    The trace is exact up to EXACT_TRACE_UP_TO channels and Hutchinson's estimate
    with fixed signs above (Chen et al., arXiv 1806.07366; Grathwohl et al.,
    arXiv 1810.01367).
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
    state = integrate(augmented, state, solver="rk4", n_steps=n_steps, reverse=True)
    return state[:, :-1], -state[:, -1]
