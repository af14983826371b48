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
from afm_sklearn.comparison.standard_error import estimate_mean
from afm_sklearn.datasets import make_linear_var
from afm_sklearn.design import design_matrix
from afm_sklearn.metrics import crps, energy_score
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
        rng = np.random.default_rng(random_state)
        rows, d = np.repeat(self._newest(X), n_samples, axis=0), len(self.scale_)
        steps = []
        for h in range(horizon):
            if stimulus is not None:
                rows[:, d:] = np.repeat(stimulus[:, h], n_samples, axis=0)
            steps.append(self._draw(rows, 1, rng)[:, 0])
            rows = np.hstack([steps[-1], rows[:, d:]])
        return self._shape(np.stack(steps, 1).reshape(len(X), n_samples, horizon, d))

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
    result = compare(models, X, y, cv=2, n_samples=5, random_state=None)
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
    world = make_linear_var(n_times=400, n_channels=2, random_state=0)
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


def test_without_groups_the_test_rows_are_one_series(data, models):
    X, y, runs = data
    folds = list(KFold(6).split(X))
    options = {"cv": folds, "n_samples": 5, "scores": "crps"}
    alone = compare(models, X, y, **options).rows[1]
    whole = compare(models, X, y, groups=np.zeros(len(y)), **options).rows[1]
    assert alone["standard_error"] == whole["standard_error"]
    assert alone["p_value"] == whole["p_value"]
    apart = compare(models, X, y, groups=runs, **options).rows[1]
    assert apart["standard_error"] != alone["standard_error"]


def test_too_few_origins_have_a_mean_but_no_error(data, models):
    X, y, _ = data
    test = np.arange(60, 75)
    options = {"cv": [(np.arange(60), test)], "n_samples": 5, "scores": "crps"}
    few = compare(models, X, y, **options)
    for row in few.rows:
        assert row["n"] == 15
        assert np.isfinite([row["mean"], row["difference"]]).all()
        for name in ("standard_error", "difference_standard_error", "p_value"):
            assert np.isnan(row[name])
    assert "nan" in str(few)


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


@pytest.mark.parametrize(("lead_time", "n_cosines"), [(1, 9), (4, 9), (20, 5)], ids=str)
def test_the_statistic_is_that_of_the_notes(lead_time, n_cosines):
    noise = np.random.default_rng(0).normal(size=100)
    d = 0.1 + lfilter([1.0], [1.0, -0.5], noise)
    statistic, p_value = diebold_mariano(d, np.zeros(100), lead_time=lead_time)
    e = d - d.mean()
    rho = (100 * (e[1:] @ e[:-1]) / (e @ e) + 1) / 97
    left = e[1:] - rho * e[:-1]
    times = (np.arange(99) + 0.5) / 99
    power = [
        2 / 99 * (np.cos(np.pi * j * times) @ left) ** 2
        for j in range(1, n_cosines + 1)
    ]
    variance = np.mean(power) / (1 - rho) ** 2 / 100
    assert statistic == pytest.approx(d.mean() / np.sqrt(variance))
    freedom = 1 / (1 / n_cosines + 1.5 * (1 + rho) / (1 - rho) / 100)
    assert p_value == pytest.approx(2 * stats.t.sf(abs(statistic), freedom))


PROCESSES = {
    "white": ([1.0], [1.0]),
    "ar .5": ([1.0], [1.0, -0.5]),
    "ar .9": ([1.0], [1.0, -0.9]),
    "ma 8": (np.ones(8), [1.0]),
}


