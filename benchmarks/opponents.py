"""The classical forecasters to compare with, and the oracle of a simulated system.

All of them see the same windows (the vector autoregression their last 3 steps) and
have the methods of `AFMForecaster`.
"""

import time

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from afm_sklearn import AFMForecaster, crps, energy_score
from afm_sklearn.baselines import Climatology, Persistence, ResidualForecaster
from afm_sklearn.metrics import crps_sum, pit

ORDER = 3
MAX_BOOSTED = 10  # channels; boosting takes one fit a channel and fold
N_SAMPLES = 100
N_ORIGINS = 150
LEVEL = 0.9

RIDGE = "ridge, Gaussian"
BOOTSTRAP = "ridge, bootstrap"
VAR = f"VAR({ORDER})"
WALK = "random walk"
CLIMATOLOGY = "climatology"
BOOSTING = "boosting"
PLAIN = "plain AFM"
ORACLE = "oracle"
OPPONENTS = (RIDGE, BOOTSTRAP, VAR, WALK, CLIMATOLOGY, BOOSTING)


def ridge(residuals="gaussian", select=None):
    """Ridge of flat standardised windows, its penalty by leave-one-out error.

    `select` is a transformer that picks features first.
    """
    steps = [StandardScaler(), RidgeCV(alphas=np.logspace(-2, 5, 15))]
    return ResidualForecaster(
        make_pipeline(*([select] if select else []), *steps), residuals
    )


def opponents(d):
    """Unfitted opponents by name."""
    models = {
        RIDGE: ridge(),
        BOOTSTRAP: ridge("bootstrap"),
        VAR: ResidualForecaster(LinearRegression()),
        WALK: Persistence(),
        CLIMATOLOGY: Climatology(),
    }
    if d <= MAX_BOOSTED:
        models[BOOSTING] = ResidualForecaster(
            HistGradientBoostingRegressor(max_iter=50, random_state=0), "bootstrap"
        )
    return models


def plain_afm(**parameters):
    """Autoregressive flow matching as published: from N(0, I), 50 Euler steps."""
    return AFMForecaster(
        base="normal", path="linear", solver="euler", n_steps=50, **parameters
    )


def window_length(name, length):
    return ORDER if name == VAR else length


def assess(name, model, recording, seed, *, fit=True, ahead=True):
    """Fit on the training rows; losses of the test rows and times, by measure.

    "crps" and "energy" (n,) are one step ahead, "trajectory" (n_origins,) is the
    energy score of whole trajectories, "crps sum" is theirs as GluonTS has it, "crps
    by lead" and "coverage" (horizon,) are of each lead time. Coverage is that of the
    randomised `pit`: intervals of discrete draws cover too often however good they are.
    Seconds are those of the processor.
    """
    start = time.process_time()
    length = window_length(name, recording.X.shape[1])
    X, y = recording.train
    if fit:
        model.fit(X[:, -length:], y)
    fitted = time.process_time()
    X, y = recording.test
    X, y = X[:, -length:], y / recording.scale
    draws = model.sample(X, N_SAMPLES, random_state=seed) / recording.scale
    drawn = time.process_time()
    out = {
        "crps": np.nanmean(crps(y, draws), axis=1),
        "energy": energy_score(y, draws),
        "fit seconds": fitted - start,
        "sample seconds": drawn - fitted,
    }
    if not ahead:
        return out
    origins, _ = recording.origins(N_ORIGINS)
    y, stimulus = recording.ahead(origins)
    paths = model.sample_trajectories(
        X[origins],
        recording.horizon,
        stimulus=stimulus,
        n_samples=N_SAMPLES,
        random_state=seed,
    )
    total = crps_sum(y, paths)
    y, paths = y / recording.scale, paths / recording.scale
    ranks = pit(y, paths, random_state=seed)[..., recording.live]
    inside = np.abs(ranks - 0.5) < LEVEL / 2
    return out | {
        "trajectory": energy_score(y, paths),
        "crps sum": total,
        "crps by lead": crps(y, paths).mean(axis=(0, 2)),
        "coverage": inside.mean(axis=(0, 2)),
    }
