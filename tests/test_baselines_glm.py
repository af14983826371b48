"""The Poisson GLM: near the law of a spiking population, and counts throughout."""

import pickle

import numpy as np
import pytest
from scipy.stats import poisson
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from afm_sklearn import (
    PoissonGLM,
    SlidingWindow,
    crps,
    design_matrix,
    energy_score,
    make_trajectory_scorer,
    pit,
)
from afm_sklearn.baselines.glm_features import history_basis
from afm_sklearn.datasets import make_spiking_population

# These give targets that are no counts.
REAL_TARGETS = dict.fromkeys(
    (
        "check_fit_check_is_fitted",
        "check_fit_idempotent",
        "check_n_features_in",
        "check_n_features_in_after_fitting",
        "check_regressor_data_not_an_array",
        "check_regressor_multioutput",
        "check_regressors_no_decision_function",
        "check_regressors_train",
    ),
    "targets must be counts",
)


@pytest.fixture(scope="module")
def system():
    data = make_spiking_population(n_times=4000, n_neurons=10, random_state=0)
    X = design_matrix(data.activity, data.stimulus)
    return data, SlidingWindow(3).fit_transform(X)


@pytest.fixture(scope="module")
def fitted(system):
    data, X = system
    return PoissonGLM().fit(X[:3000], data.activity[:3000])


def test_scikit_learn_contract():
    check_estimator(PoissonGLM(), on_skip=None, expected_failed_checks=REAL_TARGETS)


def test_it_is_near_the_law_of_a_spiking_population(system, fitted):
    data, X = system
    y, new = data.activity, slice(3000, None)
    ours, true = (m.sample(X[new], 100, random_state=0) for m in (fitted, data.oracle))
    for score in (crps, energy_score):
        assert score(y[new], ours).mean() < 1.02 * score(y[new], true).mean()
    rates, truth = fitted.predict(X[new]), data.oracle.predict(X[new])
    assert np.corrcoef(np.log(rates).ravel(), np.log(truth).ravel())[0, 1] > 0.97
    inside = np.abs(pit(y[new], ours, random_state=0) - 0.5) < 0.45
    assert abs(inside.mean() - 0.9) < 0.01


def test_trajectories_are_near_those_of_the_law(system, fitted):
    data, X = system
    origins = np.arange(3000, 3990, 10)
    steps = origins[:, None] + np.arange(8)
    shown = data.stimulus[steps]
    ours, true = (
        model.sample_trajectories(X[origins], 8, stimulus=shown, random_state=0)
        for model in (fitted, data.oracle)
    )
    y = data.activity[steps]
    np.testing.assert_array_equal(ours, ours.round())
    assert energy_score(y, ours).mean() < 1.02 * energy_score(y, true).mean()


def test_answers_are_those_of_independent_poisson_counts(system, fitted):
    data, X = system
    rows, y = X[3000:3005], data.activity[3000:3005]
    rate = fitted.predict(rows)
    np.testing.assert_allclose(
        fitted.log_prob(rows, y), poisson.logpmf(y, rate).sum(axis=1)
    )
    holes = y.copy()
    holes[:, 0] = np.nan
    np.testing.assert_allclose(
        fitted.log_prob(rows, holes), poisson.logpmf(y, rate)[:, 1:].sum(axis=1)
    )
    assert (fitted.log_prob(rows, y + 0.5) == -np.inf).all()
    np.testing.assert_array_equal(
        fitted.predict_quantiles(rows, [0.5, 0.99]),
        np.stack([poisson.ppf(level, rate) for level in (0.5, 0.99)], axis=1),
    )
    draws = fitted.sample(rows, 20_000, random_state=0)
    np.testing.assert_allclose(draws.mean(axis=1), rate, atol=0.03)
    np.testing.assert_allclose(draws.var(axis=1), rate, rtol=0.1, atol=0.01)
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(
        copy.sample(rows, random_state=0), fitted.sample(rows, random_state=0)
    )


def test_one_neuron_drops_the_channel_axis(system):
    data, _ = system
    y = data.activity[:300, 0]
    X = design_matrix(y, data.stimulus[:300])
    model = PoissonGLM(window_length=2).fit(X, y)
    assert model.coupling_spread_ == 0
    shown = data.stimulus[None, 300:303]
    windows = model.make_windows(X)[-1:]
    for values, shape in [
        (model.predict(windows), (1,)),
        (model.predict_interval(windows), (1, 2)),
        (model.sample(windows, 5), (1, 5)),
        (
            model.sample_trajectories(windows, 3, stimulus=shown, n_samples=5),
            (1, 5, 3),
        ),
        (model.log_prob(windows, y[-1:]), (1,)),
    ]:
        assert values.shape == shape


