"""Arguments that make no sense are refused by name, before anything is computed."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from afm_sklearn import (
    AFMForecaster,
    Climatology,
    Persistence,
    ResidualForecaster,
    SlidingWindow,
    design_matrix,
)
from afm_sklearn.datasets import make_linear_var


@pytest.fixture(scope="module")
def recording():
    data = make_linear_var(120, 2, n_stimuli=2, random_state=0)
    X = design_matrix(data.activity, data.stimulus)
    return SlidingWindow(4).fit_transform(X), data.activity


@pytest.fixture(scope="module")
def fitted(recording):
    return AFMForecaster(base="linear", max_epochs=1, random_state=0).fit(*recording)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", -1),
        ("lr", 0),
        ("lr", "a"),
        ("lr", None),
        ("weight_decay", -1),
        ("window_noise", "a"),
        ("window_noise", -1),
        ("validation_fraction", None),
        ("validation_fraction", 1.0),
        ("scales", ()),
        ("scales", (1.5,)),
        ("scales", None),
        ("scales", 3),
        ("scales", (0,)),
        ("scales", (5,)),
        ("scales", "all"),
        ("stimulus_groups", [0]),
        ("stimulus_groups", 3),
        ("stimulus_groups", {"a": []}),
        ("stimulus_groups", {"a": [0.5]}),
        ("stimulus_groups", {"a": [2]}),
        ("stimulus_groups", {"a": "s"}),
        ("random_state", "a"),
        ("random_state", -1),
        ("random_state", 2**40),
        ("random_state", np.random.default_rng(0)),
        ("n_steps", 0),
        ("n_steps", 1.5),
        ("early_stopping", "False"),
        ("early_stopping", "no"),
        ("warm_start", "no"),
        ("verbose", "a"),
        ("autoregressive", "yes"),
        ("autoregressive", 2),
        ("device", "gpu"),
        ("family", "poisson"),
        ("base", None),
        ("history_encoder", "rnn"),
        ("hidden_dim", 0),
        ("n_layers", 0),
        ("batch_size", 0),
        ("max_epochs", "many"),
        ("n_iter_no_change", 0),
        ("window_length", 0),
        ("window_length", "a"),
        ("run_column", 1.5),
    ],
)
def test_the_constructor_s_arguments_are_named(recording, name, value):
    with pytest.raises(ValueError, match=name):
        AFMForecaster(**{"max_epochs": 1, name: value}).fit(*recording)


@pytest.mark.parametrize("make", [Persistence, Climatology, ResidualForecaster])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("random_state", "a"),
        ("random_state", -1),
        ("random_state", 2**40),
        ("random_state", np.random.default_rng(0)),
        ("window_length", 0),
        ("window_length", 2.5),
        ("run_column", 1.5),
    ],
)
def test_arguments_of_baselines_are_named(recording, make, name, value):
    regressor = (Ridge(),) if make is ResidualForecaster else ()
    with pytest.raises(ValueError, match=name):
        make(*regressor, **{name: value}).fit(*recording)


@pytest.mark.parametrize(
    ("name", "value"), [("residuals", "laplace"), ("cv", 1), ("cv", "a")]
)
def test_arguments_of_a_residual_forecaster_are_named(recording, name, value):
    with pytest.raises(ValueError, match=name):
        ResidualForecaster(Ridge(), **{name: value}).fit(*recording)


@pytest.mark.parametrize(
    ("name", "value"), [("n_steps", 0), ("solver", "adams"), ("n_steps", "few")]
)
def test_arguments_that_are_set_after_fit_are_named(recording, name, value):
    X, y = recording
    model = AFMForecaster(base="normal", max_epochs=1, random_state=0).fit(X, y)
    model.set_params(**{name: value})
    for call in (model.predict, model.sample, model.predict_quantiles):
        with pytest.raises(ValueError, match=name):
            call(X)


@pytest.mark.parametrize("value", ["a", 0, 1, 1.5, -0.1, None, np.nan, (0.5, 0.9)])
def test_a_coverage_out_of_range_is_named(recording, fitted, value):
    with pytest.raises(ValueError, match="coverage"):
        fitted.predict_interval(recording[0], value)


@pytest.mark.parametrize("value", ["a", 0, 1, (0.1, 1.2), None, np.nan, [[0.5]]])
def test_levels_out_of_range_are_named(recording, fitted, value):
    with pytest.raises(ValueError, match="alpha"):
        fitted.predict_quantiles(recording[0], value)


@pytest.mark.parametrize("value", ["a", -1, 2**40, np.random.default_rng(0), 1.5])
def test_seeds_of_draws_are_named(recording, fitted, value):
    X, _ = recording
    stimulus = np.zeros((len(X), 3, 2))
    with pytest.raises(ValueError, match="random_state"):
        fitted.sample(X, 3, random_state=value)
    with pytest.raises(ValueError, match="random_state"):
        fitted.sample_trajectories(X, 3, stimulus=stimulus, random_state=value)


@pytest.mark.parametrize("value", [0, -1, 1.5, "a", None, True])
def test_numbers_of_draws_and_steps_are_named(recording, fitted, value):
    X, _ = recording
    with pytest.raises(ValueError, match="n_samples must be an integer >= 1"):
        fitted.sample(X, value)
    with pytest.raises(ValueError, match="horizon must be an integer >= 1"):
        fitted.sample_trajectories(X, value)


@pytest.mark.parametrize("shape", [(9, 0, 2), (9, 3, 0)])
def test_windows_without_steps_or_channels_are_refused(shape):
    y = np.zeros((shape[0], 1))
    for forecaster in (AFMForecaster(max_epochs=1), Climatology()):
        with pytest.raises(ValueError, match="X has shape"):
            forecaster.fit(np.zeros(shape), y)


def test_outcomes_and_stimuli_of_another_shape_are_named(recording, fitted):
    X, y = recording
    with pytest.raises(ValueError, match="y has 1 columns, expected 2"):
        fitted.log_prob(X, y[:, :1])
    with pytest.raises(ValueError, match="120 and 119"):
        fitted.log_prob(X, y[:-1])
    with pytest.raises(ValueError, match="stimulus has 2 rows, X has 3"):
        fitted.sample_trajectories(X[:3], 4, stimulus=np.zeros((2, 4, 2)))
    with pytest.raises(ValueError, match="stimulus has 3 channels, the model has 2"):
        fitted.sample_trajectories(X[:3], 4, stimulus=np.zeros((3, 4, 3)))
    with pytest.raises(ValueError, match="stimulus"):
        fitted.sample_trajectories(X[:3], 4, stimulus=np.full((3, 4, 2), np.inf))
    with pytest.raises(ValueError, match="y is NaN throughout"):
        AFMForecaster(max_epochs=1).fit(X, np.full(y.shape, np.nan))


def test_no_levels_are_refused(recording, fitted):
    for name in ("alpha", "quantiles"):
        with pytest.raises(ValueError, match=f"{name} must hold at least one level"):
            fitted.predict_quantiles(recording[0], **{name: []})


def test_levels_of_quantiles_have_two_names():
    y = np.random.default_rng(0).normal(size=(60, 2))
    model = Persistence(window_length=2).fit(design_matrix(y), y)
    X = design_matrix(y)[:5]
    np.testing.assert_array_equal(
        model.predict_quantiles(X, quantiles=0.3), model.predict_quantiles(X, 0.3)
    )
    with pytest.raises(ValueError, match="quantiles must lie strictly between 0 and 1"):
        model.predict_quantiles(X, quantiles=[0.5, 1.0])
    with pytest.raises(ValueError, match="alpha and quantiles name the same levels"):
        model.predict_quantiles(X, [0.5], quantiles=[0.5])
