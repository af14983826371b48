"""Training on skorch: the only module that imports it."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, LRScheduler
from skorch.helper import predefined_split
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from ..compute import Run, parted, workers
from ..data.scaled import ScaledRows
from ..data.store import WindowStore
from ..law.gaps import Gaps
from ..optimizers import AdamW

AVERAGING = 0.99  # of the moving average of the weights
MAX_GRADIENT = 1.0
DIVERGED = 10.0  # above the loss of the initial weights, which is about 1
N_WARM = 50  # optimiser steps in which the learning rate rises
Records = list[dict[str, Any]]


class Trainable(nn.Module):
    """A module that computes its own loss."""

    def loss(
        self,
        x: Tensor,
        missing: Tensor | None,
        *columns: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the mean loss of filled windows, flags of gaps and columns."""
        raise NotImplementedError

    def weight(self, *columns: Tensor) -> int:
        """Return how many losses that is the mean of."""
        return len(columns[0])

    @property
    def reach(self) -> int | None:
        """Newest steps of a window that are looked at, if not all."""
        return None


# Of records so far, the averaged model, whether patience is left: is it enough?
OnEpoch = Callable[[Records, Trainable, bool], bool]


class Rows(torch.utils.data.Dataset):
    """Windows, and columns (n, ...) beside them, that already lie on the device.

    Of the windows the newest steps, as many as `reach` says, or all.
    """

    def __init__(
        self,
        store: WindowStore,
        gaps: Gaps,
        index: Tensor,
        columns: Sequence[ScaledRows | Tensor],
        reach: int | None = None,
    ):
        self.store, self.gaps, self.reach = store, gaps, reach
        self.index, self.columns = index, columns

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True)
class Batch:
    """Some of the rows, by their positions, and a source of noise for them."""

    rows: Rows
    order: Tensor
    generator: torch.Generator

    def __len__(self) -> int:
        return len(self.order)

    def gathered(self) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        """Return filled windows, flags of their gaps, and columns beside them."""
        rows = self.rows
        index = rows.index[self.order.to(rows.index.device)]
        x, missing = rows.store.filled(index, rows.gaps, rows.reach)
        return x, missing, [column[index] for column in rows.columns]

    def parts(self, n: int) -> list[Batch]:
        """Cut it into n parts, each with noise of its own."""
        orders = self.order.chunk(n)
        noises = parted(self.generator, len(orders))
        return [Batch(self.rows, *each) for each in zip(orders, noises, strict=True)]


class Batches:
    """Slices of `Rows`: shuffled anew each time, or in order with the same noise."""

    def __init__(self, dataset: Rows, batch_size: int, seed: int, shuffle: bool):
        self.dataset, self.batch_size = dataset, batch_size
        self.seed, self.shuffle = seed, shuffle
        self.order = torch.Generator().manual_seed(seed)
        self.noise = self._noise()

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Batch, Tensor]]:
        n = len(self.dataset)
        noise = self.noise if self.shuffle else self._noise()
        order = torch.arange(n)
        if self.shuffle:
            order = torch.randperm(n, generator=self.order)
        for rows in order.split(self.batch_size):
            # No target: see Objective.
            yield Batch(self.dataset, rows, noise), order[:0]

    def _noise(self) -> torch.Generator:
        device = self.dataset.index.device
        return torch.Generator(device).manual_seed(self.seed + int(not self.shuffle))


