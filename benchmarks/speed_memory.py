"""Bars of memory and of the start, each measured in a process of its own.

Run with a case and its size as arguments, this file is that process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from speed_bar import Bar

N_ROWS, D, LENGTH = 200_000, 100, 20
MIB = 2**20


def memory() -> Iterator[Bar]:
    """Peak above the level before, of fits and of sampling."""
    recording = N_ROWS * D * 4 / MIB
    limits = {("counts", 1): 3.0, ("fit", 1): 3.0, ("fit", 100): 4.0}
    cases = [*limits, ("sample", 5000), ("sample", 20000)]
    with ThreadPoolExecutor(2) as pool:  # memory does not mind company
        measured = dict(zip(cases, pool.map(_measure, cases), strict=True))
    for (case, n_runs), limit in limits.items():
        found = measured[case, n_runs]
        yield Bar(
            f"5 {case}, {N_ROWS} x {D}, window {LENGTH}, {n_runs} runs",
            found["peak"],
            "MiB",
            recording,
            at_most=limit,
            note=f"peak over the recording; {found['window']:.0f} MiB of it windows",
        )
    small, large = measured["sample", 5000], measured["sample", 20000]
    yield Bar(
        "5 sampling 20 000 rows x 100 against 5000, beside the result",
        large["peak"] - large["result"],
        "MiB",
        max(small["peak"] - small["result"], 1.0),
        at_most=1.25,
        note=f"the results take {small['result']:.0f} and {large['result']:.0f} MiB",
    )


def _measure(case: tuple[str, int]) -> dict[str, float]:
    command = [sys.executable, __file__, *map(str, case)]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(out.stdout.splitlines()[-1])


def start() -> Iterator[Bar]:
    """Time to import the package, once torch and scikit-learn are there."""
    code = (
        "import time, sys, torch, sklearn{more}\n"
        "before = set(sys.modules)\n"
        "t = time.perf_counter()\n"
        "import afm_sklearn\n"
        "took = time.perf_counter() - t\n"
        "print(took, *({{'matplotlib', 'pandas'}} & set(sys.modules) - before))"
    )
    parts = ("base", "covariance", "linear_model", "model_selection", "pipeline")
    for name, more in (
        ("torch and sklearn", ""),
        ("those and the parts of sklearn", "".join(f", sklearn.{p}" for p in parts)),
    ):
        runs = []
        for _ in range(4):
            command = [sys.executable, "-c", code.format(more=more)]
            out = subprocess.run(command, capture_output=True, text=True, check=True)
            runs.append(out.stdout.split())
        took = float(np.median([float(run[0]) for run in runs[1:]]))
        extra = runs[-1][1:]
        yield Bar(
            f"7 import after {name}",
            took,
            "s",
            at_most=0.3,
            note=f"of matplotlib and pandas we import: {', '.join(extra) or 'neither'}",
        )


# -- the process that is measured ----------------------------------------------


def status(key: str) -> float:
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(key))
    return int(line.split()[1]) / 1024


def rest() -> float:
    """Resident memory now, once freed pages are given back."""
    import ctypes
    import gc

    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return status("VmRSS")


def _fit_case(n_runs: int) -> dict[str, float]:
    tiny = np.random.default_rng(1).normal(size=(200, 3))
    activity = np.random.default_rng(0).standard_normal((N_ROWS, D), np.float32)
    return _fit_peak(tiny, activity, n_runs)


def _counts_case(n_runs: int) -> dict[str, float]:
    tiny = np.random.default_rng(1).poisson(1.0, (200, 3)).astype(float)
    activity = np.random.default_rng(0).poisson(0.2, (N_ROWS, D)).astype(np.float32)
    return _fit_peak(tiny, activity, n_runs)


def _fit_peak(tiny: np.ndarray, activity: np.ndarray, n_runs: int) -> dict[str, float]:
    from afm_sklearn import AFMForecaster, SlidingWindow, design_matrix

    # Everything is imported and every thread started before the level is taken.
    AFMForecaster(max_epochs=1).fit(design_matrix(tiny), tiny)
    runs = np.repeat(np.arange(n_runs), N_ROWS // n_runs) if n_runs > 1 else None
    X = design_matrix(activity, runs=runs)
    window = SlidingWindow(LENGTH, run_column=-1 if n_runs > 1 else None)
    before = rest()
    windows = window.fit_transform(X)
    held = status("VmRSS") - before
    AFMForecaster(max_epochs=1, random_state=0).fit(windows, activity)
    return {"peak": status("VmHWM") - before, "window": held}


def _sample_case(n_rows: int) -> dict[str, float]:
    from afm_sklearn import AFMForecaster, SlidingWindow, design_matrix

    activity = np.random.default_rng(0).standard_normal((n_rows, 5), np.float32)
    windows = SlidingWindow(10).fit_transform(design_matrix(activity))
    model = AFMForecaster(base="learned", max_epochs=1, random_state=0)
    model.fit(windows[:1000], activity[:1000])
    model.sample(windows[:2000], 100)
    before = rest()
    draws = model.sample(windows, 100)
    return {"peak": status("VmHWM") - before, "result": draws.nbytes / MIB}


if __name__ == "__main__":
    cases = {"fit": _fit_case, "counts": _counts_case, "sample": _sample_case}
    print(json.dumps(cases[sys.argv[1]](int(sys.argv[2]))))
