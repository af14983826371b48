"""Inputs unlike those of training: p-values, and the warning."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from afm_sklearn import (
    AFMForecaster,
    Climatology,
    OutOfDistributionWarning,
    Persistence,
    ResidualForecaster,
    SlidingWindow,
    datasets,
    design_matrix,
    neg_crps_scorer,
)
from afm_sklearn.applications.novelty import novelty
from afm_sklearn.data.reference import MAX_ROWS

SIMULATORS = [
    "make_calcium",
    "make_double_well",
    "make_linear_var",
    "make_lorenz",
    "make_overlapping_counts",
    "make_spiking_population",
]


@pytest.mark.parametrize("name", SIMULATORS)
def test_p_values_are_about_uniform_on_data_like_those_of_training(name):
    data = getattr(datasets, name)(6000, random_state=0)
    X, y = design_matrix(data.activity, data.stimulus), data.activity
    model = make_pipeline(SlidingWindow(2), Persistence()).fit(X[:3000], y[:3000])
    p = novelty(model, X[3000:])
    for level in (0.05, 0.2, 0.5):
        # Rows depend on one another: the share is known to a few per cent.
        assert abs((p <= level).mean() - level) < 0.02 + 0.12 * level


def test_heavy_tails_are_no_novelty():
    y = np.random.default_rng(0).standard_t(2.5, size=(4000, 3))
    model = Climatology().fit(design_matrix(y)[:2000], y[:2000])
    p = novelty(model, design_matrix(y)[2000:])
    assert (p <= 0.01).mean() < 0.03


def _fitted(make, n_stimuli=1, d=3):
    data = datasets.make_linear_var(900, d, n_stimuli, random_state=0)
    X = design_matrix(data.activity, data.stimulus)
    return make.fit(X[:600], data.activity[:600]), X[600:].copy()


FORECASTERS = {
    "pipeline": lambda: make_pipeline(
        StandardScaler(), SlidingWindow(2), ResidualForecaster(Ridge())
    ),
    "owns its window": lambda: Persistence(window_length=3),
    "afm": lambda: AFMForecaster(
        base="linear", max_epochs=1, window_length=2, random_state=0
    ),
    "search": lambda: GridSearchCV(
        make_pipeline(SlidingWindow(2), Persistence()),
        {"slidingwindow__length": [2, 3]},
        scoring=neg_crps_scorer,
        cv=TimeSeriesSplit(2),
    ),
}


@pytest.mark.filterwarnings("ignore::afm_sklearn.OutOfDistributionWarning")
@pytest.mark.parametrize("name", FORECASTERS)
def test_what_was_never_seen_is_novel(name):
    model, X = _fitted(FORECASTERS[name]())
    usual = novelty(model, X)
    assert usual.shape == (300,)
    assert np.median(usual) > 0.2
    X[100, -1] += 15.0
    X[200, 0] += 60.0
    p = novelty(model, X)
    assert p[100] <= 0.01 and p[200] <= 0.01


def test_a_new_stimulus_does_not_drown_among_many_channels():
    model, X = _fitted(Persistence(), d=60)
    X[:, -1] = 8.0
    assert (novelty(model, X) < 0.01).all()


def test_a_new_combination_of_usual_values_is_novel():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(1000, 1))
    y = np.hstack([shared, shared]) + 0.1 * rng.normal(size=(1000, 2))
    model = Climatology().fit(design_matrix(y), y)
    p = novelty(model, np.array([[1.5, 1.5], [1.5, -1.5]]))
    assert p[0] > 0.05 > 0.01 > p[1]


def test_a_channel_that_never_varied_is_novel_once_it_does():
    y = np.random.default_rng(0).normal(size=(400, 2))
    stimulus = np.ones(400)
    model = Persistence().fit(design_matrix(y, stimulus), y)
    p = novelty(model, [[0.0, 0.0, 1.0], [0.0, 0.0, 2.0]])
    assert p[0] > 0.3 and p[1] < 0.01


def test_what_was_not_observed_is_not_novel():
    model, X = _fitted(Persistence())
    X[:] = np.nan
    assert (novelty(model, X) == 1.0).all()


def test_a_forecaster_keeps_a_bounded_sample_of_its_inputs():
    y = np.random.default_rng(0).normal(size=(3 * MAX_ROWS, 2))
    X = design_matrix(y)
    model = Climatology().fit(X, y)
    assert model.input_sample_.shape == (MAX_ROWS, 2)
    X[:] = 0.0
    assert model.input_sample_.any()


def test_novelty_refuses_what_keeps_no_inputs():
    data = datasets.make_linear_var(100, 3, 0, random_state=0)
    X = design_matrix(data.activity)
    with pytest.raises(TypeError, match=r"forecaster must be .* got Oracle"):
        novelty(data.oracle, X)
    model = Persistence().fit(X[:15], data.activity[:15])
    with pytest.raises(ValueError, match="fitted on 15 rows, novelty needs 20"):
        novelty(model, X)


# -- the warning ---------------------------------------------------------------


@pytest.fixture(scope="module")
def driven():
    data = datasets.make_linear_var(600, 3, n_stimuli=2, random_state=0)
    X = np.asarray(
        SlidingWindow(3).fit_transform(design_matrix(data.activity, data.stimulus))
    )
    model = AFMForecaster(base="linear", max_epochs=1, random_state=0)
    return model.fit(X[:500], data.activity[:500]), X[500:], data.activity[500:]


def _warnings(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert {w.category for w in caught} <= {OutOfDistributionWarning}
    assert all(w.filename == __file__ for w in caught)
    return [str(w.message) for w in caught]


def test_a_stimulus_outside_the_training_range_is_named_once(driven):
    model, X, _ = driven
    X = X.copy()
    X[:30, -1, 4] = 20.0
    for call in (
        lambda: model.predict(X),
        lambda: model.predict_interval(X),
        lambda: model.sample(X, 3),
        lambda: model.sample_trajectories(X, 1, n_samples=3),
    ):
        (message,) = _warnings(call)
        assert "30 of 100 windows" in message and "stimulus channel 1" in message


def test_the_stimulus_to_come_counts_and_replaces_the_last_one(driven):
    model, X, _ = driven
    stimulus = np.zeros((100, 4, 2))
    wild = X.copy()
    wild[:, -1, 4] = 20.0

    def draw(windows):
        return model.sample_trajectories(windows, 4, stimulus=stimulus, n_samples=2)

    assert _warnings(lambda: draw(wild)) == []
    stimulus[:7, 3, 0] = -20.0
    (message,) = _warnings(lambda: draw(X))
    assert "7 of 100 windows" in message and "stimulus channel 0" in message


def test_a_few_extremes_of_many_rows_are_no_other_data(driven):
    model, X, _ = driven
    X = X.copy()
    X[3, -1, 4] = 20.0
    assert _warnings(lambda: model.predict(X)) == []
    (message,) = _warnings(lambda: model.predict(X[3:4]))
    assert "1 of 1 windows" in message


def test_a_decoder_names_its_channel():
    rng = np.random.default_rng(0)
    neurons = rng.normal(size=(400, 4))
    movement = neurons[:, :2] + 0.1 * rng.normal(size=(400, 2))
    model = AFMForecaster(base="linear", max_epochs=1, random_state=0)
    model.fit(neurons, movement)
    other = neurons[:50].copy()
    other[:20, 2] = 15.0
    (message,) = _warnings(lambda: model.predict(other))
    assert "20 of 50 windows" in message and message.endswith("in channel 2")