class Objective(nn.Module):
    """The loss of a model in training, that of its average in validation.

    Parameters
    ----------
    model : Trainable
    window_noise : float
        Standard deviation of what is added to windows in training.
    n_parts : int
        Parts of a batch, each a task of its own.
    run : callable
        Runs tasks; see `workers`.
    """

    def __init__(self, model: Trainable, window_noise: float, n_parts: int, run: Run):
        super().__init__()
        self.model, self.window_noise = model, window_noise
        self.n_parts, self.run = n_parts, run
        self.average = copy.deepcopy(model).requires_grad_(False)

    def backward(self, batch: Batch) -> Tensor:
        """Return the loss of the model, with noise on the windows; set gradients."""
        if self.n_parts == 1:
            loss, _ = self._loss(self.model, batch, self.window_noise)
            loss.backward()
            return loss
        weights = [p for p in self.model.parameters() if p.requires_grad]

        def of_part(part: Batch) -> tuple[Tensor, int, tuple[Tensor | None, ...]]:
            loss, columns = self._loss(self.model, part, self.window_noise)
            slopes = torch.autograd.grad(loss, weights, allow_unused=True)
            return loss.detach(), self.model.weight(*columns), slopes

        parts = batch.parts(self.n_parts)
        done = self.run([partial(of_part, part) for part in parts])
        losses, counts, slopes = zip(*done, strict=True)
        for weight, of_parts in zip(weights, zip(*slopes, strict=True), strict=True):
            if of_parts[0] is not None:
                weight.grad = _mean(of_parts, counts)
        return _mean(losses, counts)

    def validate(self, batch: Batch) -> Tensor:
        """Return the loss of the average, without gradients."""

        @torch.no_grad()  # which each thread has to be told
        def of_part(part: Batch) -> tuple[Tensor, int]:
            loss, columns = self._loss(self.average, part, 0.0)
            return loss, self.average.weight(*columns)

        parts = batch.parts(self.n_parts)
        done = self.run([partial(of_part, part) for part in parts])
        return _mean(*zip(*done, strict=True))

    def _loss(
        self, model: Trainable, batch: Batch, window_noise: float
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the mean loss of a batch, and the columns beside its windows."""
        x, missing, columns = batch.gathered()
        if window_noise:
            noise = torch.empty_like(x).normal_(generator=batch.generator)
            x = x + window_noise * noise
        loss = model.loss(x, missing, *columns, generator=batch.generator)
        return loss, columns


def _mean(parts: Sequence[Tensor], counts: Sequence[int]) -> Tensor:
    """Return the mean of means."""
    if len(parts) == 1:
        return parts[0]
    n = max(1, sum(counts))
    total = parts[0] * (counts[0] / n)
    for part, count in zip(parts[1:], counts[1:], strict=True):
        total.add_(part, alpha=count / n)
    return total


class LossNet(NeuralNet):
    """A skorch net whose module, always in training mode, computes its loss."""

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Compute the loss of a batch, which lies on the device, and gradients."""
        loss = self.module_.backward(batch[0])
        return {"loss": loss, "y_pred": loss}

    def validation_step(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Compute the loss of the average."""
        loss = self.module_.validate(batch[0])
        return {"loss": loss, "y_pred": loss}


class EachStep(Callback):
    """Bound the gradient; keep the moving average of the weights."""

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Look up the weights once: modules take long to list them."""
        self.step_ = 0
        self.weights_ = list(net.module_.model.parameters())
        self.average_ = list(net.module_.average.parameters())

    def on_grad_computed(self, net: Any, *args: Any, **kwargs: Any) -> None:
        """Scale a gradient that is too long."""
        nn.utils.clip_grad_norm_(self.weights_, MAX_GRADIENT)

    @torch.no_grad()
    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Move towards the model; quickly at first, to forget the initial weights."""
        if training:
            self.step_ += 1
            share = 1 - min(AVERAGING, self.step_ / (self.step_ + 10))
            torch._foreach_lerp_(self.average_, self.weights_, share)


class Enough(Exception):
    """Training is over before its last epoch."""


class KeepBest(Callback):
    """Keep the averaged weights of the best epoch; stop when it lies too far back.

    The initial weights are those of an epoch, too: what does not learn stays what it
    corrects.
    """

    def __init__(self, patience: int, rows: Rows, on_epoch: OnEpoch):
        self.patience, self.rows, self.on_epoch = patience, rows, on_epoch

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Look at the initial weights."""
        total, n = 0.0, len(self.rows)
        for batch in net.get_iterator(self.rows, training=False):
            total += len(batch[0]) / n * float(net.validation_step(batch)["loss"])
        self.start_ = self.best_ = total
        self.since_, self.state_ = 0, None
        self.records_: Records = []
        if net.train_split is not None:
            self.state_ = _averaged(net)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Compare the epoch with the best one so far."""
        last = {k: v for k, v in net.history[-1].items() if k != "batches"}
        self.records_.append(last)
        if not math.isfinite(last["train_loss"]):
            raise Enough
        loss = last.get("valid_loss")
        if loss is not None:
            self.since_ += 1
            if loss < self.best_:
                self.best_, self.since_ = loss, 0
                self.state_ = _averaged(net)
        goes_on = self.since_ < self.patience
        is_enough = self.on_epoch(self.records_, net.module_.average, goes_on)
        if is_enough or not goes_on:
            raise Enough


def _averaged(net: Any) -> dict[str, Tensor]:
    return copy.deepcopy(net.module_.average.state_dict())


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train."""

    max_epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    window_noise: float
    patience: int
    seed: int
    n_parts: int = 1  # of a batch, that threads share
    n_threads: int = 1


def train(
    model: Trainable,
    training: Rows,
    validation: Rows | None,
    schedule: Schedule,
    device: torch.device,
    on_epoch: OnEpoch = lambda records, average, goes_on: False,
) -> Records:
    """Train `model` in place; return one record an epoch, none if it diverged.

    AdamW with gradient clipping, warm-up and cosine decay; a moving average of the
    weights is validated and kept. `on_epoch` may end it. However many threads share
    the parts of a batch, the result is the same.
    """
    with workers(min(schedule.n_parts, schedule.n_threads)) as run:
        objective = Objective(model, schedule.window_noise, schedule.n_parts, run)
        return _train(objective, training, validation, schedule, device, on_epoch)


def _train(
    objective: Objective,
    training: Rows,
    validation: Rows | None,
    schedule: Schedule,
    device: torch.device,
    on_epoch: OnEpoch,
) -> Records:
    judged = training if validation is None else validation
    keeper = KeepBest(schedule.patience, judged, on_epoch)
    n_total = schedule.max_epochs * -(-len(training) // schedule.batch_size)
    net = LossNet(
        objective,
        criterion=nn.Identity,
        optimizer=AdamW,
        optimizer__weight_decay=schedule.weight_decay,
        optimizer__fused=device.type in ("cpu", "cuda"),
        lr=schedule.lr,
        max_epochs=schedule.max_epochs,
        batch_size=schedule.batch_size,
        iterator_train=Batches,
        iterator_train__seed=schedule.seed,
        iterator_train__shuffle=True,
        iterator_valid=Batches,
        iterator_valid__batch_size=max(schedule.batch_size, judged.store.n_together),
        iterator_valid__seed=schedule.seed,
        iterator_valid__shuffle=False,
        train_split=None if validation is None else predefined_split(validation),
        callbacks=[
            ("each_step", EachStep()),
            (
                "rate",
                LRScheduler(
                    LambdaLR,
                    lr_lambda=lambda step: _rate(step, n_total),
                    step_every="batch",
                    event_name=None,
                ),
            ),
            ("keep_best", keeper),
        ],
        callbacks__epoch_timer=None,
        callbacks__print_log=None,
        device=str(device),
        verbose=0,
    )
    net.initialize()
    net.notify("on_train_begin", X=training, y=None)
    # Not `net.fit`, which takes a KeyboardInterrupt of the user for its own end.
    with contextlib.suppress(Enough):
        net.fit_loop(training, None)
    net.notify("on_train_end", X=training, y=None)
    objective.model.load_state_dict(keeper.state_ or _averaged(net))
    converged = keeper.records_[-1]["train_loss"] < keeper.start_ + DIVERGED
    return keeper.records_ if converged else []


def _rate(step: int, n_total: int) -> float:
    """Learning rate of a step, relative to the largest."""
    warm = min(1.0, (step + 1) / min(N_WARM, max(1, n_total // 10)))
    fall = 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, n_total))))
    return warm * (0.05 + 0.95 * fall)
