"""Bars of training: the loop, the time to an answer, a search over two workers."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import numpy as np
import torch
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from speed_bar import Bar, interleaved, seconds
from torch import Tensor, nn

from afm_sklearn import AFMForecaster, SlidingWindow, design_matrix, neg_crps_scorer
from afm_sklearn.datasets import make_double_well, make_linear_var
from afm_sklearn.history import Standardizer, WindowStore
from afm_sklearn.marginals import GaussianMixture
from afm_sklearn.net import Objective, Rows, Schedule, train
from afm_sklearn.networks.architecture import Architecture
from afm_sklearn.networks.marginal import MarginalNetwork

N_ROWS, LENGTH, N_CHANNELS = 7000, 10, 20
N_HELD, N_EPOCHS = 1000, 3
LR, WEIGHT_DECAY, KEEP, CLIP = 2e-3, 1e-2, 0.99, 1.0


def training_loop() -> Iterator[Bar]:
    """One epoch of the skorch loop against one written by hand."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(N_ROWS + LENGTH, N_CHANNELS, generator=generator)
    store = WindowStore(rows, torch.arange(N_ROWS), LENGTH)
    y, forecast = rows[LENGTH:], torch.zeros(N_ROWS, N_CHANNELS)
    standardizer = Standardizer(torch.zeros(N_CHANNELS), torch.ones(N_CHANNELS))
    index = torch.arange(N_ROWS)
    training = Rows(store, index[:-N_HELD], [y, forecast])
    held = Rows(store, index[-N_HELD:], [y, forecast])
    torch.manual_seed(0)
    fresh = _network()
    windows = standardizer(store[index], False)[0]  # by hand: once, and all in memory

    for batch_size in (64, 256, 1024):
        schedule = Schedule(
            N_EPOCHS, batch_size, LR, WEIGHT_DECAY, 0.0, N_EPOCHS, True, 0, 0
        )

        def ours(schedule: Schedule = schedule) -> None:
            objective = Objective(standardizer, copy.deepcopy(fresh))
            train(objective, training, held, schedule, torch.device("cpu"))

        def by_hand(batch_size: int = batch_size) -> None:
            _train_by_hand(copy.deepcopy(fresh), windows, y, forecast, batch_size)

        a, b = interleaved(ours, by_hand)
        yield Bar(
            f"1 epoch of {N_ROWS - N_HELD} rows, batch {batch_size}, plain torch",
            a / N_EPOCHS,
            "s",
            b / N_EPOCHS,
            at_most=1.15,
        )


def _network() -> MarginalNetwork:
    architecture = Architecture(
        encoder="mlp",
        length=LENGTH,
        n_channels=N_CHANNELS,
        n_outputs=N_CHANNELS,
        n_lagged=N_CHANNELS,
        groups={},
        scales=(1, 5),
        hidden_dim=128,
        n_layers=2,
    )
    unit = torch.ones(N_CHANNELS)
    return MarginalNetwork(architecture, GaussianMixture(), unit, unit.log(), 3)


def _train_by_hand(
    network: nn.Module, x: Tensor, y: Tensor, forecast: Tensor, batch_size: int
) -> None:
    """The same arithmetic: AdamW, clipping, average of the weights, validation."""
    network.train()
    average = copy.deepcopy(network).requires_grad_(False)
    own, sources = list(average.parameters()), list(network.parameters())
    optimizer = torch.optim.AdamW(sources, LR, weight_decay=WEIGHT_DECAY, fused=True)
    generator, n = torch.Generator().manual_seed(0), len(x) - N_HELD
    n_steps, step, best = N_EPOCHS * -(-n // batch_size), 0, math.inf
    held = slice(n, None)
    for _ in range(N_EPOCHS):
        for rows in torch.randperm(n, generator=generator).split(batch_size):
            warm = min(1.0, (step + 1) / min(50, max(1, n_steps // 10)))
            rate = 0.5 * (1 + math.cos(math.pi * step / n_steps))
            optimizer.param_groups[0]["lr"] = LR * warm * (0.05 + 0.95 * rate)
            optimizer.zero_grad(set_to_none=True)
            loss = network.loss(x[rows], None, y[rows], forecast[rows], generator)
            loss.backward()
            nn.utils.clip_grad_norm_(sources, CLIP)
            optimizer.step()
            step += 1
            with torch.no_grad():
                keep = min(KEEP, step / (step + 10))
                torch._foreach_lerp_(own, sources, 1 - keep)
        with torch.no_grad():
            loss = float(
                average.loss(x[held], None, y[held], forecast[held], generator)
            )
        if loss < best:
            best = loss
            copy.deepcopy(average.state_dict())


def time_to_answer() -> Iterator[Bar]:
    """A fit at the defaults."""
    makers = {
        "linear VAR": lambda n: make_linear_var(n, N_CHANNELS, 0, random_state=0),
        "double wells": lambda n: make_double_well(n, N_CHANNELS, random_state=0),
    }
    for n_rows, limit in ((N_ROWS, 30.0), (300, 5.0)):
        for name, make in makers.items():
            activity = make(n_rows).activity
            X = SlidingWindow(LENGTH).fit_transform(design_matrix(activity))
            model = AFMForecaster(random_state=0)
            took = seconds(lambda m=model, X=X, y=activity: m.fit(X, y))
            yield Bar(
                f"2 default fit, {name}, {n_rows} x {LENGTH} x {N_CHANNELS}",
                took,
                "s",
                at_most=limit,
                note=f"kept: {model.base_}",
            )


def search() -> Iterator[Bar]:
    """A grid search over two workers against one."""
    activity = make_linear_var(1500, 8, 0, random_state=0).activity
    X = design_matrix(activity)
    pipe = make_pipeline(
        SlidingWindow(5), AFMForecaster(base="learned", max_epochs=8, random_state=0)
    )
    grid = {"slidingwindow__length": [5, 10], "afmforecaster__hidden_dim": [64, 128]}
    times, scores = [], []
    for n_jobs in (1, 2):
        found = GridSearchCV(
            pipe, grid, scoring=neg_crps_scorer, cv=TimeSeriesSplit(3), n_jobs=n_jobs
        )
        times.append(seconds(lambda found=found: found.fit(X, activity)))
        scores.append(found.cv_results_["mean_test_score"])
    same = np.allclose(*scores, rtol=1e-5)
    yield Bar(
        "8 grid search of 12 fits, n_jobs=2 against 1",
        times[1],
        "s",
        times[0],
        at_most=1.0,
        note=f"scores {'agree' if same else 'DIFFER'}; one worker uses all threads",
    )
