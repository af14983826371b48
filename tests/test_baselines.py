"""Baselines are honest: exact where the law is known, never overconfident."""

import pickle

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm
from sklearn import config_context
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from afm_sklearn import (
    SlidingWindow,
    coverage,
    crps,
    design_matrix,
    energy_score,
    make_trajectory_scorer,
    neg_crps_scorer,
    neg_energy_scorer,
)
from afm_sklearn.baselines import (
    Climatology,
    DirectForecaster,
    Persistence,
    ResidualForecaster,
)
from afm_sklearn.baselines.errors import LAWS
from afm_sklearn.baselines.history import fill_history
from afm_sklearn.data.blocks import time_folds
from afm_sklearn.datasets import make_linear_var, make_spiking_population

FORECASTERS = [
    ResidualForecaster(Ridge()),
    ResidualForecaster(Ridge(), "bootstrap"),
    ResidualForecaster(Ridge(), inputs="own", autoregressive=True),
    Persistence(autoregressive=True),
    Climatology(),
]
# Their scikit-learn contract has a file of its own, as the Poisson GLM has.
DIRECT = [DirectForecaster(horizon=6, residuals=kind) for kind in LAWS]


def _windows(data, length=2):
    X = design_matrix(data.activity, data.stimulus, data.runs)
    return SlidingWindow(length, run_column=-1).fit_transform(X)


@pytest.fixture(scope="module")
def recording():
    data = make_linear_var(
        n_times=100, n_channels=3, n_stimuli=2, n_runs=6, random_state=0
    )
    return _windows(data), data.activity


# -- all of them ---------------------------------------------------------------


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("model", FORECASTERS, ids=repr)
def test_scikit_learn_contract(model, routing):
    with config_context(enable_metadata_routing=routing):
        check_estimator(model, on_skip=None)


@pytest.mark.parametrize("model", [*FORECASTERS, *DIRECT], ids=repr)
def test_shapes_are_those_of_every_forecaster(recording, model):
    X, y = recording
    model.fit(X, y)
    future = np.zeros((5, 6, 2))
    for values, shape in [
        (model.predict(X[:5]), (5, 3)),
        (model.predict_quantiles(X[:5]), (5, 3, 3)),
        (model.predict_interval(X[:5]), (5, 2, 3)),
        (model.sample(X[:5], 7), (5, 7, 3)),
        (
            model.sample_trajectories(X[:5], 6, stimulus=future, n_samples=7),
            (5, 7, 6, 3),
        ),
    ]:
        assert values.shape == shape
        assert np.isfinite(values).all()


@pytest.mark.parametrize("model", [*FORECASTERS, *DIRECT], ids=repr)
def test_one_dimensional_targets_drop_the_channel_axis(recording, model):
    X, y = recording[0][:, :, :1], recording[1][:, 0]
    model.fit(X, y)
    assert model.predict(X[:5]).shape == (5,)
    assert model.predict_quantiles(X[:5]).shape == (5, 3)
    assert model.sample(X[:5], 4).shape == (5, 4)
    assert model.sample_trajectories(X[:5], 3, n_samples=4).shape == (5, 4, 3)


@pytest.mark.parametrize("model", [*FORECASTERS, *DIRECT], ids=repr)
def test_draws_are_seeded_pickled_and_leave_global_generators_alone(recording, model):
    X, y = recording
    torch_state = torch.get_rng_state()
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002
    model.set_params(random_state=0).fit(X, y)
    first = model.sample(X[:9], random_state=0)
    np.testing.assert_array_equal(first, model.sample(X[:9], random_state=0))
    assert (first != model.sample(X[:9], random_state=1)).any()
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(first, copy.sample(X[:9], random_state=0))
    assert torch.equal(torch_state, torch.get_rng_state())
    np.testing.assert_array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("model", [*FORECASTERS, *DIRECT], ids=repr)
def test_quantiles_are_those_of_the_draws(recording, model):
    X, y = recording
    model.fit(X, y)
    levels = [0.05, 0.5, 0.9]
    draws = model.sample(X[:2], 40_000, random_state=0)
    exact = model.predict_quantiles(X[:2], levels)
    for k, level in enumerate(levels):
        below = (draws <= exact[:, None, k]).mean(axis=1)
        np.testing.assert_allclose(below, level, atol=0.012)


