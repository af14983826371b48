"""Direct forecasts: the law of every lead time, learnt without crossing a run."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from afm_sklearn import (
    DirectForecaster,
    SlidingWindow,
    coverage,
    design_matrix,
    energy_score,
    forecast,
    make_trajectory_scorer,
)
from afm_sklearn.baselines.ridge import PENALTIES, LeaveOneOutRidge
from afm_sklearn.data.blocks import time_folds
from afm_sklearn.datasets import make_linear_var

HORIZON = 5


class Recorder(LinearRegression):
    """Least squares that remembers what each clone was fitted on."""

    fitted: list

    def fit(self, X, y):
        self.fitted.append((X, y))
        return super().fit(X, y)


@pytest.fixture(scope="module")
def system():
    data = make_linear_var(n_times=4000, n_channels=3, n_stimuli=2, random_state=0)
    return data, design_matrix(data.activity, data.stimulus)


@pytest.fixture(scope="module", params=["gaussian", "bootstrap"])
def fitted(request, system):
    data, X = system
    model = DirectForecaster(horizon=HORIZON, residuals=request.param)
    return model.fit(X[:3000], data.activity[:3000])


def _ahead(data, origins, horizon=HORIZON):
    """Targets and stimulus of the steps from each origin on."""
    steps = np.asarray(origins)[:, None] + np.arange(horizon)
    return data.activity[steps], data.stimulus[steps]


@pytest.mark.parametrize(
    "model",
    [DirectForecaster(horizon=1), DirectForecaster(Ridge(), 1, "bootstrap")],
    ids=repr,
)
def test_scikit_learn_contract(model):
    check_estimator(model, on_skip=None)


@pytest.mark.parametrize(("n", "p", "d"), [(80, 5, 2), (30, 60, 3), (40, 7, 0)])
def test_the_default_ridge_is_that_of_scikit_learn(n, p, d):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p)) * np.geomspace(1, 100, p) + 3
    X[:, 0] = 2.0  # says nothing
    X[:, -1] = X[:, -2]
    y = X[:, 1:4] @ rng.normal(size=(3, d or 1)) + 20 * rng.normal(size=(n, d or 1))
    y = y if d else y[:, 0]
    ours = LeaveOneOutRidge().fit(X, y)
    theirs = make_pipeline(StandardScaler(), RidgeCV(PENALTIES)).fit(X, y)
    assert ours.alpha_ == theirs[-1].alpha_
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-6)


def test_forecasts_of_a_var_are_its_closed_form_at_every_lead(system, fitted):
    data, X = system
    law, origins = data.oracle.law, np.arange(3000, 3900, 100)
    A, B = law.lag_weights[0], law.stimulus_weights
    _, shown = _ahead(data, origins)
    draws = fitted.sample_trajectories(
        X[origins], HORIZON, stimulus=shown, n_samples=4000, random_state=0
    )
    mean, covariance = X[origins, :3], np.zeros((3, 3))
    for lead in range(HORIZON):
        mean = mean @ A.T + shown[:, lead] @ B.T
        covariance = A @ covariance @ A.T + law.covariance
        spread = np.sqrt(np.diag(covariance))
        errors = (draws[:, :, lead].mean(axis=1) - mean) / spread
        assert np.sqrt((errors**2).mean()) < 0.12
        np.testing.assert_allclose(
            np.cov(draws[0, :, lead].T) / np.outer(spread, spread),
            covariance / np.outer(spread, spread),
            atol=0.12,
        )


def test_trajectories_are_joint_over_leads(system, fitted):
    data, X = system
    origins = np.arange(3000, 3995, 5)
    y, shown = _ahead(data, origins)
    ours, true = (
        model.sample_trajectories(X[origins], HORIZON, stimulus=shown, random_state=0)
        for model in (fitted, data.oracle)
    )
    assert energy_score(y, ours).mean() < 1.02 * energy_score(y, true).mean()
    covered = coverage(y, ours, level=0.9).mean(axis=1)
    assert (np.abs(covered - 0.9) < 0.03).all()
    apart = np.diff(ours, axis=1).reshape(-1, HORIZON * 3)
    truly = np.diff(true, axis=1).reshape(-1, HORIZON * 3)
    np.testing.assert_allclose(
        np.corrcoef(apart.T), np.corrcoef(truly.T), atol=0.1
    )  # independent leads would be .5 off and more


def test_the_next_step_is_lead_1(system, fitted):
    data, X = system
    rows = X[3000:3003]
    step = fitted.sample(rows, 20_000, random_state=0)
    path = fitted.sample_trajectories(rows, 1, n_samples=20_000, random_state=1)
    np.testing.assert_allclose(step.mean(1), path[:, :, 0].mean(1), atol=0.04)
    np.testing.assert_allclose(step.std(1), path[:, :, 0].std(1), rtol=0.03)
    levels = [0.1, 0.5, 0.9]
    exact = fitted.predict_quantiles(rows, levels)
    below = (step[:, None] <= exact[:, :, None]).mean(axis=2)
    np.testing.assert_allclose(
        below, np.array(levels)[None, :, None] + 0 * below, atol=0.012
    )
    if fitted.residuals == "gaussian":
        np.testing.assert_allclose(
            fitted.log_prob(rows, data.activity[3000:3003]),
            multivariate_normal(cov=fitted.covariance_[:3, :3]).logpdf(
                data.activity[3000:3003] - fitted.predict(rows)
            ),
            rtol=1e-6,
        )
    else:
        assert not hasattr(fitted, "log_prob")


def test_bootstrap_draws_whole_trajectories_of_errors(system):
    data, X = system
    model = DirectForecaster(horizon=3, residuals="bootstrap")
    model.fit(X[:300], data.activity[:300])
    _, shown = _ahead(data, [400], 3)
    draws = model.sample_trajectories(X[400:401], 3, stimulus=shown, random_state=0)[0]
    known = [np.append(X[400], shown[0, 1:lead])[None] for lead in (1, 2, 3)]
    means = [r.predict(at)[0] for r, at in zip(model.regressors_, known, strict=True)]
    distance = np.abs((draws - means)[:, None] - model.residuals_).max(axis=(2, 3))
    assert distance.min(axis=1).max() < 1e-10
    assert len(set(distance.argmin(axis=1))) > 50


def test_a_later_stimulus_counts_for_later_leads_alone(system, fitted):
    data, X = system
    _, shown = _ahead(data, [3500])
    other = shown.copy()
    other[:, 2] += 10.0
    ours, moved = (
        fitted.sample_trajectories(X[3500:3501], HORIZON, stimulus=s, random_state=0)
        for s in (shown, other)
    )
    np.testing.assert_array_equal(ours[:, :, :2], moved[:, :, :2])
    apart = np.abs(moved - ours)[0].min(axis=(0, 2))
    assert (apart[2:] > 0.1).all()
    replaced = shown.copy()
    replaced[:, 0] += 10.0
    window = X[3500:3501].copy()
    window[:, 3:] = replaced[:, 0]
    np.testing.assert_array_equal(
        fitted.sample_trajectories(
            X[3500:3501], HORIZON, stimulus=replaced, random_state=0
        ),
        fitted.sample_trajectories(window, HORIZON, stimulus=replaced, random_state=0),
    )


def test_a_horizon_beyond_the_fitted_one_is_refused(system, fitted):
    data, X = system
    _, shown = _ahead(data, [3500], HORIZON + 1)
    with pytest.raises(ValueError, match=r"horizon is 6, .* fitted for horizon=5"):
        fitted.sample_trajectories(X[3500:3501], HORIZON + 1, stimulus=shown)
    with pytest.raises(ValueError, match="stimulus has 2 steps, horizon needs 3"):
        fitted.sample_trajectories(X[3500:3501], 3, stimulus=shown[:, :2])
    with pytest.raises(ValueError, match="stimulus is None"):
        fitted.sample_trajectories(X[3500:3501], 3)


@pytest.mark.parametrize("run_column", [-1, None])
def test_no_regressor_sees_what_follows_its_run(run_column):
    # Values say where they come from: row t of run r is 100 r + t.
    n_runs, n = 12, 20
    runs = np.repeat(np.arange(n_runs), n)
    y = 100.0 * runs + np.tile(np.arange(n), n_runs)
    X = design_matrix(y, runs=runs)
    # Windows that do not know of runs have no past beyond the newest step.
    X, length = (X[:, :1], 1) if run_column is None else (X, 3)
    windows = SlidingWindow(length, run_column=run_column).fit_transform(X)
    spy = Recorder()
    Recorder.fitted = []
    model = DirectForecaster(spy, horizon=4).fit(windows, y)
    assert len(Recorder.fitted) == 4 * (5 + 1)  # leads; folds and all rows
    for k, (features, target) in enumerate(Recorder.fitted):
        np.testing.assert_array_equal(target - features[:, -1], 1 + k % 4)
    assert np.abs(model.residuals_).max() < 1e-6


@pytest.mark.parametrize("n_runs", [1, 12])
def test_no_regressor_sees_a_step_of_its_held_out_block(n_runs):
    y = np.arange(240.0)
    X = design_matrix(y, runs=np.repeat(np.arange(n_runs), 240 // n_runs))
    windows = SlidingWindow(3, run_column=-1).fit_transform(X)
    Recorder.fitted = []
    DirectForecaster(Recorder(), horizon=4).fit(windows, y)
    for fold, (_, held_out) in enumerate(time_folds(windows, 5, n_lagged=1)):
        for features, target in Recorder.fitted[4 * fold : 4 * fold + 4]:
            assert len(target) > 120
            assert not {*held_out} & {*features.ravel(), *target}


def test_gaps_leave_out_no_more_than_what_is_missing(system):
    data, _ = system
    rng = np.random.default_rng(0)
    y = np.where(rng.random((600, 3)) < 0.03, np.nan, data.activity[:600])
    X = design_matrix(y, data.stimulus[:600])
    windows = SlidingWindow(2).fit_transform(X)
    model = DirectForecaster(horizon=3).fit(windows, y)
    full = DirectForecaster(horizon=3).fit(windows, data.activity[:600])
    _, shown = _ahead(data, [500], 3)
    ours, whole = (
        m.sample_trajectories(windows[500:501], 3, stimulus=shown, random_state=0)
        for m in (model, full)
    )
    assert np.isfinite(ours).all()
    np.testing.assert_allclose(ours.mean(1), whole.mean(1), atol=0.3)
    # A trajectory of errors needs all of its 9 targets.
    assert 0.6 < len(model.residuals_) / len(full.residuals_) < 0.9


def test_it_serves_the_scorers_and_forecast(system):
    data, _ = system
    X = design_matrix(data.activity[:400], data.stimulus[:400], np.zeros(400))
    model = DirectForecaster(horizon=4, window_length=2, run_column=-1)
    model.fit(X, data.activity[:400])
    scorer = make_trajectory_scorer("energy", 4, stride=20, n_samples=20)
    assert np.isfinite(scorer(model, X, data.activity[:400]))
    paths = forecast(
        model,
        data.activity[:400],
        4,
        stimulus=data.stimulus[:400],
        future_stimulus=data.stimulus[400:404],
        runs=np.zeros(400),
        random_state=0,
    )
    assert paths.shape == (100, 4, 3)


def test_what_it_cannot_learn_from_is_named(system):
    data, X = system
    y = data.activity[:200]
    with pytest.raises(ValueError, match=r"horizon=16 needs .* lagged targets, but"):
        DirectForecaster().fit(X[:200, 3:], y)
    single = DirectForecaster(horizon=1).fit(X[:200, 3:], y)
    assert single.sample(X[:2, 3:], 3).shape == (2, 3, 3)
    short = design_matrix(y, runs=np.repeat(np.arange(40), 5))
    model = DirectForecaster(horizon=6, window_length=1, run_column=-1)
    with pytest.raises(ValueError, match="needs runs of 6 steps, the longest has 5"):
        model.fit(short, y)
    with pytest.raises(ValueError, match=r"45 observed steps .* cv=5 blocks, got 0"):
        DirectForecaster(horizon=45).fit(X[:200], y)
    with pytest.raises(TypeError, match="regressor must be an estimator"):
        DirectForecaster(Ridge).fit(X[:200], y)
    with pytest.raises(ValueError, match=r"'horizon' parameter .* Got 0"):
        DirectForecaster(horizon=0).fit(X[:200], y)
