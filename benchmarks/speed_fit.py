"""Bars of training: the loop, the time to an answer, a search over two workers."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from speed_bar import Bar, interleaved, seconds
from torch import Tensor, nn

from afm_sklearn import AFMForecaster, SlidingWindow, design_matrix, neg_crps_scorer
from afm_sklearn.compute import one_thread
from afm_sklearn.data.store import WindowStore
from afm_sklearn.data.windows import Windows
from afm_sklearn.datasets import make_double_well, make_linear_var
from afm_sklearn.fitting.learned import ChannelLoss
from afm_sklearn.fitting.training import (
    AVERAGING,
    MAX_GRADIENT,
    N_WARM,
    Rows,
    Schedule,
    train,
)
from afm_sklearn.law.gaps import Gaps
from afm_sklearn.law.initial import build
from afm_sklearn.law.linear import LinearLaw
from afm_sklearn.law.networks.architecture import Architecture

N_ROWS, LENGTH, N_CHANNELS = 7000, 10, 20
N_HELD, N_EPOCHS = 1000, 3
LR, WEIGHT_DECAY = 2e-3, 1e-2


def training_loop() -> Iterator[Bar]:
    """One epoch of the skorch loop against one written by hand."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((N_ROWS + LENGTH, N_CHANNELS), np.float32)
    zero, one = np.zeros(N_CHANNELS), np.ones(N_CHANNELS)
    windows = Windows(rows, np.arange(N_ROWS), LENGTH)
    store, gaps = WindowStore.from_windows(windows, zero, one), Gaps(N_CHANNELS)
    y = torch.from_numpy(rows[LENGTH:])
    forecast = torch.zeros(N_ROWS, N_CHANNELS)
    index = torch.arange(N_ROWS)
    training = Rows(store, gaps, index[:-N_HELD], [y, forecast])
    held = Rows(store, gaps, index[-N_HELD:], [y, forecast])
    fresh = _model()
    in_memory = store[index]  # by hand: gathered and looked through once

    for batch_size in (64, 256, 1024):
        schedule = Schedule(
            max_epochs=N_EPOCHS,
            batch_size=batch_size,
            lr=LR,
            weight_decay=WEIGHT_DECAY,
            window_noise=0.0,
            patience=N_EPOCHS,
            seed=0,
        )

        def ours(schedule: Schedule = schedule) -> None:
            model = copy.deepcopy(fresh)
            train(model, training, held, schedule, torch.device("cpu"))

        def by_hand(batch_size: int = batch_size) -> None:
            columns = in_memory, y, forecast
            _train_by_hand(copy.deepcopy(fresh), columns, batch_size)

        with one_thread():  # as fits do
            a, b = interleaved(ours, by_hand)
        yield Bar(
            f"1 epoch of {N_ROWS - N_HELD} rows, batch {batch_size}, plain torch",
            a / N_EPOCHS,
            "s",
            b / N_EPOCHS,
            at_most=1.15,
        )


def _model() -> ChannelLoss:
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
    generator = torch.Generator().manual_seed(0)
    network = build(
        lambda: architecture.marginal_network("window", 3, False), generator
    )
    unit = torch.ones(N_CHANNELS)
    network.start_from(unit, unit.log(), torch.zeros(N_CHANNELS))
    linear = LinearLaw(1, N_CHANNELS, N_CHANNELS)
    return ChannelLoss(network, linear, "gaussian")


def _train_by_hand(
    model: ChannelLoss, columns: Sequence[Tensor], batch_size: int
) -> None:
    """Take the steps of `train` one by one, in plain torch."""
    average = copy.deepcopy(model).requires_grad_(False)
    own, sources = list(average.parameters()), list(model.parameters())
    optimizer = torch.optim.AdamW(sources, LR, weight_decay=WEIGHT_DECAY, fused=True)
    generator, n = torch.Generator().manual_seed(0), len(columns[0]) - N_HELD
    n_total, step, best = N_EPOCHS * -(-n // batch_size), 0, math.inf

    def loss(network: ChannelLoss, rows: Tensor | slice) -> Tensor:
        x, *others = (column[rows] for column in columns)
        return network.loss(x, None, *others, generator=generator)

    for _ in range(N_EPOCHS):
        for rows in torch.randperm(n, generator=generator).split(batch_size):
            # The rate rises for some steps, then falls along half a cosine.
            warm = min(1.0, (step + 1) / min(N_WARM, max(1, n_total // 10)))
            fall = 0.5 * (1 + math.cos(math.pi * step / n_total))
            optimizer.param_groups[0]["lr"] = LR * warm * (0.05 + 0.95 * fall)
            optimizer.zero_grad(set_to_none=True)
            loss(model, rows).backward()
            nn.utils.clip_grad_norm_(sources, MAX_GRADIENT)
            optimizer.step()
            step += 1
            with torch.no_grad():
                torch._foreach_lerp_(
                    own, sources, 1 - min(AVERAGING, step / (step + 10))
                )
        with torch.no_grad():
            validated = float(loss(average, slice(n, None)))
        if validated < best:
            best, kept = validated, copy.deepcopy(average.state_dict())
    model.load_state_dict(kept)


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
