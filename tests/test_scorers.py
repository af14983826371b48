"""Scorers work wherever scikit-learn takes one, and rank as the exact score does."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import Ridge
from sklearn.metrics import check_scoring
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    TimeSeriesSplit,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

from afm_sklearn.data.windows import Windows
from afm_sklearn.design import design_matrix
from afm_sklearn.metrics import crps, energy_score
from afm_sklearn.scorers import (
    SampleScorer,
    make_trajectory_scorer,
    neg_crps_scorer,
    neg_energy_scorer,
    neg_variogram_scorer,
)
from afm_sklearn.windows import SlidingWindow

NEXT_STEP = [neg_crps_scorer, neg_energy_scorer, neg_variogram_scorer]


class LinearGaussian(RegressorMixin, BaseEstimator):
    """Ridge and independent Gaussian residuals, with the methods of a forecaster."""

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def fit(self, X, y):
        self.ridge_ = Ridge(self.alpha).fit(_flat(X), y)
        self.shape_ = np.shape(y)[1:]
        self.scale_ = np.std(y - self.predict(X), axis=0)
        return self

    def predict(self, X):
        check_is_fitted(self)
        return self.ridge_.predict(_flat(X)).reshape(len(X), *self.shape_)

    def sample(self, X, n_samples=100, random_state=None):
        mean = self.predict(X)[:, None]
        noise = np.random.default_rng(random_state).normal(
            size=(len(mean), n_samples, *mean.shape[2:])
        )
        return mean + self.scale_ * noise

    def sample_trajectories(
        self, X, horizon, *, stimulus=None, n_samples=100, random_state=None
    ):
        rng = np.random.default_rng(random_state)
        X = np.asarray(X)
        windows = np.repeat(X if X.ndim == 3 else X[:, None], n_samples, axis=0)
        steps = []
        for h in range(horizon):
            if stimulus is not None:
                d = windows.shape[2] - stimulus.shape[2]
                windows[:, -1, d:] = np.repeat(stimulus[:, h], n_samples, axis=0)
            mean = self.predict(windows)
            steps.append(mean + self.scale_ * rng.normal(size=mean.shape))
            newest = windows[:, -1:].copy()
            newest[:, 0, : mean[0].size] = steps[-1].reshape(len(mean), -1)
            windows = np.concatenate([windows[:, 1:], newest], axis=1)
        trajectories = np.stack(steps, axis=1)
        return trajectories.reshape(len(X), n_samples, *trajectories.shape[1:])


class OwnWindows(LinearGaussian):
    """The same on windows that it makes itself of rows (n, c)."""

    def __init__(self, alpha=1.0, window_length=None, run_column=None):
        super().__init__(alpha)
        self.window_length = window_length
        self.run_column = run_column

    def fit(self, X, y):
        self.window_ = SlidingWindow(self.window_length, run_column=self.run_column)
        windows = self.window_.fit_transform(X)
        self.run_column_ = self.window_.run_column_
        return super().fit(windows, y)

    def make_windows(self, X):
        return self.window_.transform(X)

    def predict(self, X):
        return super().predict(X if np.ndim(X) == 3 else self.make_windows(X))


class Sealed(Windows):
    """Windows that may be indexed, but not written out as a whole."""

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("all windows were written out")


def _flat(X):
    return np.nan_to_num(np.asarray(X)).reshape(len(X), -1)


def simulate(n_runs=4, n_steps=60, d=2, seed=0):
    """Runs of a stable autoregression with a stimulus: X with labels, y, runs."""
    rng = np.random.default_rng(seed)
    stimulus = rng.normal(size=(n_runs * n_steps, 1))
    runs = np.repeat(np.arange(n_runs), n_steps)
    y = np.zeros((n_runs * n_steps, d))
    for t in range(len(y)):
        before = y[t - 1] if t % n_steps else 0.0
        y[t] = 0.8 * before + stimulus[t] + 0.5 * rng.normal(size=d)
    return design_matrix(y, stimulus, runs), y, runs


@pytest.fixture(scope="module")
def data():
    return simulate()


@pytest.fixture
def pipeline():
    return make_pipeline(SlidingWindow(length=2, run_column=-1), LinearGaussian())


# The value


@pytest.mark.parametrize(
    ("scorer", "score"), [(neg_crps_scorer, crps), (neg_energy_scorer, energy_score)]
)
def test_is_minus_the_mean_score(data, pipeline, scorer, score):
    X, y, _ = data
    pipeline.fit(X, y)
    samples = pipeline[-1].sample(pipeline[:-1].transform(X), 100, random_state=1)
    value = scorer(pipeline, X, y)
    assert isinstance(value, float)
    assert value == scorer(pipeline, X, y)
    assert value == pytest.approx(-score(y, samples).mean(), rel=0.02)


@pytest.mark.parametrize("scorer", [*NEXT_STEP, make_trajectory_scorer("crps", 3)])
def test_chunks_change_only_the_noise(data, pipeline, scorer):
    X, y, _ = data
    pipeline.fit(X, y)
    whole = scorer(pipeline, X, y)
    with sklearn.config_context(working_memory=0.2):
        chunked = scorer(pipeline, X, y)
        again = scorer(pipeline, X, y)
    assert chunked != whole
    assert chunked == again == pytest.approx(whole, rel=0.05)


@pytest.mark.parametrize("scorer", NEXT_STEP)
def test_missing_targets_are_left_out(data, pipeline, scorer):
    X, y, _ = data
    pipeline.fit(X, y)
    y = y.copy()
    y[::2] = np.nan
    y[1, 0] = np.nan
    assert np.isfinite(scorer(pipeline, X, y))
    with pytest.raises(ValueError, match="y must hold an observed"):
        scorer(pipeline, X, np.full_like(y, np.nan))


def test_one_dimensional_targets(data):
    X, y, _ = data
    X, y = X[:, [0, 2]], y[:, 0]
    flat = LinearGaussian().fit(X, y)
    column = LinearGaussian().fit(X, y[:, None])
    for scorer in (neg_crps_scorer, make_trajectory_scorer("energy", 3)):
        assert scorer(flat, X, y) == pytest.approx(scorer(column, X, y[:, None]))


def test_containers(data, pipeline):
    X, y, _ = data
    pipeline.fit(X, y)
    frames = pd.DataFrame(X), pd.DataFrame(y)
    for scorer in (neg_crps_scorer, make_trajectory_scorer("crps", 2)):
        assert scorer(pipeline, *frames) == scorer(pipeline, X, y)
    flat = LinearGaussian().fit(X[:, :3], y)
    assert neg_crps_scorer(flat, X[:, :3].tolist(), y.tolist()) < 0


def test_better_forecasts_score_higher(data, pipeline):
    X, y, _ = data
    pipeline.fit(X, y)
    trajectory = [make_trajectory_scorer(score, 3) for score in ("crps", "energy")]
    right = [scorer(pipeline, X, y) for scorer in [*NEXT_STEP, *trajectory]]
    pipeline[-1].scale_ *= 4
    wrong = [scorer(pipeline, X, y) for scorer in [*NEXT_STEP, *trajectory]]
    assert np.less(wrong, right).all()


def test_ranks_candidates_as_the_exact_expected_crps():
    X, y, runs = simulate(n_runs=4, n_steps=100)
    X = X[:, :3]
    alphas = [1.0, 30.0, 100.0, 300.0, 1000.0, 1e4]
    folds = GroupKFold(4)
    search = GridSearchCV(
        LinearGaussian(), {"alpha": alphas}, scoring=neg_crps_scorer, cv=folds
    ).fit(X, y, groups=runs)

    exact = np.zeros(len(alphas))
    for k, alpha in enumerate(alphas):
        for train, test in folds.split(X, y, runs):
            model = LinearGaussian(alpha).fit(X[train], y[train])
            truth = 0.8 * np.nan_to_num(X[test, :2]) + X[test, 2:]
            gap = model.predict(X[test]) - truth
            exact[k] += expected_crps(gap, model.scale_, 0.5).mean()
    ranks = search.cv_results_["rank_test_score"]
    np.testing.assert_array_equal(np.argsort(ranks), np.argsort(exact))


def expected_crps(gap, scale, true_scale):
    """E|X - Y| - E|X - X'| / 2 for Gaussian X and Y whose means are `gap` apart."""
    from scipy.stats import foldnorm

    spread = np.hypot(scale, true_scale)
    return foldnorm.mean(np.abs(gap) / spread, scale=spread) - scale / np.sqrt(np.pi)


