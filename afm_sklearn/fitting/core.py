"""Train a core that sessions share, and fit a session to a core."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..law.initial import build
from ..law.linear import LinearLaw
from ..law.networks.shared import Core, SharedNetwork
from ..law.step import StepLaw
from ..optimizers import AdamW
from .assembly import alone
from .data import TrainingData

N_LATENTS, N_EFFECTS, N_LAYERS = 12, 16, 2
BATCH = 128
CHECK = 100  # steps between looks at the held rows
N_EPOCHS, MIN_STEPS = 60, 1000  # of a core and its sessions
TOGETHER = 6000, 2e-3, 1e-4  # steps at most, rate and decay
FROZEN = 1500, 5e-3, 3e-2  # .. of a session with a core that stays as it is
FREE = 600, 3e-4, 1e-2  # .. of a session and a core of its own
EPOCHS, MIN_SHARE = 150, 1 / 3  # of a session, and of these steps where it is short
PATIENCE = 10  # looks at the held rows without a gain
MIN_GAIN = 1e-3  # nats an entry, that a freed core must gain


class Session:
    """A session, and the network that reads it into a core.

    Parameters
    ----------
    data : TrainingData
    core : Core
    """

    def __init__(self, data: TrainingData, core: Core):
        self.data = data
        # The network has all of the mean.
        self.linear = LinearLaw(1, data.store.steps.shape[1], data.n_outputs)
        self.linear = self.linear.to(data.device).requires_grad_(False)
        self.network = build(
            lambda: SharedNetwork(copy.deepcopy(core), data.n_outputs), data.generator
        ).to(data.device)
        self.network.encoder.core = core
        self._start()

    @torch.no_grad()
    def _start(self) -> None:
        data, network = self.data, self.network
        rows = data.index(data.fit_rows)
        x, y = data.filled(rows)[0][:, -1], data.target[rows]
        lags = x[:, : data.n_outputs]
        slope, spread = _memory(lags, y)
        network.memory.copy_(slope)
        network.unit.copy_(spread)
        network.log_scale.copy_(spread.log())
        network.encoder.turn.copy_(torch.eye(len(network.encoder.turn)))
        lags = lags - lags.mean(0)
        _, size, directions = torch.linalg.svd(lags, full_matrices=False)
        k = min(len(network.encoder.turn), int((size > 1e-4 * size[0]).sum()))
        unit = size[:k] / max(1, len(lags)) ** 0.5
        network.encoder.basis[:, :k] = directions[:k].T / unit

    def loss(self, rows: Tensor) -> Tensor:
        """Negative log likelihood an entry, of some rows."""
        x, missing = self.data.filled(rows)
        y = self.data.target[rows]
        code = self.network.encoder(x, missing)
        loc, log_scale, _ = self.network(code, torch.zeros_like(y))
        seen = torch.isfinite(y)
        z = (torch.where(seen, y, 0.0) - loc[:, 0]) * (-log_scale[:, 0]).exp()
        each = torch.where(seen, 0.5 * z.square() + log_scale[:, 0], 0.0)
        return each.sum() / seen.sum().clamp(min=1)

    @torch.no_grad()
    def held_loss(self) -> float:
        """Return the loss of the rows that it is not trained on."""
        return float(self.loss(self.data.index(self.data.held)))

    def law(self) -> StepLaw:
        """Return the law of a step of the session, with a core of its own."""
        network = copy.deepcopy(self.network).requires_grad_(False).eval()
        forecast = self.data.empty(*self.data.target.shape).zero_()
        return alone(self.data, self.linear, forecast, network)


def _memory(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the slope of each channel on its last value, and the spread of errors."""
    both = torch.isfinite(x) & torch.isfinite(y)
    x, y = (torch.where(both, part, 0.0) for part in (x, y))
    slope = (x * y).sum(0) / x.square().sum(0).clamp(min=1e-6)
    error = torch.where(both, y - slope * x, torch.nan).square().nanmean(0).sqrt()
    return slope, error.nan_to_num(nan=1.0).clamp(min=1e-3)


def train_core(datas: Sequence[TrainingData]) -> Core:
    """Train a core on several sessions together.

    Every session has a read-in from its own principal directions and a read-out of its
    own (the stitching of Pandarinath et al. 2018); all else is shared.
    """
    first = datas[0]
    n_latents = min(N_LATENTS, min(data.n_outputs for data in datas))
    core = build(
        lambda: first.architecture.core(n_latents, N_EFFECTS, N_LAYERS), first.generator
    ).to(first.device)
    sessions = [Session(data, core) for data in datas]
    n_batches = sum(len(data.fit_rows) for data in datas) / BATCH
    n_steps, rate, decay = TOGETHER
    n_steps = int(np.clip(N_EPOCHS * n_batches, MIN_STEPS, n_steps))
    _train(sessions, list(core.parameters()), (n_steps, rate, decay))
    return core.requires_grad_(False).eval()


def fit_to_core(data: TrainingData, core: Core) -> Session:
    """Fit read-in and read-out of a session; its core is freed if held rows gain."""
    session = Session(data, copy.deepcopy(core).requires_grad_(False))
    frozen = _train([session], [], _schedule(data, FROZEN))
    kept = copy.deepcopy(session.network)
    own = session.network.encoder.core.requires_grad_(True)
    free = _train([session], list(own.parameters()), _schedule(data, FREE))
    if not free < frozen - MIN_GAIN:
        session.network = kept
    session.network.requires_grad_(False).eval()
    return session


def _schedule(
    data: TrainingData, longest: tuple[int, float, float]
) -> tuple[int, float, float]:
    """Shorten a training to what the rows of one session are worth."""
    n_steps, rate, decay = longest
    share = EPOCHS * len(data.fit_rows) / BATCH / FROZEN[0]
    return int(n_steps * np.clip(share, MIN_SHARE, 1.0)), rate, decay


def _train(
    sessions: Sequence[Session],
    shared: list[nn.Parameter],
    schedule: tuple[int, float, float],
) -> float:
    """Train in place, up to where the held rows are best; return their mean loss."""
    n_steps, rate, decay = schedule
    own = [p for s in sessions for p in s.network.own_parameters()]
    scales = [session.network.log_scale for session in sessions]
    parameters: list[nn.Parameter] = [*shared, *own, *scales]
    for parameter in parameters:
        parameter.requires_grad_(True)
    groups: list[dict[str, Any]] = [
        {"params": shared + own},
        {"params": scales, "weight_decay": 0.0},
    ]
    optimizer = AdamW(groups, lr=rate, weight_decay=decay)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    rng = np.random.default_rng(sessions[0].data.settings.seed)
    best, kept, without_gain = _held(sessions), _copies(parameters), 0
    for step in range(1, n_steps + 1):
        session = sessions[int(rng.integers(len(sessions)))]
        session.loss(_batch(session.data, rng)).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        cosine.step()
        if step % CHECK:
            continue
        now = _held(sessions)
        without_gain = 0 if now < best else without_gain + 1
        if now < best:
            best, kept = now, _copies(parameters)
        if without_gain > PATIENCE:
            break
    for parameter, values in zip(parameters, kept, strict=True):
        parameter.data.copy_(values)
    return best


def _batch(data: TrainingData, rng: np.random.Generator) -> Tensor:
    rows: NDArray[np.intp] = data.fit_rows
    some = rows[rng.integers(len(rows), size=min(BATCH, len(rows)))]
    return data.index(some)


def _held(sessions: Sequence[Session]) -> float:
    return float(np.mean([session.held_loss() for session in sessions]))


def _copies(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in parameters]
