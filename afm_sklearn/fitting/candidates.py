"""The laws that a pool may be made of: linear means, and what they leave open."""

from __future__ import annotations

import copy
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri

from ..law.correlation import correlation_root, shrunk_correlation
from ..law.drift import Drift
from ..law.errors import Errors, GaussianErrors
from ..law.frame import Frame
from ..law.linear import LinearLaw
from ..law.resampling import AnalogErrors, BinnedErrors, EmpiricalErrors
from ..law.residual import ResidualLaw
from ..law.step import StepLaw
from .data import TrainingData
from .forecast import LinearForecast
from .linear import LinearStage
from .origins import spread_rows
from .sample import Sample

Array = NDArray[Any]

MAX_ANALOGS = 1000
MIN_SPREAD = 1e-6  # of what never changed: it has a density
ROWS_IN_BIN, MAX_BINS = 40, 24

# What is made of each mean; "values" resample what followed, others the errors.
KINDS = {
    "climate": ("empirical values",),
    "walk": ("empirical",),
    "own": (
        "gaussian",
        "empirical",
        "binned values",
        "binned",
        "analog",
        "analog values",
    ),
    "stack": ("gaussian", "empirical", "binned values", "binned", "analog"),
    "rolled": ("gaussian", "empirical", "binned"),
    "direct": ("gaussian", "empirical", "binned"),
}
# Draws of these are values that were seen: counts stay counts. Beside them stands ..
COUNT_KINDS = {
    "climate": ("empirical values",),
    "own": ("binned values", "analog values"),
    "stack": ("binned values",),
    "rolled": ("binned values",),
    "direct": ("binned values",),
}
LOG_RATE = "log rate, counts"  # .. a negative binomial law around a Poisson regression


@dataclass(frozen=True)
class Candidates:
    """What a pool may be made of.

    Attributes
    ----------
    data : TrainingData
        With the targets as they are.
    stage : LinearStage
        Its means are those of `data`.
    sample : Sample
        Rows that tell the errors.
    counts : tuple of StepLaw and LinearStage, or None
        Where the targets are counts, their law and the fits of its log rate.
    """

    data: TrainingData
    stage: LinearStage
    sample: Sample
    counts: tuple[StepLaw, LinearStage] | None = None

    @property
    def blocks(self) -> list[slice]:
        """Blocks of rows that fits left out."""
        return self.stage.means["stack"].blocks

    @property
    def names(self) -> list[str]:
        """Names of all of them."""
        named = [
            f"{name}, {kind}"
            for name in self.stage.means
            for kind in self._kinds.get(name, ())
        ]
        return named if self.counts is None else [*named, LOG_RATE]

    def without(
        self, block: int | None, names: Collection[str]
    ) -> dict[str, ResidualLaw | StepLaw]:
        """Return candidates, by fits to the rows outside of a block, or to all."""
        out = None if block is None else self.blocks[block]
        laws: dict[str, ResidualLaw | StepLaw] = {}
        for name, mean in self.stage.means.items():
            wanted = {f"{name}, {kind}": kind for kind in self._kinds.get(name, ())}
            wanted = {title: kind for title, kind in wanted.items() if title in names}
            if not wanted:
                continue
            sample = self.sample.outside(out, name)
            linear, drift = self._mean(mean, block)
            for title, kind in wanted.items():
                errors = learn(
                    kind, sample, sample.forecasts[name], self.counts is not None
                )
                law = ResidualLaw(self._frame, self.data.gaps, linear, errors, drift)
                laws[title] = law.to(self.data.device).requires_grad_(False).eval()
        if self.counts is not None and LOG_RATE in names:
            laws[LOG_RATE] = without_block(*self.counts, block)
        return laws

    @cached_property
    def _frame(self) -> Frame:
        return self.data.frame().to(self.data.device)  # looks through all rows

    @property
    def _kinds(self) -> dict[str, tuple[str, ...]]:
        return KINDS if self.counts is None else COUNT_KINDS

    def _mean(
        self, mean: LinearForecast, block: int | None
    ) -> tuple[LinearLaw, Drift | None]:
        features, drift = self.stage.features, None
        linear = features.law(self.data.n_outputs)
        mean.put_into(linear, block)
        if mean.drifts is not None:
            moves = torch.as_tensor(mean.drifts.without(block))
            drift = Drift.of(moves, features.n_lags, features.n_channels)
        return linear, drift


