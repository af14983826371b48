"""Displays draw what the metrics compute, on named axes, and import nothing early."""

import inspect
import subprocess
import sys

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import TimeSeriesSplit
from sklearn.pipeline import make_pipeline

from afm_sklearn.comparison import compare
from afm_sklearn.datasets import make_double_well
from afm_sklearn.design import design_matrix
from afm_sklearn.metrics import coverage, crps, pit
from afm_sklearn.plotting import (
    CoverageDisplay,
    ForecastDisplay,
    PITDisplay,
    ScoreByHorizonDisplay,
)
from afm_sklearn.windows import SlidingWindow

DISPLAYS = [CoverageDisplay, ForecastDisplay, PITDisplay, ScoreByHorizonDisplay]
HORIZON = 4


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def world():
    """A Pipeline around the true law, its X with run labels, and y."""
    data = make_double_well(n_times=40, n_channels=2, n_runs=3, random_state=0)
    X = design_matrix(data.activity, runs=data.runs)
    model = make_pipeline(SlidingWindow(1, run_column=-1), data.oracle)
    return model.fit(X, data.activity), X, data.activity


@pytest.fixture(scope="module")
def predictions():
    """Observations (n, horizon, d) and draws of them."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(60, HORIZON, 2))
    y[3, 1, 0] = np.nan
    return y, 0.7 * rng.normal(size=(60, 50, HORIZON, 2))


# What all displays share


@pytest.mark.parametrize("display", DISPLAYS)
def test_contract(display, world, predictions):
    _, axes = plt.subplots(1, 2)
    made = [
        display.from_estimator(*world, n_samples=20, ax=axes[0]),
        display.from_predictions(*predictions, ax=axes[1]),
    ]
    for shown, ax in zip(made, axes, strict=True):
        assert isinstance(shown, display)
        assert shown.ax_ is ax
        assert shown.figure_ is ax.figure
        assert ax.get_xlabel() and ax.get_ylabel()
        assert ax.get_legend() is not None
        again = shown.plot()
        assert again is shown
        assert shown.ax_ is not ax


@pytest.mark.parametrize("display", DISPLAYS)
def test_units_of_time(display, predictions):
    shown = display.from_predictions(*predictions, step=0.5, unit="s")
    texts = [shown.ax_.get_xlabel(), shown.ax_.get_title()]
    texts += [text.get_text() for text in shown.ax_.get_legend().get_texts()]
    assert any("(s)" in text or "0.5 s" in text for text in texts)


@pytest.mark.parametrize("display", DISPLAYS)
def test_bad_input(display, world, predictions):
    model, X, y = world
    ridge = make_pipeline(SlidingWindow(1, run_column=-1, flatten=True), Ridge())
    ridge.fit(np.nan_to_num(X), y)
    with pytest.raises(TypeError, match="must have a method sample"):
        display.from_estimator(ridge, X, y)
    steps = "lead_time" if display is PITDisplay else "horizon"
    with pytest.raises(ValueError, match="no row of X starts 41 consecutive"):
        display.from_estimator(model, X, y, **{steps: 41})
    with pytest.raises(ValueError, match=f"{steps} must be an integer >= 1"):
        display.from_estimator(model, X, y, **{steps: 0})
    for bad in ({"n_samples": 0}, {"step": 0}, {"step": "a"}, {"random_state": "a"}):
        name = next(iter(bad))
        with pytest.raises(ValueError, match=f"{name} must be"):
            display.from_estimator(model, X, y, **bad)
    for bad in (-1, 2**40, np.random.default_rng(0)):
        with pytest.raises(ValueError, match="random_state must be None, an integer"):
            display.from_estimator(model, X, y, random_state=bad)
    with pytest.raises(ValueError, match="samples must have shape"):
        display.from_predictions(predictions[0][:-1], predictions[1])
    with pytest.raises(ValueError, match="y must hold at least one"):
        display.from_predictions(predictions[0][:0], predictions[1][:0])


@pytest.mark.parametrize("display", DISPLAYS)
def test_parameters_are_documented(display):
    for name in ("from_estimator", "from_predictions", "plot"):
        method = getattr(display, name)
        lines = [line.strip() for line in method.__doc__.splitlines()]
        described = {
            part.strip(" *")
            for line in lines
            if " : " in line or line == "**plot_options"
            for part in line.split(" : ")[0].split(",")
        }
        assert set(inspect.signature(method).parameters) - {"self"} <= described
        assert not any(line.startswith("{") for line in lines)


def test_matplotlib_is_imported_when_something_is_drawn():
    code = """
import sys
import numpy as np
import afm_sklearn.plotting, afm_sklearn.comparison
assert "matplotlib" not in sys.modules, "imported early"
sys.modules["matplotlib.pyplot"] = None
try:
    afm_sklearn.plotting.PITDisplay.from_predictions(np.zeros(3), np.zeros((3, 5)))
except ImportError as error:
    assert "afm-sklearn[plot]" in str(error)
