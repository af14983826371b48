"""The training data as all stages of a fit see them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..history import Standardizer, WindowStore, all_missing, moments, row_parts
from ..marginals import CountMixture, GaussianMixture, Marginal
from ..net import Objective, Rows, Schedule, train
from ..selection import hold_back
from ..targets import Targets
from ._settings import Settings, build_architecture

Array = NDArray[Any]

STEPS = 3000  # optimiser steps of a training at max_epochs="auto"
MAX_COUNT = 100  # integers above it are taken for real values
MIN_USABLE = 10


class TrainingData:
    """Windows, standardised targets, and which rows serve for what.

    Attributes
    ----------
    store : WindowStore
        The windows, in the units of X.
    target : Targets of shape (n, d)
        Targets of unit scale, or counts as they are; NaN where missing.
    usable : ndarray of bool, shape (n,)
        Rows with a past and a target: at the start of a run nothing is known, and
        the errors there would widen the spread everywhere.
    starts : ndarray of int
        Rows at which a run starts.
    fit_rows, held : ndarray of int
        Usable rows to train networks on and to judge them by.
    """

    def __init__(self, windows: Array, y: Array, settings: Settings):
        self.settings, self.device = settings, settings.torch_device
        n, length, c = windows.shape
        self.n_outputs = y.shape[1]
        self.store = WindowStore.from_windows(windows, self.device)
        mean, self.input_scale = moments(self.store.rows.cpu().numpy())
        self.standardizer = Standardizer(
            self.tensor(mean), self.tensor(self.input_scale)
        )
        self.standardizer.to(self.device)
        self.is_counts = settings.base != "normal" and is_counts(y)
        self.marginal: Marginal = (
            CountMixture() if self.is_counts else GaussianMixture()
        )
        self.y_mean, self.y_scale = moments(y)
        self.mean_count = self.y_mean
        if self.is_counts:
            self.y_mean, self.y_scale = np.zeros(y.shape[1]), np.ones(y.shape[1])
        self.target = Targets(y, self.y_mean, self.y_scale, self.device)
        observed = ~all_missing(y)
        no_past = all_missing(windows[:, -1, : settings.n_lagged])
        self.starts = np.flatnonzero(no_past)
        self.usable = observed & ~no_past
        if self.usable.sum() < max(MIN_USABLE, 0.2 * n):
            self.usable = observed
        fit_rows, held = hold_back(n, length, self.starts, settings.validation_fraction)
        self.fit_rows = fit_rows[self.usable[fit_rows]]
        self.held = held[self.usable[held]]
        self.architecture = build_architecture(settings, length, c, y.shape[1])
        self.history: dict[str, Any] = {}

    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper end of what may be drawn: a whole range beyond what was seen.

        It keeps a trajectory that leaves the training data from running away.
        """
        lowest = torch.full((self.n_outputs,), torch.inf, device=self.device)
        highest = -lowest
        for rows in self.target.parts():
            part = self.target[rows]
            lowest = torch.minimum(lowest, part.nan_to_num(nan=torch.inf).amin(0))
            highest = torch.maximum(highest, part.nan_to_num(nan=-torch.inf).amax(0))
        low, high = (
            torch.where(torch.isinf(end), 0.0, end).double().cpu().numpy()
            for end in (lowest, highest)
        )
        if self.is_counts:
            return np.zeros_like(low), 2 * high + 1
        reach = high - low
        return (
            self.y_mean + self.y_scale * (low - reach),
            self.y_mean + self.y_scale * (high + reach),
        )

    def train(
        self, name: str, model: nn.Module, columns: list[Targets | Tensor]
    ) -> None:
        """Train a network with a ``loss``, early stopping on the held rows."""
        s, n = self.settings, len(self.fit_rows)
        batch = s.batch_size
        if batch == "auto":
            batch = int(np.clip(2 ** round(np.log2(max(n, 1) / 32)), 32, 256))
        epochs = s.max_epochs
        if epochs == "auto":
            epochs = max(2, round(STEPS / max(1, -(-n // batch))))
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
            Rows(self.store, self.index(rows), columns)
            for rows in (self.fit_rows, self.held)
        )
        self.history[name] = train(
            Objective(self.standardizer, model),
            training,
            held if len(held) else None,
            schedule,
            self.device,
        )
        model.requires_grad_(False).eval()

    def index(self, rows: Array) -> Tensor:
        """Row numbers as a tensor on the device."""
        return torch.as_tensor(rows, device=self.device)

    def tensor(self, array: Array) -> Tensor:
        """Numbers as float32 on the device."""
        return torch.tensor(array, dtype=torch.float32, device=self.device)


def is_counts(y: Array) -> bool:
    """Whether all observed targets are whole numbers from 0 to MAX_COUNT.

    Examples
    --------
    >>> is_counts(np.array([[0.0, 2.0], [1.0, np.nan]])), is_counts(np.array([[0.5]]))
    (True, False)
    """
    if not (np.nanmin(y) >= 0 and 1 <= np.nanmax(y) <= MAX_COUNT):
        return False
    parts = (y[rows] for rows in row_parts(*y.shape))
    return all(
        bool(((part == np.round(part)) | np.isnan(part)).all()) for part in parts
    )


def copy_networks(source: nn.Module, target: nn.Module) -> None:
    """Copy the parameters that match in name and shape."""
    known = dict(source.named_parameters())
    with torch.no_grad():
        for name, parameter in target.named_parameters():
            if name in known and known[name].shape == parameter.shape:
                parameter.copy_(known[name])
