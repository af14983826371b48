"""Training on skorch: the only module that imports it."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.helper import predefined_split
from torch import Tensor, nn

from .history import WindowStore
from .targets import Targets

Batch = tuple[Tensor, bool, list[Tensor]]


class Rows(torch.utils.data.Dataset):
    """Windows, and columns (n, ...) beside them, that already lie on the device."""

    def __init__(
        self, store: WindowStore, index: Tensor, columns: Sequence[Targets | Tensor]
    ):
        self.store, self.index, self.columns = store, index, columns
        self.has_missing = store.has_missing[index.cpu()]

    def __len__(self) -> int:
        return len(self.index)

    def take(self, order: Tensor) -> Batch:
        """Gather the rows at the given positions, which lie on the CPU."""
        has_missing = bool(self.has_missing[order].any())
        rows = self.index[order.to(self.index.device)]
        return self.store[rows], has_missing, [column[rows] for column in self.columns]


class Batches:
    """Slice batches from `Rows`; shuffled when given a generator."""

    def __init__(
        self,
        dataset: Rows,
        batch_size: int,
        generator: torch.Generator | None = None,
    ):
        self.dataset, self.batch_size = dataset, batch_size
        self.generator = generator

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        n = len(self.dataset)
        if self.generator is None:
            order = torch.arange(n)
        else:
            order = torch.randperm(n, generator=self.generator)
        for rows in order.split(self.batch_size):
            yield self.dataset.take(rows)


class Objective(nn.Module):
    """A module with a ``loss``, behind the standardiser of its inputs."""

    def __init__(self, standardizer: nn.Module, model: nn.Module):
        super().__init__()
        self.standardizer, self.model = standardizer, model

    def forward(
        self, batch: Batch, generator: torch.Generator, window_noise: float = 0.0
    ) -> Tensor:
        """Return the loss of one batch."""
        windows, has_missing, columns = batch
        x, missing = self.standardizer(windows, has_missing)
        if window_noise:
            x = x + window_noise * torch.randn(
                x.shape, generator=generator, device=x.device, dtype=x.dtype
            )
        loss: Any = self.model.loss
        return loss(x, missing, *columns, generator)


class WeightAverage:
    """An exponential moving average of a module's trainable parameters."""

    def __init__(self, module: nn.Module, keep: float):
        self.keep = keep
        self.module = copy.deepcopy(module).eval()
        copies = zip(self.module.parameters(), module.parameters(), strict=True)
        pairs = [(own, source) for own, source in copies if source.requires_grad]
        self.own: list[Tensor] = [own for own, _ in pairs]
        self.sources: list[Tensor] = [source for _, source in pairs]
        self.module.requires_grad_(False)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the module; quickly at first, to forget the initial weights."""
        keep = min(self.keep, step / (step + 10))
        torch._foreach_lerp_(self.own, self.sources, 1 - keep)


class KeepBest(Callback):
    """Stop when the validation loss has not improved; keep the best weights."""

    def __init__(self, patience: int, stop: bool):
        self.patience, self.stop = patience, stop

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Start with nothing kept."""
        self.best_, self.since_, self.state_ = math.inf, 0, None

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Compare the epoch with the best one so far."""
        loss = net.history[-1].get("valid_loss")
        if loss is None:
            return
        self.since_ += 1
        if loss < self.best_:
            self.best_, self.since_ = loss, 0
            self.state_ = copy.deepcopy(net.average_.module.state_dict())
        if self.stop and self.since_ >= self.patience:
            raise KeyboardInterrupt  # skorch's own way to end a fit early


class LossNet(NeuralNet):
    """A skorch net whose module computes its own loss.

    AdamW with gradient clipping, warm-up and cosine decay; an exponential moving
    average of the weights is what is validated and kept. The history keeps one
    row an epoch.
    """

    def __init__(
        self,
        *args: Any,
        seed: int = 0,
        window_noise: float = 0.0,
        averaging: float = 0.99,
        **kwargs: Any,
    ):
        self.seed, self.window_noise, self.averaging = seed, window_noise, averaging
        super().__init__(*args, **kwargs)

    def get_dataset(self, X: Any, y: Any = None) -> Rows:
        """Take the rows as they are."""
        rows: Rows = X
        return rows

    def get_iterator(self, dataset: Rows, training: bool = False) -> Batches:
        """Slice batches; only training is shuffled."""
        if training:
            return Batches(dataset, self.batch_size, self.shuffle_)
        return Batches(dataset, max(self.batch_size, dataset.store.n_together))

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Start the seeded generators and the weight average."""
        super().on_train_begin(*args, **kwargs)
        self.shuffle_ = torch.Generator().manual_seed(self.seed)
        self.noise_ = torch.Generator(self.device).manual_seed(self.seed)
        self.average_ = WeightAverage(self.module_, self.averaging)
        self.module_.train()  # once: only the average is ever validated
        self.step_ = 0

    def run_single_epoch(
        self,
        iterator: Any,
        training: bool,
        prefix: str,
        step_fn: Any,
        **fit_params: Any,
    ) -> None:
        """Run the batches without a record of each."""
        if iterator is None:
            return
        if training:
            self.n_total_ = max(1, self.max_epochs * len(iterator))
        else:
            self.check_ = torch.Generator(self.device).manual_seed(self.seed + 1)
        total, rows = 0.0, 0
        for batch in iterator:
            total = total + step_fn(batch) * len(batch[0])
            rows += len(batch[0])
        self.history.record(prefix + "_loss", float(total) / max(rows, 1))

    def train_step(self, batch: Any, **fit_params: Any) -> Tensor:
        """One optimiser step; returns the loss, detached."""
        progress = self.step_ / self.n_total_
        warm = min(1.0, (self.step_ + 1) / min(50, max(1, self.n_total_ // 10)))
        rate = self.lr * warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in self.optimizer_.param_groups:
            group["lr"] = rate
        self.optimizer_.zero_grad(set_to_none=True)
        loss = self.module_(batch, self.noise_, self.window_noise)
        loss.backward()
        nn.utils.clip_grad_norm_(self.average_.sources, 1.0)
        self.optimizer_.step()
        self.step_ += 1
        self.average_.update(self.step_)
        return loss.detach()

    @torch.no_grad()
    def validation_step(self, batch: Any, **fit_params: Any) -> Tensor:
        """Return the loss of the averaged weights, with the same noise each epoch."""
        return self.average_.module(batch, self.check_)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train."""

    max_epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    window_noise: float
    patience: int
    early_stopping: bool
    seed: int
    verbose: int


def train(
    objective: Objective,
    training: Rows,
    validation: Rows | None,
    schedule: Schedule,
    device: torch.device,
) -> list[dict[str, Any]]:
    """Train ``objective`` in place; return one record an epoch."""
    keeper = KeepBest(schedule.patience, schedule.early_stopping)
    net = LossNet(
        objective,
        criterion=nn.Identity,
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=schedule.weight_decay,
        optimizer__fused=device.type in ("cpu", "cuda"),
        lr=schedule.lr,
        max_epochs=schedule.max_epochs,
        batch_size=schedule.batch_size,
        train_split=None if validation is None else predefined_split(validation),
        callbacks=[("keep_best", keeper)],
        callbacks__epoch_timer=None,
        callbacks__train_loss=None,
        callbacks__valid_loss=None,
        callbacks__print_log=None,
        device=str(device),
        seed=schedule.seed,
        window_noise=schedule.window_noise,
        verbose=0,
    )
    net.fit(training, None)
    best = keeper.state_
    objective.load_state_dict(
        net.average_.module.state_dict() if best is None else best
    )
    if schedule.verbose:
        last = net.history[-1]
        print(f"{type(objective.model).__name__}: epoch {last['epoch']}, {last}")
    return [dict(record) for record in net.history]
