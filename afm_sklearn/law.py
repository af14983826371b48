"""The conditional law of one step: windows in, draws and densities out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.special import ndtri

from .flow.density import trace_back
from .flow.matching import Flow
from .flow.solvers import integrate
from .history import Standardizer
from .marginals import Marginal
from .marginals.gaussian import Params
from .networks.encoders import HistoryEncoder
from .networks.marginal import MarginalNetwork

N_MEAN_DRAWS = 128
PART = 1 << 17  # numbers in a parameter of the laws that are made together


class LinearLaw(nn.Module):
    """A linear forecast of the location with one scale parameter a channel."""

    coef: Tensor
    intercept: Tensor
    log_scale: Tensor

    def __init__(self, coef: Tensor, intercept: Tensor, log_scale: Tensor, n_lags: int):
        super().__init__()
        self.n_lags = n_lags
        self.register_buffer("coef", coef)
        self.register_buffer("intercept", intercept)
        self.register_buffer("log_scale", log_scale)
        self.max_location = math.inf  # of counts: rates are exponentials

    def forward(self, x: Tensor) -> Tensor:
        """Map standardised windows (n, L, c) to locations (n, d)."""
        return self.location(self.embed(x))

    def embed(self, x: Tensor) -> Tensor:
        """Return the locations before they are bounded."""
        features = x[:, x.shape[1] - self.n_lags :].reshape(len(x), -1)
        return torch.addmm(self.intercept, features, self.coef)

    def embed_drawn(self, steps: Tensor) -> Tensor:
        """Return what the newest steps (n, h, d) add to it, where they were zero."""
        steps = steps[:, -self.n_lags :]
        n_steps, d = steps.shape[1:]
        coef = self.coef.unflatten(0, (self.n_lags, -1))[-n_steps:, :d]
        return steps.flatten(1) @ coef.flatten(0, 1)

    def location(self, embedded: Tensor) -> Tensor:
        """Return the locations (n, d)."""
        return embedded.clamp(max=self.max_location)


class Pool(nn.Module):
    """Weighted pool of the linear law and the networks that correct it."""

    log_weights: Tensor
    members: Any  # of MarginalNetwork: lists of modules forget what they hold

    def __init__(
        self,
        linear: LinearLaw,
        members: Sequence[MarginalNetwork],
        log_weights: Tensor,
    ):
        super().__init__()
        self.linear = linear
        self.members = nn.ModuleList(members)
        self.register_buffer("log_weights", log_weights)
        self.keeps_linear = bool(torch.isfinite(log_weights[0]))

    def forward(
        self, x: Tensor, missing: Tensor | None, forecast: Tensor | None = None
    ) -> Params:
        """Return location, log scale and log weight of all components (n, K, d).

        `forecast` (n, d) takes the place of the linear one, as where that of a row
        must come from a fit without the row.
        """
        if forecast is None:
            forecast = self.linear(x)
        codes = [member.encoder(x, missing) for member in self.members]
        return self.mixture(forecast, codes)

    def mixture(self, forecast: Tensor, codes: Sequence[Tensor]) -> Params:
        """Return the same, given what the members' encoders made of the windows."""
        laws = []
        if self.keeps_linear:
            at = forecast[:, None]
            log_scale = self.linear.log_scale.expand_as(at)
            laws.append((at, log_scale, self.log_weights[0].expand_as(at)))
        parts = zip(self.members, codes, self.log_weights[1:], strict=True)
        for member, code, log_weight in parts:
            loc, log_scale, weight = member.law(code, forecast)
            laws.append((loc, log_scale, weight + log_weight))
        if len(laws) == 1:
            return laws[0]
        loc, log_scale, log_weight = (
            torch.cat(parts, 1) for parts in zip(*laws, strict=True)
        )
        return loc, log_scale, log_weight