# Where scikit-learn takes a scorer


@pytest.mark.parametrize("scorer", [*NEXT_STEP, make_trajectory_scorer("energy", 2)])
def test_pickles_and_is_accepted(scorer):
    again = pickle.loads(pickle.dumps(scorer))
    assert again == scorer
    assert hash(again) == hash(scorer)
    assert check_scoring(LinearGaussian(), scoring=scorer) is not None


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize(
    "scoring",
    [
        neg_crps_scorer,
        {
            "crps": neg_crps_scorer,
            "energy": neg_energy_scorer,
            "variogram": neg_variogram_scorer,
            "trajectory": make_trajectory_scorer("crps", 3, stride=5, n_samples=20),
            "r2": "r2",
        },
    ],
    ids=["one", "dict"],
)
def test_searches_and_cross_validation(data, pipeline, scoring, routing):
    X, y, runs = data
    several = isinstance(scoring, dict)
    options = {"scoring": scoring, "cv": GroupKFold(2), "error_score": "raise"}
    grid = {"lineargaussian__alpha": [1.0, 1e5]}
    with sklearn.config_context(enable_metadata_routing=routing):
        results = cross_validate(
            pipeline, X, y, **options, **_groups(runs, routing, "params")
        )
        names = [f"test_{name}" for name in scoring] if several else ["test_score"]
        assert all(np.isfinite(results[name]).all() for name in names)
        for kind in (GridSearchCV, RandomizedSearchCV, HalvingGridSearchCV):
            if kind is HalvingGridSearchCV and several:
                continue  # takes one score only
            extra = {"refit": "crps" if several else True}
            if kind is RandomizedSearchCV:
                extra["n_iter"] = 2
            if kind is HalvingGridSearchCV:
                extra["min_resources"] = 100
                # It shuffles the rows, which windows do not survive.
                pipeline = make_pipeline("passthrough", LinearGaussian())
            search = kind(pipeline, grid, **options, **extra)
            search.fit(X, y, groups=runs)
            assert search.best_params_ == {"lineargaussian__alpha": 1.0}
            assert search.score(X, y) == neg_crps_scorer(search.best_estimator_, X, y)
            # A fitted search is an estimator as well.
            trajectory = make_trajectory_scorer("energy", 2)
            assert trajectory(search, X, y) == trajectory(search.best_estimator_, X, y)


