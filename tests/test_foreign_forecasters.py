"""Forecasters made of someone else's callable, judged like all others."""

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.base import clone
from sklearn.model_selection import TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from afm_sklearn import (
    SlidingWindow,
    compare,
    coverage,
    crps,
    design_matrix,
    energy_score,
    forecast,
    make_trajectory_scorer,
    neg_crps_scorer,
    save,
)
from afm_sklearn.baselines.draw_forecaster import DrawForecaster
from afm_sklearn.baselines.quantile_forecaster import QuantileForecaster
from afm_sklearn.baselines.quantile_function import QuantileFunction
from afm_sklearn.datasets import make_linear_var

ALPHA = (0.1, 0.25, 0.5, 0.75, 0.9)
HORIZON = 4


# -- stand-ins: what someone else might have written -----------------------------


def walk(history, horizon, n_samples, stimulus, seed):
    """Draws of a random walk from the last value, 0 where it is missing."""
    n, _, d = history.shape
    steps = np.random.default_rng(seed).normal(size=(n, n_samples, horizon, d))
    return np.nan_to_num(history[:, -1])[:, None, None] + steps.cumsum(axis=2)


def walk_quantiles(history, horizon, stimulus):
    """Quantiles of the same."""
    spread = np.sqrt(np.arange(1.0, horizon + 1))[:, None]
    steps = stats.norm.ppf(ALPHA)[:, None, None] * spread
    return np.nan_to_num(history[:, -1])[:, None, None] + steps


def var_moments(law, history, horizon, stimulus):
    """Means (n, h, d) and standard deviations (h, d) of a VAR(1)."""
    A, B = law.lag_weights[0], law.stimulus_weights
    mean, covariance = history[:, -1], np.zeros_like(A)
    means, spreads = [], []
    for lead in range(horizon):
        shown = stimulus[:, history.shape[1] + lead]
        mean = mean @ A.T + shown @ B.T
        covariance = A @ covariance @ A.T + law.covariance
        means.append(mean)
        spreads.append(np.sqrt(np.diag(covariance)))
    return np.stack(means, 1), np.array(spreads)


def var_quantiles(law, history, horizon, stimulus):
    means, spreads = var_moments(law, history, horizon, stimulus)
    return means[:, None] + stats.norm.ppf(ALPHA)[:, None, None] * spreads


def var_draws(law, history, horizon, n_samples, stimulus, seed):
    """Draws of a VAR(1) step by step."""
    rng, state = np.random.default_rng(seed), history[:, None, -1]
    n, _, d = history.shape
    steps = []
    for lead in range(horizon):
        shown = stimulus[:, None, history.shape[1] + lead]
        noise = rng.multivariate_normal(np.zeros(d), law.covariance, (n, n_samples))
        state = state @ law.lag_weights[0].T + shown @ law.stimulus_weights.T + noise
        steps.append(state)
    return np.stack(steps, 2)


@pytest.fixture(scope="module")
def system():
    data = make_linear_var(n_times=3000, n_channels=3, n_stimuli=2, random_state=0)
    X = design_matrix(data.activity, data.stimulus)
    return data, np.asarray(SlidingWindow(2).fit_transform(X))


@pytest.fixture(scope="module", params=["quantiles", "draws"])
def fitted(request, system):
    data, windows = system
    law = data.oracle.law
    if request.param == "draws":
        model = DrawForecaster(partial(var_draws, law), n_draws=2000, random_state=0)
    else:
        model = QuantileForecaster(
            partial(var_quantiles, law), alpha=ALPHA, horizon=HORIZON, random_state=0
        )
    return model.fit(windows[:2000], data.activity[:2000])


