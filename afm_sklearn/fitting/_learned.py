"""The second stage: networks of every channel's law, pooled with the linear one."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..law import LinearLaw, Pool, StepLaw
from ..networks.marginal import MarginalNetwork
from ..selection import pays, pool_weights
from ._data import TrainingData, copy_networks

Array = NDArray[np.float64]

N_COMPONENTS = 3
MAX_WEIGHED_ROWS = 4000  # held rows that weigh the members of the pool


def fit_learned(
    data: TrainingData, linear: LinearLaw, forecast: Tensor, previous: StepLaw | None
) -> Pool | None:
    """Train the networks and weigh them; None if they do not pay ("auto")."""
    networks = {"newest": _newest_network(data)}
    if data.architecture.length > 1:
        networks["window"] = _window_network(data, linear)
    known: dict[Any, Any] = {}
    if previous is not None:
        known = {member.reach: member for member in previous.pool.members}
    for name, network in networks.items():
        network.to(data.device)
        if network.reach in known:
            copy_networks(known[network.reach], network)
        data.train(name, network, [data.target, forecast])
    members = list(networks.values())
    if not len(data.held):
        weights = np.append(0.0, np.full(len(members), 1.0 / len(members)))
    else:
        alone, weights, pooled = _weigh(data, linear, members, forecast)
        if "window" in networks:
            # Small errors of the mean add up in trajectories: that of the linear
            # forecast stays unless another one pays for itself.
            networks["window"].keeps_mean = True
            _, others, steady = _weigh(data, linear, members, forecast)
            if pays(steady, pooled):
                networks["window"].keeps_mean = False
            else:
                weights, pooled = others, steady
        if data.settings.base == "auto" and not pays(alone, pooled):
            return None
    kept = [m for m, w in zip(members, weights[1:], strict=True) if w]
    log_weights = _log(np.append(weights[0], weights[1:][weights[1:] > 0]))
    return Pool(linear, kept, data.tensor(log_weights))


def _weigh(
    data: TrainingData,
    linear: LinearLaw,
    members: list[MarginalNetwork],
    forecast: Tensor,
) -> tuple[Array, Array, Array]:
    """Losses of held rows under the linear law alone; weights of a pool; its losses."""
    densities, seen = _log_densities(data, linear, members, forecast)
    weights = pool_weights(densities[seen])
    pooled = np.logaddexp.reduce(densities + _log(weights).astype(np.float32), -1)
    alone, pooled = (
        -np.where(seen, values, 0.0).sum(1, dtype=np.float64)
        for values in (densities[..., 0], pooled)
    )
    return alone, weights, pooled


def _window_network(data: TrainingData, linear: LinearLaw) -> MarginalNetwork:
    """Build a network that corrects the linear forecast from the whole window."""
    scale = linear.log_scale
    unit = torch.ones_like(scale) if data.is_counts else scale.exp()
    k = 1 if data.is_counts else N_COMPONENTS
    return MarginalNetwork(data.architecture, data.marginal, unit, scale, k)


def _newest_network(data: TrainingData) -> MarginalNetwork:
    """Build a network that sees the newest step alone: many systems are Markov."""
    d = data.n_outputs
    architecture, unit = data.architecture.newest_step(), torch.ones(d)
    if not data.is_counts:
        zero = torch.zeros(d)
        return MarginalNetwork(
            architecture, data.marginal, unit, zero, N_COMPONENTS, zero
        )
    center = data.tensor(data.mean_count).clamp(min=1e-3).log().cpu()
    return MarginalNetwork(architecture, data.marginal, unit, 2 * unit, 1, center)


@torch.inference_mode()
def _log_densities(
    data: TrainingData,
    linear: LinearLaw,
    members: list[MarginalNetwork],
    forecast: Tensor,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Log densities of the held targets (n, d, members), and which exist."""
    alone = Pool(linear, [], torch.zeros(1, device=data.device))
    held = data.held[:: max(1, len(data.held) // MAX_WEIGHED_ROWS)]
    shape = len(held), data.n_outputs
    out: NDArray[Any] = np.empty((*shape, 1 + len(members)), np.float32)
    observed = np.empty(shape, bool)
    done = 0
    for rows, windows in data.store.chunks(data.index(held)):
        x, missing = data.standardizer(windows)
        at, y = forecast[rows], data.target[rows]
        seen = torch.isfinite(y)
        y = torch.where(seen, y, 0.0)
        laws = [law(x, missing, at) for law in (alone, *members)]
        logs = [data.marginal.log_density(y, law) for law in laws]
        part = slice(done, done := done + len(rows))
        out[part] = torch.stack(logs, -1).cpu().numpy()
        observed[part] = seen.cpu().numpy()
    return out, observed


def _log(weights: Array) -> Array:
    with np.errstate(divide="ignore"):
        logs: Array = np.log(weights)
    return logs
