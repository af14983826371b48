"""Laws of a step, put together from what was trained."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..law.channels import ChannelLaws
from ..law.flow.matching import Flow
from ..law.linear import LinearLaw
from ..law.networks.marginal import MarginalNetwork
from ..law.networks.shared import SharedNetwork
from ..law.step import StepLaw
from .data import TrainingData
from .dependence import noise_factor, solver_steps


def alone(
    data: TrainingData,
    linear: LinearLaw,
    forecast: Tensor,
    network: MarginalNetwork | SharedNetwork,
) -> StepLaw:
    """Return the law of a network alone, with the noise that goes with it.

    Parameters
    ----------
    data : TrainingData
    linear : LinearLaw
        The linear forecast that the network sees.
    forecast : Tensor of shape (n, d)
        Of each row, made without it.
    network : MarginalNetwork or SharedNetwork
    """
    channels = ChannelLaws(linear, [network], data.family).to(data.device)
    channels = channels.with_weights(data.tensor(np.array([-np.inf, 0.0])))
    factor = noise_factor(data, channels, forecast)
    return assemble(data, channels, None, factor)


def assemble(
    data: TrainingData, pool: ChannelLaws, flow: Flow | None, factor: Tensor
) -> StepLaw:
    """Return the law of the channels, with a flow or the noise of that factor."""
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
