"""Comparisons are paired, honest about dependence, and the same however computed."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.signal import lfilter
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, TimeSeriesSplit
from sklearn.pipeline import make_pipeline

from afm_sklearn.comparison import compare, diebold_mariano
from afm_sklearn.comparison._inference import estimate_mean
from afm_sklearn.datasets import make_linear_var
from afm_sklearn.design import design_matrix
from afm_sklearn.metrics import crps, energy_score
from afm_sklearn.rollout import rollout
from afm_sklearn.windows import SlidingWindow

KEYS = [
    "model",
    "score",
    "lead_time",
    "mean",
    "standard_error",
    "difference",
    "difference_standard_error",
    "dm_statistic",
    "p_value",
    "n",
    "fit_seconds",
    "sample_seconds",
]


class Gaussian(RegressorMixin, BaseEstimator):
    """Ridge on the newest row with independent Gaussian residuals."""

    def __init__(self, alpha=1.0, inflation=1.0):
        self.alpha = alpha
        self.inflation = inflation

    def fit(self, X, y):
        self.one_dim_ = np.ndim(y) == 1
        y = np.reshape(y, (len(y), -1))
        self.ridge_ = Ridge(self.alpha).fit(self._newest(X), np.nan_to_num(y))
        residuals = y - self._mean(X)
        self.scale_ = self.inflation * np.nanstd(residuals, axis=0)
        return self

    def predict(self, X):
        return self._shape(self._mean(X))

    def sample(self, X, n_samples=100, random_state=None):
        return self._shape(
            self._draw(X, n_samples, np.random.default_rng(random_state))
        )

    def sample_trajectories(
        self, X, horizon, *, stimulus=None, n_samples=100, random_state=None
    ):
        import torch

        rng = np.random.default_rng(random_state)
        windows = np.asarray(X)
        windows = windows[:, None] if windows.ndim == 2 else windows
        trajectories = rollout(
            lambda at, k: torch.from_numpy(self._draw(at.numpy(), k, rng)),
            torch.tensor(windows),
            horizon,
            n_samples,
            n_outputs=len(self.scale_),
            stimulus=None if stimulus is None else torch.tensor(stimulus),
        )
        return self._shape(trajectories.numpy())

    def _draw(self, X, n_samples, rng):
        mean = self._mean(X)[:, None]
        noise = rng.normal(size=(len(mean), n_samples, len(self.scale_)))
        return mean + self.scale_ * noise

    def _mean(self, X):
        return self.ridge_.predict(self._newest(X)).reshape(len(X), -1)

    def _newest(self, X):
        X = np.asarray(X)
        return np.nan_to_num(X[:, -1] if X.ndim == 3 else X)

    def _shape(self, values):
        return values[..., 0] if self.one_dim_ else values


class Deaf(Gaussian):
    """Forecasts nothing where a lag is missing, like an oracle."""

    def sample(self, X, n_samples=100, random_state=None):
        samples = super().sample(X, n_samples, random_state)
        samples[np.isnan(np.asarray(X)).reshape(len(X), -1).any(axis=1)] = np.nan
        return samples


def simulate(n_runs=6, n_steps=60, d=2, seed=0):
    rng = np.random.default_rng(seed)
    stimulus = rng.normal(size=(n_runs * n_steps, 1))
    runs = np.repeat(np.arange(n_runs), n_steps)
    y = np.zeros((n_runs * n_steps, d))
    for t in range(len(y)):
        before = y[t - 1] if t % n_steps else 0.0
        y[t] = 0.8 * before + stimulus[t] + 0.5 * rng.normal(size=d)
    return design_matrix(y, stimulus, runs), y, runs


def windowed(model, length=3):
    return make_pipeline(SlidingWindow(length, run_column=-1), model)


@pytest.fixture(scope="module")
def data():
    return simulate()


@pytest.fixture
def models():
    return {
        "good": windowed(Gaussian()),
        "wide": windowed(Gaussian(inflation=2.0), length=1),
    }


def only(result, **where):
    (row,) = (row for row in result.rows if all(row[k] == v for k, v in where.items()))
    return row


# The table


def test_rows(data, models):
    X, y, runs = data
    result = compare(
        models, X, y, cv=GroupKFold(3), groups=runs, horizon=3, n_samples=20
    )
    assert all(list(row) == KEYS for row in result.rows)
    columns = [("crps", h) for h in (1, 2, 3)] + [("energy", h) for h in (1, 2, 3)]
    columns.append(("energy_trajectory", 3))
    found = [(row["score"], row["lead_time"], row["model"]) for row in result.rows]
    assert found == [(*column, name) for column in columns for name in models]
    assert all(row["n"] == 6 * 58 for row in result.rows)
    assert all(row["fit_seconds"] > 0 for row in result.rows)
    assert all(row["sample_seconds"] > 0 for row in result.rows)
    frame = pd.DataFrame(result.rows)
    pd.testing.assert_frame_equal(frame, result.to_frame())
    assert list(frame.columns) == KEYS


def test_the_text_is_an_aligned_table(data, models):
    X, y, runs = data
    result = compare(models, X, y, cv=GroupKFold(3), groups=runs, n_samples=20)
    head, *body, _, draws, note = str(result).splitlines()
    assert head.split() == ["score", "lead", "time", "good", "wide"]
    assert [line.split()[:2] for line in body] == [["crps", "1"], ["energy", "1"]]
    for line in body:
        good, wide = line.split("±")[0].split()[-1], line.split("±")[1].split()[-1]
        assert float(good) < float(wide)
        assert line.endswith("*")  # twice the spread is found out
        assert head.rindex("wide") + 4 <= len(line)
    assert draws.startswith("draw (s)")
    assert "differs from good" in note


def test_a_comparison_cannot_be_changed(data, models):
    X, y, _ = data
    result = compare(models, X, y, cv=2, n_samples=5)
    result.rows[0]["mean"] = 7.0
    result.rows.clear()
    assert result.rows[0]["mean"] != 7.0
    with pytest.raises(AttributeError):
        result.reference = "wide"


# The numbers


@pytest.mark.parametrize("horizon", [1, 3])
def test_means_are_the_scores_of_the_draws(data, horizon):
    X, y, runs = data
    model = windowed(Gaussian())
    train, test = next(GroupKFold(2).split(X, y, runs))
    result = compare(
        {"model": model}, X, y, cv=[(train, test)], horizon=horizon, n_samples=200
    )
    model.fit(X[train], y[train])
    windows = model[:-1].transform(X[test])
    starts = np.array([t for t in range(len(test)) if t % 60 + horizon <= 60])
    steps = starts[:, None] + np.arange(horizon)
    samples = model[-1].sample_trajectories(
        windows[starts],
        horizon,
        stimulus=X[test][steps, 2:3],
        n_samples=200,
        random_state=5,
    )
    observed = y[test][steps]
    for h in range(horizon):
        exact = crps(observed[:, h], samples[:, :, h]).mean()
        row = only(result, score="crps", lead_time=h + 1)
        assert row["mean"] == pytest.approx(exact, rel=0.02)
        exact = energy_score(observed[:, h], samples[:, :, h]).mean()
        row = only(result, score="energy", lead_time=h + 1)
        assert row["mean"] == pytest.approx(exact, rel=0.02)
    if horizon > 1:
        row = only(result, score="energy_trajectory")
        exact = energy_score(observed, samples).mean()
        assert row["mean"] == pytest.approx(exact, rel=0.02)


def test_differences_are_paired(data, models):
    X, y, runs = data
    cv = GroupKFold(3)
    options = {"cv": cv, "groups": runs, "n_samples": 20, "scores": "crps"}
    result = compare(models, X, y, **options)
    good, wide = result.rows
    assert good["difference"] == good["difference_standard_error"] == 0.0
    assert np.isnan(good["dm_statistic"]) and np.isnan(good["p_value"])
    assert wide["difference"] == pytest.approx(wide["mean"] - good["mean"])
    ratio = wide["difference"] / wide["difference_standard_error"]
    assert wide["dm_statistic"] == pytest.approx(ratio)
    assert wide["p_value"] == pytest.approx(2 * stats.t.sf(ratio, 6 - 1))
    turned = compare(models, X, y, reference="wide", **options)
    assert turned.rows[0]["difference"] == pytest.approx(-wide["difference"])
    assert turned.rows[0]["p_value"] == pytest.approx(wide["p_value"])


def test_same_in_parallel_and_again(data, models):
    X, y, _ = data

    def losses(n_jobs):
        result = compare(
            models, X, y, cv=TimeSeriesSplit(2), horizon=2, n_samples=5, n_jobs=n_jobs
        )
        return [list(row.values())[:-2] for row in result.rows]

    np.testing.assert_equal(losses(2), losses(1))


def test_global_generator_and_estimators_are_untouched(data, models):
    X, y, _ = data
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    compare(models, X, y, cv=2, n_samples=5)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert not hasattr(models["good"][-1], "ridge_")


def test_nothing_beats_the_oracle():
    world = make_linear_var(n_steps=400, n_channels=2, random_state=0)
    X, y = design_matrix(world.activity, world.stimulus), world.activity
    order = world.oracle.law.order
    result = compare(
        {
            "oracle": make_pipeline(SlidingWindow(order), world.oracle),
            "newest row only": Gaussian(),
        },
        X,
        y,
        cv=TimeSeriesSplit(3),
        horizon=2,
        n_samples=50,
    )
    assert all(row["difference"] >= 0 for row in result.rows)
    # The oracle knows nothing at the start of a fold, where rows lack their past:
    # these origins are taken from both.
    assert {row["n"] for row in result.rows} == {3 * (100 - 1) - 3 * (order - 1)}


def test_unforecast_rows_count_for_nobody(data):
    X, y, runs = data
    both = {"deaf": windowed(Deaf(), 1), "good": windowed(Gaussian(), 1)}
    result = compare(both, X, y, cv=GroupKFold(2), groups=runs, n_samples=5)
    assert [row["n"] for row in result.rows] == [6 * 59] * 4


def test_missing_targets(data, models):
    X, y, runs = data
    y = y.copy()
    y[5] = np.nan
    y[70, 0] = np.nan
    X = design_matrix(y, X[:, 2:3], runs)
    result = compare(models, X, y, cv=GroupKFold(2), groups=runs, n_samples=5)
    counts = {row["score"]: row["n"] for row in result.rows}
    assert counts == {"crps": 359, "energy": 358}
    assert np.isfinite([row["mean"] for row in result.rows]).all()


def test_one_target_windows_and_searches(data):
    X, y, _ = data
    X, y = X[:60, [0, 2]], y[:60, 0]
    windows = np.stack([X, X], axis=1)
    grid = GridSearchCV(Gaussian(), {"alpha": [0.1, 1.0]}, cv=2)
    result = compare(
        {"model": Gaussian(), "search": grid},
        windows,
        y,
        cv=TimeSeriesSplit(2),
        horizon=2,
        scores=("crps", "energy", "variogram"),
        n_samples=20,
    )
    for row in result.rows:
        if row["score"] == "energy":
            twin = only(
                result, model=row["model"], score="crps", lead_time=row["lead_time"]
            )
            assert row["mean"] == pytest.approx(twin["mean"])


def test_decoders_are_compared_one_step_ahead(data):
    _, y, _ = data
    neurons = y @ np.ones((2, 1)) + 0.1 * np.random.default_rng(0).normal(size=(360, 1))
    result = compare({"decoder": Gaussian()}, neurons, y, cv=KFold(3), n_samples=5)
    assert result.rows[0]["n"] == 360


def test_a_run_shorter_than_the_horizon_is_passed_over(data, models):
    X, y, runs = data
    keep = np.r_[0:120, 120:123]
    X, y, runs = X[keep], y[keep], runs[keep]
    result = compare(
        models, X, y, cv=GroupKFold(3), groups=runs, horizon=5, n_samples=5
    )
    assert {row["n"] for row in result.rows} == {2 * 56}


# Standard errors


def test_many_groups_are_the_sample():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(8), 30)
    losses = rng.normal(size=8)[groups] + 0.1 * rng.normal(size=240)
    means = losses.reshape(8, 30).mean(axis=1)
    estimate = estimate_mean(losses, groups, lead_time=1)
    assert estimate.standard_error == pytest.approx(stats.sem(means))
    assert diebold_mariano(losses, np.zeros(240), groups=groups) == pytest.approx(
        tuple(stats.ttest_1samp(means, 0.0))
    )


def test_few_groups_share_their_autocovariances():
    rng = np.random.default_rng(0)
    series = lfilter([1.0], [1.0, -0.5], rng.normal(size=1000))
    whole = estimate_mean(series, np.zeros(1000, int), 1)
    cut = estimate_mean(series, np.repeat([0, 1], 500), 1)
    assert cut.standard_error == pytest.approx(whole.standard_error, rel=0.1)
    # The standard error of an autoregression is known.
    assert whole.standard_error == pytest.approx(2 / np.sqrt(1000), rel=0.35)


# The Diebold-Mariano test


def test_independent_differences_give_the_t_test():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4000))
    statistic, p_value = diebold_mariano(a, b)
    exact = stats.ttest_rel(a, b)
    assert statistic == pytest.approx(exact.statistic, rel=0.15)
    assert p_value == pytest.approx(exact.pvalue, abs=0.05)
    # Two differences leave no room for lags but one: the correction alone is left.
    a = np.array([1.0, 4.0])
    statistic, _ = diebold_mariano(a, np.zeros(2))
    assert statistic == pytest.approx(hand_computed(a, n_lags=1))


def hand_computed(d, n_lags):
    """The statistic of the notes, term by term."""
    n, e = len(d), d - d.mean()
    total, bias = e @ e / n, 1 / n
    for k in range(1, n_lags + 1):
        weight = 1 - k / (n_lags + 1)
        total += 2 * weight * (e[k:] @ e[:-k]) / n
        bias += 2 * weight * (n - k) / n**2
    return d.mean() / np.sqrt(total / (1 - bias) / n)


@pytest.mark.parametrize(("lead_time", "n_lags"), [(1, 13), (4, 13), (20, 38)])
def test_the_statistic_is_that_of_the_notes(lead_time, n_lags):
    d = np.random.default_rng(0).normal(0.1, size=100)
    statistic, p_value = diebold_mariano(d, np.zeros(100), lead_time=lead_time)
    assert statistic == pytest.approx(hand_computed(d, n_lags))
    freedom = 1.5 * 100 / (n_lags + 1)
    assert p_value == pytest.approx(2 * stats.t.sf(abs(statistic), freedom))


@pytest.mark.parametrize(
    ("kind", "lead_time", "n"),
    [("white", 1, 60), ("ar", 1, 200), ("ma", 3, 100), ("ma", 10, 300)],
)
def test_size(kind, lead_time, n):
    """Equal forecasts are told apart in about 5 % of all cases."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(1000, n + 100))
    filters = {
        "white": ([1.0], [1.0]),
        "ar": ([1.0], [1.0, -0.5]),
        "ma": (np.ones(lead_time), [1.0]),
    }
    differences = lfilter(*filters[kind], noise)[:, 100:]
    zero = np.zeros(n)
    rejected = [
        diebold_mariano(d, zero, lead_time=lead_time).p_value < 0.05
        for d in differences
    ]
    assert 0.02 < np.mean(rejected) < 0.09


