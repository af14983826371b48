"""Planning a stimulus: beside the optimum in closed form, and beside the true law."""

import numpy as np
from sklearn.linear_model import LinearRegression

from afm_sklearn import AFMForecaster, ResidualForecaster, SlidingWindow, design_matrix
from afm_sklearn.applications.objectives import RaiseChannel, ReachTarget
from afm_sklearn.applications.planning import optimize_stimulus
from afm_sklearn.datasets import make_linear_var, make_spiking_population

HORIZON = 6
PRICE = 1.0  # of a squared stimulus


def lines(data, quick):
    """Yield one record a measure; `data` is not needed."""
    yield from linear_quadratic(quick)
    yield spiking(quick)


def linear_quadratic(quick):
    """Share of the possible gain that is missed on a linear Gaussian law."""
    data = make_linear_var(n_times=2000, n_channels=4, n_stimuli=2, random_state=0)
    X = design_matrix(data.activity, data.stimulus)
    windows = np.asarray(SlidingWindow(data.oracle.law.order).fit_transform(X))
    models = {
        # A flow that has learnt nothing leaves the law linear and Gaussian.
        "AFM, linear": AFMForecaster(base="linear", max_epochs=1, random_state=0),
        "VAR": ResidualForecaster(LinearRegression()),
    }
    for name, model in models.items():
        model.fit(windows, data.activity)
        for method in ("gradient", "cross-entropy"):
            if method == "gradient" and name == "VAR":
                continue  # regressors of scikit-learn have no gradient
            missed = [
                missed_share(model, windows[row], method)
                for row in (300, 900) + (() if quick else (1200, 1500, 1800))
            ]
            yield {
                "task": f"planning: {name}, {method}",
                "measure": "missed share of the gain of the optimum",
                "ours": float(np.mean(missed)),
                "opponent": "closed form (LQR)",
                "theirs": 0.0,
                "bar": "at most .01",
                "met": bool(np.mean(missed) <= 0.01),
            }


def missed_share(model, window, method):
    """How much of what the optimum gains over silence a plan misses."""
    silence = np.zeros((HORIZON, 2))
    rest = mean_path(model, window, silence)
    target = rest + 0.2
    steps = []
    for k in range(silence.size):
        one = silence.copy()
        one.flat[k] = 1.0
        steps.append((mean_path(model, window, one) - rest).ravel())
    G, gap = np.stack(steps, 1), (target - rest).ravel()
    best = np.linalg.solve(G.T @ G + PRICE * np.eye(silence.size), G.T @ gap)
    plan = optimize_stimulus(
        model,
        window[None],
        ReachTarget(target, last=None),
        horizon=HORIZON,
        bounds=(-1.0, 1.0),
        method=method,
        regularizer=lambda stimulus: PRICE * (stimulus**2).sum(),
        random_state=0,
    )

    def worth(stimulus):
        apart = rest.ravel() + G @ stimulus.ravel() - target.ravel()
        return -(apart**2).sum() - PRICE * (stimulus**2).sum()

    return (worth(best) - worth(plan.stimulus)) / (worth(best) - worth(silence))


def mean_path(model, window, stimulus):
    """Means of a linear law rolled out."""
    x, steps, d = window.copy(), [], model.n_outputs_
    for step, shown in enumerate(stimulus):
        if step:
            x = np.concatenate([x[1:], np.append(steps[-1], shown)[None]])
        x[-1, d:] = shown
        steps.append(model.predict(x[None])[0])
    return np.array(steps)


def spiking(quick):
    """What plans are worth in the simulator, beside those of the true law."""
    data = make_spiking_population(n_times=2500, n_neurons=10, random_state=0)
    X = design_matrix(data.activity, data.stimulus)
    windows = np.asarray(SlidingWindow(5).fit_transform(X))
    model = AFMForecaster(random_state=0).fit(windows, data.activity)
    ours, theirs = [], []
    for channel in (0, 1) if quick else (0, 1, 2, 3):
        goal = RaiseChannel(channel, rest=data.activity.mean(0), price=0.1)
        for row in (700, 1900):
            window = windows[row : row + 1]
            for planner, worth in ((model, ours), (data.oracle, theirs)):
                plan = optimize_stimulus(
                    planner,
                    window,
                    goal,
                    horizon=HORIZON,
                    bounds=(-1.0, 1.0),
                    n_samples=100,
                    random_state=0,
                )
                truth = data.oracle.sample_trajectories(
                    window,
                    HORIZON,
                    stimulus=plan.stimulus[None],
                    n_samples=4000,
                    random_state=0,
                )
                worth.append(goal(truth[0]).mean())
    return {
        "task": "planning: spiking population",
        "measure": "objective reached in the simulator",
        "ours": float(np.mean(ours)),
        "opponent": "planner of the true law",
        "theirs": float(np.mean(theirs)),
        "bar": "at least .9",
        "met": bool(np.mean(ours) >= 0.9 * np.mean(theirs)),
    }
