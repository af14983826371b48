"""Learning what a flow makes of each channel alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from torch import Tensor
from torch.special import ndtri

from ..compute import row_parts
from ..law.distribution import StepDistribution
from ..law.flow.margins import Margins
from ..law.pool import PoolLaw
from ..law.step import StepLaw
from .data import TrainingData
from .dependence import mean_points
from .origins import spread_rows, windows_at

Array = NDArray[Any]

N_ROWS, N_POINTS = 1500, 32
NUMBERS = 6e6  # moved by the flow to learn from
HELD_ROWS, HELD_POINTS = 48, 256
MIN_ROWS = 100
PENALTIES = np.logspace(-2, 6, 17)
MEAN_TOLERANCE = 0.02  # of the spread, root mean square, in the worst channel
LEVEL_TOLERANCE = 0.02  # of the levels of quantiles, the same
LEVELS = 0.05, 0.5, 0.95


@torch.no_grad()
def learn_margins(data: TrainingData, law: Any) -> None:
    """Give laws with a flow what they need for means and quantiles.

    An affine map of what the networks see, where it is true of rows held back; else
    as many points of fixed noise as a mean needs.

    Parameters
    ----------
    data : TrainingData
    law : StepLaw, ResidualLaw or PoolLaw
        Newly fitted.
    """
    for member in law.members if isinstance(law, PoolLaw) else [law]:
        if isinstance(member, StepLaw) and member.flow is not None:
            member.margins = _fitted(data, member)
            if member.margins is None:
                member.n_points = mean_points(data, member)


def _fitted(data: TrainingData, law: StepLaw) -> Margins | None:
    d = data.n_outputs
    n_rows = min(N_ROWS, int(NUMBERS / (N_POINTS * d)))
    rows = spread_rows(data.fit_rows[data.usable[data.fit_rows]], n_rows)
    if len(rows) < MIN_ROWS:
        return None
    parts = [
        _moved(law.start(windows_at(data, rows[part])).predict())
        for part in row_parts(len(rows), N_POINTS * max(d, law.width))
    ]
    features, moved = (
        torch.cat(each).cpu().double().numpy() for each in zip(*parts, strict=True)
    )
    margins = Margins(features.shape[1], d)
    coef, intercept = _ridge(features, moved)
    margins.coef.copy_(torch.as_tensor(coef))
    margins.intercept.copy_(torch.as_tensor(intercept))
    margins = margins.to(data.device)
    return margins if _holds(data, law, margins) else None


def _moved(p: StepDistribution) -> tuple[Tensor, Tensor]:
    """Features (n, f), and gains, shifts and stretches (n, 3 d) of points."""
    before, after = p.scores(N_POINTS)
    gain = p.gains(before, after).mean(1)
    # Few points are not evenly spaced before the flow, either.
    apart = after.sort(1).values - before.sort(1).values
    z = ndtri((torch.arange(N_POINTS, dtype=torch.float64) + 0.5) / N_POINTS)
    z = z.to(after)[:, None]
    stretch = 1 + (apart * z).sum(1) / z.square().sum()
    return p.features, torch.cat([gain, apart.mean(1), stretch], 1)


def _ridge(x: Array, y: Array) -> tuple[Array, Array]:
    """Coefficients (f, k) and intercepts (k,) of ridge regressions, each its penalty.

    Of what varies: the others are constants.
    """
    mean, scale = x.mean(0), x.std(0)
    scale[scale == 0] = 1.0
    offset, unit = y.mean(0), y.std(0)
    unit[unit == 0] = 1.0
    ridge = RidgeCV(PENALTIES, alpha_per_target=True, fit_intercept=False)
    ridge.fit((x - mean) / scale, (y - offset) / unit)
    coef = ridge.coef_.reshape(y.shape[1], -1).T * unit / scale[:, None]
    return coef, offset - mean @ coef


def _holds(data: TrainingData, law: StepLaw, margins: Margins) -> bool:
    """Tell whether means and quantiles of rows held back are near enough."""
    some = data.held if len(data.held) else data.fit_rows
    some = spread_rows(some[data.usable[some]], HELD_ROWS)
    if not len(some):
        return False
    p = law.start(windows_at(data, some)).predict()
    moved = margins(p.features)
    before, after = p.scores(HELD_POINTS)
    gain = p.gains(before, after).mean(1)
    # Of a channel that never changes, nothing is to be told.
    spread = p.family().variance.sqrt().clamp(min=1e-6)
    error = ((moved.gain - gain) / spread).square().mean(0).sqrt()
    levels = torch.tensor(LEVELS).to(after)
    z = moved.carry(ndtri(levels)[None, :, None].expand(len(after), -1, 1))
    below = torch.stack(
        [(after <= at[:, None]).to(after).mean(1) for at in z.unbind(1)]
    )
    off = (below - levels[:, None, None]).square().mean(1).sqrt()
    return bool((error <= MEAN_TOLERANCE).all() and (off <= LEVEL_TOLERANCE).all())
