"""Decoding movement from neurons, beside direct regressions and a Kalman filter."""

import numpy as np
import trust_recordings
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from afm_sklearn import (
    ResidualForecaster,
    SlidingWindow,
    crps,
    design_matrix,
    pit,
)
from afm_sklearn.applications.stacked_decoder import StackedDecoder

N_DRAWS, BURN_IN = 100, 20
LENGTHS = 10, 29  # of opponents' windows: what the first pass sees, and all we see
ON_TRACK = 9840  # bins of the hippocampus: then the rat is lifted off, position stays


def lines(data, quick):
    """Yield three records a recording, and one of simulated reaching."""
    yield simulated(1500 if quick else 4000)
    if data is None:
        return
    for name in ("m1",) if quick else ("m1", "ca1", "hippocampus"):
        movement, neurons, n = recording(name, data)
        model = StackedDecoder(random_state=0)
        model.fit(design_matrix(movement[:n], neurons[:n]), movement[:n])
        draws = model.decode(neurons[n:], n_samples=N_DRAWS, random_state=0)
        y, draws = movement[n + BURN_IN :], draws[:, BURN_IN:].transpose(1, 0, 2)
        others = {
            kind: d[BURN_IN:] for kind, d in opponents(movement, neurons, n).items()
        }
        measures = {
            "CRPS": lambda x, y=y: float(crps(y, x).mean()),
            "median absolute error": lambda x, y=y: float(
                np.median(np.abs(np.median(x, axis=1) - y))
            ),
        }
        for label, measure in measures.items():
            best = min(others, key=lambda kind: measure(others[kind]))
            ours, theirs = measure(draws), measure(others[best])
            yield record(
                name, label, ours, best, theirs, "at most .95", ours <= 0.95 * theirs
            )
        # Positions on a lattice lie on the ends of intervals: ranks are randomised.
        covered = float((np.abs(pit(y, draws, random_state=0) - 0.5) < 0.45).mean())
        is_met = 0.85 <= covered <= 0.95
        yield record(
            name, "90 % intervals cover", covered, "nominal", 0.9, ".85 to .95", is_met
        )


def record(name, measure, ours, opponent, theirs, bar, is_met):
    return {
        "task": f"decoding: {name}",
        "measure": measure,
        "ours": ours,
        "opponent": opponent,
        "theirs": theirs,
        "bar": bar,
        "met": bool(is_met),
    }


def simulated(n):
    """Reaching with a linear Gaussian law, beside its exact filter."""
    rng = np.random.default_rng(0)
    total, decay, s = n + 1000, 0.9, 8
    measure = rng.normal(size=(s, 2))
    movement = np.zeros((total, 2))
    for t in range(1, total):
        movement[t] = decay * movement[t - 1] + 0.3 * rng.normal(size=2)
    neurons = movement @ measure.T + 2 * rng.normal(size=(total, s))
    x, P, means = np.zeros(2), np.eye(2), np.empty((total, 2))
    for t, z in enumerate(neurons):
        x, P = decay * x, decay**2 * P + 0.09 * np.eye(2)
        K = P @ measure.T @ np.linalg.inv(measure @ P @ measure.T + 4 * np.eye(s))
        x, P = x + K @ (z - measure @ x), P - K @ measure @ P
        means[t] = x
    noise = np.random.default_rng(1).normal(size=(1000, N_DRAWS, 2))
    exact = means[n:, None] + noise @ np.linalg.cholesky(P).T
    model = StackedDecoder(random_state=0)
    model.fit(design_matrix(movement[:n], neurons[:n]), movement[:n])
    draws = model.decode(neurons[n:], n_samples=N_DRAWS, random_state=0)
    ours = float(crps(movement[n:], draws.transpose(1, 0, 2)).mean())
    best = float(crps(movement[n:], exact).mean())
    return record(
        "simulated reaching",
        "CRPS",
        ours,
        "exact filter",
        best,
        "at most 1.05",
        ours <= 1.05 * best,
    )


def recording(name, data):
    """Movement of unit scale, neurons, and the number of training rows."""
    neurons, movement, _, n, _ = trust_recordings.load(name, data)
    if name == "hippocampus":  # bins of .4 s
        k = ON_TRACK // 4
        neurons = neurons[:ON_TRACK].reshape(k, 4, -1).sum(1)
        movement, n = movement[:ON_TRACK].reshape(k, 4, -1).mean(1), int(0.8 * k)
    movement = (movement - movement[:n].mean(0)) / movement[:n].std(0)
    return movement, neurons, n


def opponents(movement, neurons, n):
    """Draws (T, N_DRAWS, d) of the test rows; Gaussian errors, out of fold."""
    found = {}
    for length in LENGTHS:
        windows = np.asarray(SlidingWindow(length).fit_transform(neurons))
        models = {
            f"ridge, {length} bins": make_pipeline(
                StandardScaler(), RidgeCV(np.logspace(-1, 6, 15))
            ),
            f"boosting, {length} bins": (
                HistGradientBoostingRegressor(max_iter=60, random_state=0)
            ),
        }
        for name, model in models.items():
            one = ResidualForecaster(model, autoregressive=False, random_state=0)
            one.fit(windows[:n], movement[:n])
            found[name] = one.sample(windows[n:], N_DRAWS, random_state=0)
    mean, size = kalman(movement, neurons, n)
    noise = np.random.default_rng(0).normal(size=(len(mean), N_DRAWS, mean.shape[1]))
    found["Kalman filter"] = mean[:, None] + size * noise
    return found


def kalman(movement, neurons, n):
    """Mean of the filter, and the size of its errors on the last training rows."""
    late = int(0.8 * n)
    size = (movement[late:n] - filtered(movement, neurons, late)[: n - late]).std(0)
    return filtered(movement, neurons, n), size


def filtered(movement, neurons, n):
    """Filter the rows after the first n, on which the matrices are fitted."""
    state = np.hstack([movement, np.gradient(movement, axis=0)])
    step = LinearRegression().fit(state[: n - 1], state[1:n])
    look = LinearRegression().fit(state[:n], neurons[:n])
    Q = np.cov((state[1:n] - step.predict(state[: n - 1])).T)
    R = np.cov((neurons[:n] - look.predict(state[:n])).T)
    R += 1e-3 * np.eye(neurons.shape[1])
    A, H = step.coef_, look.coef_
    x, P = state[:n].mean(0), np.cov(state[:n].T)
    means = []
    for z in neurons[n:]:
        x, P = A @ x + step.intercept_, A @ P @ A.T + Q
        K = np.linalg.solve(H @ P @ H.T + R, H @ P).T
        x, P = x + K @ (z - H @ x - look.intercept_), P - K @ H @ P
        means.append(x[: movement.shape[1]])
    return np.array(means)