def _groups(runs, routing, name):
    return {name: {"groups": runs}} if routing else {"groups": runs}


def test_same_results_in_parallel(data, pipeline):
    X, y, runs = data
    scoring = {"one": neg_crps_scorer, "more": make_trajectory_scorer("energy", 3)}
    results = [
        GridSearchCV(
            pipeline,
            {"slidingwindow__length": [1, 3]},
            scoring=scoring,
            refit=False,
            cv=GroupKFold(2),
            n_jobs=n_jobs,
        )
        .fit(X, y, groups=runs)
        .cv_results_
        for n_jobs in (1, 2)
    ]
    for name in ("mean_test_one", "mean_test_more"):
        np.testing.assert_array_equal(results[0][name], results[1][name])


def test_sample_weights_do_not_trip_a_dict_of_scorers(data):
    class Weighted(LinearGaussian):
        def fit(self, X, y, sample_weight=None):
            return super().fit(X, y)

    X, y, _ = data
    search = GridSearchCV(
        Weighted(), {"alpha": [1.0]}, scoring={"a": neg_crps_scorer}, refit=False, cv=2
    )
    with warnings.catch_warnings():  # scikit-learn says that the weights do nothing
        warnings.simplefilter("ignore", UserWarning)
        search.fit(X, y, sample_weight=np.ones(len(X)))
    assert np.isfinite(search.cv_results_["mean_test_a"]).all()