def small(n_runs=1, n=120):
    y = np.random.default_rng(0).normal(size=(n, 2)).cumsum(axis=0)
    runs = np.repeat(np.arange(n_runs), n // n_runs)
    return design_matrix(y, runs=runs), y


# -- the contract ----------------------------------------------------------------


@pytest.mark.parametrize(
    "model",
    [
        DrawForecaster(walk, n_draws=10, autoregressive=True),
        QuantileForecaster(walk_quantiles, alpha=ALPHA, horizon=1, autoregressive=True),
        QuantileForecaster(
            walk_quantiles, alpha=ALPHA, dependence="independent", autoregressive=True
        ),
    ],
    ids=["draw", "quantile", "independent"],
)
def test_scikit_learn_contract(model):
    # This check sets any parameter of that name to one number.
    failing = dict.fromkeys(["check_regressors_train"], "alpha is a sequence")
    is_excused = isinstance(model, QuantileForecaster)
    check_estimator(
        model, on_skip=None, expected_failed_checks=failing if is_excused else None
    )


def test_answers_have_the_shapes_of_every_forecaster(system, fitted):
    data, windows = system
    rows = windows[2000:2005]
    steps = np.arange(2000, 2005)[:, None] + np.arange(HORIZON)
    paths = fitted.sample_trajectories(
        rows, HORIZON, stimulus=data.stimulus[steps], n_samples=6, random_state=0
    )
    assert paths.shape == (5, 6, HORIZON, 3)
    assert fitted.sample(rows, 6).shape == (5, 6, 3)
    assert fitted.predict(rows).shape == (5, 3)
    assert fitted.predict_quantiles(rows, [0.2, 0.8]).shape == (5, 2, 3)
    assert fitted.predict_interval(rows, 0.9).shape == (5, 2, 3)
    assert not hasattr(fitted, "log_prob")
    again = [fitted.sample(rows, 6, random_state=1) for _ in range(2)]
    np.testing.assert_array_equal(*again)
    assert (fitted.sample(rows, 6, random_state=2) != again[0]).all()


def test_one_target_drops_the_last_axis():
    X, y = small()
    for model in (
        DrawForecaster(walk, window_length=2, run_column=-1),
        QuantileForecaster(
            walk_quantiles, alpha=ALPHA, horizon=3, window_length=2, run_column=-1
        ),
    ):
        model.fit(X[:, [0, 2]], y[:, 0])
        at = X[-2:, [0, 2]]
        assert model.predict(at).shape == (2,)
        assert model.sample_trajectories(at, 3, n_samples=5).shape == (2, 5, 3)


# -- what they say is what the callable says ---------------------------------------


def test_the_next_step_is_that_of_the_callable(system, fitted):
    data, windows = system
    rows = windows[2000:2020]
    history = rows[:, :, :3]
    shown = np.concatenate([rows[:, :1, 3:] * np.nan, rows[:, :, 3:]], axis=1)
    mean, spread = var_moments(data.oracle.law, history, 1, shown)
    # Of 2000 draws the mean is known to .022 spreads.
    tolerance = 0.1 if isinstance(fitted, DrawForecaster) else 1e-9
    far = (fitted.predict(rows) - mean[:, 0]) / spread
    assert np.abs(far).max() < tolerance
    levels = [0.02, 0.3, 0.5, 0.97]
    exact = mean + stats.norm.ppf(levels)[:, None] * spread
    apart = (fitted.predict_quantiles(rows, levels) - exact) / spread
    assert np.abs(apart).max() < 2.5 * tolerance
    draws = fitted.sample(rows, 4000, random_state=0)
    assert np.abs((draws.mean(1) - mean[:, 0]) / spread).max() < 0.12
    np.testing.assert_allclose(draws.std(1) / spread, 1, atol=0.06)


def test_trajectories_are_those_of_the_law_that_the_callable_knows(system, fitted):
    data, windows = system
    origins = np.arange(2000, 2990, 3)
    steps = origins[:, None] + np.arange(HORIZON)
    y, shown = data.activity[steps], data.stimulus[steps]
    ours, true = (
        model.sample_trajectories(
            windows[origins], HORIZON, stimulus=shown, random_state=0
        )
        for model in (fitted, data.oracle)
    )
    assert energy_score(y, ours).mean() < 1.01 * energy_score(y, true).mean()
    assert (np.abs(coverage(y, ours, level=0.9).mean(axis=1) - 0.9) < 0.03).all()
    apart = np.diff(ours, axis=1).reshape(-1, HORIZON * 3)
    truly = np.diff(true, axis=1).reshape(-1, HORIZON * 3)
    np.testing.assert_allclose(np.corrcoef(apart.T), np.corrcoef(truly.T), atol=0.15)


def test_independent_dependence_is_none(system):
    data, windows = system
    model = QuantileForecaster(
        partial(var_quantiles, data.oracle.law),
        alpha=ALPHA,
        dependence="independent",
        random_state=0,
    ).fit(windows[:100], data.activity[:100])
    steps = np.arange(2000, 2004)[:, None] + np.arange(30)
    ours = model.sample_trajectories(
        windows[2000:2004],
        30,
        stimulus=data.stimulus[steps],
        n_samples=2000,
        random_state=0,
    )
    correlation = np.corrcoef(ours[0].reshape(2000, -1).T)
    assert np.abs(correlation - np.eye(90)).max() < 0.12


def test_the_dependence_learnt_does_not_change_what_the_callable_says():
    # Ranks are those among the training rows, however wrong the quantiles are.
    def biased(history, horizon, stimulus):
        return walk_quantiles(history, horizon, stimulus) / 3 + 20

    X, y = small(n=400)
    windows = X[:, None, :2]
    model = QuantileForecaster(biased, alpha=ALPHA, horizon=3, random_state=0)
    model.fit(windows, y)
    draws = model.sample_trajectories(windows[-3:], 3, n_samples=20_000, random_state=0)
    stated = biased(windows[-3:], 3, None)
    below = (draws[:, None] <= stated[:, :, None]).mean(axis=2)
    np.testing.assert_allclose(
        below, np.array(ALPHA)[:, None, None] + 0 * below, atol=0.015
    )


# -- what the callable gets ----------------------------------------------------------


class Spy:
    """Keeps what it is asked, and answers with zeros."""

    asked: list

    def draw(self, history, horizon, n_samples, stimulus, seed):
        Spy.asked.append((history, stimulus))
        return np.zeros((len(history), n_samples, horizon, history.shape[2]))


def test_history_and_stimulus_are_aligned_steps():
    y = np.arange(1.0, 41.0)[:, None]
    shown = 100 * y
    runs = np.repeat([0, 1], 20)
    X = design_matrix(y, shown, runs)
    windows = SlidingWindow(3, run_column=-1).fit_transform(X)
    model = DrawForecaster(Spy().draw).fit(windows, y)
    Spy.asked = []
    future = shown[[21, 22, 23, 24]][None]
    model.sample_trajectories(windows[21:22], 4, stimulus=future, n_samples=2)
    (history, stimulus), *_ = Spy.asked
    nan = np.nan
    np.testing.assert_array_equal(history[0, :, 0], [nan, nan, 21])
    np.testing.assert_array_equal(
        stimulus[0, :, 0], [nan, nan, 2100, 2200, 2300, 2400, 2500]
    )


def test_scaled_windows_reach_the_callable_in_units_of_y():
    X, y = small()
    X, y = X[:, :2], 5 * y + 3
    X = 5 * X + 3
    Spy.asked = []
    pipe = make_pipeline(
        StandardScaler(), SlidingWindow(2), DrawForecaster(Spy().draw)
    ).fit(X, y)
    pipe[-1].sample(pipe[:-1].transform(X)[50:52], 2)
    history, stimulus = Spy.asked[-1]
    np.testing.assert_allclose(history, [y[48:50], y[49:51]])
    assert stimulus is None


def test_rows_without_a_past_are_drawn_from_the_targets():
    X, y = small(n_runs=6)
    for model in (
        DrawForecaster(lambda h, horizon, k, s, seed: walk(h, horizon, k, s, seed)),
        QuantileForecaster(walk_quantiles, alpha=ALPHA, horizon=2),
    ):
        windows = SlidingWindow(2, run_column=-1).fit_transform(X)
        model.fit(windows, y)
        first = model.predict_quantiles(windows[[0, 20]], (0.25, 0.5, 0.75))
        usual = np.quantile(y, (0.25, 0.5, 0.75), axis=0)
        scale = y.std(axis=0)
        assert np.abs((first - usual) / scale).max() < 0.3
        np.testing.assert_array_equal(first[0], first[1])
        assert np.isfinite(model.sample_trajectories(windows[:3], 2)).all()


# -- among the others ------------------------------------------------------------------


def test_they_pass_through_compare_and_scorers(system):
    data, _ = system
    runs = np.zeros(600)
    X = design_matrix(data.activity[:600], data.stimulus[:600], runs)
    y, law = data.activity[:600], data.oracle.law
    models = {
        "truth": data.oracle,
        "draws": DrawForecaster(partial(var_draws, law), random_state=0),
        "quantiles": QuantileForecaster(
            partial(var_quantiles, law), alpha=ALPHA, horizon=3, random_state=0
        ),
        "walk": DrawForecaster(walk, random_state=0),
    }
    pipes = {
        name: make_pipeline(SlidingWindow(2, run_column=-1), model)
        for name, model in models.items()
    }
    result = compare(pipes, X[1:], y[1:], cv=TimeSeriesSplit(2), horizon=3)
    mean = {
        (row["model"], row["score"], row["lead_time"]): row["mean"]
        for row in result.rows
    }
    for lead in (1, 2, 3):
        for name in ("draws", "quantiles"):
            assert mean[name, "crps", lead] < 1.04 * mean["truth", "crps", lead]
            assert mean[name, "crps", lead] < 0.95 * mean["walk", "crps", lead]
    pipe = pipes["draws"].fit(X, y)
    assert neg_crps_scorer(pipe, X, y) < 0
    assert make_trajectory_scorer("energy", 3, stride=20)(pipe, X, y) < 0
    paths = forecast(
        pipe,
        y,
        3,
        stimulus=data.stimulus[:600],
        future_stimulus=data.stimulus[600:603],
        runs=runs,
        random_state=0,
    )
    assert crps(data.activity[600:603], paths.transpose(1, 0, 2)).mean() < 2


def test_clones_and_pickles_draw_the_same():
    X, y = small()
    for model in (
        DrawForecaster(walk, window_length=2, run_column=-1),
        QuantileForecaster(
            walk_quantiles, alpha=ALPHA, horizon=3, window_length=2, run_column=-1
        ),
    ):
        fitted = clone(model).fit(X, y)
        again = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(
            fitted.sample_trajectories(X[-2:], 3, random_state=0),
            again.sample_trajectories(X[-2:], 3, random_state=0),
        )
        with pytest.raises(TypeError, match="function"):
            save(fitted, "never_written.afm")


# -- what is refused -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.zeros((1, 5, 2, 3)), r"shape \(1, 5, 2, 3\), expected \(n, n_alpha, "),
        (np.full((1, 5, 3, 2), np.nan), "not finite for 1 of 1 histories"),
        (np.arange(5.0, 0, -1)[:, None, None] + np.zeros((1, 5, 3, 2)), "must grow"),
        ("five", "no array of numbers"),
    ],
)
def test_wrong_quantiles_are_refused_by_name(answer, message):
    def theirs(history, horizon, stimulus):
        return answer

    X, y = small()
    model = QuantileForecaster(
        theirs, alpha=ALPHA, dependence="independent", window_length=1, run_column=-1
    ).fit(X, y)
    with pytest.raises(ValueError, match=rf"quantiles=\S*theirs returned .*{message}"):
        model.sample_trajectories(X[-1:], 3)


