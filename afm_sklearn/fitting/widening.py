"""How far a forecast moves between stimuli that lie so far apart: a variogram."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..law.past import Past
from ..law.step import StepLaw
from ..law.widening import DISTANCES, Widening
from .data import TrainingData

N_PAIRS = 4000
MIN_PAIRS = 50  # that tell how far it moves
MIN_NOISE, SMALL = 1e-6, 0.1  # of a variance of 1, and of that of all channels
EDGES = (0.025, 0.1, 0.225, 0.4, 0.75)  # between the distances


def learn_widening(data: TrainingData, law: StepLaw) -> Widening:
    """Learn what a stimulus outside its training range adds to the variance.

    The stimulus of windows of training is swapped for that of others. How far the
    forecast moves, more than between like stimuli, is told by how far the newest
    stimuli lie apart, channel by channel.

    Parameters
    ----------
    data : TrainingData
    law : StepLaw
        A law fitted to it.

    Returns
    -------
    Widening
    """
    c = data.store.steps.shape[1]
    widening = Widening(c)
    n_lagged = data.n_outputs if data.settings.is_autoregressive else 0
    rows = np.flatnonzero(data.regular & data.complete)
    if c == n_lagged or len(rows) < MIN_PAIRS:
        return widening
    rng = np.random.default_rng(data.settings.seed)
    first, second = (data.index(rng.choice(rows, N_PAIRS)) for _ in range(2))
    parts = data.run(
        [
            partial(_swap, data, law, first[part], second[part], n_lagged)
            for part in data.parts(N_PAIRS)
        ]
    )
    moved, noise, apart = (
        torch.cat(values).double().cpu() for values in zip(*parts, strict=True)
    )
    noise = noise.nanmean(0)
    floor = max(MIN_NOISE, SMALL * float(noise.nanmean()))
    # One ratio for all channels: those silent so far may be driven out there.
    moved = (moved / noise.clamp(min=floor)).nanmean(1)
    for k in range(c - n_lagged):
        span = law.frame.x_high[n_lagged + k] - law.frame.x_low[n_lagged + k]
        widening.excess[n_lagged + k].copy_(_excess(moved, apart[:, k] / span.cpu()))
    return widening


@torch.no_grad()
def _swap(
    data: TrainingData, law: StepLaw, i: Tensor, j: Tensor, n_lagged: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Squared moves (k, d) of forecasts, their squared errors, distances (k, s)."""
    (own, missing), (other, _) = data.filled(i), data.filled(j)
    swapped = torch.cat([own[..., :n_lagged], other[..., n_lagged:]], 2)
    mean, elsewhere = (
        law.frame.to_u(
            law.distribution(law.embed(Past(law.frame, x, missing)), None, {}).center
        )
        for x in (own, swapped)
    )
    moved, error = (elsewhere - mean).square(), (data.target[i] - mean).square()
    return moved, error, (own - other)[:, -1, n_lagged:].abs()


def _excess(moved: Tensor, apart: Tensor) -> Tensor:
    """Mean move at each of the `DISTANCES` beyond that between like stimuli."""
    place = torch.bucketize(apart, apart.new_tensor(EDGES))
    n = torch.bincount(place, minlength=len(DISTANCES))
    total = torch.bincount(place, weights=moved, minlength=len(DISTANCES))
    if n[0] < MIN_PAIRS:
        return torch.zeros_like(total)
    mean = total / n.clamp(min=1)
    excess = torch.where(n >= MIN_PAIRS, mean - mean[0], 0.0)
    return excess.cummax(0).values