else:
    raise AssertionError("no error without matplotlib")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_global_generator_is_untouched(world):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    for display in DISPLAYS:
        display.from_estimator(*world, n_samples=5)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# Fan chart


def test_forecast_draws_the_quantiles_and_the_observations(predictions):
    y, samples = predictions
    shown = ForecastDisplay.from_predictions(
        y, samples, row=3, channel=1, history=[0.5, 0.25], n_paths=4, levels=(0.8,)
    )
    np.testing.assert_array_equal(shown.observed_.get_xdata(), np.arange(-1, 5))
    np.testing.assert_array_equal(shown.observed_.get_ydata(), [0.5, 0.25, *y[3, :, 1]])
    drawn = samples[3, :, :, 1]
    median = [0.25, *np.median(drawn, axis=0)]
    np.testing.assert_allclose(shown.median_.get_ydata(), median)
    assert len(shown.paths_) == 4
    np.testing.assert_allclose(shown.paths_[2].get_ydata()[1:], drawn[2])
    (band,) = shown.bands_
    corners = band.get_paths()[0].vertices
    for h in range(HORIZON):
        at = corners[corners[:, 0] == h + 1, 1]
        low, high = np.quantile(drawn[:, h], (0.1, 0.9), method="weibull")
        assert at.min() == pytest.approx(low) and at.max() == pytest.approx(high)


def test_forecast_starts_where_it_is_told(world):
    model, X, y = world
    shown = ForecastDisplay.from_estimator(model, X, y, origin=43, n_history=10)
    # Row 40 begins the run: the history goes no further.
    np.testing.assert_array_equal(shown.observed_.get_ydata(), y[40:53, 0])
    by_default = ForecastDisplay.from_estimator(model, X, y)
    assert len(by_default.observed_.get_ydata()) == 20
    with pytest.raises(ValueError, match=r"origin must be a row .* got 35"):
        ForecastDisplay.from_estimator(model, X, y, origin=35)
    with pytest.raises(ValueError, match="drew NaN from row 40"):
        ForecastDisplay.from_estimator(model, X, y, origin=40)
    with pytest.raises(ValueError, match="channel must be at most 1"):
        ForecastDisplay.from_estimator(model, X, y, channel=2)


def test_forecast_arguments_are_checked(world, predictions):
    y, samples = predictions
    for bad in ({"n_paths": -1}, {"levels": ()}, {"levels": "a"}, {"channel": -1}):
        name = next(iter(bad))
        with pytest.raises(ValueError, match=f"{name} must "):
            ForecastDisplay.from_predictions(y, samples, **bad)
    with pytest.raises(TypeError, match="history must hold real numbers"):
        ForecastDisplay.from_predictions(y, samples, history=["a"])
    for bad in ({"n_history": -1}, {"origin": "a"}, {"n_samples": 0}):
        name = next(iter(bad))
        with pytest.raises(ValueError, match=f"{name} must be an integer"):
            ForecastDisplay.from_estimator(*world, **bad)
    with pytest.raises(ValueError, match="samples must hold at least one draw"):
        ForecastDisplay(y[0, :, 0], samples[0, :0, :, 0]).plot()
    silent = samples.copy()
    silent[0] = np.nan
    with pytest.raises(ValueError, match=r"samples must be finite .* row 0"):
        ForecastDisplay.from_predictions(y, silent)


def test_many_intervals_may_be_nested(predictions):
    levels = np.linspace(0.1, 0.9, 9)
    shown = ForecastDisplay.from_predictions(*predictions, levels=levels, n_paths=0)
    assert len(shown.bands_) == 9
    assert shown.paths_ == []


def test_forecast_of_one_target(world):
    _, X, y = world

    class One:
        def sample_trajectories(self, X, horizon, *, stimulus, n_samples, random_state):
            return np.zeros((len(X), n_samples, horizon))

    shown = ForecastDisplay.from_estimator(One(), X[:, :1], y[:, 0], horizon=3)
    np.testing.assert_array_equal(shown.median_.get_ydata()[1:], 0.0)


# Calibration


def test_coverage_draws_the_metric(predictions):
    y, samples = predictions
    levels = (0.5, 0.9)
    shown = CoverageDisplay.from_predictions(
        y, samples, levels=levels, lead_times=(1, 3)
    )
    for line, h in zip(shown.lines_, (0, 2), strict=True):
        exact = coverage(y[:, h], samples[:, :, h], level=levels).mean(axis=1)
        np.testing.assert_allclose(line.get_ydata(), exact)
        np.testing.assert_array_equal(line.get_xdata(), levels)
    markers = [line.get_marker() for line in shown.lines_]
    dashes = [line.get_linestyle() for line in shown.lines_]
    assert len(set(markers)) == len(set(dashes)) == 2
    with pytest.raises(ValueError, match="lead_times must be at most 4"):
        CoverageDisplay.from_predictions(y, samples, lead_times=(5,))
    for bad in ((), 3, [[1]]):
        with pytest.raises(ValueError, match="lead_times must hold at least one"):
            CoverageDisplay.from_predictions(y, samples, lead_times=bad)
    for bad in ((), "a", (0.5, 1.0)):
        with pytest.raises(ValueError, match="levels must hold numbers"):
            CoverageDisplay.from_predictions(y, samples, levels=bad)