def test_wrong_draws_are_refused_by_name():
    X, y = small()
    model = DrawForecaster(
        lambda *asked: walk(*asked)[:, :, :2], window_length=1, run_column=-1
    ).fit(X, y)
    expected = r"expected \(n, n_samples, horizon, d\) = \(1, 7, 3, 2\)"
    with pytest.raises(ValueError, match=rf"draw=\S*lambda\S* returned .*{expected}"):
        model.sample_trajectories(X[-1:], 3, n_samples=7)


def test_crossing_quantiles_are_sorted():
    def crossing(history, horizon, stimulus):
        return walk_quantiles(history, horizon, stimulus)[:, [0, 2, 1, 3, 4]]

    X, y = small()
    ours, theirs = (
        QuantileForecaster(
            call, alpha=ALPHA, horizon=2, window_length=1, run_column=-1
        ).fit(X, y)
        for call in (crossing, walk_quantiles)
    )
    np.testing.assert_array_equal(
        ours.predict_quantiles(X, ALPHA), theirs.predict_quantiles(X, ALPHA)
    )


def test_arguments_and_data_that_do_not_fit_are_refused():
    X, y = small(n_runs=12)
    raw = {"window_length": 1, "run_column": -1}
    for alpha in (0.5, [0.5], [0.5, 0.1], [0.0, 0.5], ["a", "b"]):
        with pytest.raises(ValueError, match=r"alpha"):
            QuantileForecaster(walk_quantiles, alpha=alpha, **raw).fit(X, y)
    with pytest.raises(ValueError, match="'draw' parameter"):
        DrawForecaster("walk", **raw).fit(X, y)
    with pytest.raises(ValueError, match=r"horizon=16 needs at least 2 rows .* got 0"):
        QuantileForecaster(walk_quantiles, alpha=ALPHA, **raw).fit(X, y)
    model = QuantileForecaster(walk_quantiles, alpha=ALPHA, horizon=3, **raw).fit(X, y)
    with pytest.raises(ValueError, match=r"horizon is 4, .* fitted for horizon=3"):
        model.sample_trajectories(X, 4)
    other = np.random.default_rng(1).normal(size=(120, 2))
    for model in (DrawForecaster(walk), QuantileForecaster(walk_quantiles)):
        with pytest.raises(ValueError, match=r"Forecaster needs .* lagged targets"):
            model.fit(other, y)


# -- the quantile function ------------------------------------------------------------


@pytest.mark.parametrize(
    "knots", [[0.0, 1, 1, 1, 2], [0.0, 0, 0, 1, 4], [0.0, 1, 2, 2, 2]]
)
def test_scores_invert_values_and_span_atoms(knots):
    scores = torch.from_numpy(stats.norm.ppf(ALPHA))
    values = torch.tensor(knots, dtype=torch.float64)[None, :, None]
    function = QuantileFunction(values, scores)
    z = torch.linspace(-4, 4, 999, dtype=torch.float64)
    y = function.at(z[None, :, None])[0, :, 0]
    for one, score in zip(y, z, strict=True):
        low = function.score(one[None, None], below=True).item()
        high = function.score(one[None, None]).item()
        assert low - 1e-9 <= score.item() <= high + 1e-9
    level = torch.linspace(0, 1, 200_001, dtype=torch.float64)[1::2]
    mean = function.at(torch.special.ndtri(level)[None, :, None]).mean()
    assert function.mean.item() == pytest.approx(mean.item(), abs=1e-3)
