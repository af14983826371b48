"""Forecast a simulated population driven by a moving stimulus; compare with the truth.

Prints a score table and writes a fan chart to demo_output/forecast.png.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline

from afm_sklearn import (
    AFMForecaster,
    ResidualForecaster,
    SlidingWindow,
    crps,
    design_matrix,
    energy_score,
)
from afm_sklearn.datasets import make_spiking_population
from afm_sklearn.plotting import ForecastDisplay

HORIZON, N_SAMPLES, N_TRAIN = 20, 200, 4000


def score_table(models, windows, y):
    """Print the scores of the next step and of whole trajectories."""
    origins = np.arange(0, len(y) - HORIZON + 1, 10)
    steps = origins[:, None] + np.arange(HORIZON)
    future = windows[steps, -1, y.shape[1] :]
    print(f"{'':12}{'CRPS':>8}{'energy':>8}{f'energy, {HORIZON} steps':>18}")
    for name, model in models.items():
        draws = model.sample(windows, 100, random_state=0)
        paths = model.sample_trajectories(
            windows[origins], HORIZON, stimulus=future, random_state=0
        )
        scores = (
            crps(y, draws).mean(),
            energy_score(y, draws).mean(),
            energy_score(y[steps], paths).mean(),
        )
        print(f"{name:12}{scores[0]:8.4f}{scores[1]:8.4f}{scores[2]:18.4f}")


def main():
    data = make_spiking_population(n_times=N_TRAIN + 1000, random_state=0)
    X, y = design_matrix(data.activity, data.stimulus, data.runs), data.activity
    train, test = slice(0, N_TRAIN), slice(N_TRAIN, None)

    models = {"oracle": data.oracle}
    for name, forecaster in {
        "AFM": AFMForecaster(random_state=0),
        "ridge": ResidualForecaster(RidgeCV(np.logspace(-2, 5, 15))),
    }.items():
        pipe = make_pipeline(SlidingWindow(10, run_column=-1), forecaster)
        pipe.fit(X[train], y[train])
        models[name] = pipe[-1]
    windows = pipe[:-1].transform(X)
    print(f"{y.shape[1]} neurons, {N_TRAIN} bins to fit on, 1000 to be judged by")
    score_table(models, windows[test], y[test])

    busiest = int(y[train].mean(0).argmax())
    display = ForecastDisplay.from_estimator(
        models["AFM"],
        windows[test],
        y[test],
        horizon=HORIZON,
        channel=busiest,
        origin=300,
        n_samples=N_SAMPLES,
        random_state=0,
    )
    display.ax_.set_ylabel(f"spikes of neuron {busiest} in a bin")
    path = Path("demo_output/forecast.png")
    path.parent.mkdir(exist_ok=True)
    display.figure_.savefig(path, dpi=150)
    print(f"fan chart: {path}")


if __name__ == "__main__":
    main()
