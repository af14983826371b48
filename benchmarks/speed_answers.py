"""Bars of what a user waits for: answers, the first fit, a machine that is shared."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from speed_bar import Bar, interleaved

from afm_sklearn import AFMForecaster, SlidingWindow, design_matrix
from afm_sklearn.datasets import make_double_well, make_linear_var, make_sparse_events

N_ROWS = 600
FRESH = """
import sys, time
import numpy as np
from afm_sklearn import AFMForecaster, SlidingWindow, design_matrix
from afm_sklearn.datasets import make_linear_var
y = make_linear_var(n_times={sizes}[-1], n_channels={d}, random_state=0).activity
X = SlidingWindow({length}).fit_transform(design_matrix(y))
for n in {sizes}:
    start = time.perf_counter()
    model = AFMForecaster(random_state=0, {arguments}).fit(X[:n], y[:n])
    print(time.perf_counter() - start)
draw = lambda: model.sample(X[:300], 100, random_state=0)
for ask in (draw, lambda: model.predict(X)):
    start = time.perf_counter()
    ask()
    print(time.perf_counter() - start)
"""


def answers() -> Iterator[Bar]:
    """Means beside draws of the same rows; draws of an easy and of a hard law."""
    wells = make_double_well(n_times=2000, n_channels=20, random_state=0).activity
    cases = {
        "pool": (_windows(make_linear_var(2000, 75, random_state=0).activity), {}),
        "pool of a nonlinear system": (_windows(wells), {}),
        "learned, with a flow": (_windows(wells), {"base": "learned"}),
    }
    for name, ((X, y), arguments) in cases.items():
        model = AFMForecaster(random_state=0, max_epochs=20, **arguments).fit(X, y)
        rows = X[-N_ROWS:]
        mean, draws = interleaved(
            lambda m=model, at=rows: m.predict(at),
            lambda m=model, at=rows: m.sample(at, 20, random_state=0),
        )
        title = f"9 predict, {name} ({model.base_})"
        note = "reference: 20 draws of the same rows"
        yield Bar(title, mean, "s", draws, at_most=1.0, note=note)
    X, y = _windows(make_double_well(4500, 5, random_state=0).activity)
    model = AFMForecaster(random_state=0, max_epochs=20).fit(X[:2000], y[:2000])
    (mean,) = interleaved(lambda: model.predict(X[-4000:]))
    yield Bar(f"9 predict 4000 x 5 ({model.base_})", mean, "s", at_most=0.5)
    took = []
    for activity in (
        make_linear_var(1500, 120, random_state=0).activity,
        make_sparse_events(
            n_times=1500, n_neurons=120, amplitudes=True, random_state=0
        ).activity,
    ):
        X, y = _windows(activity)
        model = AFMForecaster(base="learned", max_epochs=10, random_state=0).fit(X, y)
        took += interleaved(
            lambda m=model, at=X[-N_ROWS:]: m.sample(at, 100, random_state=0),
            repeats=3,
        )
    note = "reference: a linear system; 600 rows x 100 draws x 120 channels"
    yield Bar(
        "9 draws of sparse amplitudes", took[1], "s", took[0], at_most=2.0, note=note
    )


def shared_machine() -> Iterator[Bar]:
    """The first fit of a process; default threads beside busy processes."""
    first, second, *_ = _fresh({}, sizes=(300, 300), d=5, length=3, arguments="")
    yield Bar("10 first fit of a process", first, "s", second, at_most=1.2)
    for n_busy in (0, 1, 2):
        with _busy(n_busy):
            one = _fresh({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
            default = _fresh({})
        for k, what in enumerate(("fit", "sample", "predict")):
            name = f"10 {what}, default threads, {n_busy} busy neighbours"
            note = "reference: one thread"
            yield Bar(name, default[k], "s", one[k], at_most=1.5, note=note)


def _windows(activity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    X = SlidingWindow(5).fit_transform(design_matrix(activity))
    return np.asarray(X), activity


def _fresh(
    setting: dict[str, str],
    sizes: tuple[int, ...] = (600,),
    d: int = 100,
    length: int = 22,
    arguments: str = "batch_size=256, max_epochs=8",  # batches that have parts
) -> list:
    """Seconds of fits, of draws and of means in a process of their own."""
    code = FRESH.format(sizes=sizes, d=d, length=length, arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, **setting},
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(line) for line in done.stdout.split()]


@contextmanager
def _busy(n: int) -> Iterator[None]:
    """Keep so many cores busy."""
    workers = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(n)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.terminate()


def _spin() -> None:
    while True:
        pass
