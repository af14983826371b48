"""The training data as all stages of a fit see them."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn

from ..compute import row_parts, run_together
from ..data.blocks import hold_back
from ..data.runs import begins_run, regular_rows
from ..data.scaled import ScaledRows
from ..data.scaling import moments
from ..data.store import WindowStore
from ..data.windows import Windows
from ..law.atoms import Atoms, find_atoms
from ..law.frame import Frame
from ..law.widening import Widening
from .counts import is_counts
from .fitted import Fitted
from .gaps import learn_gaps
from .plan import Plan
from .ranges import range_of_given, range_of_targets
from .settings import Settings, build_architecture
from .training import Rows, Schedule, Trainable, train
from .usage import count_rows
from .watch import Watch

Array = NDArray[Any]

MAX_ATOM_ROWS = 20_000  # that tell which values come again and again
MIN_USABLE = 10
MIN_COMPLETE = 50
# Multiplications that are worth a thread, and parts of a batch: two cost 5 % on one
# thread and are 1.3 to 1.7 times as fast on two, four cost 16 %.
WORK_OF_PART, MAX_PARTS = 100_000_000, 2


T = TypeVar("T")
# From a network in training to the law that it makes, and what that keeps.
Build = Callable[[Any], tuple[Any, str]]


class TrainingData:
    """Windows, standardised targets, and which rows serve for what.

    Parameters
    ----------
    windows : Windows of shape (n, L, c)
    y : array of shape (n, d)
        NaN where missing.
    settings : Settings
    watch : Watch, optional
        Looks on at trainings, and may end them.

    Attributes
    ----------
    store : WindowStore
        The standardised windows.
    gaps : Gaps
        What is expected where they hold none.
    target : ScaledRows of shape (n, d)
        Targets of unit scale, or counts as they are; NaN where missing.
    usable : ndarray of bool, shape (n,)
        Rows with a past and a target: at the start of a run nothing is known.
    complete : ndarray of bool, shape (n,)
        Usable rows that tell how large errors are: those whose windows have no gaps,
        where there are enough.
    regular : ndarray of bool, shape (n,)
        Usable rows to fit on: see `regular_rows`.
    starts : ndarray of int
        Rows at which a run starts.
    fit_rows, held : ndarray of int
        Regular rows to train networks on and to judge them by.
    n_rows : dict of str to int
        How many rows served for what; see `count_rows`.
    widening : Widening or None
        What a stimulus outside its training range adds, once it is known.
    """

    widening: Widening | None = None
    build: Build | None = None

    def __init__(
        self,
        windows: Windows,
        y: Array,
        settings: Settings,
        watch: Watch | None = None,
    ):
        self.watch = watch or Watch()
        self.settings, self.device = settings, settings.torch_device
        n, length, c = windows.shape
        d = self.n_outputs = y.shape[1]
        self.y = y
        self.x_mean, self.x_scale = moments(windows.rows)
        self.store = WindowStore.from_windows(
            windows, self.x_mean, self.x_scale, self.device
        )
        self.gaps = learn_gaps(self.store).to(self.device)
        self.y_moments = moments(y)
        self.y_mean, self.y_scale = self.y_moments
        self.could_be_counts = settings.base != "normal" and is_counts(y)
        self.family = "gaussian"
        self.atoms = find_atoms(
            y[:: max(1, n // MAX_ATOM_ROWS)], are_counts=self.could_be_counts
        )
        self.target = ScaledRows(y, self.y_mean, self.y_scale, self.device)
        n_lagged = d if settings.is_autoregressive else c
        starts = begins_run(windows, n_lagged)
        self.starts = np.flatnonzero(starts)
        observed = ~_all_missing(y)
        self.usable = observed & ~starts
        if self.usable.sum() < max(MIN_USABLE, 0.2 * n):
            self.usable = observed
        self.complete = self.usable & self.store.complete()
        if self.complete.sum() < max(MIN_COMPLETE, 0.2 * self.usable.sum()):
            self.complete = self.usable
        self.regular = regular_rows(self.usable, self.complete)
        fit_rows, held = hold_back(n, length, self.starts, settings.validation_fraction)
        self.fit_rows = fit_rows[self.regular[fit_rows]]
        self.held = held[self.regular[held]]
        self.n_rows = {
            **count_rows(starts, observed, self.usable, self.regular),
            "for networks": len(self.fit_rows),
            "held back": len(self.held),
        }
        self.architecture = build_architecture(settings, length, c, d)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.history: dict[str, Any] = {}

    @property
    def is_counts(self) -> bool:
        """Whether the targets are modelled as counts."""
        return self.family == "counts"

    def as_counts(self) -> TrainingData:
        """Return the same data, with the targets as the counts they are."""
        other = copy.copy(self)
        other.family = "counts"
        other.y_mean, other.y_scale = np.zeros(self.n_outputs), np.ones(self.n_outputs)
        other.target = ScaledRows(self.y, other.y_mean, other.y_scale, self.device)
        return other

    def widened(self, widening: Widening) -> TrainingData:
        """Return the same data, whose laws are wider outside the training range."""
        other = copy.copy(self)
        other.widening = widening
        return other

    def drafting(self, build: Build) -> TrainingData:
        """Return the same data, which makes a law of a network in training."""
        other = copy.copy(self)
        other.build = build
        return other

    def frame(self) -> Frame:
        """Units of windows and targets."""
        s = self.settings
        atoms = Atoms(self.n_outputs) if self.is_counts else self.atoms
        frame = Frame(
            self.store.steps.shape[1],
            self.n_outputs,
            is_autoregressive=s.is_autoregressive,
            is_shifted=not self.is_counts,
            n_atoms=len(atoms),
        )
        frame.atoms.load_state_dict(atoms.state_dict())
        if self.widening is not None:
            frame.widening.load_state_dict(self.widening.state_dict())
        low, high = range_of_targets(self.target, self.device)
        # Counts are read as no larger than they were: log rates are linear in them.
        is_free = s.is_autoregressive and not self.is_counts
        n_lagged = self.n_outputs if is_free else 0
        x_low, x_high = range_of_given(self.store.steps, n_lagged)
        for name, values in {
            "x_mean": self.x_mean,
            "x_scale": self.x_scale,
            "y_mean": self.y_mean,
            "y_scale": self.y_scale,
            "lag_scale": s.lag_scale,
            "lag_offset": s.lag_offset,
            "low": low,
            "high": high,
            "x_low": x_low,
            "x_high": x_high,
        }.items():
            getattr(frame, name).copy_(torch.as_tensor(values))
        return frame

    def filled(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return windows of the rows without gaps, and where these were."""
        return self.store.filled(rows, self.gaps)

    def parts(self, n: int) -> list[slice]:
        """Cut n rows into parts whose windows take little memory together."""
        _, length, c = self.store.shape
        return list(row_parts(n, length * c))

    def run(self, tasks: Sequence[Callable[[], T]]) -> list[T]:
        """Run tasks on the threads that the settings allow."""
        return run_together(tasks, self.settings.n_threads)

    def train(
        self,
        name: str,
        model: Trainable,
        columns: list[Any],
        plan: Plan | None = None,
    ) -> bool:
        """Train a network with a ``loss``, early stopping on the held rows.

        Parameters
        ----------
        name : str
            Of its record in `history`.
        model : Trainable
            Trained in place.
        columns : list
            What can be indexed with rows, and goes beside the windows.
        plan : Plan, optional
            Rows and length; by default all rows and as the settings say.

        Returns
        -------
        bool
            False if its loss did not stay finite, or no training shall begin.
        """
        if self.watch.is_over:
            return False
        s = self.settings
        plan = plan or Plan.usual(self.fit_rows, self.held, s)
        schedule = Schedule(
            max_epochs=plan.max_epochs,
            batch_size=plan.batch_size,
            lr=s.lr,
            weight_decay=s.weight_decay,
            window_noise=s.window_noise,
            patience=plan.patience if s.early_stopping else plan.max_epochs,
            seed=s.seed,
            n_parts=self._n_parts(model, plan.batch_size),
            n_threads=s.n_threads,
        )
        training, held = (
            Rows(self.store, self.gaps, self.index(rows), columns, model.reach)
            for rows in (plan.rows, plan.held)
        )
        self.watch.begin(name, plan.max_epochs)
        self.history[name] = train(
            model,
            training,
            held if len(held) else None,
            schedule,
            self.device,
            lambda records, average, goes_on: self.watch.epoch(
                records, lambda: self._draft(name, average, records), goes_on
            ),
        )
        model.requires_grad_(False).eval()
        is_finite = all(bool(torch.isfinite(p).all()) for p in model.parameters())
        if not self.history[name] or not is_finite:
            self.watch.end(lambda: None, "diverged, left out")
            warnings.warn(
                f"the training of the {name} network diverged and is left out; a "
                f"smaller lr than {s.lr} may help",
                ConvergenceWarning,
                stacklevel=2,
            )
            return False
        self.watch.end(lambda: self._draft(name, model, self.history[name]))
        return True

    def _n_parts(self, model: Trainable, batch_size: int) -> int:
        """Parts of a batch that are each worth a task of their own."""
        if self.device.type != "cpu":
            return 1
        _, length, c = self.store.shape
        seen = (model.reach or length) * c * self.settings.hidden_dim
        n_weights = sum(p.numel() for p in model.parameters() if p.requires_grad)
        work = batch_size * (seen + n_weights)
        return int(np.clip(work // WORK_OF_PART, 1, MAX_PARTS))

    def _draft(
        self, name: str, model: Trainable, records: list[dict[str, Any]]
    ) -> Fitted | None:
        """Return what a fit would return that has got so far."""
        if self.build is None:
            return None
        law, kept = self.build(copy.deepcopy(model).requires_grad_(False).eval())
        history = {**self.history, name: list(records)}
        return Fitted(law, kept, self.family, history, [], self.n_rows)

    def index(self, rows: Array) -> Tensor:
        """Row numbers as a tensor on the device."""
        return torch.as_tensor(rows, device=self.device)

    def empty(self, *shape: int) -> Tensor:
        """Room for float32 numbers on the device, whatever torch's default is."""
        return torch.empty(shape, dtype=torch.float32, device=self.device)

    def tensor(self, array: Array) -> Tensor:
        """Numbers as float32 on the device."""
        return torch.tensor(array, dtype=torch.float32, device=self.device)


def _all_missing(values: Array) -> NDArray[np.bool_]:
    parts = [values[rows] for rows in row_parts(*values.shape)]
    return np.concatenate([np.isnan(part).all(1) for part in parts])


def copy_networks(source: nn.Module, target: nn.Module) -> None:
    """Copy the parameters that match in name and shape."""
    known = dict(source.named_parameters())
    with torch.no_grad():
        for name, parameter in target.named_parameters():
            if name in known and known[name].shape == parameter.shape:
                parameter.copy_(known[name])