@pytest.mark.parametrize(
    "scoring",
    [neg_crps_scorer, neg_energy_scorer, make_trajectory_scorer("energy", 5, stride=9)],
)
def test_a_search_over_the_regressor_is_scored_in_a_pipeline(scoring):
    data = make_linear_var(
        n_times=60, n_channels=3, n_stimuli=1, n_runs=6, random_state=0
    )
    X = design_matrix(data.activity, data.stimulus, data.runs)
    pipe = make_pipeline(SlidingWindow(2, run_column=-1), ResidualForecaster(Ridge()))
    grid = {"residualforecaster__regressor__alpha": [1.0, 1e6]}
    search = GridSearchCV(pipe, grid, scoring=scoring, cv=GroupKFold(3))
    search.fit(X, data.activity, groups=data.runs)
    assert search.best_params_["residualforecaster__regressor__alpha"] == 1.0
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# -- ResidualForecaster: as good as the law --------------------------------------


def test_ridge_is_near_the_oracle_and_calibrated_on_the_linear_system():
    data = make_linear_var(n_times=3000, random_state=0)
    X = design_matrix(data.activity, data.stimulus)
    y, past, new = data.activity, slice(0, 2400), slice(2400, None)
    model = ResidualForecaster(RidgeCV(np.logspace(-2, 4, 7))).fit(X[past], y[past])
    ours, true = (m.sample(X[new], 100, random_state=0) for m in (model, data.oracle))
    for score in (crps, energy_score):
        assert score(y[new], ours).mean() < 1.02 * score(y[new], true).mean()
    assert 0.88 < coverage(y[new], ours, level=0.9).mean() < 0.92
    lower, upper = model.predict_interval(X[new], 0.9).swapaxes(0, 1)
    assert 0.88 < ((lower < y[new]) & (y[new] < upper)).mean() < 0.92


def test_least_squares_on_a_window_is_the_true_varx():
    data = make_linear_var(
        n_times=3000, n_channels=3, n_stimuli=1, order=2, n_runs=4, random_state=1
    )
    X = _windows(data)
    model = ResidualForecaster(LinearRegression()).fit(X, data.activity)
    law = data.oracle.law
    older, newest = np.split(model.regressor_.coef_, 2, axis=1)
    np.testing.assert_allclose(newest[:, :3], law.lag_weights[0], atol=0.05)
    np.testing.assert_allclose(older[:, :3], law.lag_weights[1], atol=0.05)
    np.testing.assert_allclose(model.covariance_, law.covariance, atol=0.05)


def test_trajectories_have_the_moments_of_the_fitted_autoregression(recording):
    y = recording[1]
    X = design_matrix(y)
    model = ResidualForecaster(LinearRegression()).fit(X, y)
    A, b, S = model.regressor_.coef_, model.regressor_.intercept_, model.covariance_
    start = X[-1:]
    draws = model.sample_trajectories(start, 4, n_samples=40_000, random_state=0)[0]
    mean, covariance = start[0], np.zeros((3, 3))
    for step in draws.swapaxes(0, 1):
        mean, covariance = A @ mean + b, A @ covariance @ A.T + S
        np.testing.assert_allclose(step.mean(axis=0), mean, atol=0.03)
        np.testing.assert_allclose(np.cov(step.T), covariance, atol=0.06)


def test_gaussian_closed_forms(recording):
    X, y = recording
    model = ResidualForecaster(Ridge()).fit(X, y)
    mean, covariance = model.predict(X), model.covariance_
    np.testing.assert_allclose(
        np.diag(covariance), (model.residuals_**2).mean(axis=0), rtol=1e-10
    )
    quantiles = norm.ppf([0.1, 0.7])[:, None] * np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(
        model.predict_quantiles(X, [0.1, 0.7]), mean[:, None] + quantiles
    )
    np.testing.assert_allclose(
        model.log_prob(X, y),
        multivariate_normal(cov=covariance).logpdf(y - mean),
        rtol=1e-6,
    )
    draws = model.sample(X[:1], 40_000, random_state=0)[0]
    np.testing.assert_allclose(draws.mean(axis=0), mean[0], atol=0.02)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.03)
    assert not hasattr(ResidualForecaster(Ridge(), "bootstrap"), "log_prob")