class StepLaw(nn.Module):
    """p(y | window): the law of each channel, and the dependence between them.

    Noise, correlated by `factor`, goes through the flow (if one was kept) and then
    through each channel's marginal law. Every method takes raw windows (n, L, c)
    and works in the units of y. `reach` is the number of steps it looks back.
    """

    y_mean: Tensor
    y_scale: Tensor
    y_low: Tensor
    y_high: Tensor
    factor: Tensor

    def __init__(
        self,
        standardizer: Standardizer,
        marginal: Marginal,
        pool: Pool,
        flow: Flow | None,
        factor: Tensor,
        target: Sequence[Tensor],
    ):
        super().__init__()
        self.standardizer, self.pool, self.flow = standardizer, pool, flow
        self.marginal = marginal
        self.register_buffer("factor", factor)
        names = ("y_mean", "y_scale", "y_low", "y_high")
        for name, value in zip(names, target, strict=True):
            self.register_buffer(name, value)
        lengths = [encoder.length for encoder in self._encoders()]
        self.reach = max([pool.linear.n_lags, *lengths])
        self.is_correlated = bool((factor - torch.diag(factor.diagonal())).any())

    def mean(self, windows: Tensor, solver: str, n_steps: int) -> Tensor:
        """Conditional mean, (n, d).

        Exact without a flow. With one, the flow's effect on the mean is averaged
        over fixed antithetic noise, shared by all rows.
        """
        x, missing = self.standardizer(windows)
        params = self.pool(x, missing)
        mean = self.marginal.mean(params)
        if self.flow is not None:
            generator = torch.Generator().manual_seed(0)
            half = torch.randn(1, N_MEAN_DRAWS // 2, mean.shape[1], generator=generator)
            noise = torch.cat([half, -half], 1).to(mean).expand(len(x), -1, -1)
            z = noise @ self.factor.T
            field = self.flow.field(x, missing)
            moved = integrate(field, z, solver=solver, n_steps=n_steps)
            # The mean without the flow is known, so only the difference is averaged.
            before = self.marginal.from_normal(z, params)
            mean = mean + (self.marginal.from_normal(moved, params) - before).mean(1)
        return self._bounded(mean)

    def draw(self, windows: Tensor, noise: Tensor, solver: str, n_steps: int) -> Tensor:
        """Map standard normal noise (n or 1, k, d) to draws (n, k, d)."""
        embedded = self.embed(*self.standardizer(windows))
        return self.draw_embedded(embedded, noise, solver, n_steps)

    def embed(self, x: Tensor, missing: Tensor | None) -> list[Tensor]:
        """Return all that is affine in the activity of standardised windows.

        Only their newest `reach` steps are needed.
        """
        embedded = [self.pool.linear.embed(x)]
        for encoder in self._encoders():
            embedded += encoder.embed(x, missing)
        return embedded

    def embed_drawn(self, steps: Tensor) -> list[Tensor]:
        """Return what the newest steps (n, h, d) add to it, where they were zero."""
        embedded = [self.pool.linear.embed_drawn(steps)]
        for encoder in self._encoders():
            embedded += encoder.embed_drawn(steps)
        return embedded

    def draw_embedded(
        self, embedded: Sequence[Tensor], noise: Tensor, solver: str, n_steps: int
    ) -> Tensor:
        """Map standard normal noise (n or 1, k, d) to draws (n, k, d)."""
        parts = iter(embedded)
        forecast = self.pool.linear.location(next(parts))
        codes = [
            encoder.encode([next(parts) for _ in encoder.scales])
            for encoder in self._encoders()
        ]
        z = noise @ self.factor.T if self.is_correlated else noise
        z = z.expand(len(forecast), -1, -1)
        if self.flow is not None:
            field = self.flow.field_of(codes.pop())
            z = integrate(field, z, solver=solver, n_steps=n_steps)
        y = torch.empty_like(z)
        # So few rows that the parameters of their laws stay in cache.
        n, _, d = z.shape
        step = max(1, PART // d) if z.device.type == "cpu" else n
        for start in range(0, n, step):
            rows = slice(start, start + step)
            params = self.pool.mixture(forecast[rows], [code[rows] for code in codes])
            y[rows] = self._bounded(self.marginal.from_normal(z[rows], params))
        return y

    def _encoders(self) -> list[HistoryEncoder]:
        networks = [*self.pool.members, *([] if self.flow is None else [self.flow])]
        return [network.encoder for network in networks]

    def quantiles(self, windows: Tensor, levels: Tensor) -> Tensor:
        """Exact quantiles (n, n_levels, d) of a law without a flow."""
        x, missing = self.standardizer(windows)
        z = ndtri(levels)[None, :, None].expand(len(x), -1, len(self.y_mean))
        return self._bounded(self.marginal.from_normal(z, self.pool(x, missing)))

    def log_prob(self, windows: Tensor, y: Tensor) -> Tensor:
        """Log density of y (n, d); of counts, see `AFMForecaster.log_prob`."""
        x, missing = self.standardizer(windows)
        params = self.pool(x, missing)
        target = (y - self.y_mean) / self.y_scale
        density = (self.marginal.log_density(target, params) - self.y_scale.log()).sum(
            1
        )
        low, high = self.marginal.normal_scores(target, params)
        z = 0.5 * (low + high)
        return density + self._log_copula(x, missing, z)

    def _log_copula(self, x: Tensor, missing: Tensor | None, z: Tensor) -> Tensor:
        """Log density of the scores z, relative to independent normal ones."""
        start, gained = z, torch.zeros_like(z[:, 0])
        if self.flow is not None:
            start, gained = trace_back(self.flow.field(x, missing), z)
        white = torch.linalg.solve_triangular(self.factor, start.T, upper=False).T
        normal = -0.5 * white.square().sum(1) - self.factor.diagonal().log().sum()
        return normal - gained + 0.5 * z.square().sum(1)

    def _bounded(self, y: Tensor) -> Tensor:
        """Return y in its units, never a whole range outside what was seen."""
        return (self.y_mean + self.y_scale * y).clamp(self.y_low, self.y_high)
