"""Bars of a recording as large as the paper's, measured in a process of its own.

1000 parcels, 100 stimulus columns, windows of 22 steps, 40 runs; a low-rank linear
system in noise. Run with a number of steps as argument, this file is that process.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
from speed_bar import Bar
from speed_memory import MIB, rest, status

N_STEPS, D, N_STIMULI, N_RUNS, LENGTH = 20_000, 1000, 100, 40, 22
N_LATENTS = 20


def paper() -> Iterator[Bar]:
    """Time and memory of a default fit, and where the time goes."""
    command = [sys.executable, "-W", "ignore", __file__, str(N_STEPS)]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(out.stdout.splitlines()[-1])
    name = f"11 default fit, {N_STEPS} x {D}, {N_RUNS} runs"
    yield Bar(name, found["seconds"], "s", at_most=360.0, note=found["stages"])
    yield Bar(
        f"{name}, memory",
        found["peak"],
        "MiB",
        found["recording"],
        at_most=6.0,
        note="peak above the recording",
    )


def recording(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Activity and stimulus of latent dynamics that are driven and seen in noise."""
    rng = np.random.default_rng(seed)
    turn = 0.95 * np.linalg.qr(rng.normal(size=(N_LATENTS, N_LATENTS)))[0]
    out = rng.normal(size=(N_LATENTS, D)) / np.sqrt(N_LATENTS)
    drive = 0.3 * rng.normal(size=(N_STIMULI, N_LATENTS)) / np.sqrt(N_STIMULI)
    stimulus = rng.standard_normal((n, N_STIMULI), np.float32)
    activity, state = np.empty((n, D), np.float32), np.zeros(N_LATENTS)
    for t in range(n):
        state = turn @ state + 0.3 * rng.normal(size=N_LATENTS) + stimulus[t] @ drive
        activity[t] = state @ out + 0.5 * rng.normal(size=D)
    return activity, stimulus


def _measure(n: int) -> dict[str, float | str]:
    from afm_sklearn import AFMForecaster, SlidingWindow, design_matrix

    tiny = np.random.default_rng(1).normal(size=(200, 3))
    AFMForecaster(max_epochs=1).fit(design_matrix(tiny), tiny)
    activity, stimulus = recording(n)
    runs = np.arange(n) * N_RUNS // n
    X = design_matrix(activity, stimulus, runs=runs).astype(np.float32)
    size, before = (activity.nbytes + stimulus.nbytes) / MIB, rest()
    told, start = io.StringIO(), time.perf_counter()
    windows = SlidingWindow(LENGTH, run_column=-1).fit_transform(X)
    with contextlib.redirect_stdout(told):
        AFMForecaster(random_state=0, verbose=1).fit(windows, activity)
    return {
        "seconds": time.perf_counter() - start,
        "peak": status("VmHWM") - before,
        "recording": size,
        "stages": ", ".join(_stages(told.getvalue())),
    }


def _stages(lines: str) -> Iterator[str]:
    for line in lines.splitlines():
        if not line.endswith("left"):  # that tells how far a stage is
            yield f"{line.split(':')[0]} {line.split(', ')[-1]}"


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]))))