def test_units_of_a_channel_do_not_change_the_law(recording):
    X, y = recording
    units = np.array([1.0, 1e6, 1e-6])
    plain = ResidualForecaster(LinearRegression()).fit(X, y)
    scaled = ResidualForecaster(LinearRegression()).fit(X, y * units)
    np.testing.assert_allclose(
        scaled.covariance_, plain.covariance_ * np.outer(units, units), rtol=1e-6
    )


# -- ResidualForecaster: honest residuals ----------------------------------------


def test_an_overfitting_regressor_does_not_hide_its_errors(recording):
    X, y = np.asarray(recording[0]), recording[1]
    model = ResidualForecaster(KNeighborsRegressor(1)).fit(X, y)
    past = ~np.isnan(X).any((1, 2))
    np.testing.assert_allclose(model.predict(X)[past], y[past])
    assert (model.residuals_.std(axis=0) > 1.0).all()  # the noise of the system
    X, y = (values.reshape(6, 100, *values.shape[1:]) for values in (X, y))
    past, new = np.s_[:4], np.s_[4:]
    model.fit(np.concatenate(X[past]), np.concatenate(y[past]))
    draws = model.sample(np.concatenate(X[new]), 200, random_state=0)
    assert 0.85 < coverage(np.concatenate(y[new]), draws, level=0.9).mean() < 0.95


