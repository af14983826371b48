"""Which stimulus to show: `optimize_stimulus`."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from afm_sklearn import (
    AFMForecaster,
    Persistence,
    ResidualForecaster,
    SlidingWindow,
    design_matrix,
)
from afm_sklearn.applications.objectives import (
    EventProbability,
    RaiseChannel,
    ReachTarget,
)
from afm_sklearn.applications.planning import optimize_stimulus
from afm_sklearn.datasets import make_linear_var, make_spiking_population

HORIZON = 5


@pytest.fixture(scope="module")
def linear():
    data = make_linear_var(n_times=1500, n_channels=3, n_stimuli=2, random_state=0)
    X = design_matrix(data.activity, data.stimulus)
    model = AFMForecaster(base="linear", random_state=0, max_epochs=1)
    windows = SlidingWindow(data.oracle.law.order).fit_transform(X)
    return model.fit(windows, data.activity), np.asarray(windows), data


def _expected(model, window, plan, target, price):
    """Exact value of a plan on a linear Gaussian law, but for a constant."""
    quiet = _mean_path(model, window, plan)
    apart = quiet - target
    return -(apart**2).sum() - price * (plan**2).sum()


def _mean_path(model, window, plan):
    """Means of a rollout of the linear mean, which is a rollout of the means."""
    x, steps, d = window.copy(), [], model.n_outputs_
    for h, shown in enumerate(plan):
        if h:
            x = np.concatenate([x[1:], np.append(steps[-1], shown)[None]])
        x[-1, d:] = shown
        steps.append(model.predict(x[None])[0])
    return np.array(steps)


def _lqr(model, window, target, price, s):
    """The best plan in closed form: least squares in the stimulus."""
    zero = np.zeros((HORIZON, s))
    rest = _mean_path(model, window, zero)
    columns = []
    for k in range(HORIZON * s):
        one = zero.copy()
        one.flat[k] = 1.0
        columns.append((_mean_path(model, window, one) - rest).ravel())
    G = np.stack(columns, 1)
    gap = (target - rest).ravel()
    best = np.linalg.solve(G.T @ G + price * np.eye(HORIZON * s), G.T @ gap)
    return best.reshape(HORIZON, s)


@pytest.mark.parametrize("method", ["gradient", "cross-entropy"])
def test_the_plan_on_a_linear_law_is_the_one_in_closed_form(linear, method):
    model, windows, _ = linear
    window, price = windows[200], 0.3
    target = _mean_path(model, window, np.zeros((HORIZON, 2))) + 0.2
    plan = optimize_stimulus(
        model,
        window[None],
        ReachTarget(target, last=None),
        horizon=HORIZON,
        bounds=(-1.0, 1.0),
        method=method,
        regularizer=lambda stimulus: price * (stimulus**2).sum(),
        n_samples=500,
        random_state=0,
    )
    assert plan.method == method
    best = _lqr(model, window, target, price, 2)
    assert np.abs(best).max() < 1.0  # in the range of training
    worth = [_expected(model, window, p, target, price) for p in (plan.stimulus, best)]
    still = _expected(model, window, np.zeros_like(best), target, price)
    limit = 0.01 if method == "gradient" else 0.05
    assert worth[1] - worth[0] <= limit * (worth[1] - still)


def test_the_objective_is_that_of_the_trajectories_with_its_standard_error(linear):
    model, windows, _ = linear
    goal = ReachTarget([1.0, 0.0, 0.0])
    plan = optimize_stimulus(
        model, windows[:300], goal, horizon=3, bounds=(-1, 1), random_state=0
    )
    values = goal(plan.trajectories)
    assert plan.objective == pytest.approx(values.mean())
    assert plan.standard_error == pytest.approx(values.std(ddof=1) / np.sqrt(200))
    again = optimize_stimulus(
        model, windows[:300], goal, horizon=3, bounds=(-1, 1), random_state=0
    )
    np.testing.assert_array_equal(again.stimulus, plan.stimulus)
    draws = model.sample_trajectories(
        windows[299:300], 3, stimulus=plan.stimulus[None], n_samples=2000
    )
    assert goal(draws[0]).mean() == pytest.approx(
        plan.objective, abs=5 * plan.standard_error
    )


def test_plans_stay_inside_bounds_and_start_where_they_are_told(linear):
    model, windows, _ = linear
    low, high = np.array([0.2, -0.1]), np.array([0.5, 0.1])
    for method in ("gradient", "cross-entropy"):
        plan = optimize_stimulus(
            model,
            windows[:300],
            ReachTarget([50.0, 0, 0]),
            horizon=4,
            bounds=(low, high),
            method=method,
            start=np.full((4, 2), 0.3),
            n_samples=20,
            random_state=0,
        )
        assert (plan.stimulus >= low).all() and (plan.stimulus <= high).all()
    np.testing.assert_array_equal(plan.shifted()[:-1], plan.stimulus[1:])
    np.testing.assert_array_equal(plan.shifted()[-1], plan.stimulus[-1])


def test_a_constraint_is_kept_at_a_price(linear):
    model, windows, _ = linear
    arguments = {
        "horizon": 4,
        "bounds": (-1, 1),
        "random_state": 0,
        "regularizer": lambda stimulus: 0.01 * (stimulus**2).sum(),
    }
    goal = RaiseChannel(0, rest=np.zeros(3), price=0.0)
    free = optimize_stimulus(model, windows[:300], goal, **arguments)
    limit = np.quantile(free.trajectories[:, :, 1], 0.3)
    kept = optimize_stimulus(
        model,
        windows[:300],
        goal,
        constraint=lambda draws: draws[:, :, 1].mean(1) - limit,
        **arguments,
    )
    broken = (free.trajectories[:, :, 1].mean(1) > limit).mean()
    assert kept.violation < broken
    assert kept.violation == (kept.trajectories[:, :, 1].mean(1) > limit).mean()


def test_objectives_are_the_same_for_arrays_and_tensors():
    draws = np.random.default_rng(0).normal(size=(7, 4, 3))
    tensor = torch.as_tensor(draws)
    for goal in (
        ReachTarget([1.0, 2.0, 3.0], weights=[1.0, 0.0, 2.0]),
        ReachTarget(np.ones((4, 3)), last=2),
        RaiseChannel(1, rest=[0.5, 0.0, 0.0], price=0.3),
    ):
        np.testing.assert_allclose(goal(draws), goal(tensor).numpy())


def test_a_whole_pool_of_counts_is_planned_without_gradients():
    data = make_spiking_population(n_times=600, n_neurons=4, random_state=0)
    X = design_matrix(data.activity, data.stimulus)
    model = AFMForecaster(window_length=3, max_epochs=2, random_state=0)
    model.fit(X, data.activity)
    s = data.stimulus.shape[1]
    goal = EventProbability(lambda draws: draws[:, -1].sum(1) == 0)
    plan = optimize_stimulus(
        model, X[-5:], goal, horizon=2, bounds=(-1, 1), n_samples=50, random_state=0
    )
    assert plan.method == "cross-entropy"
    assert plan.stimulus.shape == (2, s) and 0 <= plan.objective <= 1
    with pytest.raises(ValueError, match="method='gradient' needs"):
        optimize_stimulus(
            model, X[-5:], goal, horizon=2, bounds=(-1, 1), method="gradient"
        )


@pytest.mark.slow
def test_a_planner_of_a_fitted_law_nears_the_one_that_knows_the_true_law():
    worth = np.array([_worth_of_plans(seed) for seed in range(3)])
    fitted, known = worth.mean((0, 1))
    assert fitted >= 0.9 * known


def _worth_of_plans(seed):
    """What plans of a fitted and of the true law are worth under the latter."""
    data = make_spiking_population(n_times=2500, n_neurons=8, random_state=seed)
    X = design_matrix(data.activity, data.stimulus)
    model = AFMForecaster(window_length=5, random_state=0).fit(X, data.activity)
    goal = RaiseChannel(0, rest=data.activity.mean(0), price=0.1)
    rows = np.asarray(SlidingWindow(5).fit_transform(X))[[600, 1200, 1800]]
    arguments = {"horizon": 4, "bounds": (-1, 1), "n_samples": 100, "random_state": 0}
    worth = []
    for row in rows:
        plans = [
            optimize_stimulus(planner, row[None], goal, **arguments)
            for planner in (model, data.oracle)
        ]
        worth.append(
            [
                goal(
                    data.oracle.sample_trajectories(
                        row[None],
                        4,
                        stimulus=p.stimulus[None],
                        n_samples=4000,
                        random_state=0,
                    )[0]
                ).mean()
                for p in plans
            ]
        )
    return worth


def test_pipelines_and_other_forecasters_plan_too(linear):
    _, _, data = linear
    X = design_matrix(data.activity, data.stimulus)
    pipe = make_pipeline(SlidingWindow(2), ResidualForecaster(LinearRegression()))
    pipe.fit(X, data.activity)
    arguments = {"horizon": 2, "bounds": (-1, 1), "n_samples": 20, "random_state": 0}
    plan = optimize_stimulus(pipe, X[:50], ReachTarget(np.ones(3)), **arguments)
    assert plan.stimulus.shape == (2, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bounds": (1, -1)}, "bounds are reversed"),
        ({"bounds": 3}, "bounds must be a pair"),
        ({"bounds": (np.zeros(5), 1)}, "low end of bounds has shape"),
        ({"bounds": (0, np.inf)}, "high end of bounds"),
        ({"horizon": 0}, "horizon must be an integer"),
        ({"method": "magic"}, "method must be one of"),
        ({"start": np.zeros((2, 2))}, "start has shape"),
        ({"objective": lambda draws: draws[:, 0]}, "objective returned shape"),
        ({"n_samples": 1}, "n_samples must be an integer >= 2"),
    ],
)
def test_bad_arguments_are_named(linear, changes, message):
    model, windows, _ = linear
    arguments = {
        "objective": ReachTarget(np.zeros(3)),
        "horizon": 3,
        "bounds": (-1, 1),
        "n_samples": 10,
    } | changes
    with pytest.raises(ValueError, match=message):
        optimize_stimulus(model, windows[:20], arguments.pop("objective"), **arguments)


def test_without_a_stimulus_there_is_nothing_to_plan():
    y = np.random.default_rng(0).normal(size=(50, 2)).cumsum(0)
    walk = Persistence(window_length=2).fit(design_matrix(y), y)
    with pytest.raises(ValueError, match="no stimulus to choose"):
        optimize_stimulus(
            walk, design_matrix(y), ReachTarget([0, 0]), horizon=2, bounds=(-1, 1)
        )
