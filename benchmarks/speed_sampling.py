"""Bars of sampling: trajectories of a large population, one closed-loop step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
from speed_bar import Bar, interleaved, seconds
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from afm_sklearn import AFMForecaster, SlidingWindow, design_matrix
from afm_sklearn.law import StepLaw

D, LENGTH, N_STIMULI, HORIZON, N_SAMPLES = 1000, 22, 100, 8, 100
EULER_STEPS = 50


@cache
def _model(d: int, length: int, n_stimuli: int, n_rows: int) -> tuple:
    """Fit for one epoch, so that there is a flow of the full size."""
    rng = np.random.default_rng(0)
    activity = rng.normal(size=(n_rows, d)).astype(np.float32)
    stimulus = rng.normal(size=(n_rows, n_stimuli)).astype(np.float32)
    X = design_matrix(activity, stimulus if n_stimuli else None)
    X = SlidingWindow(length).fit_transform(X.astype(np.float32))
    model = AFMForecaster(base="learned", max_epochs=1, random_state=0)
    model.fit(X, activity)
    assert model.law_.flow is not None
    return model, X


def trajectories() -> Iterator[Bar]:
    """Against the textbook sampler, and as a share of the peak of matmul."""
    model, X = _model(D, LENGTH, N_STIMULI, n_rows=300)
    law, peak = model.law_, _matmul_peak()
    rng = np.random.default_rng(1)
    # The cost of Euler steps is the same for each: a few are run, and scaled.
    for n, n_run, repeats in ((1, 5, 5), (8, 1, 3)):
        windows = np.array(X[-n:])
        future = rng.normal(size=(n, HORIZON, N_STIMULI)).astype(np.float32)

        def ours(windows: np.ndarray = windows, future: np.ndarray = future) -> None:
            model.sample_trajectories(
                windows, HORIZON, stimulus=future, n_samples=N_SAMPLES, random_state=0
            )

        ours()
        took = float(np.median([seconds(ours) for _ in range(repeats)]))
        at, stimulus = torch.tensor(windows), torch.tensor(future)
        textbook = seconds(lambda a=at, s=stimulus, k=n_run: _textbook(law, a, s, k))
        yield Bar(
            f"3 trajectories {n} x {N_SAMPLES} x {HORIZON} x {D}",
            took,
            "s",
            textbook * EULER_STEPS / n_run,
            at_least=50.0,
            inverse=True,
            note=f"reference: Euler, {n_run} of {EULER_STEPS} steps run, scaled; "
            "window encoded again in each",
        )
        n_threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the counter sees what is done on its own thread
        with FlopCounterMode(display=False) as counter:
            ours()
        torch.set_num_threads(n_threads)
        rate = counter.get_total_flops() / took
        yield Bar(
            f"3 share of the matmul peak, {n} origins",
            rate / 1e9,
            "GF/s",
            peak / 1e9,
            at_least=0.5,
            note=f"{counter.get_total_flops() / 1e9:.2f} GFLOP of products",
        )


@torch.inference_mode()
def _textbook(law: StepLaw, windows: Tensor, stimulus: Tensor, n_steps: int) -> Tensor:
    """Roll out by Euler steps that encode the window again in every evaluation."""
    assert law.flow is not None
    windows = windows.repeat_interleave(N_SAMPLES, 0)
    stimulus = stimulus.repeat_interleave(N_SAMPLES, 0)
    out = []
    for h in range(HORIZON):
        windows[:, -1, D:] = stimulus[:, h]
        z = torch.randn(len(windows), 1, D)
        for k in range(n_steps):
            x = law.frame.standardize(windows).to(z)
            code = law.flow.encoder(x, None)
            z = z + law.flow.field(code)(z, k / n_steps) / n_steps
        y = law.frame.to_y(z)[:, 0].to(windows)
        out.append(y)
        newest = torch.cat([y, stimulus[:, h]], 1)
        windows = torch.cat([windows[:, 1:], newest[:, None]], 1)
    return torch.stack(out, 1)


def _matmul_peak(size: int = 2048) -> float:
    """Operations a second of the best of ten products of square matrices."""
    a, b = torch.randn(2, size, size).unbind(0)
    torch.mm(a, b)
    return 2 * size**3 / min(seconds(lambda: torch.mm(a, b)) for _ in range(10))


def closed_loop() -> Iterator[Bar]:
    """One step for one window: what a closed-loop experiment waits for."""
    for d, n_rows, limit in ((100, 500, 3.0), (1000, 300, 20.0)):
        n_stimuli = N_STIMULI if d == D else 0  # the model of the trajectories
        model, X = _model(d, LENGTH, n_stimuli, n_rows=n_rows)
        window, shown = np.array(X[-1:]), np.zeros((1, 1, n_stimuli))
        ahead = {"stimulus": shown} if n_stimuli else {}
        times = []
        for k in range(530):
            start = time.perf_counter()
            model.sample_trajectories(
                window, 1, n_samples=N_SAMPLES, random_state=k, **ahead
            )
            times.append(1e3 * (time.perf_counter() - start))
        times = times[30:]
        name = f"4 one step, d={d}, {N_SAMPLES} samples"
        yield Bar(f"{name}, median", float(np.median(times)), "ms", at_most=limit)
        if d == 100:
            tail = float(np.quantile(times, 0.99))
            yield Bar(f"{name}, 99 %", tail, "ms", at_most=10.0)
            yield _bare(model, window)


@torch.inference_mode()
def _bare(model: AFMForecaster, window: np.ndarray) -> Bar:
    """The same step of the law alone, as written to a file and read again."""
    law = StepLaw.from_config(model.law_.config())
    law.load_state_dict(model.law_.state_dict())
    at, generator = torch.tensor(window), torch.Generator().manual_seed(0)
    whole, alone = interleaved(
        lambda: model.sample_trajectories(window, 1, n_samples=N_SAMPLES),
        lambda: law.start(at).predict().rsample(N_SAMPLES, generator=generator),
        repeats=100,
    )
    return Bar(
        "4 one step, without the checks of the forecaster",
        1e3 * alone,
        "ms",
        1e3 * whole,
        note="reference: with them",
    )