@pytest.mark.parametrize("length", [1, 4, 9])
@pytest.mark.parametrize("n_runs", [1, 3, 12])
@pytest.mark.parametrize("run_column", [-1, None])
def test_no_training_row_shares_a_step_with_a_held_out_row(length, n_runs, run_column):
    step = np.arange(240.0)
    X = design_matrix(step, runs=np.repeat(np.arange(n_runs), 240 // n_runs))
    if run_column is None:
        X = X[:, :1]
    windows = np.asarray(SlidingWindow(length, run_column=run_column).fit_transform(X))
    folds = list(time_folds(windows, 5, n_lagged=1))
    np.testing.assert_array_equal(np.concatenate([held for _, held in folds]), step)
    for train, held_out in folds:
        seen, asked = (
            {*step[rows], *windows[rows].ravel()[~np.isnan(windows[rows].ravel())]}
            for rows in (train, held_out)
        )
        assert not seen & asked
        assert len(train) >= 240 - len(held_out) - 2 * length


def test_many_runs_are_held_out_whole_and_nothing_else_is_lost():
    runs = np.repeat(np.arange(12), 20)
    X = design_matrix(np.arange(240.0), runs=runs)
    windows = SlidingWindow(9, run_column=-1).fit_transform(X)
    for train, held_out in time_folds(windows, 5, n_lagged=1):
        assert not set(runs[train]) & set(runs[held_out])
        assert len(train) + len(held_out) == 240


def test_a_lost_sample_is_no_reason_to_hold_out_most_of_the_rows():
    y = np.random.default_rng(0).normal(size=(200, 2))
    y[10] = np.nan
    windows = SlidingWindow(3).fit_transform(design_matrix(y))
    for train, _ in time_folds(windows, 5, n_lagged=2):
        assert len(train) >= 200 - 40 - 10 - 6


def test_rows_without_a_past_do_not_widen_the_law():
    data = make_linear_var(n_times=30, n_runs=60, random_state=0)
    model = ResidualForecaster(LinearRegression())
    model.fit(_windows(data, 1), data.activity)
    spread = np.sqrt(np.diag(model.covariance_))
    np.testing.assert_allclose(spread, 1.0, atol=0.08)


def test_bootstrap_draws_whole_residual_rows(recording):
    X, y = recording
    model = ResidualForecaster(Ridge(), "bootstrap").fit(X, y)
    errors = model.sample(X[:1], 20_000, random_state=0)[0] - model.predict(X[:1])
    rows = model.residuals_
    distance = np.abs(errors[:500, None] - rows).max(axis=2)
    assert (distance.min(axis=1) < 1e-12).all()
    np.testing.assert_allclose(errors.mean(axis=0), rows.mean(axis=0), atol=0.03)
    np.testing.assert_allclose(np.cov(errors.T), np.cov(rows.T), atol=0.05)


def test_bootstrap_quantiles_of_a_fixed_forecast_of_counts_are_counts():
    data = make_spiking_population(n_times=300, n_neurons=4, random_state=0)
    X = design_matrix(data.activity, data.stimulus)
    model = ResidualForecaster(KNeighborsRegressor(1), "bootstrap")
    model.fit(X, data.activity)
    for values in (model.sample(X, 10), model.predict_quantiles(X)):
        np.testing.assert_array_equal(values, values.round())


# -- ResidualForecaster: any regressor, any gap ----------------------------------


@pytest.mark.parametrize(
    "regressor",
    [
        GradientBoostingRegressor(n_estimators=3, random_state=0),
        HistGradientBoostingRegressor(max_iter=2, random_state=0),
        make_pipeline(StandardScaler(), GradientBoostingRegressor(random_state=0)),
    ],
    ids=lambda regressor: type(regressor).__name__,
)
def test_a_regressor_of_one_target_is_fitted_once_a_channel(recording, regressor):
    X, y = recording[0][100:200], recording[1][100:200]
    model = ResidualForecaster(regressor, cv=2).fit(X, y)
    assert isinstance(model.regressor_, MultiOutputRegressor)
    flat = fill_history(X, model.channel_means_).reshape(100, -1)[2:]  # without gaps
    alone = regressor.fit(flat, y[2:, 2]).predict(flat)
    np.testing.assert_allclose(model.predict(X)[2:, 2], alone)


def test_a_pipeline_with_parameters_inside_is_a_regressor(recording):
    model = ResidualForecaster(make_pipeline(StandardScaler(), Ridge()))
    model.set_params(regressor__ridge__alpha=7.0).fit(*recording)
    assert model.regressor_[-1].alpha == 7.0


def test_an_unseeded_regressor_is_seeded_by_the_forecaster(recording):
    X, y = recording
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    forests = [
        ResidualForecaster(RandomForestRegressor(5), cv=2, random_state=seed).fit(X, y)
        for seed in (0, 0, 1)
    ]
    first, again, other = (model.predict(X) for model in forests)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert forests[0].regressor.random_state is None
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_gaps_in_windows_are_filled_from_the_past_then_the_future_then_the_mean():
    nan = np.nan
    windows = np.array([[[1, nan, nan], [nan, nan, nan], [nan, 4, nan], [2, nan, nan]]])
    filled = fill_history(windows, default=np.array([7.0, 8.0, 9.0]))
    np.testing.assert_array_equal(
        filled[0], [[1, 4, 9], [1, 4, 9], [1, 4, 9], [2, 4, 9]]
    )


def test_missing_targets_leave_each_channel_its_own_rows(recording):
    X, y = recording
    rng = np.random.default_rng(0)
    holes = np.where(rng.random(y.shape) < 0.2, np.nan, y)
    model = ResidualForecaster(LinearRegression()).fit(X, holes)
    past = ~np.isnan(X).any(axis=(1, 2))
    flat = fill_history(X, model.channel_means_).reshape(len(X), -1)
    for j in range(3):
        rows = past & ~np.isnan(holes[:, j])
        alone = LinearRegression().fit(flat[rows], y[rows, j]).predict(flat)
        np.testing.assert_allclose(model.predict(X)[:, j], alone, atol=1e-9)
    assert len(model.residuals_) == (past & ~np.isnan(holes).any(axis=1)).sum()
    full = ResidualForecaster(LinearRegression()).fit(X, y)
    np.testing.assert_allclose(model.covariance_, full.covariance_, atol=0.15)


def test_a_row_without_targets_counts_as_absent_from_a_joint_fit(recording):
    X, y = recording
    lost = y.copy()
    lost[50:60] = np.nan
    model = ResidualForecaster(Ridge()).fit(X, lost)
    assert isinstance(model.regressor_, Ridge)
    assert model.score(X, y) > ResidualForecaster(Ridge()).fit(X, y).score(X, y) - 0.01


def test_a_constant_channel_is_forecast_as_it_is(recording):
    X, y = recording[0], recording[1].copy()
    y[:, 1] = 3.0
    model = ResidualForecaster(KNeighborsRegressor(5)).fit(X, y)
    draws = model.sample(X[:4], 5, random_state=0)
    np.testing.assert_array_equal(draws[..., 1], 3.0)
    np.testing.assert_array_equal(model.predict_interval(X[:4])[..., 1], 3.0)
    assert (draws[..., [0, 2]].std(axis=1) > 0).all()
    with pytest.raises(ValueError, match=r"channels \[1\] had no error"):
        model.log_prob(X, y)


def test_channels_that_are_copies_of_one_another_are_drawn_as_copies(recording):
    y = recording[1][:, [0, 0]]
    X = design_matrix(y)
    model = ResidualForecaster(Ridge()).fit(X, y)
    draws = model.sample(X[:4], 50, random_state=0)
    assert np.corrcoef(draws.reshape(-1, 2).T)[0, 1] > 0.99


def test_a_decoder_draws_but_has_no_trajectories(recording):
    X, y = recording
    movement = y @ np.random.default_rng(0).normal(size=(3, 2))
    model = ResidualForecaster(Ridge()).fit(X, movement)
    assert model.sample(X[:2], 3).shape == (2, 3, 2)
    with pytest.raises(ValueError, match="lagged targets"):
        model.sample_trajectories(X[:2], 2, stimulus=np.zeros((2, 2, 3)))


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (
            ResidualForecaster(Ridge(), "laplace"),
            ValueError,
            "'residuals' parameter .* Got 'laplace'",
        ),
        (ResidualForecaster(StandardScaler()), TypeError, "regressor.*predict, got St"),
        (ResidualForecaster(Ridge), TypeError, "regressor must be an estimator"),
        (
            ResidualForecaster(Ridge(), inputs="others"),
            ValueError,
            "'inputs' parameter .* Got 'others'",
        ),
        (ResidualForecaster(Ridge(), cv=1), ValueError, "'cv' parameter .* Got 1"),
        (
            ResidualForecaster(Ridge(), autoregressive=2),
            ValueError,
            "'autoregressive' parameter .* Got 2",
        ),
    ],
)
def test_unknown_arguments_are_named(recording, model, error, message):
    with pytest.raises(error, match=message):
        model.fit(*recording)


