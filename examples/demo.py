"""Forecast a simulated, stimulus-driven population and compare with the truth.

Writes a score table to the screen and a fan chart to demo_output/forecast.png.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline

from afm_sklearn import (
    AFMForecaster,
    SlidingWindow,
    crps,
    design_matrix,
    energy_score,
)
from afm_sklearn.datasets import make_double_well

HORIZON, N_SAMPLES = 8, 100


def ridge_samples(X, y, X_test, random_state):
    """Ridge with Gaussian errors: the residual covariance of the training rows."""
    flat, flat_test = (np.nan_to_num(a.reshape(len(a), -1)) for a in (X, X_test))
    ridge = RidgeCV(np.logspace(-2, 5, 15)).fit(flat, y)
    covariance = np.cov((y - ridge.predict(flat)).T)
    rng = np.random.default_rng(random_state)
    errors = rng.multivariate_normal(
        np.zeros(y.shape[1]), covariance, (len(X_test), N_SAMPLES)
    )
    return ridge.predict(flat_test)[:, None] + errors


def fan_chart(observed, trajectories, path):
    """Median and two intervals of the first channel by lead time."""
    lead = np.arange(1, HORIZON + 1)
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for coverage, shade in ((0.9, 0.2), (0.5, 0.4)):
        low, high = np.quantile(
            trajectories[..., 0], [(1 - coverage) / 2, (1 + coverage) / 2], axis=0
        )
        axes.fill_between(
            lead, low, high, color="C0", alpha=shade, lw=0, label=f"{coverage:.0%}"
        )
    axes.plot(lead, np.median(trajectories[..., 0], 0), "C0", label="median")
    axes.plot(lead, trajectories[:5, :, 0].T, "0.4", lw=0.6)
    axes.plot(lead, observed[:, 0], "ko-", label="observed")
    axes.set(xlabel="lead time (steps)", ylabel="activity of channel 1 (a.u.)")
    axes.legend(frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150)


def main():
    data = make_double_well(n_steps=2500, random_state=0)
    X, y = design_matrix(data.activity, data.stimulus, data.runs), data.activity
    train, test = slice(0, 2000), slice(2000, None)

    pipe = make_pipeline(SlidingWindow(5, run_column=-1), AFMForecaster(random_state=0))
    pipe.fit(X[train], y[train])
    window, model = pipe[:-1], pipe[-1]
    windows = window.transform(X)
    draws = {
        "oracle": data.oracle.sample(windows[test], N_SAMPLES, random_state=0),
        "AFM": model.sample(windows[test], N_SAMPLES, random_state=0),
        "ridge": ridge_samples(windows[train], y[train], windows[test], 0),
    }
    print(f"one step ahead, kept by AFM: {model.base_}")
    print(f"{'':8}{'CRPS':>8}{'energy':>8}")
    for name, samples in draws.items():
        scores = crps(y[test], samples).mean(), energy_score(y[test], samples).mean()
        print(f"{name:8}{scores[0]:8.4f}{scores[1]:8.4f}")

    start = 2100
    future = windows[None, start : start + HORIZON, -1, y.shape[1] :]
    trajectories = model.sample_trajectories(
        windows[start : start + 1],
        HORIZON,
        stimulus=future if future.shape[-1] else None,
        n_samples=N_SAMPLES,
        random_state=0,
    )[0]
    path = Path("demo_output/forecast.png")
    fan_chart(y[start : start + HORIZON], trajectories, path)
    print(f"fan chart: {path}")


if __name__ == "__main__":
    main()
