"""Stimuli that were never shown: do intervals still hold what happens?

Neurons with tuning curves for a stimulus that wanders between 0 and 1, of which only
values up to .75 are shown in training; and the last quarter of a story, to listeners
who heard the first three quarters. Beside it: the same laws, not widened.
"""

from copy import deepcopy
from pathlib import Path

import numpy as np
from trust_recordings import load

from afm_sklearn import AFMForecaster, SlidingWindow, design_matrix, pit

N_STEPS, N_TRAIN, N_NEURONS, LENGTH = 3000, 2400, 30, 5
EDGE = 0.75
N_SAMPLES, LEVEL, BAR = 200, 0.9, 0.8


def lines(data: Path | None, quick: bool):
    """Yield a record a system: how often 90 % intervals cover outside the range."""
    for kind in ("bumps", "ramps", "counts"):
        for seed in range(1 if quick else 3):
            yield record(f"tuning curves: {kind}, seed {seed}", *held_out(kind, seed))
    if data is not None:
        yield record("story, last quarter", *last_quarter(data))


def record(task, windows, y, train, test):
    model = AFMForecaster(random_state=0).fit(windows[train], y[train])
    ours = covered(model, windows[test], y[test])
    return {
        "task": task,
        "measure": "90 % interval covers",
        "ours": ours,
        "opponent": "not widened",
        "theirs": covered(not_widened(model), windows[test], y[test]),
        "bar": f"at least {BAR}",
        "met": ours >= BAR,
    }


def covered(model, windows, y):
    draws = model.sample(windows, N_SAMPLES, random_state=0)
    return float((np.abs(pit(y, draws, random_state=0) - 0.5) < LEVEL / 2).mean())


def not_widened(model):
    model = deepcopy(model)
    for name, values in model.law_.state_dict().items():
        if name.endswith("widening.excess"):
            values.zero_()
    return model


def held_out(kind, seed):
    """Windows, activity, training rows of stimuli up to the edge, test rows beyond."""
    rng = np.random.default_rng(seed)
    position, activity = wander(rng), np.zeros((N_STEPS, N_NEURONS))
    center, width = rng.uniform(0, 1, N_NEURONS), rng.uniform(0.08, 0.25, N_NEURONS)
    gain = rng.uniform(0.5, 3, N_NEURONS)
    away = (position - center) / width
    drive = gain * (np.tanh(away) if kind == "ramps" else np.exp(-0.5 * away**2))
    if kind == "counts":
        activity = rng.poisson(0.1 + drive).astype(float)
    else:
        for t in range(1, N_STEPS):
            noise = 0.3 * rng.normal(size=N_NEURONS)
            activity[t] = 0.5 * activity[t - 1] + 0.5 * drive[t] + noise
    X = design_matrix(activity, position)
    windows = np.asarray(SlidingWindow(LENGTH).fit_transform(X))
    inside = np.nan_to_num(windows[..., -1]).max(1) <= EDGE
    train = np.flatnonzero(inside[:N_TRAIN])
    test = N_TRAIN + np.flatnonzero(position[N_TRAIN:, 0] > EDGE)
    return windows, activity, train, test


def wander(rng):
    """A position (n, 1) between 0 and 1 that keeps its direction for a while."""
    position, speed, steps = 0.5, 0.0, []
    for _ in range(N_STEPS):
        speed = 0.9 * speed + 0.02 * rng.normal()
        if not 0 <= position + speed <= 1:
            speed = -speed
        position = np.clip(position + speed, 0, 1)
        steps.append(position)
    return np.array(steps)[:, None]


def last_quarter(data):
    bold, stimulus, runs, _, length = load("alice", data)
    X = design_matrix(bold, stimulus, runs)
    windows = np.asarray(SlidingWindow(length, run_column=-1).fit_transform(X))
    n = int((runs == 0).sum())
    scan = np.arange(len(runs)) % n
    edge = int(EDGE * n)
    return windows, bold, np.flatnonzero(scan < edge), np.flatnonzero(scan >= edge)
