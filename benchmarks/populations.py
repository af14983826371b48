"""More channels than the linear stage sees all steps of, beside simple opponents.

    python benchmarks/populations.py          400 channels, two minutes

Autoregressive channels of order 3 with weak common latents, and calcium of as many
neurons; windows of 8 steps, the last fifth of the rows for testing. Opponents are an
autoregression of each channel and a ridge on the whole window. One seed.
"""

import time

import numpy as np
from sklearn.linear_model import RidgeCV

from afm_sklearn import AFMForecaster, SlidingWindow, crps, design_matrix, energy_score
from afm_sklearn.baselines import ResidualForecaster
from afm_sklearn.datasets import make_calcium

N_TIMES, D, LENGTH, N_SAMPLES = 1500, 400, 8, 50


def autoregressive(seed=0):
    """Channels of order 3, with five latents of order 1 among them."""
    rng = np.random.default_rng(seed)
    noise, shares = rng.normal(size=(N_TIMES, D)), 0.3 * rng.normal(size=(5, D))
    y, latent = np.zeros((N_TIMES, D)), np.zeros(5)
    for t in range(3, N_TIMES):
        latent = 0.9 * latent + 0.3 * rng.normal(size=5)
        y[t] = 0.5 * y[t - 1] + 0.1 * y[t - 2] + 0.25 * y[t - 3]
        y[t] += noise[t] + latent @ shares
    return y


def main():
    sets = {
        "autoregressive": autoregressive(),
        "calcium": make_calcium(N_TIMES, D, random_state=0).activity,
    }
    for name, y in sets.items():
        X = np.asarray(SlidingWindow(LENGTH).fit_transform(design_matrix(y)))
        n, scale = int(0.8 * N_TIMES), y[: int(0.8 * N_TIMES)].std(0)
        ridge = RidgeCV(alphas=np.logspace(-2, 5, 15))
        models = {
            "AFM": AFMForecaster(random_state=0),
            "own past": ResidualForecaster(ridge, inputs="own"),
            "ridge": ResidualForecaster(ridge),
        }
        for title, model in models.items():
            start = time.process_time()
            model.fit(X[:n], y[:n])
            took = time.process_time() - start
            draws = model.sample(X[n:], N_SAMPLES, random_state=0) / scale
            target = y[n:] / scale
            print(
                f"{name:15} {title:16} CRPS {crps(target, draws).mean():.4f} energy "
                f"{energy_score(target, draws).mean():.3f} fit {took:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
