"""The forecasters of trust.py, and what is measured of each."""

import time

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from trust_recordings import HORIZON, TRAJECTORY

import afm_sklearn as afm

N_SAMPLES = 100
LEADS = (1, 2, 4, 8, 16)
LEVEL = 0.9
MEASURES = ("crps", "energy", "trajectory", *(f"crps at {h}" for h in LEADS))
COVERAGE = tuple(f"covers at {h}" for h in LEADS)
SECONDS = ("fit", "sample", "predict", "trajectories")

PENALTIES = np.logspace(-2, 6, 17)
MAX_BOOSTED = 10  # channels; boosting takes one fit a channel and fold
ORACLE = "oracle"
FORMS = {
    "default": {},
    "published": {"base": "normal", "path": "linear"},
    "linear": {"base": "linear"},
    "learned": {"base": "learned"},
}


def form_name(form):
    return "AFM" if form == "default" else f"AFM, {form}"


def opponents(recording):
    """Unfitted opponents by name, those that apply to a recording."""
    ridge = RidgeCV(PENALTIES)
    residual, direct = afm.ResidualForecaster, afm.DirectForecaster
    models = {
        "ridge, Gaussian": residual(ridge, "gaussian"),
        "ridge, bootstrap": residual(ridge, "bootstrap"),
        "own past, Gaussian": residual(ridge, "gaussian", inputs="own"),
        "own past, bootstrap": residual(ridge, "bootstrap", inputs="own"),
        "random walk": afm.Persistence(),
        "climatology": afm.Climatology(),
        "direct, Gaussian": direct(horizon=HORIZON),
        "direct, bootstrap": direct(horizon=HORIZON, residuals="bootstrap"),
    }
    if recording.unit is not None:
        models["Poisson GLM"] = afm.PoissonGLM(unit=recording.unit)
    if recording.d <= MAX_BOOSTED:
        trees = HistGradientBoostingRegressor(max_iter=50, random_state=0)
        models["boosting"] = residual(trees, "bootstrap")
    return models


def measure(model, recording):
    """Fit on the training rows; scores, coverage and seconds as a flat dictionary."""
    clock = [time.perf_counter()]

    def done(values):
        clock.append(time.perf_counter())
        return values

    windows, rows, scale = recording.windows, recording.rows, recording.scale
    done(model.fit(windows[: recording.n], recording.activity[: recording.n]))
    draws = done(model.sample(windows[rows], N_SAMPLES, random_state=0)) / scale
    done(model.predict(windows[rows]))
    paths = model.sample_trajectories(
        windows[recording.origins],
        HORIZON,
        stimulus=recording.future,
        n_samples=N_SAMPLES,
        random_state=0,
    )
    paths = done(paths) / scale
    y, ahead = (recording.activity[at] / scale for at in (rows, recording.steps))
    by_lead = afm.crps(ahead, paths).mean((0, 2))
    # Intervals of discrete draws cover too often, however good: ranks do not.
    ranks = afm.pit(ahead, paths, random_state=0)[:, :, recording.live]
    covered = (np.abs(ranks - 0.5) < LEVEL / 2).mean((0, 2))
    near = ahead[:, :TRAJECTORY], paths[:, :, :TRAJECTORY]
    scores = {
        "crps": afm.crps(y, draws).mean(),
        "energy": afm.energy_score(y, draws).mean(),
        "trajectory": afm.energy_score(*near).mean(),
        **{f"crps at {h}": by_lead[h - 1] for h in LEADS},
        **{f"covers at {h}": covered[h - 1] for h in LEADS},
        **dict(zip(SECONDS, np.diff(clock), strict=True)),
    }
    scores = {name: float(value) for name, value in scores.items()}
    return scores | {"kept": str(getattr(model, "base_", ""))}