def test_global_generator_is_untouched(data, pipeline):
    X, y, _ = data
    pipeline.fit(X, y)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    neg_crps_scorer(pipeline, X, y)
    make_trajectory_scorer("crps", 2)(pipeline, X, y)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# Trajectories


@pytest.mark.parametrize("score", ["crps", "energy"])
def test_trajectories_take_the_stimulus_of_later_rows(data, pipeline, score):
    X, y, _ = data
    pipeline.fit(X, y)
    scorer = make_trajectory_scorer(score, 4, stride=3, n_samples=50)
    origins = scorer.origins(pipeline, X, y)
    steps = origins[:, None] + np.arange(4)
    samples = pipeline[-1].sample_trajectories(
        pipeline[:-1].transform(X)[origins],
        4,
        stimulus=X[steps, 2:3],
        n_samples=50,
        random_state=0,
    )
    exact = -(crps if score == "crps" else energy_score)(y[steps], samples).mean()
    assert scorer(pipeline, X, y) == pytest.approx(exact, rel=0.02)


def test_trajectories_without_a_stimulus(data):
    X, y, _ = data
    model = LinearGaussian().fit(X[:, :2], y)
    assert make_trajectory_scorer("crps", 3)(model, X[:, :2], y) < 0


@pytest.mark.parametrize("labels_seen", [True, False])
@pytest.mark.parametrize("horizon", [1, 2, 5, 60])
def test_no_trajectory_leaves_its_run(data, labels_seen, horizon):
    X, y, _ = data
    steps = [SlidingWindow(3, run_column=-1)] if labels_seen else []
    X = X if labels_seen else X[:, :3]
    model = make_pipeline(*steps, LinearGaussian()).fit(X, y)
    origins = make_trajectory_scorer("crps", horizon).origins(model, X, y)
    expected = [t for t in range(240) if t % 60 + horizon <= 60]
    np.testing.assert_array_equal(origins, expected)


def test_run_labels_are_read_where_the_window_reads_them(data):
    X, y, _ = data
    X = X.copy()
    # Without the mark of a new run, and with a value that happens to agree, only the
    # label tells.
    X[60, :2] = y[59]
    model = make_pipeline(
        "passthrough",
        FunctionTransformer(lambda Z: 1.0 * Z),
        SlidingWindow(2, run_column=-1),
        LinearGaussian(),
    ).fit(X, y)
    assert 59 not in make_trajectory_scorer("crps", 2).origins(model, X, y)
    blind = LinearGaussian().fit(X[:, :3], y)
    assert 59 in make_trajectory_scorer("crps", 2).origins(blind, X[:, :3], y)


@pytest.mark.parametrize("labels_seen", [True, False])
def test_no_trajectory_reaches_across_removed_rows(data, labels_seen):
    X, y, _ = data
    kept = np.delete(np.arange(60), np.arange(20, 30))
    X, y = X[kept], y[kept]
    steps = [SlidingWindow(3, run_column=-1)] if labels_seen else []
    X = X if labels_seen else X[:, :3]
    model = make_pipeline(*steps, LinearGaussian()).fit(X, y)
    origins = make_trajectory_scorer("crps", 3).origins(model, X, y)
    np.testing.assert_array_equal(origins, [*range(18), *range(20, 48)])


def test_missing_steps(data):
    X, y, runs = data
    y = y.copy()
    y[10] = np.nan
    y[20, 0] = np.nan
    X = design_matrix(y, X[:, 2:3], runs)
    windows = make_pipeline(SlidingWindow(2, run_column=-1), LinearGaussian())
    windows.fit(X, np.nan_to_num(y))

    def missing(score, model, X):
        scorer = make_trajectory_scorer(score, 3)
        return sorted(set(range(58)) - set(scorer.origins(model, X, y)))

    assert missing("crps", windows, X) == []
    assert missing("energy", windows, X) == [8, 9, 10, 18, 19, 20]
    # Without labels a step that was not observed cannot be told from a new run.
    bare = LinearGaussian().fit(X[:, :3], np.nan_to_num(y))
    assert missing("crps", bare, X[:, :3]) == [9, 10]
    assert make_trajectory_scorer("crps", 3)(windows, X, y) < 0


