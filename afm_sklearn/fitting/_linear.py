"""The first stage: a linear forecast, and the spread of its honest errors."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ..folds import block_edges
from ..history import row_parts
from ..law import LinearLaw
from ..linear import LagFeatures, LinearForecast, fit_poisson, fit_ridge_stack
from ..linear.poisson import log_rate_cap
from ._data import TrainingData

N_BLOCKS = 5
LOG_SIZES = np.linspace(-3.0, 5.0, 17)


def fit_linear(data: TrainingData) -> tuple[LinearLaw, Tensor]:
    """Fit the linear law; return it, and a forecast of each row made without it.

    The forecasts (n, d) are of the row's whole block by a fit to the other blocks:
    what corrects them later sees errors as they will be.
    """
    features = LagFeatures(data.store, data.standardizer, data.settings.n_lagged)
    if data.settings.base == "normal":
        d = data.n_outputs
        law = LinearLaw(
            torch.zeros(features.n_features, d),
            torch.zeros(d),
            torch.zeros(d),
            features.n_lags,
        )
        return law.to(data.device), torch.zeros(data.target.shape, device=data.device)
    blocks = _blocks(data)
    if data.is_counts:
        fit = fit_poisson(features, data.target, data.usable, blocks)
    else:
        fit = fit_ridge_stack(features, data.target, data.usable, blocks, _walk(data))
    forecast = _out_of_block(data, features, fit)
    law = LinearLaw(
        data.tensor(fit.coef),
        data.tensor(fit.intercept),
        _spread(data, forecast),
        features.n_lags,
    )
    if data.is_counts:
        law.max_location = log_rate_cap(data.target)
    return law.to(data.device), forecast


def _blocks(data: TrainingData) -> list[slice]:
    """Blocks of consecutive rows, each with something to fit, that cover all."""
    edges = block_edges(len(data.target), N_BLOCKS, data.starts)
    stops = [b for a, b in pairwise(edges) if data.usable[a:b].any()]
    stops[-1:] = [len(data.target)]
    return [slice(a, b) for a, b in pairwise([0, *stops])]


def _walk(data: TrainingData) -> np.ndarray | None:
    """Slope of the last value as a forecast, in standardised units."""
    scale = data.settings.lag_scale
    if scale is None:
        return None
    slope: np.ndarray = scale * data.input_scale[: data.n_outputs] / data.y_scale
    return slope


def _out_of_block(
    data: TrainingData, features: LagFeatures, fit: LinearForecast
) -> Tensor:
    forecast = torch.empty(data.target.shape, device=data.device)
    cap = log_rate_cap(data.target) if data.is_counts else np.inf
    parts = zip(fit.blocks, fit.block_coefs, fit.block_intercepts, strict=True)
    for block, coef, intercept in parts:
        for rows, F in features.chunks(block):
            ahead = np.minimum(F.double().numpy() @ coef + intercept, cap)
            forecast[data.index(rows)] = data.tensor(ahead)
    return forecast


def _spread(data: TrainingData, forecast: Tensor) -> Tensor:
    """Log scale parameter of each channel, from the errors of the forecasts."""
    rows = data.index(np.flatnonzero(data.usable))
    if data.is_counts:
        return _log_sizes(data, forecast, rows)
    square = torch.zeros(data.n_outputs, dtype=torch.float64)
    count = torch.zeros_like(square)
    for part in row_parts(len(rows), data.n_outputs):
        at = rows[part]
        error = (data.target[at] - forecast[at]).cpu().double()
        square += error.square().nansum(0)
        count += torch.isfinite(error).sum(0)
    spread = (square / count.clamp(min=1)).sqrt().clamp(min=1e-6)
    return spread.log().float().to(data.device)


def _log_sizes(data: TrainingData, forecast: Tensor, rows: Tensor) -> Tensor:
    """Most likely log size of the negative binomial law of each channel."""
    log_sizes = data.tensor(LOG_SIZES)
    likelihood = torch.zeros(len(log_sizes), data.n_outputs, device=data.device)
    for part in row_parts(len(rows), data.n_outputs):
        y, location = data.target[rows[part]], forecast[rows[part]][:, None]
        observed = torch.isfinite(y)
        y = torch.where(observed, y, 0.0)
        for log_size, total in zip(log_sizes, likelihood, strict=True):
            size = log_size.expand_as(location)
            params = location, size, torch.zeros_like(location)
            log_density = data.marginal.log_density(y, params)
            total += (log_density * observed).sum(0)
    return log_sizes[likelihood.argmax(0)]