def test_too_little_data_is_named(recording):
    X, y = recording
    model = ResidualForecaster(Ridge())
    with pytest.raises(ValueError, match=r"n_samples=12.*cv=5.*length 10"):
        model.fit(np.ones((12, 10, 3)), y[:12])
    with pytest.raises(ValueError, match=r"at least 2 .* column 1"):
        model.fit(X, np.where([False, True, False], np.nan, y))
    scattered = np.where(np.eye(3, dtype=bool)[np.arange(len(y)) % 3], np.nan, y)
    with pytest.raises(ValueError, match="all 3 channels are known, got 0 among"):
        model.fit(X, scattered)
    model.fit(X, y)
    with pytest.raises(ValueError, match="y has 2 columns, expected 3"):
        model.log_prob(X, y[:, :2])


# -- Persistence -------------------------------------------------------------------


@pytest.fixture(scope="module")
def walk():
    rng = np.random.default_rng(0)
    covariance = np.array([[1.0, 0.8], [0.8, 4.0]])
    return rng.multivariate_normal(np.zeros(2), covariance, 4000).cumsum(0), covariance


def test_persistence_is_the_law_of_a_random_walk(walk):
    y, covariance = walk
    X = design_matrix(y)
    model = Persistence().fit(X, y)
    np.testing.assert_array_equal(model.predict(X)[1:], y[:-1])
    np.testing.assert_array_equal(model.residuals_, np.diff(y, axis=0))
    np.testing.assert_allclose(model.covariance_, covariance, rtol=0.1)
    draws = model.sample_trajectories(X[-1:], 9, n_samples=20_000, random_state=0)[0]
    for h, step in enumerate(draws.swapaxes(0, 1), start=1):
        np.testing.assert_allclose(np.cov(step.T), h * model.covariance_, rtol=0.1)
    np.testing.assert_allclose(
        model.log_prob(X[1:], y[1:]),
        multivariate_normal(cov=model.covariance_).logpdf(np.diff(y, axis=0)),
        rtol=1e-6,
    )


