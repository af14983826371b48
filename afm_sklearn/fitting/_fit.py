"""The stages in order, each kept only if the rows held back say so."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ..flow.matching import Flow
from ..law import Pool, StepLaw
from ..selection import pays
from ..threads import threads_for
from ._data import TrainingData
from ._dependence import fit_flow, held_scores, noise_factor
from ._learned import fit_learned
from ._linear import fit_linear
from ._settings import Settings

Array = NDArray[Any]


def fit_step_law(
    windows: Array, y: Array, settings: Settings, previous: StepLaw | None
) -> tuple[StepLaw, str, dict[str, Any]]:
    """Fit the law of one step.

    Parameters
    ----------
    windows : array of shape (n, L, c)
        Windows; NaN where not observed.
    y : array of shape (n, d)
        Targets; NaN where missing.
    settings : Settings
        How to fit.
    previous : StepLaw, optional
        A fitted law whose networks to start from.

    Returns
    -------
    law : StepLaw
    kept : str
        "normal", "linear" or "learned", with "+flow" if there is a flow.
    history : dict
        One list of records, an epoch each, for each network trained.
    """
    cuda = [settings.torch_device] if settings.torch_device.type == "cuda" else []
    batch = 256 if settings.batch_size == "auto" else settings.batch_size
    work = batch * windows[0].size * settings.hidden_dim
    with torch.random.fork_rng(devices=cuda), threads_for(work):
        torch.manual_seed(settings.seed)  # of the networks' initial weights
        data = TrainingData(windows, y, settings)
        law, kept = _fit(data, previous)
        return law, kept, data.history


def _fit(data: TrainingData, previous: StepLaw | None) -> tuple[StepLaw, str]:
    choose, has_held = data.settings.base == "auto", len(data.held) > 0
    linear, forecast = fit_linear(data)
    pool = Pool(linear, [], torch.zeros(1))
    kept = "linear" if choose else data.settings.base
    if kept == "learned" or (choose and has_held):
        learned = fit_learned(data, linear, forecast, previous)
        pool, kept = (pool, kept) if learned is None else (learned, "learned")
    pool = pool.to(data.device).requires_grad_(False).eval()
    factor = noise_factor(data, pool, forecast)
    plain = _law(data, pool, None, factor)
    if choose and kept == "linear":
        return plain, kept
    flow = fit_flow(data, pool, factor, forecast, previous)
    law = _law(data, pool, flow, factor)
    if choose and not pays(held_scores(data, plain), held_scores(data, law)):
        return plain, kept
    return law, kept + "+flow"


def _law(data: TrainingData, pool: Pool, flow: Flow | None, factor: Tensor) -> StepLaw:
    units = [data.y_mean, data.y_scale, *data.bounds()]
    law = StepLaw(
        data.standardizer,
        data.marginal,
        pool,
        flow,
        factor,
        [data.tensor(values) for values in units],
    )
    return law.to(data.device).requires_grad_(False).eval()
