"""A stream draws what sample_trajectories draws from the windows of the recording."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from afm_sklearn import (
    AFMForecaster,
    Persistence,
    ResidualForecaster,
    SlidingWindow,
    design_matrix,
    forecast,
    neg_crps_scorer,
)
from afm_sklearn.applications.stream import ForecastStream
from afm_sklearn.datasets import make_linear_var
from afm_sklearn.evaluation.unwrap import unwrap

N_TRAIN, LENGTH, HORIZON = 200, 4, 3


def _data(n_stimuli=2, n_runs=1):
    n = 260 // n_runs
    data = make_linear_var(n, 3, n_stimuli, n_runs=n_runs, random_state=0)
    return data.activity, data.stimulus, data.runs


def _afm(**arguments):
    return AFMForecaster(base="linear", max_epochs=1, random_state=0, **arguments)


FORECASTERS = {
    "owns its window": lambda: _afm(window_length=LENGTH),
    "pipeline": lambda: make_pipeline(SlidingWindow(LENGTH), _afm()),
    "scaled": lambda: make_pipeline(
        StandardScaler(), SlidingWindow(LENGTH), ResidualForecaster(Ridge())
    ),
    "scaled, owns": lambda: make_pipeline(StandardScaler(), _afm(window_length=LENGTH)),
    "search": lambda: GridSearchCV(
        make_pipeline(SlidingWindow(LENGTH), Persistence()),
        {"slidingwindow__length": [2, 3]},
        scoring=neg_crps_scorer,
        cv=TimeSeriesSplit(2),
    ),
    "one row": lambda: ResidualForecaster(Ridge()),
}


def _expected(model, activity, stimulus, runs, t, seed=0):
    """Draw from the window of row t of the whole recording."""
    rows = unwrap(
        model,
        design_matrix(activity, stimulus, runs),
        activity,
        needs="sample_trajectories",
    )
    future = rows.stimulus[t : t + HORIZON]
    return rows.forecaster.sample_trajectories(
        rows.X[t : t + 1],
        HORIZON,
        stimulus=future[None] if future.shape[1] else None,
        n_samples=7,
        random_state=seed,
    )[0]


def _ahead(stimulus, t):
    return None if stimulus is None else stimulus[t : t + HORIZON]


def _check(stream, model, activity, stimulus, runs, start, steps):
    """Feed a stream from `start` on, and compare at the steps."""
    for t in range(start, max(steps) + 1):
        if t in steps:
            drawn = stream.forecast(
                HORIZON, stimulus=_ahead(stimulus, t), n_samples=7, random_state=0
            )
            expected = _expected(model, activity, stimulus, runs, t)
            np.testing.assert_array_equal(drawn, expected, strict=True)
        stream.observe(activity[t], None if stimulus is None else stimulus[t])


@pytest.mark.parametrize("name", FORECASTERS)
@pytest.mark.parametrize("n_stimuli", [0, 2])
def test_draws_equal_those_of_the_recording_bit_for_bit(name, n_stimuli):
    activity, stimulus, _ = _data(n_stimuli)
    X = design_matrix(activity, stimulus)
    model = FORECASTERS[name]().fit(X[:N_TRAIN], activity[:N_TRAIN])
    broken = activity.copy()
    broken[3, 1] = broken[20:22] = np.nan
    stream = ForecastStream(model)
    # From before anything was seen, over the start of the run, to beyond all gaps.
    _check(stream, model, broken, stimulus, None, 0, [0, 1, 2, 3, 4, 6, 12, 22, 24, 40])


def test_a_stream_goes_on_from_what_was_observed_before():
    activity, stimulus, _ = _data()
    X = design_matrix(activity, stimulus)
    model = _afm(window_length=LENGTH).fit(X[:N_TRAIN], activity[:N_TRAIN])
    for t in (1, LENGTH - 1, LENGTH, 100):
        stream = ForecastStream(model, activity[:t], stimulus=stimulus[:t])
        _check(stream, model, activity, stimulus, None, t, [t, t + 1, t + 6])


def test_a_reset_begins_a_new_run():
    activity, stimulus, runs = _data(n_runs=4)
    X = design_matrix(activity, stimulus, runs)
    model = make_pipeline(SlidingWindow(LENGTH, run_column=-1), _afm())
    model.fit(X[:N_TRAIN], activity[:N_TRAIN])
    first = int(np.flatnonzero(runs == 1)[0])
    stream = ForecastStream(model, activity[:first], stimulus=stimulus[:first])
    stream.reset()
    steps = [first, first + 1, first + 2, first + 9]
    _check(stream, model, activity, stimulus, runs, first, steps)


def test_targets_of_one_axis():
    activity, stimulus, _ = _data(1)
    y, shown = activity[:, 0], stimulus[:, 0]
    X = design_matrix(y, shown)
    model = _afm(window_length=LENGTH).fit(X[:N_TRAIN], y[:N_TRAIN])
    stream = ForecastStream(model, y[:50], stimulus=shown[:50])
    stream.observe(y[50], shown[50])
    drawn = stream.forecast(
        HORIZON, stimulus=shown[51 : 51 + HORIZON], n_samples=7, random_state=0
    )
    assert drawn.shape == (7, HORIZON)
    np.testing.assert_array_equal(drawn, _expected(model, y, stimulus, None, 51))


def test_a_forecaster_fitted_on_windows_and_one_that_is_frozen():
    activity, stimulus, _ = _data()
    X = design_matrix(activity, stimulus)
    pipe = make_pipeline(SlidingWindow(LENGTH), _afm())
    pipe.fit(X[:N_TRAIN], activity[:N_TRAIN])
    for model in (pipe[-1], FrozenEstimator(pipe)):
        stream = ForecastStream(model)
        _check(stream, pipe, activity, stimulus, None, 0, [0, 2, 9])


def test_the_true_law_can_be_streamed():
    data = make_linear_var(100, 3, 2, order=2, random_state=0)
    model = make_pipeline(SlidingWindow(2), data.oracle).fit(
        design_matrix(data.activity, data.stimulus), data.activity
    )
    for estimator in (model, data.oracle):
        stream = ForecastStream(estimator)
        args = model, data.activity, data.stimulus, None, 0
        _check(stream, *args, [3, 4, 30])


def test_a_recording_with_names_is_streamed_without_a_warning():
    activity, stimulus, _ = _data()
    frame = pd.DataFrame(activity, columns=list("abc"))
    X = design_matrix(frame, stimulus)
    model = make_pipeline(SlidingWindow(LENGTH), Persistence()).fit(X, frame)
    stream = ForecastStream(model, frame, stimulus=stimulus)
    drawn = stream.forecast(1, stimulus=stimulus[:1], random_state=0)
    assert drawn.shape == (100, 1, 3)


def test_memory_does_not_grow():
    activity, _, _ = _data(0)
    model = Persistence(window_length=3).fit(design_matrix(activity), activity)
    stream, step = ForecastStream(model), activity[0].copy()
    for _ in range(100):
        stream.observe(step)
    tracemalloc.start()
    before = tracemalloc.take_snapshot()
    for _ in range(20_000):
        stream.observe(step)
    after = tracemalloc.take_snapshot()
    tracemalloc.stop()
    growth = sum(s.size_diff for s in after.compare_to(before, "filename"))
    assert growth < 20_000


def test_a_stream_keeps_no_array_of_its_caller():
    activity, _, _ = _data(0)
    model = Persistence(window_length=3).fit(design_matrix(activity), activity)
    stream, step = ForecastStream(model), activity[5].copy()
    stream.observe(step)
    before = stream.forecast(2, random_state=0)
    step[:] = 100.0
    np.testing.assert_array_equal(stream.forecast(2, random_state=0), before)


@pytest.fixture(scope="module")
def stream():
    activity, stimulus, _ = _data()
    model = Persistence(window_length=3).fit(
        design_matrix(activity, stimulus), activity
    )
    return ForecastStream(model, activity, stimulus=stimulus)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda s: s.observe(np.zeros(4), np.zeros(2)), "activity has 4 channels.*3"),
        (lambda s: s.observe(np.zeros(3), np.zeros(1)), "stimulus has 1 channels.*2"),
        (lambda s: s.observe(np.zeros((1, 3)), np.zeros(2)), r"shape \(1, 3\)"),
        (lambda s: s.observe(np.zeros(3)), "stimulus is None.*2 stimulus channels"),
        (lambda s: s.observe([0, np.inf, 0], np.zeros(2)), "activity must be finite"),
        (lambda s: s.forecast(2), "stimulus is None.*2 stimulus channels"),
        (lambda s: s.forecast(0, stimulus=np.zeros((1, 2))), "horizon must be"),
        (
            lambda s: s.forecast(8, stimulus=np.zeros((5, 2))),
            "stimulus has 5 steps, horizon needs 8",
        ),
        (lambda s: s.forecast(2, stimulus=np.zeros((2, 3))), "stimulus has 3 channels"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(stream, ask, message):
    before = stream.forecast(1, stimulus=np.zeros((1, 2)), random_state=0)
    with pytest.raises(ValueError, match=message):
        ask(stream)
    after = stream.forecast(1, stimulus=np.zeros((1, 2)), random_state=0)
    np.testing.assert_array_equal(after, before)


def test_words_are_no_activity(stream):
    with pytest.raises(TypeError, match="activity must hold real numbers"):
        stream.observe(["a", "b", "c"], np.zeros(2))


def test_what_cannot_be_streamed_is_refused():
    activity, stimulus, _ = _data()
    X = design_matrix(activity, stimulus)
    with pytest.raises(TypeError, match="sample_trajectories"):
        ForecastStream(Ridge().fit(X[1:], activity[1:]))
    decoder = ResidualForecaster(Ridge()).fit(activity, stimulus)
    with pytest.raises(ValueError, match="lagged targets"):
        ForecastStream(decoder)
    model = Persistence(window_length=3).fit(X, activity)
    with pytest.raises(ValueError, match="stimulus has 9 steps, activity has 10"):
        ForecastStream(model, activity[:10], stimulus=stimulus[:9])
    with pytest.raises(ValueError, match="activity is None, but stimulus is given"):
        ForecastStream(model, stimulus=stimulus)
    alone = Persistence(window_length=3).fit(design_matrix(activity), activity)
    with pytest.raises(ValueError, match="stimulus was given"):
        ForecastStream(alone).forecast(1, stimulus=[[0.0]])
    first = np.c_[np.repeat([0, 1], 130), design_matrix(activity)]
    other = Persistence(window_length=3, run_column=0).fit(first, activity)
    with pytest.raises(ValueError, match="run column last"):
        ForecastStream(other)


def test_forecast_scales_the_stimulus_to_come_as_the_stream_does():
    rng = np.random.default_rng(0)
    y, shown = rng.normal(size=(300, 2)), 50 + 10 * rng.normal(size=(300, 1))
    y += shown
    X = design_matrix(y, shown)
    pipe = make_pipeline(
        StandardScaler(), SlidingWindow(2), ResidualForecaster(LinearRegression())
    ).fit(X, y)
    ahead = 50 + 10 * rng.normal(size=(4, 1))
    draws = forecast(
        pipe, y, 4, stimulus=shown, future_stimulus=ahead, n_samples=20, random_state=0
    )
    stream = ForecastStream(pipe, y, stimulus=shown)
    other = stream.forecast(4, stimulus=ahead, n_samples=20, random_state=0)
    np.testing.assert_array_equal(draws, other)
    assert np.abs(draws.mean(0) - ahead).mean() < 2