def test_persistence_forecasts_the_last_value_observed_else_the_mean(walk):
    y = walk[0][:100]
    windows = SlidingWindow(3).fit_transform(design_matrix(y))
    model = Persistence().fit(windows, y)
    asked = windows[50:51].copy()
    asked[0, 1:, 0] = np.nan
    asked[0, :, 1] = np.nan
    np.testing.assert_allclose(model.predict(asked), [[y[47, 0], y[:, 1].mean()]])


def test_persistence_undoes_a_scaler_in_front(walk):
    y = walk[0][:500] * [1, 100] + [0, 5]
    X = design_matrix(y)
    pipe = make_pipeline(StandardScaler(), SlidingWindow(2), Persistence()).fit(X, y)
    np.testing.assert_allclose(pipe.predict(X)[1:], y[:-1])
    differences = np.diff(y, axis=0)
    np.testing.assert_allclose(pipe[-1].residuals_, differences, atol=1e-8)


def test_persistence_refuses_what_cannot_persist(recording):
    X, y = recording
    for model in (Persistence(), Persistence(autoregressive=False)):
        with pytest.raises(
            ValueError, match=r"Persistence needs .* lagged targets, but"
        ):
            model.fit(X[::-1] ** 2, y)


# -- Climatology -------------------------------------------------------------------


def test_climatology_draws_whole_rows_of_the_past():
    data = make_spiking_population(n_times=200, n_neurons=3, random_state=0)
    y = data.activity
    model = Climatology().fit(data.stimulus, y)
    draws = model.sample(data.stimulus[:3], 5000, random_state=0)
    assert set(map(tuple, draws.reshape(-1, 3))) <= set(map(tuple, y))
    np.testing.assert_allclose(
        model.predict(data.stimulus), np.tile(y.mean(0), (200, 1))
    )
    np.testing.assert_allclose(np.cov(draws[0].T), np.cov(y.T), atol=0.1)
    quantiles = np.quantile(y, [0.5, 0.9], axis=0, method="inverted_cdf")
    np.testing.assert_array_equal(
        model.predict_quantiles(data.stimulus[:1], [0.5, 0.9])[0], quantiles
    )


def test_climatology_has_no_memory_and_needs_no_lags_nor_stimulus(recording):
    X, y = recording
    model = Climatology().fit(X[:, :, 3:], y)
    draws = model.sample_trajectories(
        X[:1, :, 3:], 2, n_samples=20_000, random_state=0
    )[0]
    error = 4 * y.std(0) / np.sqrt(20_000)
    assert (np.abs(draws.mean(axis=0) - y.mean(0)) < error).all()
    now, then = draws.swapaxes(0, 1)
    assert np.abs(np.corrcoef(now.T, then.T)[:3, 3:]).max() < 0.03
    with pytest.raises(ValueError, match="horizon must be an integer"):
        model.sample_trajectories(X[:1, :, 3:], 0)


def test_climatology_leaves_out_rows_with_a_missing_target(recording):
    X, y = recording
    holes = y.copy()
    holes[::2, 1] = np.nan
    np.testing.assert_array_equal(Climatology().fit(X, holes).targets_, y[1::2])
    with pytest.raises(ValueError, match="law of the targets"):
        Climatology().fit(X, np.where([False, True, False], np.nan, y))


def test_a_few_missing_targets_leave_a_joint_regressor_joint():
    class Joint(LinearRegression):
        def predict(self, X):
            answer = super().predict(X)
            assert answer.ndim == 2 and answer.shape[1] == 3
            return answer

    y = np.random.default_rng(0).normal(size=(300, 3))
    y[50, 1] = np.nan
    X = SlidingWindow(2).fit_transform(design_matrix(y))
    model = ResidualForecaster(Joint()).fit(X, y)
    whole = ~np.isnan(y).any(1)
    features = np.nan_to_num(np.asarray(X).reshape(300, -1))
    known = LinearRegression().fit(features[whole], y[whole])
    np.testing.assert_allclose(
        model.predict(X[100:110]), known.predict(features[100:110]), atol=0.02
    )
