"""One model over many sessions, beside models of each session alone.

    python benchmarks/sessions.py                 simulated sessions
    python benchmarks/sessions.py --data FOLDER   and recordings
    python benchmarks/sessions.py --quick         fewer and shorter sessions

Simulated: eight sessions of 60 neurons that share latent dynamics; a new one, of which
2 minutes (240 steps at 2 Hz), 4 minutes or much was recorded; and one that shares
nothing. Recorded: the listeners of a story, the last ones adapted to from the others,
and a recording of a rat's hippocampus in four blocks with alternating halves of its
units. Ratios to a model of the session alone: CRPS one step ahead and the energy score
of 8-step trajectories on rows that neither saw. The exit status is 1 if a bar is
missed.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import RidgeCV
from trust_recordings import load

from afm_sklearn import (
    AFMForecaster,
    ResidualForecaster,
    crps,
    design_matrix,
    energy_score,
    stack_sessions,
)
from afm_sklearn.datasets import make_sessions

LENGTH, HORIZON, N_SAMPLES = 3, 8, 400
FEW, SOME, MANY = 240, 480, 2400
N_TEST, N_NEW_LISTENERS = 800, 3
PENALTIES = np.logspace(-2, 6, 17)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of the recordings")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    missed = 0
    for name, measure, ratio, bar in lines(arguments):
        is_met = ratio <= bar
        missed += not is_met
        verdict = "met" if is_met else "NOT MET"
        print(
            f"{name:44}{measure:28}{ratio:8.3f}   at most {bar}  {verdict}", flush=True
        )
    print(f"{missed} bars not met.")
    sys.exit(1 if missed else 0)


def lines(arguments):
    yield from simulated(arguments.quick)
    if arguments.data is not None:
        yield from listeners(arguments.data)
        yield from blocks_of_units(arguments.data)


def simulated(quick):
    n_sessions, n_steps = (3, 1200) if quick else (8, 2400)
    *known, new, alien = make_sessions(
        n_sessions + 1, n_steps + N_TEST + 50, n_alien=1, random_state=0
    )
    stacked = [(s.activity[:n_steps], s.stimulus[:n_steps], s.name) for s in known]
    model = AFMForecaster(window_length=LENGTH, random_state=0)
    model, together = timed(model, *stack_sessions(stacked)[:2])
    alone = [timed(clone(model), design_matrix(a, s), a)[1] for a, s, _ in stacked]
    yield "fit of all sessions", "processor / each alone", together / sum(alone), 1.3
    sizes = {FEW: 0.9, SOME: 1.0} if quick else {FEW: 0.9, SOME: 1.0, MANY: 1.005}
    for size, bar in sizes.items():
        yield from compared(f"new session, {size} steps", model, new, size, bar, bar)
    yield from compared(f"alien session, {FEW} steps", model, alien, FEW, 1.005, None)


def compared(name, model, session, size, bar, bar_of_ar):
    """Yield the adapted model over that of the session alone, and over an AR."""
    X, y = design_matrix(session.activity, session.stimulus), session.activity
    rows, test = slice(len(y) - N_TEST - size, len(y) - N_TEST), np.arange(-N_TEST, 0)
    adapted = model.adapt(X[rows], y[rows])
    others = {"alone": clone(adapted).fit(X[rows], y[rows])}
    if bar_of_ar is not None:
        others["channelwise AR"] = ResidualForecaster(
            RidgeCV(PENALTIES), window_length=LENGTH, inputs="own"
        ).fit(X[rows], y[rows])
    yield from ratios(name, adapted, others, X, y, len(y) + test, bar)


def ratios(name, ours, others, X, y, test, bar):
    mine = scores(ours, X, y, test)
    for other, model in others.items():
        theirs = scores(model, X, y, test)
        for measure in mine:
            yield name, f"{measure} / {other}", mine[measure] / theirs[measure], bar


def scores(model, X, y, test):
    windows = np.asarray(model.make_windows(X))
    scale = y.std(0)
    scale = np.where(scale > 0, scale, 1)
    rows = test[:: max(1, len(test) // 400)]
    draws = model.sample(windows[rows], N_SAMPLES, random_state=0)
    starts = test[: -HORIZON + 1][:: max(1, len(test) // 60)]
    ahead = starts[:, None] + np.arange(HORIZON)
    d = y.shape[1]
    future = windows[ahead, -1, d:] if windows.shape[2] > d else None
    paths = model.sample_trajectories(
        windows[starts], HORIZON, stimulus=future, n_samples=N_SAMPLES, random_state=0
    )
    return {
        "CRPS": (crps(y[rows], draws) / scale).mean(),
        "8-step energy": energy_score(y[ahead] / scale, paths / scale).mean(),
    }


def timed(model, X, y):
    """Fit it; the seconds are those of the processor, not of a shared machine."""
    start = time.process_time()
    model.fit(X, y)
    return model, time.process_time() - start


def listeners(data):
    """Adapt to the last listeners, of the same regions."""
    bold, stimulus, runs, _, length = load("alice", data)
    names = np.unique(runs)
    known, new = names[:-N_NEW_LISTENERS], names[-N_NEW_LISTENERS:]
    stacked = [(bold[runs == k], stimulus[runs == k], int(k)) for k in known]
    frames = [(as_frame(a), s, k) for a, s, k in stacked]
    model = AFMForecaster(window_length=length, random_state=0)
    model.fit(*stack_sessions(frames)[:2])
    for k in new:
        y, s = bold[runs == k], stimulus[runs == k]
        X, half = design_matrix(y, s), len(y) // 2
        adapted = model.adapt(X[:half], y[:half])
        others = {"alone": clone(adapted).fit(X[:half], y[:half])}
        test = np.arange(half, len(y))
        yield from ratios(
            f"listener {k}, half a story", adapted, others, X, y, test, 1.0
        )


def blocks_of_units(data):
    """Adapt to the last block of a recording, of units that one other has."""
    counts, position, _, _, length = load("hippocampus", data)
    parts = np.array_split(np.arange(len(counts)), 4)
    halves = np.arange(0, counts.shape[1], 2), np.arange(1, counts.shape[1], 2)
    stacked = [
        (as_frame(counts[rows][:, halves[k % 2]], halves[k % 2]), position[rows], k)
        for k, rows in enumerate(parts[:3])
    ]
    model = AFMForecaster(window_length=length, random_state=0)
    model.fit(*stack_sessions(stacked)[:2])
    y = counts[parts[3]][:, halves[1]]
    X, n = design_matrix(y, position[parts[3]]), int(0.6 * len(y))
    for size in (300, n):
        rows = slice(n - size, n)
        adapted = model.adapt(X[rows], y[rows])
        others = {"alone": clone(adapted).fit(X[rows], y[rows])}
        name = f"hippocampus, last block, {size} bins"
        yield from ratios(name, adapted, others, X, y, np.arange(n, len(y)), 1.0)


def as_frame(activity, names=None):
    import pandas as pd

    names = range(activity.shape[1]) if names is None else names
    return pd.DataFrame(activity, columns=[f"unit {name}" for name in names])


if __name__ == "__main__":
    main()
