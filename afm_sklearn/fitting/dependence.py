"""The third stage: correlated noise, and a flow to the dependence that remains."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..compute import parted, row_parts
from ..law.channels import ChannelLaws
from ..law.correlation import correlation_root, shrunk_correlation
from ..law.dependence import middle_score
from ..law.flow.matching import Flow
from ..law.flow.solvers import steps_needed
from ..law.initial import build
from ..law.step import StepLaw
from ..metrics import crps, energy_score
from .data import TrainingData, copy_networks
from .linear import LinearStage
from .origins import windows_at
from .training import Trainable

Array = NDArray[np.float64]

MAX_COPULA_ROWS = 20000
MAX_SCORED_ROWS = 1000
N_SCORED_DRAWS = 50
STEP_ROWS, STEP_DRAWS = 64, 64
STEP_TOLERANCE = 0.015  # of the spread, that more solver steps may move a draw
POINT_ROWS = 24
POINTS, MANY_POINTS = (8, 16, 32, 64, 128), 512
POINT_TOLERANCE = 0.01  # of the spread, that more points may move the mean


class FlowLoss(Trainable):
    """Conditional flow-matching loss of a flow from noise of a given root."""

    root: Tensor

    def __init__(self, flow: Flow, root: Tensor):
        super().__init__()
        self.flow = flow
        self.register_buffer("root", root)

    def loss(
        self,
        x: Tensor,
        missing: Tensor | None,
        *columns: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the loss of both ends of the intervals of normal scores (n, d)."""
        low, high = columns
        code = self.flow.encoder(x, missing)
        return self.flow.loss(code, self.root, low, high, generator)

    def weight(self, *columns: Tensor) -> int:
        """Return how many targets were observed."""
        return int((~torch.isnan(columns[0])).sum())


def normal_scores(
    data: TrainingData, pool: ChannelLaws, forecast: Tensor, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Both ends of the interval of normal scores of the rows, NaN where missing."""
    low = data.empty(len(rows), data.n_outputs)
    high = torch.empty_like(low) if data.is_counts else low

    @torch.no_grad()
    def put(at: slice) -> None:
        x, missing = data.filled(rows[at])
        y = data.target[rows[at]]
        law = pool(forecast[rows[at]], pool.encode(x, missing))
        seen = torch.isfinite(y)
        ends = law.normal_scores(torch.where(seen, y, 0.0))
        for kept, end in zip((low, high), ends, strict=True):
            kept[at] = torch.where(seen, end, torch.nan)

    data.run([partial(put, part) for part in data.parts(len(rows))])
    return low, high


def noise_factor(data: TrainingData, pool: ChannelLaws, forecast: Tensor) -> Tensor:
    """Cholesky factor (d, d) of the correlation of the normal scores."""
    d = data.n_outputs
    if data.settings.base == "normal" or d == 1:
        return data.tensor(np.eye(d))
    rows = data.index(np.flatnonzero(data.complete)[-MAX_COPULA_ROWS:])
    scores, high = normal_scores(data, pool, forecast, rows)
    if data.is_counts:
        generator = torch.Generator(data.device).manual_seed(data.settings.seed)
        for part in row_parts(*scores.shape):
            low = scores[part]
            share = torch.empty_like(low).uniform_(generator=generator)
            scores[part] = middle_score(low, high[part], share)
    correlation = shrunk_correlation(scores.cpu().numpy())
    return data.tensor(correlation_root(correlation))


def fit_flow(
    data: TrainingData,
    pool: ChannelLaws,
    stage: LinearStage,
    factor: Tensor,
    previous: StepLaw | None,
) -> Flow | None:
    """Train the flow from the correlated noise to the normal scores; None if it fails.

    It starts from the flow of the `previous` law, if that has one.
    """
    every = torch.arange(len(stage.forecast), device=data.device)
    low, high = normal_scores(data, pool, stage.forecast, every)
    flow = build(lambda: data.architecture.flow(data.settings.path), data.generator)
    flow.to(data.device)
    if previous is not None and previous.flow is not None:
        copy_networks(previous.flow, flow)
    if not data.train("flow", FlowLoss(flow, factor), [low, high]):
        return None
    return flow


@torch.no_grad()
def solver_steps(data: TrainingData, flow: Flow, factor: Tensor) -> int:
    """Solver steps after which more of them would hardly move a draw."""
    s = data.settings
    if s.n_steps != "auto":
        return int(s.n_steps)
    x, missing = data.filled(data.index(_some(data, STEP_ROWS)))
    field = flow.field(flow.encoder(x, missing), {})
    shape = (STEP_ROWS, STEP_DRAWS, data.n_outputs)
    generator = torch.Generator(data.device).manual_seed(s.seed)
    noise = data.empty(*shape).normal_(generator=generator)
    return steps_needed(field, noise @ factor.T, s.solver, STEP_TOLERANCE)


@torch.no_grad()
def mean_points(data: TrainingData, law: StepLaw) -> int:
    """Points of fixed noise after which more of them would hardly move a mean.

    What the flow adds to the mean is averaged over them: few are enough where it
    moves draws little.
    """
    windows = windows_at(data, _some(data, POINT_ROWS))
    p = law.start(windows).predict()
    gain = p.gains(*p.scores(MANY_POINTS)) / p.family().variance.sqrt()[:, None]
    for n_points in POINTS[:-1]:
        error = gain[:, :n_points].mean(1) - gain.mean(1)
        if bool((error.square().mean(0).sqrt() <= POINT_TOLERANCE).all()):
            return n_points
    return POINTS[-1]


def _some(data: TrainingData, n: int) -> Array:
    """Take n rows, that were held back if any were."""
    some = data.held if len(data.held) else data.fit_rows
    return some[np.linspace(0, len(some) - 1, n).astype(int)]


def held_scores(data: TrainingData, law: StepLaw) -> Array:
    """CRPS plus energy score of held rows, each relative to its dimension."""
    s, d = data.settings, data.n_outputs
    generator = torch.Generator(data.device).manual_seed(s.seed)
    rows, frame = data.held[:MAX_SCORED_ROWS], law.frame
    parts = data.parts(len(rows))

    @torch.no_grad()
    def score(part: slice, noise: torch.Generator) -> Array:
        some = data.index(rows[part])
        windows = data.store[some].double() * frame.x_scale + frame.x_mean
        draws = law.start(windows).predict().rsample(N_SCORED_DRAWS, generator=noise)
        draws = ((draws - frame.y_mean) / frame.y_scale).cpu().numpy()
        given = data.target[some].double().cpu().numpy()
        # A missing entry must not count: the mean draw costs both laws alike.
        target = np.where(np.isfinite(given), given, draws.mean(1))
        apart: Array = energy_score(target, draws) / np.sqrt(d)
        return crps(target, draws).mean(1) + apart

    both = zip(parts, parted(generator, len(parts)), strict=True)
    return np.concatenate(data.run([partial(score, *each) for each in both]))
