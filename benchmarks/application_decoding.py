"""Decoding movement from neurons, beside direct regressions and a Kalman filter."""

import numpy as np
import trust_recordings
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.multioutput import MultiOutputRegressor

from afm_sklearn import AFMForecaster, SlidingWindow, coverage, crps, design_matrix
from afm_sklearn.applications import decode

N_DRAWS, BURN_IN = 100, 20
LENGTH = 5


def lines(data, quick):
    """Yield three records a recording."""
    if data is None:
        return
    for name in ("m1",) if quick else ("m1", "ca1", "hippocampus"):
        movement, neurons, n = recording(name, data)
        model = AFMForecaster(window_length=LENGTH, random_state=0)
        model.fit(design_matrix(movement[:n], neurons[:n]), movement[:n])
        draws = decode(model, neurons[n:], n_samples=N_DRAWS, random_state=0)
        y, draws = movement[n + BURN_IN :], draws[:, BURN_IN:].transpose(1, 0, 2)
        others = {}
        for kind in ("ridge", "boosting", "Kalman filter"):
            others[kind] = opponent(kind, movement, neurons, n)[BURN_IN:]
        measures = {
            "CRPS": lambda x, y=y: float(crps(y, x).mean()),
            "median absolute error": lambda x, y=y: float(
                np.median(np.abs(np.median(x, axis=1) - y))
            ),
        }
        for label, measure in measures.items():
            best = min(others, key=lambda kind: measure(others[kind]))
            ours, theirs = measure(draws), measure(others[best])
            yield {
                "task": f"decoding: {name}",
                "measure": label,
                "ours": ours,
                "opponent": best,
                "theirs": theirs,
                "bar": "at most .95",
                "met": bool(ours <= 0.95 * theirs),
            }
        covered = float(coverage(y, draws).mean())
        yield {
            "task": f"decoding: {name}",
            "measure": "90 % intervals cover",
            "ours": covered,
            "opponent": "nominal",
            "theirs": 0.9,
            "bar": ".85 to .95",
            "met": bool(0.85 <= covered <= 0.95),
        }


def recording(name, data):
    """Movement of unit scale, neurons, and the number of training rows."""
    neurons, movement, _, n, _ = trust_recordings.load(name, data)
    if name == "hippocampus":  # bins of .4 s
        k = len(neurons) // 4
        neurons = neurons[: 4 * k].reshape(k, 4, -1).sum(1)
        movement, n = movement[: 4 * k : 4], n // 4
    movement = (movement - movement[:n].mean(0)) / movement[:n].std(0)
    return movement, np.sqrt(np.maximum(neurons, 0.0)), n


def opponent(kind, movement, neurons, n):
    """Draws (T, N_DRAWS, d) of the test rows with Gaussian errors of held-out size."""
    if kind == "Kalman filter":
        mean, size = kalman(movement, neurons, n)
    else:
        flat = SlidingWindow(LENGTH, flatten=True).fit_transform(neurons)
        flat = np.nan_to_num(np.asarray(flat))
        model = RidgeCV(np.logspace(-2, 6, 17))
        if kind == "boosting":
            trees = HistGradientBoostingRegressor(max_iter=60, random_state=0)
            model = MultiOutputRegressor(trees)
        late = int(0.8 * n)
        held = model.fit(flat[:late], movement[:late]).predict(flat[late:n])
        size = (movement[late:n] - held.reshape(n - late, -1)).std(0)
        mean = model.fit(flat[:n], movement[:n]).predict(flat[n:])
        mean = mean.reshape(len(flat) - n, -1)
    noise = np.random.default_rng(0).normal(size=(len(mean), N_DRAWS, mean.shape[1]))
    return mean[:, None] + size * noise


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
    R = np.cov((neurons[:n] - look.predict(state[:n])).T) + 1e-3 * np.eye(
        neurons.shape[1]
    )
    A, H = step.coef_, look.coef_
    x, P = state[:n].mean(0), np.cov(state[:n].T)
    means = []
    for z in neurons[n:]:
        x, P = A @ x + step.intercept_, A @ P @ A.T + Q
        S = H @ P @ H.T + R
        K = np.linalg.solve(S, H @ P).T
        x = x + K @ (z - H @ x - look.intercept_)
        P = P - K @ H @ P
        means.append(x[: movement.shape[1]])
    return np.array(means)
