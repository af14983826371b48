"""The laws that a pool may be made of: linear means, and what they leave open."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri

from ..law.correlation import correlation_root, shrunk_correlation
from ..law.drift import Drift
from ..law.errors import Errors, GaussianErrors
from ..law.linear import LinearLaw
from ..law.resampling import AnalogErrors, BinnedErrors, EmpiricalErrors
from ..law.residual import ResidualLaw
from .data import TrainingData
from .drift import fit_drifts
from .features import LagFeatures
from .forecast import LinearForecast
from .origins import spread_rows

Array = NDArray[Any]

MIN_ROWS, MAX_ROWS = 1000, 4000  # of training, that errors are resampled from ..
MAX_NUMBERS = 300_000  # .. of about so many numbers
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
# Draws of these are values that were seen: counts stay counts.
COUNT_KINDS = {
    "climate": ("empirical values",),
    "own": ("binned values", "analog values"),
    "stack": ("binned values",),
    "rolled": ("binned values",),
    "direct": ("binned values",),
}


@dataclass
class Sample:
    """Rows of training from which errors are learnt.

    Attributes
    ----------
    rows : ndarray of shape (m,)
    targets : ndarray of shape (m, d)
        In standard units, complete.
    y : ndarray of shape (m, d)
        The same as they are.
    forecasts : dict of str to ndarray of shape (m, d)
        Of each mean, by fits without the block of the row.
    """

    rows: Array
    targets: Array
    y: Array
    forecasts: dict[str, Array]

    def outside(self, block: slice | None) -> Sample:
        """Return the rows that are not in a block."""
        if block is None:
            return self
        keep = (self.rows < block.start) | (self.rows >= block.stop)
        return Sample(
            self.rows[keep],
            self.targets[keep],
            self.y[keep],
            {name: values[keep] for name, values in self.forecasts.items()},
        )


def add_simple_means(
    data: TrainingData, features: LagFeatures, means: dict[str, LinearForecast]
) -> dict[str, LinearForecast]:
    """Add the mean itself, the last value and the stack, moved as it is iterated.

    They are "climate", "walk" and "direct".
    """
    some, means = means["stack"], dict(means)
    n_blocks, (p, d) = len(some.blocks), some.coef.shape
    zero = np.zeros((p, d)), np.zeros(d)
    simple = {"climate": zero}
    if data.settings.is_autoregressive:
        last = np.zeros((p, d))
        scale = data.settings.lag_scale
        slope = scale * data.x_scale[:d] / data.y_scale
        last[[features.newest(j) for j in range(d)], np.arange(d)] = slope
        level = scale * data.x_mean[:d] + data.settings.lag_offset - data.y_mean
        simple["walk"] = last, level / data.y_scale
        drifts = fit_drifts(data, features, some)
        if drifts is not None:
            means["direct"] = replace(some, drifts=drifts)
    return means | {
        name: LinearForecast(
            coef, intercept, some.blocks, [coef] * n_blocks, [intercept] * n_blocks
        )
        for name, (coef, intercept) in simple.items()
    }


def take_sample(
    data: TrainingData, features: LagFeatures, means: dict[str, LinearForecast]
) -> Sample:
    """Forecast some rows of each block by the fits that left the block out."""
    observed = np.isfinite(data.y)
    seen = observed.all(1) & data.complete
    if seen.sum() < 0.5 * data.complete.sum():
        seen = (observed.mean(1) >= 0.5) & data.complete
    n_rows = int(np.clip(MAX_NUMBERS // data.n_outputs, MIN_ROWS, MAX_ROWS))
    rows = spread_rows(np.flatnonzero(seen), n_rows)
    shape = len(rows), data.n_outputs
    targets = data.target[data.index(rows)].cpu().double().numpy()
    forecasts = {name: np.empty(shape) for name in means}
    blocks = means["stack"].blocks
    for k, block in enumerate(blocks):
        here = np.flatnonzero((rows >= block.start) & (rows < block.stop))
        done = 0
        for part, F in features.chunks(rows[here]):
            at = here[done : done + len(part)]
            f = F.double().numpy()
            for name, mean in means.items():
                ahead = f @ mean.block_coefs[k] + mean.block_intercepts[k]
                forecasts[name][at] = ahead
            done += len(part)
    y = np.array(data.y[rows], np.float64)
    donors = matched_rows(forecasts["stack"], np.isnan(y))
    columns = np.arange(y.shape[1])
    targets, y = targets[donors, columns], y[donors, columns]
    y = np.where(np.isnan(y), data.y_mean, y)  # of a channel that never was observed
    return Sample(rows, np.nan_to_num(targets), y, forecasts)


def matched_rows(forecasts: Array, missing: Array) -> NDArray[np.intp]:
    """Find, for each entry that is missing, the row whose outcome stands in for it.

    That of the nearest forecast of the channel: predictive mean matching, which keeps
    zeros, counts and the law of errors.

    Parameters
    ----------
    forecasts : ndarray of shape (m, d)
    missing : ndarray of bool, shape (m, d)

    Returns
    -------
    ndarray of int, shape (m, d)
        The row itself where it was observed, and where a channel never was.

    Examples
    --------
    >>> forecasts = np.array([[1.0], [2.0], [1.2], [3.0]])
    >>> matched_rows(forecasts, np.array([[0], [0], [1], [0]], bool)).ravel()
    array([0, 1, 0, 3])
    """
    out = np.tile(np.arange(len(forecasts))[:, None], (1, forecasts.shape[1]))
    for j in np.flatnonzero(missing.any(0) & ~missing.all(0)):
        given = np.flatnonzero(~missing[:, j])
        given = given[np.argsort(forecasts[given, j], kind="stable")]
        levels = forecasts[given, j]
        wanted = forecasts[missing[:, j], j]
        at = np.searchsorted((levels[1:] + levels[:-1]) / 2, wanted)
        out[missing[:, j], j] = given[at]
    return out


def candidates(
    data: TrainingData,
    features: LagFeatures,
    means: dict[str, LinearForecast],
    sample: Sample,
    left_out: int | None,
    *,
    keeps_counts: bool,
    only: Collection[str] | None = None,
) -> dict[str, ResidualLaw]:
    """Build the candidates, by fits to all rows or to those outside of a block.

    All, or only those named.
    """
    kinds = COUNT_KINDS if keeps_counts else KINDS
    block = None if left_out is None else means["stack"].blocks[left_out]
    sample = sample.outside(block)
    frame, laws = data.frame().to(data.device), {}
    for name, mean in means.items():
        wanted = [
            kind
            for kind in kinds.get(name, ())
            if only is None or f"{name}, {kind}" in only
        ]
        if not wanted:
            continue
        shape = features.n_lags, features.n_channels
        linear, drift = LinearLaw(*shape, data.n_outputs), None
        coef, intercept = mean.without(left_out)
        linear.coef.copy_(torch.as_tensor(coef))
        linear.intercept.copy_(torch.as_tensor(intercept))
        if mean.drifts is not None:
            moves = torch.as_tensor(mean.drifts.without(left_out))
            drift = Drift.of(moves, *shape)
        for kind in wanted:
            errors = learn(kind, sample, sample.forecasts[name], keeps_counts)
            law = ResidualLaw(frame, data.gaps, linear, errors, drift)
            law = law.to(data.device)
            laws[f"{name}, {kind}"] = law.requires_grad_(False).eval()
    return laws


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
    edges_of_rows = np.linspace(0, m, n_bins + 1).round().astype(int)
    size = int(np.diff(edges_of_rows).max())
    edges = np.empty((d, n_bins - 1))
    table = np.empty((d, n_bins, size), values.dtype)
    ranks = np.empty((m, d), np.int32)
    chance = np.random.default_rng(0).random((m, d))  # between equal values
    for j in range(d):
        order = np.lexsort((chance[:, j], forecasts[:, j]))
        ordered = forecasts[order, j]
        middle = edges_of_rows[1:-1]
        edges[j] = 0.5 * (ordered[middle - 1] + ordered[middle])
        for b, (start, stop) in enumerate(pairwise(edges_of_rows)):
            rows = order[start:stop]
            inside = rows[np.lexsort((chance[rows, j], values[rows, j]))]
            share = (np.arange(size) + 0.5) / size
            table[j, b] = values[inside[(share * len(inside)).astype(int)], j]
            ranks[inside, j] = (np.arange(len(inside)) + 0.5) / len(inside) * size
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
