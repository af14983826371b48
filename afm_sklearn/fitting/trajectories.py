r"""Training on trajectories: networks see what becomes of their own draws.

The loss of an origin is a proper score of m trajectories of the law, drawn step by
step: the fair energy score of the whole,

.. math:: \frac1m \sum_i |X_i - y| - \frac1{2m(m-1)} \sum_{i \ne j} |X_i - X_j|,

plus the fair CRPS of every step and channel. Weather models are trained in this way
(NeuralGCM, arXiv 2311.07222; AIFS-CRPS, arXiv 2412.15832). It cures laws that trust
their own past too much, as that of a movement decoded from neurons.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..law.past import Past
from ..law.rollout import draw_histories
from ..law.state import MissingStep
from ..law.step import StepLaw
from .data import Plan, TrainingData
from .origins import origins, stimulus_at
from .training import Trainable

HORIZON = 8
N_PATHS = 3
N_STEPS = 50  # of the optimiser; twice as many were no better
BATCH = 32
MIN_ORIGINS, MAX_ORIGINS, MAX_HELD = 64, 2000, 128
PATIENCE = 1
WORK = 2e11  # multiplications that a training may take, about


class TrajectoryLoss(Trainable):
    """A fair proper score of a law's own trajectories.

    Parameters
    ----------
    law : StepLaw
    n_paths : int
        Trajectories drawn from each origin.
    """

    def __init__(self, law: StepLaw, n_paths: int = N_PATHS):
        super().__init__()
        self.law, self.n_paths = law, n_paths

    def loss(
        self,
        x: Tensor,
        missing: Tensor | None,
        *columns: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the loss of what followed (n, h, d), given the stimuli (n, h, s)."""
        y, stimulus = columns
        state = self.law.start_from(Past(self.law.frame, x, missing))
        counts = torch.full((len(x),), self.n_paths, device=x.device)
        try:
            paths = draw_histories(state, stimulus.unbind(1), counts, generator)
        except MissingStep:  # draws of weights that have diverged
            weights = [p.sum() for p in self.law.channels.members.parameters()]
            return torch.nan * torch.stack(weights).sum()
        paths = self.law.frame.to_u(paths).to(x).unflatten(0, (len(x), -1))
        return fair_score(paths, y)


def fair_score(paths: Tensor, y: Tensor) -> Tensor:
    """Mean fair score of trajectories (n, m, h, d) for what followed (n, h, d).

    Energy score and CRPS count by the entry; missing ones (NaN) are left out.

    Examples
    --------
    >>> y = torch.zeros(1, 1, 1)
    >>> fair_score(torch.tensor([[[[1.0]], [[-1.0]]]]), y)
    tensor(0.)
    """
    seen = torch.isfinite(y)
    weight = seen[:, None].to(paths)
    error = (paths - torch.where(seen, y, 0.0)[:, None]) * weight
    m = paths.shape[1]
    i, j = torch.triu_indices(m, m, 1, device=paths.device)
    apart = (paths[:, i] - paths[:, j]) * weight
    size = weight.sum((1, 2, 3)).clamp(min=1.0)
    energy = _length(error).mean(1) - 0.5 * _length(apart).mean(1)
    crps = error.abs().sum((2, 3)).mean(1) - 0.5 * apart.abs().sum((2, 3)).mean(1)
    return (energy / size.sqrt() + crps / size).mean()


def _length(values: Tensor) -> Tensor:
    # The root of the square of nothing has no gradient.
    return (values.square().sum((2, 3)) + 1e-12).sqrt()


class Ahead:
    """The steps from each row on, taken when they are asked for.

    Parameters
    ----------
    take : callable
        Values (k, ...) of the rows (k,).
    horizon : int
    """

    def __init__(self, take: Callable[[Tensor], Tensor], horizon: int):
        self.take, self.horizon = take, horizon

    def __getitem__(self, rows: Tensor) -> Tensor:
        at = rows[:, None] + torch.arange(self.horizon, device=rows.device)
        return self.take(at.flatten()).unflatten(0, at.shape)


def train_on_trajectories(data: TrainingData, law: StepLaw) -> StepLaw | None:
    """Train the networks of a law on its own trajectories.

    Returns
    -------
    StepLaw
        With other networks.
    None
        Where there are too few trajectories, draws have no gradient, or held
        trajectories did not gain.
    """
    if data.is_counts or not data.settings.is_autoregressive or not len(data.held):
        return None
    last = data.fit_rows[-1]
    rows, held = (
        origins(data, np.arange(at[0], at[-1] + 1), HORIZON, most)
        for at, most in ((data.fit_rows, MAX_ORIGINS), (data.held, MAX_HELD))
    )
    rows = rows[rows + HORIZON - 1 <= last]
    n_weights = sum(p.numel() for p in law.channels.members.parameters())
    a_step = 3 * BATCH * N_PATHS * HORIZON * max(1, n_weights)
    n_steps = min(N_STEPS, int(WORK / a_step))
    n_batches = -(-len(rows) // BATCH)
    if len(rows) < MIN_ORIGINS or len(held) < 8 or n_steps < 10:
        return None
    rows = rows[:: -(-n_batches // n_steps)]
    tuned = copy.deepcopy(law)
    tuned.channels.members.requires_grad_(True)
    columns = [
        Ahead(lambda at: data.target[at], HORIZON),
        Ahead(lambda at: _stimulus(data, at), HORIZON),
    ]
    epochs = max(1, n_steps // -(-len(rows) // BATCH))
    plan = Plan(rows, held, BATCH, epochs, PATIENCE)
    is_done = data.train("trajectories", TrajectoryLoss(tuned), columns, plan)
    return tuned if is_done and _differ(tuned, law) else None


def _differ(one: StepLaw, other: StepLaw) -> bool:
    """Tell whether networks differ: those that gained nothing are as they were."""
    weights = (law.channels.members.parameters() for law in (one, other))
    return any(not torch.equal(a, b) for a, b in zip(*weights, strict=True))


def _stimulus(data: TrainingData, rows: Tensor) -> Tensor:
    shown = stimulus_at(data, rows.cpu().numpy())
    if shown is None:
        return torch.empty(len(rows), 0, device=rows.device)
    return shown