@pytest.mark.parametrize("labels_seen", [True, False])
def test_a_lost_step_cuts_no_trajectory_of_windows(data, labels_seen):
    X, y, runs = data
    y = y.copy()
    y[[10, 70]] = np.nan
    X = design_matrix(y, X[:, 2:3], runs if labels_seen else None)
    if not labels_seen:
        X, y = X[:60], y[:60]
    window = SlidingWindow(2, run_column=-1 if labels_seen else None)
    model = make_pipeline(window, LinearGaussian()).fit(X, np.nan_to_num(y))
    origins = make_trajectory_scorer("crps", 3).origins(model, X, y)
    n_steps = len(y)
    expected = [t for t in range(n_steps) if t % 60 + 3 <= 60]
    np.testing.assert_array_equal(origins, expected)


def test_windows_that_reach_across_runs_are_cut_where_a_lag_is_missing(data):
    X, y, _ = data
    model = make_pipeline(SlidingWindow(3), LinearGaussian()).fit(X[:, :3], y)
    origins = make_trajectory_scorer("crps", 2).origins(model, X[:, :3], y)
    np.testing.assert_array_equal(origins, [t for t in range(240) if t % 60 < 59])


def test_a_lag_lost_from_windows_with_labels_cuts_nothing(data):
    X, y, _ = data
    X = X.copy()
    X[11, :2] = np.nan  # in X alone: its target was observed
    origins = {}
    for length in (1, 2):
        model = make_pipeline(SlidingWindow(length, run_column=-1), LinearGaussian())
        model.fit(X, y)
        origins[length] = make_trajectory_scorer("crps", 2).origins(model, X, y)
    assert 10 in origins[2]
    assert 10 not in origins[1]


def test_windows_are_not_written_out(data):
    X, y, runs = data
    starts = np.flatnonzero(np.diff(runs, prepend=-1))
    windows = Windows.from_rows(X[:, :3], 4, starts)
    model = LinearGaussian().fit(np.asarray(windows), y)
    sealed = Sealed(windows.rows, windows.starts, 4)
    for scorer in (neg_crps_scorer, make_trajectory_scorer("crps", 2)):
        assert scorer(model, sealed, y) == scorer(model, np.asarray(windows), y)


# Forecasters that make their own windows


@pytest.mark.parametrize("scorer", [*NEXT_STEP, make_trajectory_scorer("energy", 3)])
@pytest.mark.parametrize("working_memory", [0.2, 1024])
def test_own_windows_are_those_of_a_pipeline(data, scorer, working_memory):
    X, y, _ = data
    outside = make_pipeline(SlidingWindow(3, run_column=-1), LinearGaussian())
    inside = OwnWindows(window_length=3, run_column=-1)
    behind = make_pipeline("passthrough", OwnWindows(window_length=3, run_column=-1))
    with sklearn.config_context(working_memory=working_memory):
        expected = scorer(outside.fit(X, y), X, y)
        assert scorer(inside.fit(X, y), X, y) == expected
        assert scorer(behind.fit(X, y), X, y) == expected
        assert scorer(inside, inside.make_windows(X), y) == expected


def test_own_windows_tell_their_runs(data):
    X, y, _ = data
    X = X.copy()
    X[60, :2] = y[59]  # the label alone tells that a run begins
    model = OwnWindows(window_length=2, run_column=-1).fit(X, y)
    assert 59 not in make_trajectory_scorer("crps", 2).origins(model, X, y)


def test_the_length_of_own_windows_is_searched(data):
    X, y, runs = data
    results = [
        GridSearchCV(
            model,
            {name: [1, 3]},
            scoring=neg_crps_scorer,
            refit=False,
            cv=GroupKFold(2),
        )
        .fit(X, y, groups=runs)
        .cv_results_["mean_test_score"]
        for model, name in (
            (OwnWindows(run_column=-1), "window_length"),
            (
                make_pipeline(SlidingWindow(run_column=-1), LinearGaussian()),
                "slidingwindow__length",
            ),
        )
    ]
    np.testing.assert_array_equal(*results)


