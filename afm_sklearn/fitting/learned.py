"""The second stage: networks of every channel's law, pooled with the linear one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.scaling import moments
from ..law.channels import ChannelLaws
from ..law.families import FAMILIES
from ..law.initial import build
from ..law.linear import LinearLaw
from ..law.networks.marginal import MarginalNetwork
from ..law.step import StepLaw
from .data import TrainingData, copy_networks
from .linear import LinearStage
from .selection import pays, pool_weights
from .training import Trainable

Array = NDArray[np.float64]

N_COMPONENTS = 3
MAX_WEIGHED_ROWS = 4000  # held rows that weigh the members of the pool


class ChannelLoss(Trainable):
    """Negative log likelihood of a network's laws, mean over observed entries."""

    def __init__(self, network: MarginalNetwork, linear: LinearLaw, family: str):
        super().__init__()
        self.network, self.linear, self.family = network, linear, family

    def loss(
        self,
        x: Tensor,
        missing: Tensor | None,
        *columns: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the loss of targets and linear forecasts (n, d)."""
        y, forecast = columns
        observed = torch.isfinite(y)
        code = self.network.encoder(x, missing)
        law = FAMILIES[self.family](*self.network(code, forecast))
        law = law.within(self.linear.low, self.linear.high)
        log_density = law.log_density(torch.where(observed, y, 0.0))
        log_density = torch.where(observed, log_density, 0.0)
        return -log_density.sum() / observed.sum().clamp(min=1)

    def weight(self, *columns: Tensor) -> int:
        """Return how many targets were observed."""
        return int(torch.isfinite(columns[0]).sum())

    @property
    def reach(self) -> int:
        """Newest steps that the network looks at."""
        return self.network.reach


def fit_learned(
    data: TrainingData, stage: LinearStage, previous: StepLaw | None
) -> ChannelLaws | None:
    """Train the networks and weigh them; None if they do not pay ("auto")."""
    networks = {"newest": _newest_network(data)}
    if data.architecture.length > 1:
        networks["window"] = _window_network(data, stage)
    known: dict[Any, Any] = {}
    if previous is not None:
        known = {member.reach: member for member in previous.channels.members}
    trained = {}
    for name, network in networks.items():
        network.to(data.device)
        if network.reach in known:
            copy_networks(known[network.reach], network)
        loss = ChannelLoss(network, stage.law, data.family)
        if data.train(name, loss, [data.target, stage.forecast]):
            trained[name] = network
    members = list(trained.values())
    if not members:
        return None
    pool = ChannelLaws(stage.law, members, data.family)
    if not len(data.held):
        weights = np.append(0.0, np.full(len(members), 1.0 / len(members)))
    else:
        pool, alone, weights, pooled = _best_pool(data, stage, list(trained), pool)
        if data.settings.base == "auto" and not pays(alone, pooled):
            return None
    kept = np.flatnonzero(weights[1:])
    log_weights = np.append(weights[0], weights[1:][kept])
    pool = ChannelLaws(
        stage.law,
        [members[k] for k in kept],
        data.family,
        [pool.keeps_mean[k] for k in kept],
    ).to(data.device)
    return pool.with_weights(data.tensor(_log(log_weights)))


def untrained(data: TrainingData, stage: LinearStage) -> ChannelLaws:
    """Return the law of a network of the window that has learnt nothing yet.

    It is the linear forecast with a mixture for its error.
    """
    pool = ChannelLaws(stage.law, [_window_network(data, stage)], data.family)
    return pool.to(data.device).with_weights(data.tensor(_log(np.array([0.0, 1.0]))))


def _best_pool(
    data: TrainingData, stage: LinearStage, names: Sequence[str], free: ChannelLaws
) -> tuple[ChannelLaws, Array, Array, Array]:
    """Weigh the members, with the mean of the window's network free or held.

    Small errors of the mean add up in trajectories: that of the linear forecast stays
    unless another one pays for itself.

    Returns
    -------
    pool : ChannelLaws
    alone : losses of held rows under the linear law
    weights : of the linear law and the members
    pooled : losses of held rows under the pool
    """
    alone, weights, pooled = _weigh(data, stage, free)
    if "window" not in names:
        return free, alone, weights, pooled
    holds = [name == "window" for name in names]
    steady = ChannelLaws(stage.law, free.members, data.family, holds)
    _, steady_weights, steady_losses = _weigh(data, stage, steady)
    if pays(steady_losses, pooled):
        return free, alone, weights, pooled
    return steady, alone, steady_weights, steady_losses


def _weigh(
    data: TrainingData, stage: LinearStage, pool: ChannelLaws
) -> tuple[Array, Array, Array]:
    """Losses of held rows under the linear law alone; weights of a pool; its losses."""
    densities, seen = _log_densities(data, stage, pool)
    weights = pool_weights(densities[seen])
    pooled = np.logaddexp.reduce(densities + _log(weights).astype(np.float32), -1)
    alone, pooled = (
        -np.where(seen, values, 0.0).sum(1, dtype=np.float64)
        for values in (densities[..., 0], pooled)
    )
    return alone, weights, pooled


def _window_network(data: TrainingData, stage: LinearStage) -> MarginalNetwork:
    """Build a network that corrects the linear forecast from the whole window."""
    scale = stage.law.log_scale
    unit = torch.ones_like(scale) if data.is_counts else scale.exp()
    return _network(data, "window", unit, scale, None)


def _newest_network(data: TrainingData) -> MarginalNetwork:
    """Build a network that sees the newest step alone: many systems are Markov."""
    d = data.n_outputs
    if not data.is_counts:
        return _network(data, "newest", torch.ones(d), torch.zeros(d), torch.zeros(d))
    center = torch.as_tensor(moments(data.y)[0]).clamp(min=1e-3).log()
    return _network(data, "newest", torch.ones(d), torch.full((d,), 2.0), center)


def _network(
    data: TrainingData,
    sees: str,
    unit: Tensor,
    log_scale: Tensor,
    center: Tensor | None,
) -> MarginalNetwork:
    k = 1 if data.is_counts else N_COMPONENTS
    network = build(
        lambda: data.architecture.marginal_network(sees, k, center is not None),
        data.generator,
    )
    center = torch.zeros_like(unit) if center is None else center
    network.start_from(unit, log_scale, center)
    return network


def _log_densities(
    data: TrainingData, stage: LinearStage, pool: ChannelLaws
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Log densities of the held targets (n, d, 1 + members), and which exist."""
    held = data.held[:: max(1, len(data.held) // MAX_WEIGHED_ROWS)]
    shape = len(held), data.n_outputs
    n_laws = len(pool.log_weights)
    out: NDArray[Any] = np.empty((*shape, n_laws), np.float32)
    observed = np.empty(shape, bool)
    alone = [
        pool.with_weights(data.tensor(_log(np.eye(n_laws)[k]))) for k in range(n_laws)
    ]
    every = data.index(held)

    @torch.no_grad()
    def put(part: slice) -> None:
        rows = every[part]
        x, missing = data.filled(rows)
        forecast, y = stage.forecast[rows], data.target[rows]
        seen = torch.isfinite(y)
        y = torch.where(seen, y, 0.0)
        codes = pool.encode(x, missing)
        logs = [law(forecast, codes).log_density(y) for law in alone]
        out[part] = torch.stack(logs, -1).cpu().numpy()
        observed[part] = seen.cpu().numpy()

    data.run([partial(put, part) for part in data.parts(len(held))])
    return out, observed


def _log(weights: Array) -> Array:
    with np.errstate(divide="ignore"):
        logs: Array = np.log(weights)
    return logs
