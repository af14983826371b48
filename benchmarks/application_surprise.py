"""Detection of abnormal periods, against a VAR and an isolation forest.

Four changes of the dynamics, halfway through each of twenty runs. Area under the curve
of the scores of steps after the change against those before; delay from the change to
the first alarm, at thresholds that cost all methods the same false alarms on data in
which nothing changes.
"""

import warnings
from pathlib import Path

import numpy as np
from abnormal import SCENARIOS
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score

from afm_sklearn import (
    AFMForecaster,
    OutOfDistributionWarning,
    ResidualForecaster,
    SlidingWindow,
    design_matrix,
)
from afm_sklearn.applications.alarms import count_alarms
from afm_sklearn.applications.detector import SurpriseDetector
from afm_sklearn.applications.evidence import recent_means

LENGTH, ORDER, TIME_CONSTANT = 5, 2, 30
N_TRAIN, CHANGE, N_STEPS = 3000, 300, 600
RATE = 1 / 1000  # false alarms a step
SHRINKAGE = 0.05  # of the covariance of a window, which then has an inverse
N_BETTER = 9


def lines(data: Path | None, quick: bool):
    """Yield a record a comparison; the bar is for all of them together."""
    records = []
    for task, build in SCENARIOS.items():
        results = evaluate(build(), n_runs=5 if quick else 20)
        auc, delay = results.pop("SurpriseDetector")
        var = max((name for name in results if "VAR" in name), key=results.get)
        for name in (var, "isolation forest"):
            records.append((task, "AUC", auc, name, results[name][0]))
        best = min(results, key=lambda name: results[name][1])
        records.append((task, "delay, steps", delay, best, results[best][1]))
    is_better = [
        ours > theirs if measure == "AUC" else ours < theirs
        for _, measure, ours, _, theirs in records
    ]
    for task, measure, ours, opponent, theirs in records:
        yield {
            "task": task,
            "measure": measure,
            "ours": ours,
            "opponent": opponent,
            "theirs": theirs,
            "bar": f"better in {N_BETTER} of 12: {sum(is_better)}",
            "met": sum(is_better) >= N_BETTER,
        }


def evaluate(scenario, n_runs):
    """Area under the curve and mean delay of each method: {name: (auc, delay)}."""
    usual = scenario.record(N_TRAIN, 1, seed=1)
    calm = scenario.record(N_STEPS, 30, seed=3)
    changed = scenario.record(N_STEPS, n_runs, seed=4, onset=CHANGE)
    out = {}
    for name, scores in {
        "SurpriseDetector": our_scores,
        "VAR, likelihood ratio": likelihood_ratio,
        "VAR, likelihood": likelihood,
        "isolation forest": forest_scores,
    }.items():
        of_calm, of_changed = (
            s.reshape(-1, N_STEPS) for s in scores(usual, [calm, changed])
        )
        out[name] = judge(of_calm, of_changed)
    return out


def judge(calm, changed):
    """Area under the curve and mean delay of scores (n_runs, n_steps); high is odd."""
    label = np.zeros(changed.shape, bool)
    label[:, CHANGE:] = True
    settled = slice(TIME_CONSTANT, None)
    auc = roc_auc_score(label[:, settled].ravel(), changed[:, settled].ravel())
    levels = np.quantile(calm, 1 - np.geomspace(0.1, 1 / calm.size, 400))
    threshold = next(
        level
        for level in levels
        if count_alarms(calm > level) <= max(1, RATE * calm.size)
    )
    is_above = changed[:, CHANGE:] > threshold
    first = np.where(is_above.any(1), is_above.argmax(1), N_STEPS - CHANGE)
    return float(auc), float(first.mean())


def our_scores(usual, recordings):
    activity, stimulus, runs = usual
    detector = SurpriseDetector(
        AFMForecaster(window_length=LENGTH, run_column=-1, random_state=0),
        time_constant=TIME_CONSTANT,
        random_state=0,
    ).fit(design_matrix(activity, stimulus, runs), activity)
    with warnings.catch_warnings():  # what changes may well leave the range
        warnings.simplefilter("ignore", OutOfDistributionWarning)
        return [-detector.score_samples(design_matrix(*r), r[0]) for r in recordings]


def _residuals(usual, recordings):
    """White residuals of a VAR of usual data, and where runs begin."""
    activity, stimulus, runs = usual
    var = ResidualForecaster(LinearRegression(), window_length=ORDER, run_column=-1)
    var.fit(design_matrix(activity, stimulus, runs), activity)
    root = np.linalg.cholesky(np.linalg.inv(var.covariance_))
    for activity, stimulus, runs in recordings:
        X = design_matrix(activity, stimulus, runs)
        starts = np.flatnonzero(np.append(True, runs[1:] != runs[:-1]))
        errors = activity - var.predict(X)
        errors[starts] = 0.0
        yield errors @ root, starts


def likelihood(usual, recordings):
    """Mean negative log likelihood of the recent past."""
    return [
        recent_means((np.square(e) - 1).sum(1, keepdims=True), starts, TIME_CONSTANT)
        for e, starts in _residuals(usual, recordings)
    ]


def likelihood_ratio(usual, recordings):
    """Log ratio of the best Gaussian of recent errors to that of usual errors."""
    out = []
    for e, starts in _residuals(usual, recordings):
        d = e.shape[1]
        eye = np.eye(d)
        outer = (e[:, :, None] * e[:, None] - eye).reshape(len(e), -1)
        second = recent_means(outer, starts, TIME_CONSTANT).reshape(-1, d, d)
        second = (1 - SHRINKAGE) * second + (1 + 1e-6) * eye
        trace = second.trace(axis1=1, axis2=2)
        out.append(trace - np.linalg.slogdet(second)[1] - d)
    return out


def forest_scores(usual, recordings):
    """Mean anomaly score of the recent windows of activity."""

    def windows(recording):
        X = np.c_[recording[0], recording[2]]
        window = SlidingWindow(LENGTH, run_column=-1, flatten=True)
        return np.nan_to_num(window.fit_transform(X))

    forest = IsolationForest(n_estimators=200, random_state=0).fit(windows(usual))
    mean = -forest.score_samples(windows(usual)).mean()
    out = []
    for recording in recordings:
        score = -forest.score_samples(windows(recording)) - mean
        runs = recording[2]
        starts = np.flatnonzero(np.append(True, runs[1:] != runs[:-1]))
        out.append(recent_means(score[:, None], starts, TIME_CONSTANT))
    return out


if __name__ == "__main__":
    for line in lines(None, quick=False):
        print(line, flush=True)