def test_lagged_channels_may_be_scaled(data):
    X, y, _ = data
    X = X[:, :3].copy()
    X[:, :2] = (X[:, :2] - [1.0, 2.0]) / [3.0, 4.0]
    model = LinearGaussian().fit(X, y)
    scorer = make_trajectory_scorer("crps", 2)
    with pytest.raises(ValueError, match="newest lagged channels"):
        scorer.origins(model, X.astype(np.float32), y)
    model.lag_offset_, model.lag_scale_ = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    assert len(scorer.origins(model, X.astype(np.float32), y)) == 236


def test_trajectories_in_time_series_split(data, pipeline):
    X, y, _ = data
    scorer = make_trajectory_scorer("energy", 5, n_samples=20)
    options = {"scoring": scorer, "error_score": "raise"}
    scores = cross_validate(
        pipeline, X[:60], y[:60], cv=TimeSeriesSplit(3, gap=2), **options
    )
    assert np.isfinite(scores["test_score"]).all()


# Bad input


def test_estimators_that_cannot_sample_are_refused(data):
    X, y, _ = data
    X = np.nan_to_num(X)
    ridge = make_pipeline(Ridge()).fit(X, y)
    with pytest.raises(TypeError, match=r"must have a method sample .*got Ridge"):
        neg_crps_scorer(ridge, X, y)
    with pytest.raises(TypeError, match=r"method sample_trajectories .*got Ridge"):
        make_trajectory_scorer("crps", 2)(ridge, X, y)
    with pytest.raises(NotFittedError):
        neg_crps_scorer(LinearGaussian(), X, y)


def test_nan_forecasts_are_refused(data):
    X, y, _ = data
    model = LinearGaussian().fit(X[:, :3], y)
    model.scale_ = np.nan
    for scorer in NEXT_STEP:
        with pytest.raises(ValueError, match="drew NaN"):
            scorer(model, X[:, :3], y)


def test_no_row_to_start_from(data):
    X, y, _ = data
    X = X[:, :3]
    model = LinearGaussian().fit(X, y)
    for horizon in (61, 1000):
        with pytest.raises(ValueError, match=f"horizon={horizon} cannot be scored"):
            make_trajectory_scorer("crps", horizon)(model, X, y)
    scorer = make_trajectory_scorer("crps", 2)
    with pytest.raises(ValueError, match="newest lagged channels"):
        scorer(model, X[:, ::-1], y)
    with pytest.raises(ValueError, match="X must hold the 2 lagged targets"):
        scorer(model, X[:, :1], y)
    for each in (scorer, neg_crps_scorer):
        with pytest.raises(ValueError, match="same number of rows, got 239 and 240"):
            each(model, X[1:], y)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="score must be one of"):
        make_trajectory_scorer("variogram", 2)
    with pytest.raises(ValueError, match="score must be one of"):
        SampleScorer("mse")
    for bad in ({"horizon": 0}, {"horizon": 2.0}, {"stride": 0}, {"n_samples": 1}):
        name = next(iter(bad))
        with pytest.raises(ValueError, match=f"{name} must be an integer"):
            make_trajectory_scorer("crps", **{"horizon": 2, **bad})


BAD_SEEDS = ["a", -1, 2**40, 1.5, np.random.default_rng(0)]


@pytest.mark.parametrize("bad", BAD_SEEDS, ids=str)
def test_seeds_are_checked(bad):
    for make in (
        lambda: SampleScorer("crps", random_state=bad),
        lambda: make_trajectory_scorer("crps", 2, random_state=bad),
    ):
        with pytest.raises(ValueError, match="random_state must be None, an integer"):
            make()


def test_seeds_are_those_of_scikit_learn(data):
    X, y, _ = data
    model = LinearGaussian().fit(X, y)
    state = np.random.RandomState(0)
    scorer = SampleScorer("crps", random_state=state)
    first, second = scorer(model, X, y), scorer(model, X, y)
    assert first != second
    scorer = SampleScorer("crps", random_state=np.random.RandomState(0))
    assert scorer(model, X, y) == first
    assert SampleScorer("crps", random_state=None)(model, X, y) != first
    one, two = (SampleScorer("crps", random_state=seed) for seed in (1, np.int64(1)))
    assert one(model, X, y) == two(model, X, y)
