"""The first stage: a linear forecast, and the spread of its honest errors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ..compute import give_back, row_parts
from ..data.blocks import block_edges
from ..law.families import CountMixture
from ..law.linear import LinearLaw
from .data import TrainingData
from .drift import fit_drifts
from .features import LagFeatures
from .forecast import LinearForecast, LinearMap
from .poisson import fit_poisson
from .ranges import range_of_targets
from .ridge import fit_means
from .rolled import RolledError

N_BLOCKS = 5
LOG_SIZES = np.linspace(-3.0, 5.0, 17)


@dataclass(frozen=True)
class LinearStage:
    """A linear law, and a forecast of each row made without it.

    Attributes
    ----------
    law : LinearLaw
    forecast : Tensor of shape (n, d)
        Of each row by a fit to the blocks that it is not in: what corrects it later
        sees errors as they will be.
    features : LagFeatures
    fit : LinearForecast or None
        The coefficients of the law, and of the fits that left a block out.
    means : dict of str to LinearForecast
        Linear means of which a pool can be made; of real values.
    """

    law: LinearLaw
    forecast: Tensor
    features: LagFeatures
    fit: LinearForecast | None
    means: dict[str, LinearForecast]


def fit_linear(data: TrainingData) -> LinearStage:
    """Fit the linear law, of counts a law of log rates."""
    n_lagged = data.architecture.n_lagged
    is_free = data.settings.is_autoregressive and not data.is_counts
    features = LagFeatures(data.store, data.gaps, n_lagged, sees_own=is_free)
    d = data.n_outputs
    law = features.law(d).to(data.device)
    if data.settings.base == "normal":
        nothing = torch.zeros(data.target.shape, device=data.device)
        return LinearStage(law, nothing, features, None, {})
    low, high = range_of_targets(data.target, data.device)
    for end, of_targets in ((law.low, low), (law.high, high)):
        # Of what was never observed the law says 0, the middle, whatever is iterated.
        end.copy_(torch.as_tensor(np.where(np.isinf(of_targets), 0.0, of_targets)))
    blocks = _blocks(data)
    means: dict[str, LinearForecast] = {}
    if data.is_counts:
        fit = fit_poisson(
            features,
            data.target,
            data.usable,
            blocks,
            is_autoregressive=data.settings.is_autoregressive,
        )
    else:
        walk, judge = _walk(data), None
        if data.settings.base == "auto" and walk is not None and len(blocks) > 1:
            judge = RolledError(data, features, blocks)
        given = features, data.target, data.regular, blocks, walk, judge
        means = fit_means(*given, data.run)
        give_back()  # what the fits took is more than what is left of them
        fit = means["stack"]
    forecast = _out_of_block(data, features, fit)
    fit.put_into(law)
    law.log_scale.copy_(_spread(data, law, forecast))
    if means and data.settings.base == "auto":
        means = _add_simple_means(data, features, means)
    return LinearStage(law, forecast, features, fit, means)


def _blocks(data: TrainingData) -> list[slice]:
    """Blocks of consecutive rows, each with something to fit, that cover all."""
    edges = block_edges(len(data.target), N_BLOCKS, data.starts)
    stops = [b for a, b in pairwise(edges) if data.usable[a:b].any()]
    stops[-1:] = [len(data.target)]
    return [slice(a, b) for a, b in pairwise([0, *stops])]


def _walk(data: TrainingData) -> np.ndarray | None:
    """Slope of the last value as a forecast, in standardised units."""
    if not data.settings.is_autoregressive:
        return None
    d = data.n_outputs
    slope: np.ndarray = data.settings.lag_scale * data.x_scale[:d] / data.y_scale
    return slope


def _add_simple_means(
    data: TrainingData, features: LagFeatures, means: dict[str, LinearForecast]
) -> dict[str, LinearForecast]:
    """Add the mean itself, the last value and the stack, moved as it is iterated.

    They are "climate", "walk" and "direct".
    """
    some, means = means["stack"], dict(means)
    zero = LinearMap(*(np.zeros_like(part) for part in some.whole))
    simple, d = {"climate": zero}, data.n_outputs
    if data.settings.is_autoregressive:
        last = np.zeros_like(zero.coef)
        scale = data.settings.lag_scale
        slope = scale * data.x_scale[:d] / data.y_scale
        last[[features.newest(j) for j in range(d)], np.arange(d)] = slope
        level = scale * data.x_mean[:d] + data.settings.lag_offset - data.y_mean
        intercept = level / data.y_scale
        simple["walk"] = zero._replace(coef=last, intercept=intercept)
        drifts = fit_drifts(data, features, some)
        if drifts is not None:
            means["direct"] = replace(some, drifts=drifts)
    return means | {
        name: LinearForecast(map_, some.blocks, [map_] * len(some.blocks))
        for name, map_ in simple.items()
    }


def _out_of_block(
    data: TrainingData, features: LagFeatures, fit: LinearForecast
) -> Tensor:
    forecast = data.empty(*data.target.shape)

    def put(block: slice, without: LinearMap) -> None:
        for inputs in features.chunks(block):
            forecast[data.index(inputs.rows)] = data.tensor(without(inputs))

    both = zip(fit.blocks, fit.others, strict=True)
    data.run([partial(put, *each) for each in both])
    return forecast


def _spread(data: TrainingData, linear: LinearLaw, forecast: Tensor) -> Tensor:
    """Log scale parameter of each channel, from the errors of the forecasts."""
    rows = data.index(np.flatnonzero(data.complete))
    if data.is_counts:
        return _log_sizes(data, linear, forecast, rows)
    square = torch.zeros(data.n_outputs, dtype=torch.float64)
    count = torch.zeros_like(square)
    for part in row_parts(len(rows), data.n_outputs):
        at = rows[part]
        error = (data.target[at] - forecast[at]).cpu().double()
        square += error.square().nansum(0)
        count += torch.isfinite(error).sum(0)
    return (square / count.clamp(min=1)).sqrt().clamp(min=1e-6).log()


def _log_sizes(
    data: TrainingData, linear: LinearLaw, forecast: Tensor, rows: Tensor
) -> Tensor:
    """Most likely log size of the negative binomial law of each channel."""
    log_sizes = data.tensor(LOG_SIZES)
    likelihood = data.empty(len(log_sizes), data.n_outputs).zero_()
    for part in row_parts(len(rows), data.n_outputs):
        y, location = data.target[rows[part]], forecast[rows[part]][:, None]
        observed = torch.isfinite(y)
        y = torch.where(observed, y, 0.0)
        for log_size, total in zip(log_sizes, likelihood, strict=True):
            size = log_size.expand_as(location)
            law = CountMixture(location, size, torch.zeros_like(location))
            law = law.within(linear.low, linear.high)
            total += (law.log_density(y) * observed).sum(0)
    return log_sizes[likelihood.argmax(0)]