def test_missing_losses_keep_their_place_in_time():
    rng = np.random.default_rng(0)
    series = lfilter([1.0], [1.0, -0.7], rng.normal(size=3000))
    holes = series.copy()
    holes[rng.random(3000) < 0.3] = np.nan
    full = estimate_mean(series, np.zeros(3000, int), 1)
    part = estimate_mean(holes, np.zeros(3000, int), 1)
    assert part.n == np.isfinite(holes).sum()
    assert part.standard_error == pytest.approx(full.standard_error, rel=0.25)


def test_equal_losses_have_no_statistic():
    losses = np.arange(5.0)
    assert np.isnan(diebold_mariano(losses, losses)).all()


def test_arguments_of_the_test_are_checked():
    losses = np.arange(5.0)
    with pytest.raises(ValueError, match="one shape"):
        diebold_mariano(losses, losses[:-1])
    with pytest.raises(ValueError, match=r"loss_a must have shape \(n,\)"):
        diebold_mariano(losses[:, None], losses)
    with pytest.raises(ValueError, match="at least 2 pairs"):
        diebold_mariano(losses, np.full(5, np.nan))
    with pytest.raises(ValueError, match="lead_time must be an integer"):
        diebold_mariano(losses, losses, lead_time=0)
    with pytest.raises(ValueError, match=r"groups must have shape \(5,\)"):
        diebold_mariano(losses, losses, groups=[1, 2])


# Bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"forecasters": {}}, "forecasters must be a dict of at least one"),
        ({"forecasters": Gaussian()}, "forecasters must be a dict"),
        ({"scores": ("crps", "mse")}, r"scores must be one of .* got 'mse'"),
        ({"scores": ()}, "scores must name at least one"),
        ({"reference": "best"}, r"reference must be one of .* got 'best'"),
        ({"horizon": 0}, "horizon must be an integer"),
        ({"n_samples": 1}, "n_samples must be an integer"),
        ({"horizon": 61}, "no row of X starts 61 consecutive"),
    ],
)
def test_bad_arguments(data, models, change, message):
    X, y, _ = data
    options = {"forecasters": models, "cv": KFold(6), **change}
    with pytest.raises(ValueError, match=message):
        compare(options.pop("forecasters"), X, y, **options)


@pytest.mark.parametrize(
    ("horizon", "method"), [(1, "sample"), (2, "sample_trajectories")]
)
def test_every_forecaster_must_draw(data, models, horizon, method):
    X, y, _ = data
    models["ridge"] = windowed(Ridge())
    match = rf"forecasters\['ridge'\] must have a method {method} .*got Ridge"
    with pytest.raises(TypeError, match=match):
        compare(models, X, y, cv=2, horizon=horizon)


def test_different_origins_are_refused(data):
    X, y, _ = data
    X = X.copy()
    X[60, :2] = y[59]  # the label alone tells that a run begins
    models = {"labels": windowed(Gaussian()), "blind": Gaussian()}
    with pytest.raises(ValueError, match=r"'labels' has .* origins in fold 0"):
        compare(models, X, y, cv=2, horizon=2)


def test_nan_is_no_way_out(data):
    class Broken(Gaussian):
        def sample(self, X, n_samples=100, random_state=None):
            return np.full((len(X), n_samples, 2), np.nan)

    X, y, _ = data
    with pytest.raises(ValueError, match=r"forecasters\['broken'\] drew NaN from 17"):
        compare({"broken": windowed(Broken(), 1)}, X, y, cv=2)
