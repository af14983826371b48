"""Real fMRI: forecast six regions of held-out listeners to a story.

Trains on 21 subjects, tests on the last 6; one step and 5 steps (10 s) ahead,
against ridge with Gaussian residuals of the same windows. Prints mean CRPS (z
units) by seed.

    python benchmarks/fmri_story.py --data PATH/alice_story_fmri.npz
"""

import argparse
import time

import numpy as np
from scipy.signal import detrend

from afm_sklearn import (
    AFMForecaster,
    SlidingWindow,
    crps,
    design_matrix,
    energy_score,
)

LENGTH, HORIZON, STRIDE, N_SAMPLES, N_TEST = 10, 5, 5, 100, 6


def load(path):
    with np.load(path) as data:
        bold, stimulus = detrend(data["bold"], axis=1), data["stimulus"]
    bold = (bold - bold.mean(1, keepdims=True)) / bold.std(1, keepdims=True)
    runs = np.repeat(np.arange(len(bold)), bold.shape[1])
    y, stimulus = (a.reshape(len(runs), -1) for a in (bold, stimulus))
    X = design_matrix(y, stimulus, runs)
    return SlidingWindow(LENGTH, run_column=-1).fit_transform(X), y, runs


def origins(runs):
    starts = np.arange(0, len(runs) - HORIZON + 1, STRIDE)
    return starts[runs[starts] == runs[starts + HORIZON - 1]]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    X, y, runs = load(arguments.data)
    train = runs < runs.max() + 1 - N_TEST
    X_test, y_test, first = X[~train], y[~train], origins(runs[~train])
    steps = first[:, None] + np.arange(HORIZON)
    future = X_test[steps, -1, y.shape[1] :]

    print("model seed | CRPS 1 step, energy | CRPS 5 steps, energy | fit s | kept")
    for seed in range(arguments.seeds):
        for name, base in (("ridge", "linear"), ("AFM", "auto")):
            model = AFMForecaster(random_state=seed)
            if base == "linear":  # no row is held back, so the linear base stays
                model.set_params(validation_fraction=0.0)
            start = time.perf_counter()
            model.fit(X[train], y[train])
            seconds = time.perf_counter() - start
            draws = model.sample(X_test, N_SAMPLES, random_state=seed)
            paths = model.sample_trajectories(
                X_test[first],
                HORIZON,
                stimulus=future,
                n_samples=N_SAMPLES,
                random_state=seed,
            )
            print(
                f"{name} {seed} | {crps(y_test, draws).mean():.4f}, "
                f"{energy_score(y_test, draws).mean():.4f} | "
                f"{crps(y_test[steps], paths).mean():.4f}, "
                f"{energy_score(y_test[steps], paths).mean():.4f} | "
                f"{seconds:.1f} | {model.base_}",
                flush=True,
            )


if __name__ == "__main__":
    main()