def rejected(process, n, lead_time, shift=0.0, n_series=2000):
    """Share of series told apart at 5 %, their means `shift` long-run sd from 0."""
    rng = np.random.default_rng(0)
    numerator, denominator = PROCESSES[process]
    series = lfilter(numerator, denominator, rng.normal(size=(n_series, n + 100)))
    series = series[:, 100:] + shift * np.sum(numerator) / np.sum(denominator)
    zero = np.zeros(n)
    p_values = [diebold_mariano(d, zero, lead_time=lead_time).p_value for d in series]
    return np.mean(np.array(p_values) < 0.05)


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("lead_time", [1, 8])
@pytest.mark.parametrize("n", [30, 60, 200, pytest.param(2000, marks=pytest.mark.slow)])
def test_size(process, lead_time, n):
    """Equal forecasts are told apart in at most 7 % of all cases."""
    n_series = 2000 if n == 30 else 1000
    assert rejected(process, n, lead_time, n_series=n_series) < 0.07


def test_the_size_is_used_up_where_losses_are_many():
    assert 0.035 < rejected("white", 300, lead_time=1) < 0.065


@pytest.mark.parametrize(
    ("process", "n", "at_least"),
    [
        ("white", 30, 0.4),
        ("white", 60, 0.8),
        ("white", 200, 0.99),
        ("ar .5", 60, 0.7),
        ("ar .5", 200, 0.99),
        ("ar .9", 60, 0.4),
        ("ar .9", 200, 0.9),
    ],
)
def test_power(process, n, at_least):
    """Half a standard deviation is found; the exact test finds .78 at n = 30."""
    assert rejected(process, n, lead_time=1, shift=0.5, n_series=1000) > at_least


def test_missing_losses_count_for_nothing():
    rng = np.random.default_rng(0)
    series = lfilter([1.0], [1.0, -0.7], rng.normal(size=3000))
    holes = series.copy()
    holes[rng.random(3000) < 0.3] = np.nan
    full = estimate_mean(series, np.zeros(3000, int), 1)
    part = estimate_mean(holes, np.zeros(3000, int), 1)
    assert part.n == np.isfinite(holes).sum()
    assert part.standard_error == pytest.approx(full.standard_error, rel=0.25)
    zero = np.zeros(3000)
    masked = np.ma.masked_invalid(holes)
    assert diebold_mariano(masked, zero) == diebold_mariano(holes, zero)


def test_equal_losses_have_no_statistic():
    losses = np.arange(20.0)
    assert np.isnan(diebold_mariano(losses, losses)).all()
    assert diebold_mariano(losses + 0.5, losses) == (np.inf, 0.0)


@pytest.mark.parametrize(("lead_time", "needed"), [(1, 20), (10, 20), (30, 60)])
def test_too_few_losses_are_refused(lead_time, needed):
    losses, zero = np.random.default_rng(0).normal(size=needed), np.zeros(needed)
    assert np.isfinite(diebold_mariano(losses, zero, lead_time=lead_time)).all()
    losses[3] = np.nan
    message = rf"at least {needed} pairs .* lead_time={lead_time}, .*got {needed - 1}"
    with pytest.raises(ValueError, match=message):
        diebold_mariano(losses, zero, lead_time=lead_time)


def test_arguments_of_the_test_are_checked():
    losses = np.arange(5.0)
    with pytest.raises(ValueError, match="one shape"):
        diebold_mariano(losses, losses[:-1])
    with pytest.raises(ValueError, match=r"loss_a must have shape \(n,\)"):
        diebold_mariano(losses[:, None], losses)
    with pytest.raises(ValueError, match="lead_time must be an integer"):
        diebold_mariano(losses, losses, lead_time=0)
    with pytest.raises(ValueError, match=r"groups must have shape \(5,\)"):
        diebold_mariano(losses, losses, groups=[1, 2])
    for sign in (-1, 1):
        with pytest.raises(ValueError, match="loss_b must be finite or NaN"):
            diebold_mariano(losses, np.full(5, sign * np.inf))


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
        ({"forecasters": {1: Gaussian()}}, "forecasters must have strings .* got 1"),
        ({"random_state": "a"}, "random_state must be None, an integer .* got 'a'"),
        ({"random_state": -1}, "random_state must be None, an integer .* got -1"),
        ({"random_state": 2**40}, "random_state must be None, an integer .* got 1099"),
        ({"random_state": np.random.default_rng(0)}, "random_state .* got Generator"),
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