def test_coverage_of_the_truth_lies_in_its_band(world):
    shown = CoverageDisplay.from_estimator(*world, horizon=3)
    assert len(shown.lines_) == 3
    assert shown.n == 3 * (38 - 1)  # the oracle is silent at the start of a run
    assert np.abs(shown.observed - shown.levels[:, None]).max() < 0.15


def test_coverage_shows_a_few_lead_times_of_many():
    rng = np.random.default_rng(0)
    y, samples = rng.normal(size=(20, 30, 1)), rng.normal(size=(20, 10, 30, 1))
    shown = CoverageDisplay.from_predictions(y, samples)
    assert shown.lead_times[[0, -1]].tolist() == [1, 30]
    assert len(shown.lines_) == 5


@pytest.mark.parametrize("channel", [None, 1])
def test_pit_draws_the_metric(predictions, channel):
    y, samples = predictions
    shown = PITDisplay.from_predictions(y, samples, lead_time=2, channel=channel)
    channels = [0, 1] if channel is None else [channel]
    values = pit(y[:, 1, channels], samples[:, :, 1, channels], random_state=0)
    density, _ = np.histogram(
        values[~np.isnan(values)], bins=10, range=(0, 1), density=True
    )
    heights = [bar.get_height() for bar in shown.bars_]
    np.testing.assert_allclose(heights, density)
    assert len(shown.plot(bins=5).bars_) == 5
    with pytest.raises(ValueError, match="lead_time must be at most 4"):
        PITDisplay.from_predictions(y, samples, lead_time=5)


def test_pit_of_the_truth_lies_in_its_band(world):
    shown = PITDisplay.from_estimator(*world, lead_time=2)
    low, high = shown.band_.get_y(), shown.band_.get_y() + shown.band_.get_height()
    heights = np.array([bar.get_height() for bar in shown.bars_])
    assert low < 1 < high
    assert ((low <= heights) & (heights <= high)).mean() >= 0.9


@pytest.mark.parametrize("display", [CoverageDisplay, PITDisplay])
def test_nothing_to_show(world, display):
    class Silent:
        def sample(self, X, n_samples, random_state):
            return np.full((len(X), n_samples, 2), np.nan)

    _, X, y = world
    with pytest.raises(ValueError, match="drew NaN from all 120 rows"):
        display.from_estimator(Silent(), X[:, :2], y)


# Scores


def test_scores_of_a_comparison(world):
    model, X, y = world
    result = compare(
        {"truth": model, "twin": model},
        X,
        y,
        cv=TimeSeriesSplit(2),
        horizon=3,
        n_samples=10,
    )
    shown = ScoreByHorizonDisplay.from_comparison(result, score="energy")
    for k, container in enumerate(shown.lines_):
        rows = [row for row in result.rows[k::2] if row["score"] == "energy"]
        line = container.lines[0]
        np.testing.assert_allclose(line.get_ydata(), [row["mean"] for row in rows])
        np.testing.assert_allclose(line.get_xdata(), [1, 2, 3], atol=0.1)
        np.testing.assert_allclose(
            shown.standard_errors[k], [row["standard_error"] for row in rows]
        )
    names = [text.get_text() for text in shown.ax_.get_legend().get_texts()]
    assert names == ["truth", "twin"]
    whole = ScoreByHorizonDisplay.from_comparison(result, score="energy_trajectory")
    assert whole.lead_times.tolist() == [3]
    with pytest.raises(ValueError, match=r"score must be one of .* got 'mse'"):
        ScoreByHorizonDisplay.from_comparison(result, score="mse")


def test_scores_of_predictions(predictions):
    y, samples = predictions
    y = np.nan_to_num(y)
    shown = ScoreByHorizonDisplay.from_predictions(
        y, {"narrow": samples, "right": samples / 0.7}
    )
    exact = crps(y, samples).mean(axis=(0, 2))
    np.testing.assert_allclose(shown.lines_[0].lines[0].get_ydata(), exact)
    assert shown.means[1].mean() < shown.means[0].mean()


def test_scores_of_several_estimators_share_their_rows(world):
    model, X, y = world
    shown = ScoreByHorizonDisplay.from_estimator(
        {"a": model, "b": model}, X, y, horizon=2, n_samples=10
    )
    np.testing.assert_array_equal(shown.means[0], shown.means[1])
    alone = ScoreByHorizonDisplay.from_estimator(model, X, y, horizon=2, n_samples=10)
    assert alone.models == ["Pipeline"]
    for bad in ({}, {1: model}):
        with pytest.raises(ValueError, match="estimator must "):
            ScoreByHorizonDisplay.from_estimator(bad, X, y, horizon=2)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ScoreByHorizonDisplay.from_estimator(model, X, y, groups=[1, 2])
