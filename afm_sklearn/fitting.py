"""From windows and targets to a fitted law: what pays is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .flow.matching import Flow, uniform_score
from .folds import block_edges
from .history import Standardizer, WindowStore, moments
from .law import LinearLaw, Pool, StepLaw
from .linear import LagFeatures, LinearForecast, fit_poisson, fit_ridge_stack
from .linear.poisson import log_rate_cap
from .marginals import CountMixture, GaussianMixture, Marginal
from .metrics import crps, energy_score
from .net import Objective, Rows, Schedule, train
from .networks.architecture import Architecture
from .networks.marginal import MarginalNetwork
from .selection import hold_back, pays, pool_weights

BASES = ("auto", "normal", "linear", "learned")
DEFAULT_SCALES = (1, 5, 20)
N_BLOCKS = 5
N_COMPONENTS = 3
STEPS = 3000  # optimiser steps of a training at max_epochs="auto"
MAX_COUNT = 100  # integers above it are taken for real values
MAX_COPULA_ROWS = 20000
MAX_SCORED_ROWS = 1000
N_SCORED_DRAWS = 50
LOG_SIZES = np.linspace(-3.0, 5.0, 17)
Array = NDArray[Any]


@dataclass(frozen=True)
class Settings:
    """The constructor's arguments that shape a fit, and what fit found out."""

    history_encoder: str
    scales: Any
    stimulus_groups: Mapping[str, Sequence[int]] | None
    hidden_dim: int
    n_layers: int
    path: str
    base: str
    solver: str
    n_steps: int
    max_epochs: Any
    batch_size: Any
    lr: float
    weight_decay: float
    window_noise: float
    validation_fraction: float
    early_stopping: bool
    n_iter_no_change: int
    verbose: int
    n_lagged: int
    lag_scale: Array | None
    seed: int
    torch_device: torch.device

    @classmethod
    def names(cls) -> list[str]:
        """Names that are constructor arguments."""
        own = {"n_lagged", "lag_scale", "seed", "torch_device"}
        return [f.name for f in fields(cls) if f.name not in own]


def fit_step_law(
    windows: Array, y: Array, settings: Settings, previous: StepLaw | None
) -> tuple[StepLaw, str, dict[str, Any]]:
    """Fit the law; return it with the name of what was kept and the histories."""
    cuda = [settings.torch_device] if settings.torch_device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(settings.seed)
        return _Fitter(windows, y, settings, previous).run()


def is_counts(y: Array) -> bool:
    """Whether all observed targets are whole numbers from 0 to MAX_COUNT."""
    seen = y[np.isfinite(y)]
    inside = seen.min() >= 0 and 1 <= seen.max() <= MAX_COUNT
    return bool(inside and (seen == np.round(seen)).all())


