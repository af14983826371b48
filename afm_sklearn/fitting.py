"""From windows and targets to a fitted law: split, base, flow, choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .flow.base import RidgeFit, fit_ridge, shrunk_correlation
from .flow.model import Architecture, Base, Flow, Standardizer, StepLaw
from .metrics import crps
from .net import Objective, train

BASES = ("auto", "normal", "ridge", "learned")
MAX_FEATURES = 1500  # of the linear base; only the newest lags beyond it
STEPS = 2500  # optimiser steps of a training at max_epochs="auto"
DEFAULT_SCALES = (1, 5, 20)
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
    seed: int
    torch_device: torch.device

    @classmethod
    def names(cls) -> list[str]:
        """Names that are constructor arguments."""
        own = {"n_lagged", "seed", "torch_device"}
        return [f.name for f in fields(cls) if f.name not in own]


def fit_step_law(
    windows: Array, y: Array, settings: Settings, previous: StepLaw | None
) -> tuple[StepLaw, str, dict[str, Any]]:
    """Fit the law; return it with the name of what was kept and the histories."""
    cuda = [settings.torch_device] if settings.torch_device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(settings.seed)
        return _Fitter(windows, y, settings, previous).run()


class _Fitter:
    def __init__(
        self, windows: Array, y: Array, settings: Settings, previous: StepLaw | None
    ):
        self.settings, self.previous = settings, previous
        self.device = settings.torch_device
        self.windows = torch.tensor(windows, dtype=torch.float32)
        self.windows = self.windows.to(self.device)
        self.y_mean, self.y_scale = _moments(y)
        self.target = (y - self.y_mean) / self.y_scale
        mean, scale = _moments(windows.reshape(-1, windows.shape[2]))
        self.standardizer = Standardizer(self._t(mean), self._t(scale)).to(self.device)
        self.architecture = _architecture(windows, y, settings)
        self.split = _hold_back(windows, settings)
        self.history: dict[str, Any] = {}

    def run(self) -> tuple[StepLaw, str, dict[str, Any]]:
        name = self.settings.base
        if name == "auto":
            return self._climb()
        base, factor = self._linear(self.split[0], learned=name == "learned")
        if name == "learned":
            self._train("base", base)
            base, factor = self._rescale(base)
        law = self._law(base, self._flow(base, factor), factor)
        return law, name + "+flow", self.history

    def _climb(self) -> tuple[StepLaw, str, dict[str, Any]]:
        """Keep each rung only where it pays on the rows held back."""
        fit_rows, held = self.split
        base, factor = self._linear(fit_rows, learned=False)
        if not len(held):
            return self._law(base, None, factor), "ridge", self.history
        best, kept = self._law(base, None, factor), "ridge"
        scores = self._scores(best)
        learned, _ = self._linear(fit_rows, learned=True)
        self._train("base", learned)
        learned, learned_factor = self._rescale(learned)
        candidate = self._law(learned, None, learned_factor)
        if _pays(scores, self._scores(candidate)):
            best, kept, scores = candidate, "learned", self._scores(candidate)
            base, factor = learned, learned_factor
        candidate = self._law(base, self._flow(base, factor), factor)
        if _pays(scores, self._scores(candidate)):
            best, kept = candidate, kept + "+flow"
        if kept == "ridge":  # closed form: give the held-back rows to the fit
            base, factor = self._linear(np.arange(len(self.target)), learned=False)
            best = self._law(base, None, factor)
        return best, kept, self.history

    def _linear(self, rows: Array, *, learned: bool) -> tuple[Base, torch.Tensor]:
        """Build a base from a ridge fit (none for "normal") on some rows."""
        y = self.target[rows]
        length, c = self.windows.shape[1:]
        n_lags = max(1, min(length, MAX_FEATURES // c))
        if self.settings.base == "normal":
            fit = RidgeFit(np.zeros((c, y.shape[1])), np.zeros(y.shape[1]), y)
            scale, correlation = np.ones(y.shape[1]), np.eye(y.shape[1])
        else:
            newest = self.windows[torch.as_tensor(rows), length - n_lags :]
            features = self.standardizer(newest)[0].flatten(1).double().cpu().numpy()
            fit = fit_ridge(features, y)
            scale, correlation = shrunk_correlation(fit.residuals)
        base = Base(
            self.architecture,
            self._t(fit.coef),
            self._t(fit.intercept),
            self._t(scale),
            learned=learned,
        ).to(self.device)
        if learned and self.previous is not None and self.previous.base.learned:
            _copy_networks(self.previous.base, base)
        return base, self._t(np.linalg.cholesky(correlation))

    @torch.no_grad()
    def _rescale(self, base: Base) -> tuple[Base, torch.Tensor]:
        """Match scale and correlation to the errors on the rows held back."""
        fit_rows, held = self.split
        rows = held if len(held) else fit_rows
        errors = []
        for part in np.array_split(rows, -(-len(rows) // 4096)):
            mean, scale = base(*self.standardizer(self.windows[torch.as_tensor(part)]))
            target = self._t(self.target[part])
            errors.append(((target - mean) / scale).double().cpu().numpy())
        scale, correlation = shrunk_correlation(np.concatenate(errors))
        base.log_scale += self._t(scale).log()
        return base, self._t(np.linalg.cholesky(correlation))

    def _flow(self, base: Base, factor: torch.Tensor) -> Flow:
        flow = Flow(self.architecture, base, factor, self.settings.path)
        flow = flow.to(self.device)
        previous = self.previous.flow if self.previous is not None else None
        if previous is not None:
            _copy_networks(previous, flow)
        self._train("flow", flow)
        return flow

    def _train(self, name: str, model: torch.nn.Module) -> None:
        fit_rows, held = self.split
        s = self.settings
        batch = s.batch_size
        if batch == "auto":
            batch = int(np.clip(2 ** round(np.log2(len(fit_rows) / 16)), 32, 512))
        epochs = s.max_epochs
        if epochs == "auto":
            epochs = max(2, round(STEPS / -(-len(fit_rows) // batch)))
        self.history[name] = train(
            Objective(self.standardizer, model),
            self._rows(fit_rows),
            self._rows(held) if len(held) else None,
            max_epochs=epochs,
            batch_size=batch,
            lr=s.lr,
            weight_decay=s.weight_decay,
            window_noise=s.window_noise,
            patience=s.n_iter_no_change,
            early_stopping=s.early_stopping,
            seed=s.seed,
            device=self.device,
            verbose=s.verbose,
        )

    def _rows(self, rows: Array) -> tuple[torch.Tensor, torch.Tensor]:
        # The rows are a range or a few ranges, so a slice serves where it can.
        if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
            windows = self.windows[rows[0] : rows[-1] + 1]
        else:
            windows = self.windows[torch.as_tensor(rows)]
        return windows, self._t(self.target[rows])

    @torch.inference_mode()
    def _scores(self, law: StepLaw) -> Array:
        """CRPS of each held-back row in units of the targets' spread."""
        held = self.split[1]
        generator = torch.Generator(self.device).manual_seed(self.settings.seed)
        d = self.target.shape[1]
        out = []
        for part in np.array_split(held, -(-len(held) // 1024)):
            noise = torch.randn(
                (len(part), 50, d), generator=generator, device=self.device
            )
            windows = self.windows[torch.as_tensor(part)]
            draws = law.draw(
                windows, noise, self.settings.solver, self.settings.n_steps
            )
            values = (draws.double().cpu().numpy() - self.y_mean) / self.y_scale
            observed = np.isfinite(self.target[part])
            score = crps(np.where(observed, self.target[part], 0.0), values)
            out.append((score * observed).sum(1) / np.maximum(observed.sum(1), 1))
        return np.concatenate(out)

    def _law(self, base: Base, flow: Flow | None, factor: torch.Tensor) -> StepLaw:
        law = StepLaw(
            self.standardizer,
            base,
            flow,
            factor,
            self._t(self.y_mean),
            self._t(self.y_scale),
        )
        return law.to(self.device).requires_grad_(False).eval()

    def _t(self, array: Array) -> torch.Tensor:
        return torch.tensor(array, dtype=torch.float32, device=self.device)


def _moments(values: Array) -> tuple[Array, Array]:
    """Mean and scale by column; 0 and 1 where nothing was observed or varies."""
    observed = np.isfinite(values)
    count = np.maximum(observed.sum(0), 1)
    mean = np.where(observed, values, 0.0).sum(0, dtype=np.float64) / count
    square = np.where(observed, values - mean, 0.0) ** 2
    scale = np.sqrt(square.sum(0, dtype=np.float64) / count)
    flat = scale <= 1e-7 * np.abs(mean) + 1e-12
    return mean, np.where(flat, 1.0, scale)


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


def _hold_back(windows: Array, settings: Settings) -> tuple[Array, Array]:
    """Split rows into those to fit and the last ones, a window apart."""
    n, length = windows.shape[:2]
    n_held = int(n * settings.validation_fraction)
    if n_held < 5 or n - n_held - length < 5:
        return np.arange(n), np.arange(0)
    newest = windows[:, -1, : settings.n_lagged]
    starts = np.flatnonzero(np.isnan(newest).all(1))
    near = starts[(starts > n - 1.5 * n_held) & (starts < n - 0.5 * n_held)]
    if len(near):  # whole last runs share no step with the rows before
        first = near[np.argmin(np.abs(near - (n - n_held)))]
        return np.arange(first), np.arange(first, n)
    return np.arange(n - n_held - length + 1), np.arange(n - n_held, n)


def _pays(before: Array, after: Array) -> bool:
    """Whether the mean score fell by more than its standard error.

    The error comes from the means of a few long blocks: the gains of neighbouring
    rows are alike, and counting them as independent would trust chance.
    """
    blocks = np.array_split(before - after, min(8, len(before)))
    gains = np.array([block.mean() for block in blocks])
    return bool(gains.mean() > gains.std(ddof=1) / np.sqrt(len(gains)))


def _copy_networks(source: torch.nn.Module, target: torch.nn.Module) -> None:
    """Copy the parameters that match in name and shape."""
    known = dict(source.named_parameters())
    with torch.no_grad():
        for name, parameter in target.named_parameters():
            if name in known and known[name].shape == parameter.shape:
                parameter.copy_(known[name])
