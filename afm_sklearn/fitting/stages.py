"""The stages in order, each kept only if the rows held back say so."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ..compute import threads_for
from ..data.windows import Windows
from ..law.channels import ChannelLaws
from ..law.flow.matching import Flow
from ..law.step import StepLaw
from .data import TrainingData
from .dependence import fit_flow, held_scores, noise_factor, solver_steps
from .family import choose_family
from .learned import fit_learned
from .selection import pays
from .settings import Settings

Array = NDArray[Any]


def fit_step_law(
    windows: Windows, y: Array, settings: Settings, previous: StepLaw | None
) -> tuple[StepLaw, str, dict[str, Any]]:
    """Fit the law of one step.

    Parameters
    ----------
    windows : Windows of shape (n, L, c)
        NaN where not observed.
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
    batch = 256 if settings.batch_size == "auto" else settings.batch_size
    work = batch * windows.shape[1] * windows.shape[2] * settings.hidden_dim
    with threads_for(work), torch.inference_mode(False), torch.enable_grad():
        data = TrainingData(windows, y, settings)
        law, kept, data = _fit(data, previous)
    return law, kept, data.history


def _fit(
    data: TrainingData, previous: StepLaw | None
) -> tuple[StepLaw, str, TrainingData]:
    choose, has_held = data.settings.base == "auto", len(data.held) > 0
    data, stage = choose_family(data)
    pool = ChannelLaws(stage.law, [], data.family).to(data.device)
    kept = "linear" if choose else data.settings.base
    if kept == "learned" or (choose and has_held):
        learned = fit_learned(data, stage, previous)
        if learned is not None:
            pool, kept = learned, "learned"
        elif not choose:
            kept = "linear"
    pool.requires_grad_(False).eval()
    factor = noise_factor(data, pool, stage.forecast)
    plain = _law(data, pool, None, factor)
    if choose and kept == "linear":
        return plain, kept, data
    flow = fit_flow(data, pool, stage, factor, previous)
    if flow is None:
        return plain, kept, data
    law = _law(data, pool, flow, factor)
    if choose and not pays(held_scores(data, plain), held_scores(data, law)):
        return plain, kept, data
    return law, kept + "+flow", data


def _law(
    data: TrainingData, pool: ChannelLaws, flow: Flow | None, factor: Tensor
) -> StepLaw:
    solver, n_steps = data.settings.solver, 1
    if flow is not None:
        n_steps = solver_steps(data, flow, factor)
    has_networks = len(pool.members) > 0 or flow is not None
    law = StepLaw(
        data.frame(),
        data.gaps,
        pool,
        flow,
        solver,
        n_steps,
        data.architecture if has_networks else None,
        is_correlated=bool((factor - torch.diag(factor.diagonal())).any()),
    )
    law.factor.copy_(factor)
    return law.to(data.device).requires_grad_(False).eval()