class _Fitter:
    def __init__(
        self, windows: Array, y: Array, settings: Settings, previous: StepLaw | None
    ):
        self.settings, self.previous = settings, previous
        self.device = settings.torch_device
        self.store = WindowStore.from_windows(windows, self.device)
        mean, scale = moments(self.store.rows.cpu().numpy())
        self.standardizer = Standardizer(self._t(mean), self._t(scale)).to(self.device)
        self.input_scale = scale
        self.counts = settings.base != "normal" and is_counts(y)
        self.marginal: Marginal = CountMixture() if self.counts else GaussianMixture()
        self.y_mean, self.y_scale = moments(y)
        if self.counts:
            self.y_mean, self.y_scale = np.zeros(y.shape[1]), np.ones(y.shape[1])
        self.target = self._t((y - self.y_mean) / self.y_scale)
        newest = windows[:, -1, : settings.n_lagged]
        no_past = np.asarray(np.isnan(newest).all(1))
        self.starts = np.flatnonzero(no_past)
        self.usable = ~no_past & np.asarray(np.isfinite(y).any(1))
        if self.usable.sum() < max(10, 0.2 * len(y)):
            self.usable = np.asarray(np.isfinite(y).any(1))
        self.fit_rows, self.held = hold_back(
            len(y), windows.shape[1], self.starts, settings.validation_fraction
        )
        self.fit_rows = self.fit_rows[self.usable[self.fit_rows]]
        self.held = self.held[self.usable[self.held]]
        self.architecture = _architecture(windows, y, settings)
        self.history: dict[str, Any] = {}

    def run(self) -> tuple[StepLaw, str, dict[str, Any]]:
        base = self.settings.base
        linear, forecast = self._linear()
        pool, kept = Pool(linear, [], torch.zeros(1)), "linear"
        if base in ("auto", "learned") and (len(self.held) or base == "learned"):
            pool, kept = self._learn(linear, forecast)
        pool = pool.to(self.device).requires_grad_(False).eval()
        low, high = self._scores(pool, forecast)
        factor = self._factor(low, high)
        law, plain = self._law(pool, None, factor), kept
        if base == "auto" and not (len(self.held) and kept != "linear"):
            return law, kept, self.history
        flow = self._flow(factor, low, high)
        candidate, kept = self._law(pool, flow, factor), kept + "+flow"
        if base == "auto" and not pays(self._judge(law), self._judge(candidate)):
            return law, plain, self.history
        return candidate, kept, self.history

    # -- the linear forecast ---------------------------------------------------

    def _linear(self) -> tuple[LinearLaw, Tensor]:
        """Fit it; return its law, and for each row a forecast made without it."""
        d = self.target.shape[1]
        features = LagFeatures(self.store, self.standardizer, self.settings.n_lagged)
        if self.settings.base == "normal":
            zero = torch.zeros(features.n_features, d), torch.zeros(d), torch.zeros(d)
            forecast = torch.zeros_like(self.target)
            return LinearLaw(*zero).to(self.device), forecast
        edges = block_edges(len(self.target), N_BLOCKS, self.starts)
        blocks = [slice(a, b) for a, b in pairwise(edges)]
        blocks = [b for b in blocks if self.usable[b].any()] or blocks
        blocks = [slice(0 if k == 0 else b.start, b.stop) for k, b in enumerate(blocks)]
        target = self.target.cpu().numpy().astype(np.float64)
        if self.counts:
            fit = fit_poisson(features, target, self.usable, blocks)
        else:
            walk = None
            if self.settings.lag_scale is not None:
                walk = self.settings.lag_scale * self.input_scale[:d] / self.y_scale
            fit = fit_ridge_stack(features, target, self.usable, blocks, walk)
        forecast = self._out_of_block(features, fit)
        law = LinearLaw(
            self._t(fit.coef), self._t(fit.intercept), self._spread(forecast)
        )
        if self.counts:
            law.max_location = log_rate_cap(self.target)
        return law.to(self.device), forecast

    def _out_of_block(self, features: LagFeatures, fit: LinearForecast) -> Tensor:
        forecast = np.zeros(tuple(self.target.shape), dtype=np.float32)
        parts = zip(fit.blocks, fit.block_coefs, fit.block_intercepts, strict=True)
        for block, coef, intercept in parts:
            for rows, F in features.chunks(block):
                forecast[rows] = F @ coef + intercept
        if self.counts:
            forecast = np.minimum(forecast, log_rate_cap(self.target))
        return self._t(forecast)

    def _spread(self, forecast: Tensor) -> Tensor:
        """Log scale parameter of the linear law, from its out-of-block forecasts."""
        rows = torch.as_tensor(np.flatnonzero(self.usable), device=self.device)
        y, location = self.target[rows], forecast[rows]
        observed = torch.isfinite(y)
        if not self.counts:
            error = torch.where(observed, y - location, 0.0)
            count = observed.sum(0).clamp(min=1)
            return (error.square().sum(0) / count).sqrt().clamp(min=1e-6).log()
        y = torch.where(observed, y, 0.0)
        losses = []
        for log_size in LOG_SIZES:
            size = torch.full_like(location, log_size)[..., None]
            params = location[..., None], size, torch.zeros_like(size)
            losses.append((self.marginal.log_density(y, params) * observed).sum(0))
        return self._t(LOG_SIZES)[torch.stack(losses).argmax(0)]

    # -- the networks that correct it ------------------------------------------

    def _learn(self, linear: LinearLaw, forecast: Tensor) -> tuple[Pool, str]:
        members = []
        networks = {"newest": self._newest_network()}
        if self.architecture.length > 1:
            networks["window"] = self._window_network(linear)
        for k, (name, member) in enumerate(networks.items()):
            member = member.to(self.device)
            if self.previous is not None and k < len(self.previous.pool.members):
                _copy_networks(self.previous.pool.members[k], member)
            self._train(name, member, [self.target, forecast])
            members.append(member.requires_grad_(False).eval())
        if not len(self.held):
            weights = np.append(0.0, np.full(len(members), 1.0 / len(members)))
        else:
            densities, seen = self._log_densities(linear, members, forecast)
            weights = pool_weights(densities[seen])
            pooled = np.logaddexp.reduce(densities + _log(weights), -1)
            alone = np.where(seen, -densities[..., 0], 0.0).sum(1)
            if self.settings.base == "auto" and not pays(
                alone, np.where(seen, -pooled, 0.0).sum(1)
            ):
                return Pool(linear, [], torch.zeros(1)), "linear"
        kept = [m for m, w in zip(members, weights[1:], strict=True) if w]
        log_weights = _log(np.append(weights[0], weights[1:][weights[1:] > 0]))
        return Pool(linear, kept, self._t(log_weights)), "learned"

    def _window_network(self, linear: LinearLaw) -> MarginalNetwork:
        """Build a network that corrects the linear forecast from the whole window."""
        scale = linear.log_scale
        unit = torch.ones_like(scale) if self.counts else scale.exp()
        k = 1 if self.counts else N_COMPONENTS
        return MarginalNetwork(self.architecture, self.marginal, unit, scale, k)

    def _newest_network(self) -> MarginalNetwork:
        """Build a network that sees the newest step alone: many systems are Markov."""
        d = self.target.shape[1]
        architecture, unit = self.architecture.newest_step(), torch.ones(d)
        if not self.counts:
            scale, center = torch.zeros(d), torch.zeros(d)
            return MarginalNetwork(
                architecture, self.marginal, unit, scale, N_COMPONENTS, center
            )
        center = self.target.nanmean(0).clamp(min=1e-3).log().cpu()
        return MarginalNetwork(architecture, self.marginal, unit, 2 * unit, 1, center)

    @torch.inference_mode()
    def _log_densities(
        self, linear: LinearLaw, members: list[MarginalNetwork], forecast: Tensor
    ) -> tuple[Array, Array]:
        """Log densities of the held targets (n, d, members), and which exist."""
        pool = Pool(linear, [], torch.zeros(1))
        out, observed = [], []
        for rows, windows in self.store.chunks(self._index(self.held)):
            x, missing = self.standardizer(windows)
            y = self.target[rows]
            seen = torch.isfinite(y)
            y = torch.where(seen, y, 0.0)
            at = forecast[rows]
            laws = [pool.combine(at, []), *(m(x, missing, at) for m in members)]
            logs = [self.marginal.log_density(y, law) for law in laws]
            out.append(torch.stack(logs, -1).cpu().numpy().astype(np.float64))
            observed.append(seen.cpu().numpy())
        return np.concatenate(out), np.concatenate(observed)

    # -- dependence and flow ---------------------------------------------------

    @torch.inference_mode()
    def _scores(self, pool: Pool, forecast: Tensor) -> tuple[Tensor, Tensor]:
        """Return both ends of every target's interval of scores, NaN if missing."""
        low, high = torch.empty_like(self.target), torch.empty_like(self.target)
        for rows, windows in self.store.chunks():
            x, missing = self.standardizer(windows)
            at = forecast[rows]
            params = pool.combine(at, [m(x, missing, at) for m in pool.members])
            y = self.target[rows]
            seen = torch.isfinite(y)
            ends = self.marginal.normal_scores(torch.where(seen, y, 0.0), params)
            low[rows], high[rows] = (torch.where(seen, e, torch.nan) for e in ends)
        return low, high

    def _factor(self, low: Tensor, high: Tensor) -> Tensor:
        """Cholesky factor of the correlation of the normal scores."""
        d = low.shape[1]
        if self.settings.base == "normal" or d == 1:
            return torch.eye(d, device=self.device)
        rows = self._index(np.flatnonzero(self.usable)[-MAX_COPULA_ROWS:])
        generator = torch.Generator(self.device).manual_seed(self.settings.seed)
        share = torch.rand((len(rows), d), generator=generator, device=self.device)
        scores = uniform_score(low[rows], high[rows], share).double().cpu().numpy()
        return self._t(np.linalg.cholesky(shrunk_correlation(scores)))

    def _flow(self, factor: Tensor, low: Tensor, high: Tensor) -> Flow:
        flow = Flow(self.architecture, factor, self.settings.path).to(self.device)
        if self.previous is not None and self.previous.flow is not None:
            _copy_networks(self.previous.flow, flow)
        self._train("flow", flow, [low, high])
        return flow.requires_grad_(False).eval()

    def _train(self, name: str, model: nn.Module, columns: list[Tensor]) -> None:
        s, n = self.settings, len(self.fit_rows)
        batch = s.batch_size
        if batch == "auto":
            batch = int(np.clip(2 ** round(np.log2(max(n, 1) / 32)), 32, 256))
        epochs = s.max_epochs
        if epochs == "auto":
            epochs = max(2, round(STEPS / -(-n // batch)))
        schedule = Schedule(
            max_epochs=epochs,
            batch_size=batch,
            lr=s.lr,
            weight_decay=s.weight_decay,
            window_noise=s.window_noise,
            patience=s.n_iter_no_change,
            early_stopping=s.early_stopping,
            seed=s.seed,
            verbose=s.verbose,
        )
        training, held = (
            Rows(self.store, self._index(rows), columns)
            for rows in (self.fit_rows, self.held)
        )
        self.history[name] = train(
            Objective(self.standardizer, model),
            training,
            held if len(held) else None,
            schedule,
            self.device,
        )

    @torch.inference_mode()
    def _judge(self, law: StepLaw) -> Array:
        """CRPS plus energy score of each held row, each relative to its dimension."""
        rows = self.held[:MAX_SCORED_ROWS]
        generator = torch.Generator(self.device).manual_seed(self.settings.seed)
        d = self.target.shape[1]
        unit = np.where(self.y_scale > 0, self.y_scale, 1.0)
        out = []
        for part, windows in self.store.chunks(self._index(rows)):
            noise = torch.randn(
                (len(part), N_SCORED_DRAWS, d), generator=generator, device=self.device
            )
            draws = law.draw(
                windows, noise, self.settings.solver, self.settings.n_steps
            )
            values = (draws.double().cpu().numpy() - self.y_mean) / unit
            target = self.target[part].double().cpu().numpy()
            target = np.where(np.isfinite(target), target, values.mean(1))
            out.append(crps(target, values).mean(1))
            out[-1] += energy_score(target, values) / np.sqrt(d)
        return np.concatenate(out)

    # -- helpers ---------------------------------------------------------------

    def _law(self, pool: Pool, flow: Flow | None, factor: Tensor) -> StepLaw:
        y = self.target.cpu().numpy() * self.y_scale + self.y_mean
        low, high = np.nanmin(y, 0, initial=np.inf), np.nanmax(y, 0, initial=-np.inf)
        unseen = ~np.isfinite(low)
        low[unseen], high[unseen] = self.y_mean[unseen], self.y_mean[unseen]
        slack = high - low
        if self.counts:
            low, high = np.zeros_like(low), high + slack + 1
        else:
            low, high = low - slack, high + slack
        target = [self._t(v) for v in (self.y_mean, self.y_scale, low, high)]
        law = StepLaw(self.standardizer, self.marginal, pool, flow, factor, target)
        return law.to(self.device).requires_grad_(False).eval()

    def _index(self, rows: Array) -> Tensor:
        return torch.as_tensor(rows, device=self.device)

    def _t(self, array: Array) -> Tensor:
        return torch.tensor(array, dtype=torch.float32, device=self.device)


def shrunk_correlation(scores: Array) -> Array:
    """Ledoit-Wolf correlation (d, d); missing entries count as uncorrelated."""
    from sklearn.covariance import ledoit_wolf

    filled = np.nan_to_num(scores)
    scale = np.sqrt((filled**2).mean(0))
    live = scale > 1e-3
    correlation = np.eye(len(scale))
    if live.sum() > 1 and len(filled) > 1:
        covariance, _ = ledoit_wolf(filled[:, live] / scale[live], assume_centered=True)
        deviation = np.sqrt(np.diag(covariance))
        correlation[np.ix_(live, live)] = covariance / np.outer(deviation, deviation)
    return correlation


def _log(weights: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.log(weights)


def _architecture(windows: Array, y: Array, settings: Settings) -> Architecture:
    _, length, c = windows.shape
    scales = settings.scales
    if isinstance(scales, str) and scales == "auto":
        scales = [k for k in DEFAULT_SCALES if k <= length]
    for k in scales:
        if not 1 <= k <= length:
            raise ValueError(f"scales={tuple(scales)} has {k}, X has {length} steps")
    n_stimuli = c - settings.n_lagged
    groups = settings.stimulus_groups
    if groups is None:
        groups = {"stimulus": range(n_stimuli)} if n_stimuli else {}
    for name, columns in groups.items():
        if not all(0 <= column < n_stimuli for column in columns):
            raise ValueError(
                f"stimulus_groups[{name!r}]={list(columns)} is out of range for "
                f"{n_stimuli} stimulus channels"
            )
    return Architecture(
        encoder=settings.history_encoder,
        length=length,
        n_channels=c,
        n_outputs=y.shape[1],
        n_lagged=settings.n_lagged,
        groups=groups,
        scales=tuple(scales),
        hidden_dim=settings.hidden_dim,
        n_layers=settings.n_layers,
    )


def _copy_networks(source: nn.Module, target: nn.Module) -> None:
    """Copy the parameters that match in name and shape."""
    known = dict(source.named_parameters())
    with torch.no_grad():
        for name, parameter in target.named_parameters():
            if name in known and known[name].shape == parameter.shape:
                parameter.copy_(known[name])
