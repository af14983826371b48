"""The third stage: correlated noise, and a flow to the dependence that remains."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..correlation import correlation_root, shrunk_correlation
from ..flow.matching import Flow, uniform_score
from ..history import row_parts
from ..law import Pool, StepLaw
from ..metrics import crps, energy_score
from ._data import TrainingData, copy_networks

Array = NDArray[np.float64]

MAX_COPULA_ROWS = 20000
MAX_SCORED_ROWS = 1000
N_SCORED_DRAWS = 50


@torch.inference_mode()
def normal_scores(
    data: TrainingData, pool: Pool, forecast: Tensor, rows: Tensor, out: Tensor
) -> tuple[Tensor, Tensor]:
    """Both ends of the interval of normal scores of the rows, NaN where missing.

    The lower ones are written to `out`, which may be the forecast of all rows.
    """
    low = out
    high = torch.empty_like(out) if data.is_counts else out
    done = 0
    for part, windows in data.store.chunks(rows):
        x, missing = data.standardizer(windows)
        at, y = forecast[part], data.target[part]
        params = pool(x, missing, at)
        seen = torch.isfinite(y)
        ends = data.marginal.normal_scores(torch.where(seen, y, 0.0), params)
        for kept, end in zip((low, high), ends, strict=True):
            kept[done : done + len(part)] = torch.where(seen, end, torch.nan)
        done += len(part)
    return low, high


def noise_factor(data: TrainingData, pool: Pool, forecast: Tensor) -> Tensor:
    """Cholesky factor (d, d) of the correlation of the normal scores."""
    d = data.n_outputs
    if data.settings.base == "normal" or d == 1:
        return torch.eye(d, device=data.device)
    rows = data.index(np.flatnonzero(data.usable)[-MAX_COPULA_ROWS:])
    out = torch.empty(len(rows), d, device=data.device)
    scores, high = normal_scores(data, pool, forecast, rows, out)
    if data.is_counts:
        generator = torch.Generator(data.device).manual_seed(data.settings.seed)
        for part in row_parts(*scores.shape):
            low, share = scores[part], torch.empty_like(scores[part])
            share.uniform_(generator=generator)
            scores[part] = uniform_score(low, high[part], share)
    correlation = shrunk_correlation(scores.cpu().numpy())
    return data.tensor(correlation_root(correlation))


def fit_flow(
    data: TrainingData,
    pool: Pool,
    factor: Tensor,
    forecast: Tensor,
    previous: StepLaw | None,
) -> Flow:
    """Train the flow from the correlated noise to the normal scores."""
    # The forecast has done its duty; it is as large as the recording.
    every = torch.arange(len(forecast), device=data.device)
    low, high = normal_scores(data, pool, forecast, every, forecast)
    flow = Flow(data.architecture, factor, data.settings.path).to(data.device)
    if previous is not None and previous.flow is not None:
        copy_networks(previous.flow, flow)
    data.train("flow", flow, [low, high])
    return flow


@torch.inference_mode()
def held_scores(data: TrainingData, law: StepLaw) -> Array:
    """CRPS plus energy score of held rows, each relative to its dimension."""
    s, d = data.settings, data.n_outputs
    generator = torch.Generator(data.device).manual_seed(s.seed)
    out = []
    for part, windows in data.store.chunks(data.index(data.held[:MAX_SCORED_ROWS])):
        shape = (len(part), N_SCORED_DRAWS, d)
        noise = torch.empty(shape, device=data.device).normal_(generator=generator)
        draws = law.draw(windows, noise, s.solver, s.n_steps).double().cpu().numpy()
        draws = (draws - data.y_mean) / data.y_scale
        target = data.target[part].double().cpu().numpy()
        # A missing entry must not count: the mean draw costs both laws alike.
        target = np.where(np.isfinite(target), target, draws.mean(1))
        out.append(crps(target, draws).mean(1))
        out[-1] += energy_score(target, draws) / np.sqrt(d)
    return np.concatenate(out)
