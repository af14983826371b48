"""A fitted Pipeline as a forecaster: the answers are those of its last step."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from afm_sklearn import (
    AFMForecaster,
    DrawForecaster,
    ForecastStream,
    Persistence,
    ResidualForecaster,
    SlidingWindow,
    as_forecaster,
    design_matrix,
    forecast,
    make_trajectory_scorer,
    neg_crps_scorer,
)
from afm_sklearn.datasets import make_linear_var
from afm_sklearn.pipelines import FittedPipeline

HORIZON = 4


class Smoothed(TransformerMixin, BaseEstimator):
    """The stimulus of a row plus that of the row before it, whatever else there is."""

    def __init__(self, column=2):
        self.column = column

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        out = np.array(X)
        out[1:, self.column] += 10 * X[:-1, self.column]
        return out


def _ridge(**arguments):
    return ResidualForecaster(Ridge(), **arguments)


def echo(history, horizon, n_samples, stimulus, seed):
    """Draw what can be told from the history and the stimulus, without noise."""
    ahead = stimulus[:, -horizon:, :1] + history[:, -1:]
    return np.broadcast_to(
        ahead[:, None], (len(ahead), n_samples, *ahead.shape[1:])
    ).copy()


def _columns(*steps):
    """Put a transformer in front of the stimulus columns alone."""
    return ColumnTransformer([("lags", "passthrough", [0, 1]), *steps])


@pytest.fixture(scope="module")
def data():
    return make_linear_var(100, 2, 2, n_runs=2, random_state=0)


@pytest.fixture(scope="module")
def rows(data):
    return design_matrix(data.activity, data.stimulus, data.runs)


def _search(pipe):
    return GridSearchCV(
        pipe,
        {"slidingwindow__length": [2, 3]},
        scoring=neg_crps_scorer,
        cv=TimeSeriesSplit(2),
    )


PIPES = {
    "window": lambda: make_pipeline(SlidingWindow(3, run_column=-1), _ridge()),
    "scaled": lambda: make_pipeline(
        StandardScaler(), SlidingWindow(3, run_column=-1), _ridge()
    ),
    "owns its window": lambda: make_pipeline(
        StandardScaler(), "passthrough", _ridge(window_length=3, run_column=-1)
    ),
    "search": lambda: _search(make_pipeline(SlidingWindow(run_column=-1), _ridge())),
    "nested": lambda: make_pipeline(
        make_pipeline(StandardScaler(), SlidingWindow(2, run_column=-1)),
        _search(make_pipeline(FunctionTransformer(), _ridge())).set_params(
            param_grid={"residualforecaster__regressor__alpha": [1.0, 10.0]}
        ),
    ),
    "afm": lambda: make_pipeline(
        StandardScaler(),
        SlidingWindow(2, run_column=-1),
        AFMForecaster(base="linear", max_epochs=1, hidden_dim=8, random_state=0),
    ),
}


def _last(model, X):
    """Return the last step and what the steps before it make of X."""
    model = getattr(model, "best_estimator_", model)
    X = model[:-1].transform(X)
    last = model[-1]
    return _last(last, X) if hasattr(last, "best_estimator_") else (last, X)


@pytest.mark.parametrize("one_dim", [False, True])
@pytest.mark.parametrize("name", PIPES)
def test_answers_are_those_of_the_last_step(data, name, one_dim):
    y = data.activity[:, 0] if one_dim else data.activity
    X = design_matrix(y, data.stimulus, data.runs)
    pipe = PIPES[name]().fit(X, y)
    model = as_forecaster(pipe)
    last, windows = _last(pipe, X)
    seed = {"n_samples": 5, "random_state": 3}
    np.testing.assert_array_equal(model.predict(X), pipe.predict(X))
    assert model.score(X, y) == last.score(windows, y)
    for method, given in {
        "predict_quantiles": {"alpha": (0.2, 0.7)},
        "predict_interval": {"coverage": 0.5},
        "sample": seed,
        "sample_trajectories": {"horizon": 1, **seed},
        "log_prob": {"y": y},
    }.items():
        expected = getattr(last, method)(windows, **given)
        np.testing.assert_array_equal(getattr(model, method)(X, **given), expected)
    levels = model.predict_quantiles(X, quantiles=[0.3])
    np.testing.assert_array_equal(levels, last.predict_quantiles(windows, 0.3))
    assert levels.shape == (200, 1) if one_dim else (200, 1, 2)


def test_a_row_alone_is_a_window_without_a_past(data, rows):
    pipe = PIPES["scaled"]().fit(rows, data.activity)
    model, last = as_forecaster(pipe), pipe[-1]
    windows = pipe[:-1].transform(rows[-1:])
    np.testing.assert_array_equal(model.predict(rows[-1:]), last.predict(windows))
    assert model.sample(rows[-1:], 3).shape == (1, 3, 2)
    shown = np.zeros((1, HORIZON, 2))
    drawn = model.sample_trajectories(rows[-1:], HORIZON, stimulus=shown)
    assert drawn.shape == (1, 100, HORIZON, 2)


def test_histories_end_where_runs_do(data, rows):
    model = as_forecaster(PIPES["scaled"]().fit(rows, data.activity))
    whole, second = model.predict(rows), model.predict(rows[100:])
    np.testing.assert_array_equal(whole[100:], second)
    assert not np.array_equal(whole[101:103], model.predict(rows[101:103]))


# -- the stimulus ----------------------------------------------------------------------


def test_the_stimulus_passes_through_a_scaler(data, rows):
    pipe = PIPES["scaled"]().fit(rows, data.activity)
    rng = np.random.default_rng(0)
    shown = rng.normal(3, 2, size=(len(rows), HORIZON, 2))
    scaler = pipe[0]
    scaled = (shown - scaler.mean_[2:4]) / scaler.scale_[2:4]
    expected = pipe[-1].sample_trajectories(
        pipe[:-1].transform(rows), HORIZON, stimulus=scaled, random_state=0
    )
    drawn = as_forecaster(pipe).sample_trajectories(
        rows, HORIZON, stimulus=shown, random_state=0
    )
    np.testing.assert_array_equal(drawn, expected)


FRONTS = {
    "scaler": lambda: [StandardScaler(), SlidingWindow(3, run_column=-1)],
    "owns": lambda: [StandardScaler()],
    "past": lambda: [Smoothed(), SlidingWindow(3, run_column=-1)],
    "past, owns": lambda: [Smoothed(), StandardScaler()],
    "scaled columns": lambda: [
        _columns(("s", StandardScaler(), [2, 3]), ("run", "passthrough", [4])),
        SlidingWindow(3, run_column=-1),
    ],
    "past of a column": lambda: [
        _columns(("past", Smoothed(0), [2, 3]), ("run", "passthrough", [4])),
        SlidingWindow(3, run_column=-1),
    ],
    "squared": lambda: [
        FunctionTransformer(
            lambda X: np.c_[X[:, :2], X[:, 2:4] ** 2, X[:, 2:4], X[:, -1]]
        ),
        SlidingWindow(3, run_column=-1),
    ],
    "mixed stimuli": lambda: [
        _columns(("pca", PCA(1), [2, 3]), ("run", "passthrough", [4])),
        SlidingWindow(3, run_column=-1),
    ],
}


@pytest.mark.parametrize("front", FRONTS)
def test_every_row_continues_as_forecast_does(data, rows, front):
    own = {"window_length": 3, "run_column": -1} if "owns" in front else {}
    pipe = make_pipeline(*FRONTS[front](), DrawForecaster(echo, n_draws=2, **own))
    pipe.fit(rows, data.activity)
    shown = np.random.default_rng(0).normal(size=(len(rows), HORIZON, 2))
    drawn = as_forecaster(pipe).sample_trajectories(
        rows, HORIZON, stimulus=shown, n_samples=1
    )
    for i in (1, 60, 99, 102, 199):
        observed = {
            "activity": data.activity[:i],
            "stimulus": data.stimulus[:i],
            "runs": data.runs[:i],
        }
        paths = forecast(
            pipe, horizon=HORIZON, future_stimulus=shown[i], n_samples=1, **observed
        )
        np.testing.assert_allclose(drawn[i], paths, rtol=1e-12)


def test_draws_from_the_last_row_are_those_of_forecast(data, rows):
    pipe = make_pipeline(StandardScaler(), _ridge(window_length=1, run_column=-1))
    pipe.fit(rows, data.activity)
    shown = data.stimulus[50:54]
    drawn = as_forecaster(pipe).sample_trajectories(
        rows[50:51], HORIZON, stimulus=shown[None], random_state=0
    )
    observed = data.activity[:50], HORIZON
    given = {"stimulus": data.stimulus[:50], "future_stimulus": shown}
    paths = forecast(pipe, *observed, runs=data.runs[:50], random_state=0, **given)
    np.testing.assert_array_equal(drawn[0], paths)


def test_names_of_columns_stay(data):
    frame = pd.DataFrame(data.activity, columns=["a", "b"])
    X = design_matrix(frame, data.stimulus, data.runs)
    scaler = ColumnTransformer(
        [
            ("lags", "passthrough", ["a_lag1", "b_lag1"]),
            ("shown", StandardScaler(), ["stimulus_0", "stimulus_1"]),
            ("run", "passthrough", ["run"]),
        ]
    )
    window = SlidingWindow(3, run_column=-1)
    pipe = make_pipeline(scaler, window, _ridge()).fit(X, data.activity)
    shown = np.ones((5, HORIZON, 2))
    drawn = as_forecaster(pipe).sample_trajectories(
        X[-5:], HORIZON, stimulus=shown, random_state=0
    )
    scale = pipe[0].named_transformers_["shown"]
    expected = pipe[-1].sample_trajectories(
        pipe[:-1].transform(X[-5:]),
        HORIZON,
        stimulus=(shown - scale.mean_) / scale.scale_,
        random_state=0,
    )
    np.testing.assert_array_equal(drawn, expected)


# -- among the others ------------------------------------------------------------------


def test_the_rest_of_the_package_takes_it(data, rows):
    y = data.activity
    pipe = PIPES["scaled"]().fit(rows, y)
    model = as_forecaster(FrozenEstimator(pipe))
    assert neg_crps_scorer(model, rows, y) == neg_crps_scorer(pipe, rows, y)
    scorer = make_trajectory_scorer("energy", 3, stride=20)
    assert scorer(model, rows, y) == scorer(pipe, rows, y)
    given = {"stimulus": data.stimulus, "future_stimulus": data.stimulus[:2]}
    given |= {"runs": data.runs, "random_state": 0}
    paths = [forecast(one, y, 2, **given) for one in (model, pipe)]
    np.testing.assert_array_equal(*paths)
    streams = [ForecastStream(one, y, stimulus=data.stimulus) for one in (model, pipe)]
    paths = [s.forecast(2, stimulus=np.zeros((2, 2)), random_state=0) for s in streams]
    np.testing.assert_array_equal(*paths)


def test_a_forecaster_alone_is_returned_as_it_is(data, rows):
    bare = Persistence(window_length=2, run_column=-1).fit(rows, data.activity)
    assert as_forecaster(bare) is bare
    assert as_forecaster(FrozenEstimator(bare)) is bare
    assert as_forecaster(make_pipeline("passthrough", bare)) is bare
    assert as_forecaster(data.oracle) is data.oracle
    pipe = make_pipeline(SlidingWindow(2, run_column=-1), Persistence())
    model = as_forecaster(pipe.fit(rows, data.activity))
    assert isinstance(model, FittedPipeline) and as_forecaster(model) is model
    assert model.forecaster is pipe[-1] and "SlidingWindow" in repr(model)


def test_the_summary_is_that_of_the_forecaster(data, rows):
    quick = AFMForecaster(base="normal", max_epochs=1, hidden_dim=8, random_state=0)
    pipe = make_pipeline(SlidingWindow(2, run_column=-1), quick)
    model = as_forecaster(pipe.fit(rows, data.activity))
    assert model.summary() == pipe[-1].summary()
    assert "flow: 1 epoch, " in model.summary()


def test_a_method_that_the_forecaster_lacks_is_missing(data, rows):
    pipe = make_pipeline(
        SlidingWindow(2, run_column=-1), DrawForecaster(echo, n_draws=2)
    )
    model = as_forecaster(pipe.fit(rows, data.activity))
    assert hasattr(model, "predict_interval") and not hasattr(model, "log_prob")
    assert not hasattr(model, "summary")


# -- what is refused -------------------------------------------------------------------


def test_what_is_not_fitted_is_refused(data, rows):
    for model in (Persistence(), PIPES["window"](), PIPES["search"]()):
        with pytest.raises(NotFittedError):
            as_forecaster(model)
    search = PIPES["search"]().set_params(refit=False).fit(rows, data.activity)
    with pytest.raises(NotFittedError, match="refit=False"):
        as_forecaster(search)


def test_what_ends_in_no_forecaster_is_refused(data, rows):
    y, own = data.activity[:, 0], _ridge(window_length=2)
    scaled = TransformedTargetRegressor(own, transformer=StandardScaler())
    pipe = make_pipeline(StandardScaler(), scaled).fit(rows[:100, :4], y[:100])
    with pytest.raises(TypeError, match="targets as they are, got TransformedTarget"):
        as_forecaster(pipe)
    pipe = make_pipeline(StandardScaler(), Ridge()).fit(rows[1:100], y[1:100])
    with pytest.raises(TypeError, match=r"must end in a forecaster, .* got Ridge"):
        as_forecaster(pipe)
    with pytest.raises(TypeError):
        as_forecaster("a model")


@pytest.mark.parametrize(
    ("horizon", "shape", "message"),
    [
        (4, (2, 3, 2), r"stimulus has shape \(2, 3, 2\), expected \(2, 4, 2\)"),
        (4, (1, 4, 2), r"expected \(2, 4, 2\)"),
        (4, (2, 4, 3), r"expected \(2, 4, 2\)"),
        (0, (2, 4, 2), "horizon must be an integer >= 1, got 0"),
        (4, None, "stimulus is None, but the model has 2 stimulus channels"),
    ],
)
def test_a_stimulus_of_another_shape_is_refused(data, rows, horizon, shape, message):
    model = as_forecaster(PIPES["scaled"]().fit(rows, data.activity))
    shown = None if shape is None else np.zeros(shape)
    with pytest.raises(ValueError, match=message):
        model.sample_trajectories(rows[:2], horizon, stimulus=shown)


def test_infinite_stimuli_are_refused(data, rows):
    model = as_forecaster(PIPES["scaled"]().fit(rows, data.activity))
    with pytest.raises(ValueError, match="stimulus contains infinity"):
        model.sample_trajectories(rows[:1], 2, stimulus=np.full((1, 2, 2), np.inf))


def _products(X):
    return np.c_[X[:, :2], X[:, 2:4] * np.nan_to_num(X[:, :1]), X[:, -1]]


def _turned(X):
    return np.c_[np.nan_to_num(X[:, :4]) @ np.linalg.qr(MIXING)[0], X[:, -1]]


MIXING = np.random.default_rng(0).normal(size=(4, 4))


@pytest.mark.parametrize(
    ("step", "run_column", "message"),
    [
        (_products, -1, "stimulus channel 0 .* depends on the lagged activity"),
        (_turned, -1, "first channels that reach the forecaster to be the lagged"),
        (lambda X: X[:, [0, 1, 4, 2, 3]], 2, "run column last"),
    ],
)
def test_steps_that_mix_columns_are_refused(data, rows, step, run_column, message):
    window = SlidingWindow(2, run_column=run_column)
    pipe = make_pipeline(FunctionTransformer(step), window, _ridge())
    model = as_forecaster(pipe.fit(rows, data.activity))
    assert model.predict(rows).shape == (200, 2)
    with pytest.raises(ValueError, match=message):
        model.sample_trajectories(rows[:3], 2, stimulus=np.ones((3, 2, 2)))


def test_windows_as_rows_take_no_stimulus(data, rows):
    windows = SlidingWindow(2, run_column=-1).fit_transform(rows)
    pipe = make_pipeline(FunctionTransformer(np.asarray), _ridge())
    model = as_forecaster(pipe.fit(windows, data.activity))
    assert model.sample(windows, 2).shape == (200, 2, 2)
    with pytest.raises(ValueError, match=r"X has shape \(3, 2, 4\), expected rows"):
        model.sample_trajectories(windows[:3], 2, stimulus=np.ones((3, 2, 2)))


def test_a_stimulus_needs_rows(data, rows):
    model = as_forecaster(PIPES["window"]().fit(rows, data.activity))
    with pytest.raises(ValueError, match=r"X has shape \(0, 5\), expected rows"):
        model.sample_trajectories(rows[:0], 2, stimulus=np.ones((0, 2, 2)))


def test_forecast_takes_pipelines_of_data_frames_and_frozen_ones():
    rng = np.random.default_rng(0)
    y = pd.DataFrame(rng.normal(size=(150, 2)).cumsum(0), columns=["a", "b"])
    shown = pd.DataFrame(rng.normal(size=(150, 1)), columns=["light"])
    future = shown.to_numpy()[:4]
    steps = StandardScaler(), SlidingWindow(3), ResidualForecaster(Ridge())
    X = design_matrix(y, shown)
    named = make_pipeline(*steps).fit(X, y)
    given = {"future_stimulus": future, "random_state": 0}
    ahead = forecast(named, y, 4, stimulus=shown, **given)
    plain = make_pipeline(*steps).fit(X.to_numpy(), y.to_numpy())
    for model in (plain, FrozenEstimator(plain)):
        same = forecast(model, y.to_numpy(), 4, stimulus=shown.to_numpy(), **given)
        np.testing.assert_array_equal(ahead, same)