def without_block(law: StepLaw, stage: LinearStage, block: int | None) -> StepLaw:
    """Return the law with the linear forecast of a fit without a block, or of all."""
    other = copy.deepcopy(law)
    if stage.fit is not None:
        stage.fit.put_into(other.channels.linear, block)
    return other


def learn(
    kind: str, sample: Sample, forecasts: Array, is_counts: bool = False
) -> Errors:
    """Learn the law of a step around its forecast.

    Parameters
    ----------
    kind : str
        A kind named in `KINDS`.
    sample : Sample
        What followed.
    forecasts : array of shape (m, d)
        Honest forecasts of it, in standard units.
    is_counts : bool
        Whether it is counts.
    """
    errors = sample.targets - forecasts
    root = _single(correlation_root(shrunk_correlation(errors)))
    if kind == "gaussian":
        spread = np.sqrt((errors**2).mean(0))
        return GaussianErrors(_single(spread.clip(MIN_SPREAD)), root)
    is_relative = not kind.endswith("values")
    # Values are kept to the last digit: zeros and counts must stay what they are.
    values = _single(errors) if is_relative else torch.from_numpy(sample.y).double()
    if kind.startswith("empirical"):
        return EmpiricalErrors(values, root, is_relative, is_counts)
    if kind.startswith("analog"):
        rows = spread_rows(np.arange(len(values)), MAX_ANALOGS)
        near = max(1, min(len(rows), round(2 * np.sqrt(len(rows)))))
        known = _single(forecasts[rows]), values[rows]
        return AnalogErrors(*known, root, near, is_relative, is_counts)
    return _bins(forecasts, values.numpy(), is_relative, is_counts)


def _bins(
    forecasts: Array, values: Array, is_relative: bool, is_counts: bool
) -> BinnedErrors:
    """Sort rows into bins of like forecasts, channel by channel."""
    m, d = values.shape
    n_bins = int(np.clip(m // ROWS_IN_BIN, 1, MAX_BINS))
    starts = np.linspace(0, m, n_bins + 1).round().astype(int)
    sizes = np.diff(starts)
    size = int(sizes.max())
    chance = np.random.default_rng(0).random((m, d))  # between equal values
    # Rows in the order of forecasts, then within each bin in the order of values.
    order = np.lexsort((chance, forecasts), axis=0)
    ordered, middle = np.take_along_axis(forecasts, order, 0), starts[1:-1]
    edges = 0.5 * (ordered[middle - 1] + ordered[middle]).T
    given, tied = (np.take_along_axis(part, order, 0) for part in (values, chance))
    bins = np.broadcast_to(np.repeat(np.arange(n_bins), sizes)[:, None], (m, d))
    order = np.take_along_axis(order, np.lexsort((tied, given, bins), axis=0), 0)
    share = (np.arange(size) + 0.5) / size
    places = starts[:-1, None] + (share * sizes[:, None]).astype(int)
    table = np.take_along_axis(values, order[places.ravel()], 0)
    table = np.ascontiguousarray(table.T).reshape(d, n_bins, size)
    inside = np.arange(m) - np.repeat(starts[:-1], sizes)
    rank = ((inside + 0.5) / np.repeat(sizes, sizes) * size).astype(np.int32)
    ranks = np.empty((m, d), np.int32)
    np.put_along_axis(ranks, order, rank[:, None], 0)
    scores = ndtri((ranks + 0.5) / size)
    root = correlation_root(shrunk_correlation(scores))
    return BinnedErrors(
        _single(edges),
        torch.from_numpy(table),
        torch.from_numpy(ranks),
        _single(root),
        is_relative,
        is_counts,
    )


def _single(values: Array) -> torch.Tensor:
    return torch.as_tensor(np.ascontiguousarray(values)).float()