def test_a_smooth_function_of_a_covariate_is_found():
    rng = np.random.default_rng(0)
    position = rng.uniform(-1, 1, (4000, 1))
    rate = np.exp(1 - 10 * (position - 0.3) ** 2)  # a place field
    y = rng.poisson(rate).astype(float)
    model = PoissonGLM(autoregressive=False).fit(position, y)
    at = np.linspace(-0.5, 0.9, 15)[:, None]
    truth = np.exp(1 - 10 * (at - 0.3) ** 2)
    np.testing.assert_allclose(model.predict(at), truth, atol=0.15)
    beyond = model.predict([[1.0], [50.0]])
    assert np.isfinite(beyond).all()


def test_coupling_is_found_where_there_is_any_and_only_there():
    rng = np.random.default_rng(0)
    y = np.zeros((1500, 3))
    for t in range(1, 1500):
        drive = np.array([0.0, 0.8 * y[t - 1, 0], 0.0]) - 0.7
        y[t] = rng.poisson(np.exp(np.minimum(drive, 1.5)))
    X = design_matrix(y)
    model = PoissonGLM().fit(X, y)
    weights = model.coef_ / y.std(axis=0)
    assert model.coupling_spread_ > 0
    assert abs(weights[1, 0] - 0.8) < 0.15
    assert np.abs(weights - np.diag(np.diag(weights)))[[0, 2]].max() < 0.15
    alone = PoissonGLM().fit(design_matrix(y[:, [0, 2]]), y[:, [0, 2]])
    off_diagonal = alone.coef_ - np.diag(np.diag(alone.coef_))
    assert np.abs(off_diagonal).max() < 0.05


def test_rates_are_counts_in_another_unit(system, fitted):
    data, X = system
    d = data.activity.shape[1]
    scaled = X.copy()
    scaled[:, :, :d] *= 5
    model = PoissonGLM(unit=5.0).fit(scaled[:3000], 5 * data.activity[:3000])
    rows = slice(3000, 3005)
    np.testing.assert_allclose(
        model.predict(scaled[rows]), 5 * fitted.predict(X[rows]), rtol=1e-5
    )
    np.testing.assert_allclose(
        model.log_prob(scaled[rows], 5 * data.activity[rows]),
        fitted.log_prob(X[rows], data.activity[rows]),
        rtol=1e-5,
    )
    shown = data.stimulus[None, 3000:3004]
    paths = model.sample_trajectories(scaled[3000:3001], 4, stimulus=shown)
    np.testing.assert_array_equal(paths % 5, 0)


def test_a_scaler_in_front_changes_nothing(system):
    data, _ = system
    y, stimulus = data.activity[:800], data.stimulus[:800]
    X = design_matrix(y, stimulus)
    plain = make_pipeline(SlidingWindow(2), PoissonGLM()).fit(X, y)
    scaled = make_pipeline(StandardScaler(), SlidingWindow(2), PoissonGLM()).fit(X, y)
    np.testing.assert_allclose(scaled.predict(X), plain.predict(X), rtol=1e-4)
    scorer = make_trajectory_scorer("energy", 4, stride=20, n_samples=200)
    assert abs(scorer(scaled, X, y) / scorer(plain, X, y) - 1) < 0.02


def test_gaps_are_left_out_and_silence_is_forecast():
    rng = np.random.default_rng(0)
    y = rng.poisson([0.5, 2.0, 0.0], (600, 3)).astype(float)
    y[rng.random(y.shape) < 0.1] = np.nan
    y[200:210] = np.nan
    X = SlidingWindow(2).fit_transform(design_matrix(y, np.ones(600)))
    model = PoissonGLM().fit(X, y)
    means = model.predict(X)
    assert np.isfinite(means).all()
    np.testing.assert_allclose(means.mean(axis=0), [0.5, 2.0, 0.0], atol=0.1)
    assert (model.sample(X[:50], 100, random_state=0)[..., 2] == 0).mean() > 0.99


def test_rollouts_of_an_excitable_neuron_stay_bounded():
    rng = np.random.default_rng(0)
    y = np.zeros((800, 1))
    for t in range(1, 800):
        y[t] = rng.poisson(min(np.exp(-1 + 0.9 * y[t - 1, 0]), 6.0))
    model = PoissonGLM(autoregressive=True).fit(design_matrix(y), y)
    paths = model.sample_trajectories([[10.0]], 200, n_samples=200, random_state=0)
    assert paths.max() < 6 * y.max()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.5, r"whole multiples of unit=1 .* got 0.5 in row 3, column 1"),
        (-1.0, "got -1"),
    ],
)
def test_what_is_no_count_is_refused_by_name(value, message):
    y = np.random.default_rng(0).poisson(1.0, (50, 2)).astype(float)
    y[3, 1] = value
    with pytest.raises(ValueError, match=f"PoissonGLM needs counts.*{message}"):
        PoissonGLM().fit(design_matrix(y), y)


@pytest.mark.parametrize("length", [1, 2, 3, 10, 40])
def test_filters_can_be_anything_at_lag_1_and_reach_every_lag(length):
    basis = history_basis(length, 4)
    assert basis.shape == (length, min(4, length))
    assert np.linalg.matrix_rank(basis) == min(4, length)
    np.testing.assert_array_equal(basis[-1], np.eye(min(4, length))[0])
    assert (basis.sum(axis=1) > 0.99).all()
