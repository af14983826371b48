"""Imputation beside interpolation, a Gaussian process and iterative regression."""

import numpy as np
import pandas as pd
import trust_recordings
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel
from sklearn.impute import IterativeImputer
from sklearn.linear_model import BayesianRidge

from afm_sklearn import AFMForecaster, coverage, crps, design_matrix
from afm_sklearn.applications import impute

N_DRAWS, N_TEST, N_PLACES = 50, 160, 4
OPPONENTS = "linear interpolation", "Gaussian process", "IterativeImputer"


def lines(data, quick):
    """Yield two records a recording and pattern of loss."""
    if data is None:
        return
    for name in ("alice",) if quick else ("alice", "zebrafish", "worm"):
        model, activity, stimulus, runs, test = fitted(name, data)
        for label, places in patterns(activity[test]):
            yield from judge(name, label, model, activity, stimulus, runs, test, places)


def fitted(name, data):
    """Fit on the training rows; the test rows are those after it, or of one run."""
    activity, stimulus, runs, n, length = trust_recordings.load(name, data)
    X = design_matrix(activity, stimulus, runs)
    column = None if runs is None else -1
    model = AFMForecaster(window_length=length, run_column=column, random_state=0)
    model.fit(X[:n], activity[:n])
    return model, activity, stimulus, runs, slice(n, n + N_TEST)


def patterns(y):
    """Masks of what is hidden: entries, a channel for a while, all for a moment.

    A single gap says little: some are hidden at several places, one at a time.
    """
    rng = np.random.default_rng(0)
    for share in (0.1, 0.3):
        yield f"{share:.0%} of the entries", [rng.random(y.shape) < share]
    channels, all_steps, each = [], [], np.arange(N_PLACES)
    for k, start in zip(each, 50 - 30 * (each % 2) + 20 * (each // 2), strict=True):
        lost = np.zeros(y.shape, bool)
        lost[start : start + 50, (2 * k + 1) * y.shape[1] // (2 * N_PLACES)] = True
        channels.append(lost)
        lost = np.zeros(y.shape, bool)
        lost[start + 10 : start + 20] = True
        all_steps.append(lost)
    yield "a channel for 50 steps", channels
    yield "all channels for 10 steps", all_steps


def judge(name, label, model, activity, stimulus, runs, test, places):
    truth = activity[test]
    given = {
        "stimulus": None if stimulus is None else stimulus[test],
        "runs": None if runs is None else runs[test],
    }
    ours, covered, others = [], [], {kind: [] for kind in OPPONENTS}
    for lost in places:
        y = np.where(lost, np.nan, truth)
        draws = impute(model, y, n_samples=N_DRAWS, random_state=0, **given)
        ours.append(score(truth, draws, lost))
        hidden = np.where(lost, truth, np.nan)
        inside = coverage(hidden.ravel(), draws.reshape(N_DRAWS, -1).T)
        covered.append(np.nanmean(inside))
        for kind, scores in others.items():
            scores.append(score(truth, opponent(kind, y, truth, lost), lost))
    best = min(others, key=lambda kind: np.mean(others[kind]))
    ratio, cover = np.mean(ours) / np.mean(others[best]), float(np.mean(covered))
    yield {
        "task": f"imputation: {name}, {label}",
        "measure": "CRPS",
        "ours": float(np.mean(ours)),
        "opponent": best,
        "theirs": float(np.mean(others[best])),
        "bar": "at most .9",
        "met": bool(ratio <= 0.9),
    }
    yield {
        "task": f"imputation: {name}, {label}",
        "measure": "90 % intervals cover",
        "ours": cover,
        "opponent": "nominal",
        "theirs": 0.9,
        "bar": ".85 to .95",
        "met": bool(0.85 <= cover <= 0.95),
    }


def score(truth, draws, lost):
    return float(crps(truth, draws.transpose(1, 0, 2))[lost].mean())


def opponent(kind, y, truth, lost):
    """Draws of an opponent: its guess, and Gaussian errors of known size.

    The size is that of its errors on the very entries that it is judged by, channel
    by channel: better calibrated than it could be.
    """
    if kind == "linear interpolation":
        frame = pd.DataFrame(y).interpolate(limit_direction="both")
        guess = frame.fillna(0.0).to_numpy()
    elif kind == "IterativeImputer":
        imputer = IterativeImputer(
            BayesianRidge(), n_nearest_features=30, max_iter=5, random_state=0
        )
        guess = np.where(np.isnan(y), imputer.fit_transform(y), y)
    else:
        guess = np.column_stack([gaussian_process(column) for column in y.T])
    error = np.where(lost, truth - guess, np.nan)
    with np.errstate(invalid="ignore"):
        size = np.sqrt(np.nansum(error**2, 0) / np.maximum(lost.sum(0), 1))
    noise = np.random.default_rng(0).normal(size=(N_DRAWS, *y.shape))
    return guess + size * noise


def gaussian_process(column):
    """Mean of a Gaussian process over time of one channel, where it is missing."""
    t = np.arange(len(column))[:, None].astype(float)
    seen = ~np.isnan(column)
    if seen.all():
        return column
    kernel = ConstantKernel(1.0) * (RBF(3.0) + Matern(10.0, nu=0.5)) + WhiteKernel(0.1)
    process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    process.fit(t[seen], column[seen])
    return np.where(seen, column, process.predict(t))
