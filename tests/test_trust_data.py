"""Data as they are: gaps, artefacts, other levels, other columns than expected."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline

from afm_sklearn import (
    AFMForecaster,
    Climatology,
    OutOfDistributionWarning,
    Persistence,
    ResidualForecaster,
    SlidingWindow,
    crps,
    design_matrix,
    forecast,
)
from afm_sklearn.datasets import make_linear_var


def _quick(**kwargs):
    return AFMForecaster(
        **{"max_epochs": 2, "random_state": 0, "hidden_dim": 16, **kwargs}
    )


def _windows(y, length=4, stimulus=None, runs=None):
    window = SlidingWindow(length, run_column=None if runs is None else -1)
    return window.fit_transform(design_matrix(y, stimulus, runs))


def _loss(model, X, y):
    return crps(y, model.sample(X, 200, random_state=0)).mean()


# -- gaps ----------------------------------------------------------------------


@pytest.fixture(scope="module", params=["without gaps", "with gaps"])
def var(request):
    """A fitted forecaster, and the windows and targets of other data."""
    data = make_linear_var(2400, 4, n_stimuli=2, random_state=0)
    y = data.activity.copy()
    if request.param == "with gaps":
        rng = np.random.default_rng(1)
        for start in rng.integers(0, 1500, 40):
            y[start : start + rng.integers(1, 7)] = np.nan
    X = _windows(y, 8, data.stimulus)
    model = _quick(base="auto", max_epochs=5).fit(X[:1500], y[:1500])
    return model, X[1500:], data.activity[1500:]


def _lacking(X, n_missing):
    X = np.array(X)
    if n_missing:
        X[:, -n_missing:, :4] = np.nan
    return X


@pytest.mark.slow
def test_intervals_hold_however_many_lags_are_missing(var):
    model, X, y = var
    X, y = X[8:158], y[8:158]
    widths = []
    for n_missing in (0, 1, 3, 6, 8):
        gappy = _lacking(X, n_missing)
        low, high = np.moveaxis(model.predict_interval(gappy, 0.9), 1, 0)
        assert ((y >= low) & (y <= high)).mean() >= 0.85
        draws = model.sample(gappy, 200, random_state=0)
        ends = np.quantile(draws, [0.05, 0.95], axis=1)
        assert ((y >= ends[0]) & (y <= ends[1])).mean() >= 0.85
        widths.append((high - low).mean())
    assert (np.diff(widths) > -0.01).all() and widths[3] > 1.2 * widths[0]


def test_a_lost_sample_of_one_channel_widens_that_channel_most(var):
    model, X, _ = var
    gappy = np.array(X[8:58])
    whole = np.ptp(model.predict_interval(gappy), axis=1)
    gappy[:, -3:, 1] = np.nan
    holed = np.ptp(model.predict_interval(gappy), axis=1)
    growth = (holed / whole).mean(0)
    assert growth.argmax() == 1 and growth[1] > 1.1


def test_windows_without_gaps_are_forecast_as_if_there_were_no_others(var):
    model, X, _ = var
    mixed = np.concatenate([np.array(X[8:12]), _lacking(X[8:12], 3)])
    for ask in (model.predict, model.predict_interval):
        np.testing.assert_allclose(ask(mixed)[:4], ask(mixed[:4]), rtol=1e-9)


@pytest.mark.slow
def test_first_rows_of_runs_are_covered():
    data = make_linear_var(15, 3, n_stimuli=0, n_runs=400, random_state=0)
    X, y = _windows(data.activity, 6, runs=data.runs), data.activity
    train, test = slice(2250), np.arange(2250, 6000)
    model = _quick().fit(X[train], y[train])
    for lag in (0, 1, 2, 10):
        rows = test[lag::15]
        low, high = np.moveaxis(model.predict_interval(X[rows], 0.9), 1, 0)
        assert ((y[rows] >= low) & (y[rows] <= high)).mean() >= 0.85


# -- missing targets -----------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: _quick(base="linear"),
        lambda: Persistence(),
        lambda: Climatology(),
        lambda: ResidualForecaster(Ridge()),
    ],
)
def test_missing_targets_are_left_out_of_scores(make):
    data = make_linear_var(400, 2, n_stimuli=0, random_state=0)
    y = data.activity.copy()
    X = _windows(y)
    model = make().fit(X, y)
    full = model.score(X, y)
    y[np.random.default_rng(0).random(y.shape) < 0.1] = np.nan
    assert model.score(X, y) == pytest.approx(full, abs=0.05)
    scores = cross_val_score(make(), X, y, cv=TimeSeriesSplit(3))
    assert np.isfinite(scores).all()


# -- the target in its own row, and columns that are none ----------------------


@pytest.mark.parametrize("d", [1, 3])
def test_a_target_in_its_own_row_is_refused(d):
    y = np.random.default_rng(0).normal(size=(200, d))
    for forecaster in (_quick(base="linear"), Persistence(), Climatology()):
        with pytest.raises(ValueError, match="X holds its own targets"):
            make_pipeline(SlidingWindow(3), forecaster).fit(y, y)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_recording_that_never_changes_is_no_target_in_its_row(value):
    y = np.full((100, 2), value)
    X = design_matrix(y)
    for forecaster in (_quick(window_length=3), Persistence(window_length=3)):
        draws = forecaster.fit(X, y).sample(X[-1:], 5, random_state=0)
        np.testing.assert_allclose(draws, value, atol=1e-6)


def test_rows_where_windows_belong_are_named():
    data = make_linear_var(200, 3, n_stimuli=0, random_state=0)
    rows = design_matrix(data.activity)
    model = _quick(base="linear").fit(_windows(data.activity), data.activity)
    with pytest.raises(ValueError, match=r"X has shape \(200, 3\), expected windows"):
        model.predict(rows)


@pytest.mark.parametrize("value", [np.False_, 0, False, np.True_, 1, True])
def test_truth_values_of_any_kind_are_taken_as_such(value):
    y = make_linear_var(200, 2, n_stimuli=0, random_state=0).activity
    model = _quick(base="linear", autoregressive=value).fit(_windows(y), y)
    assert model.autoregressive_ is bool(value)
    decoder = _quick(base="linear", autoregressive=value).fit(_windows(y), y[::-1])
    assert decoder.autoregressive_ is bool(value)


@pytest.mark.parametrize("rate", [0.5, 0.1, 0.02])
@pytest.mark.parametrize("n", [50, 500])
def test_unrelated_binary_channels_are_seldom_called_lags(rate, n):
    rng = np.random.default_rng(0)
    n_called = 0
    for _ in range(1000):
        x, y = (rng.random((2, n, 1)) < rate).astype(float)
        if not (np.ptp(x) and np.ptp(y)):
            continue
        try:
            n_called += Persistence().fit(x, y).autoregressive_
        except ValueError:
            pass
    assert n_called < 10


def test_the_lags_of_binary_channels_are_found():
    y = (np.random.default_rng(0).random((300, 2)) < 0.3).astype(float)
    assert Persistence().fit(_windows(y), y).autoregressive_


# -- the next step -------------------------------------------------------------


def test_a_forecast_starts_after_the_last_step():
    t = np.arange(400)
    y = np.column_stack([np.sin(0.7 * t), np.cos(0.7 * t)])
    y += 0.05 * np.random.default_rng(0).normal(size=y.shape)
    for forecaster in (
        make_pipeline(SlidingWindow(4), _quick(base="linear")),
        _quick(base="linear", window_length=4),
        ResidualForecaster(Ridge(), window_length=4),
    ):
        forecaster.fit(design_matrix(y[:300]), y[:300])
        losses = []
        for end in range(300, 310):
            draws = forecast(forecaster, y[:end], 3, n_samples=100, random_state=0)
            assert draws.shape == (100, 3, 2)
            losses.append(crps(y[None, end : end + 3], draws[None]).mean())
        assert np.mean(losses) < 0.1  # forecasts one step late lose about .4


# -- levels that training has not seen -----------------------------------------


def _walks(n=1500, d=3):
    return np.random.default_rng(3).normal(size=(n, d)).cumsum(0)


def _level_shift(n=1500):
    y = make_linear_var(n, 3, n_stimuli=0, random_state=0).activity
    y[1000:] += 20 * y.std(0)
    return y


def _growth(n=2500):
    y = make_linear_var(n, 3, n_stimuli=0, random_state=0).activity
    return y + 0.02 * np.arange(n)[:, None]


def _exponential_growth(n=1500):
    y = make_linear_var(n, 3, n_stimuli=0, random_state=0).activity
    return np.exp(0.003 * np.arange(n))[:, None] * (5 + 0.2 * y)


def _one_channel_s_shift(n=1500):
    y = make_linear_var(n, 3, n_stimuli=0, random_state=0).activity
    y[1000:, 1] += 20 * y[:, 1].std()
    return y


@pytest.mark.slow
@pytest.mark.parametrize("base", ["linear", "auto"])
@pytest.mark.parametrize(
    "make", [_walks, _level_shift, _one_channel_s_shift, _growth, _exponential_growth]
)
def test_no_worse_than_persistence_outside_the_training_range(make, base):
    y = make()
    X = _windows(y)
    train, test = slice(1000), slice(1020, None)
    model = _quick(base=base, max_epochs=10).fit(X[train], y[train])
    with pytest.warns(OutOfDistributionWarning):
        loss = _loss(model, X[test], y[test])
        low, high = np.moveaxis(model.predict_interval(X[test]), 1, 0)
    walk = Persistence().fit(X[train], y[train])
    assert loss < 1.1 * _loss(walk, X[test], y[test])
    if make is not _exponential_growth:  # whose spread grows with it
        assert ((y[test] >= low) & (y[test] <= high)).mean() > 0.8
    origins = np.arange(1028, len(y) - 16, 8)
    ahead = np.stack([y[t : t + 8] for t in origins])
    with pytest.warns(OutOfDistributionWarning):
        paths = model.sample_trajectories(X[origins], 8, random_state=0)
    others = walk.sample_trajectories(X[origins], 8, random_state=0)
    assert crps(ahead, paths).mean() < 1.1 * crps(ahead, others).mean()


def test_a_call_outside_the_training_range_warns_once():
    y = _level_shift()
    X = _windows(y)
    model = _quick(base="linear").fit(X[:1000], y[:1000])
    calls = {
        "predict": lambda X: model.predict(X),
        "interval": lambda X: model.predict_interval(X),
        "sample": lambda X: model.sample(X, 3),
        "trajectories": lambda X: model.sample_trajectories(X, 2, n_samples=3),
        "log_prob": lambda X: model.log_prob(X, y[: len(X)]),
        "score": lambda X: model.score(X, y[: len(X)]),
    }
    for name, call in calls.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call(X[1010:1100])
        kinds = [w.category for w in caught]
        assert kinds == [OutOfDistributionWarning], name
        assert "90 of 90 windows" in str(caught[0].message)
        assert name == "score" or caught[0].filename == __file__, name


@pytest.mark.parametrize("length", [1, 2, 5, 20])
@pytest.mark.parametrize("seed", range(3))
def test_ordinary_data_do_not_warn(length, seed):
    data = make_linear_var(30, 3, n_stimuli=1, n_runs=20, random_state=seed)
    X = _windows(data.activity, length, data.stimulus, data.runs)
    model = _quick(base="linear").fit(X[:300], data.activity[:300])
    with warnings.catch_warnings():
        warnings.simplefilter("error", OutOfDistributionWarning)
        model.predict(X[300:])


def test_densities_follow_the_level():
    y = _level_shift()
    X = _windows(y)
    model = _quick(base="linear").fit(X[:1000], y[:1000])
    with pytest.warns(OutOfDistributionWarning):
        there = model.log_prob(X[1020:], y[1020:]).mean()
    assert there > model.log_prob(X[20:1000], y[20:1000]).mean() - 1.0


# -- cells that are no data ----------------------------------------------------


def _width(model, X):
    return np.ptp(model.predict_interval(X), axis=1).mean(0)


@pytest.mark.parametrize("base", ["linear", "auto"])
def test_one_wild_cell_is_named_and_left_out(base):
    y = make_linear_var(700, 3, n_stimuli=0, random_state=0).activity
    other = y.copy()
    other[350, 1] = 1e6
    clean = _quick(base=base).fit(_windows(y), y)
    with pytest.warns(UserWarning, match="taken for missing") as caught:
        model = _quick(base=base).fit(_windows(other), other)
    messages = [str(w.message) for w in caught]
    assert any("y[350, 1] = 1e+06" in m for m in messages)
    assert any("X[351, 3, 1] = 1e+06" in m for m in messages)
    assert {w.filename for w in caught} == {__file__}
    X = _windows(y)[-200:]
    np.testing.assert_allclose(_width(model, X), _width(clean, X), rtol=0.1)
    assert _loss(model, X, y[-200:]) < 1.05 * _loss(clean, X, y[-200:])


@pytest.mark.parametrize("make", [Persistence, lambda: ResidualForecaster(Ridge())])
def test_baselines_leave_a_wild_cell_out(make):
    y = make_linear_var(700, 3, n_stimuli=0, random_state=0).activity
    other = y.copy()
    other[350, 1] = 1e6
    clean = make().fit(_windows(y), y)
    with pytest.warns(UserWarning, match="taken for missing"):
        model = make().fit(_windows(other), other)
    X = _windows(y)[-200:]
    np.testing.assert_allclose(_width(model, X), _width(clean, X), rtol=0.1)


@pytest.mark.parametrize("base", ["linear", "auto"])
def test_codes_for_missing_values_are_named_and_left_out(base):
    y = make_linear_var(700, 3, n_stimuli=0, random_state=0).activity
    other = y.copy()
    other[np.random.default_rng(0).random(y.shape) < 0.03] = -9999.0
    clean = _quick(base=base).fit(_windows(y), y)
    with pytest.warns(UserWarning, match="-9999"):
        model = _quick(base=base).fit(_windows(other), other)
    X = _windows(y)[-200:]
    np.testing.assert_allclose(_width(model, X), _width(clean, X), rtol=0.1)


# -- huge numbers --------------------------------------------------------------


def test_huge_numbers_are_forecast_from_or_refused():
    data = make_linear_var(300, 2, n_stimuli=1, random_state=0)
    X = np.array(_windows(data.activity, 4, data.stimulus))
    model = _quick(base="learned").fit(X, data.activity)
    for channel in (0, 2):
        huge = X[-3:].copy()
        huge[1, -1, channel] = 1e30
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OutOfDistributionWarning)
            assert np.isfinite(model.predict(huge)).all()
            assert np.isfinite(model.sample(huge, 5, random_state=0)).all()
            assert np.isfinite(model.predict_interval(huge)).all()
        huge[1, -1, channel] = 1e200
        with pytest.raises(ValueError, match="X holds numbers as large as 1e"):
            model.predict(huge)
    stimulus = np.full((3, 4, 1), 1e30)
    with pytest.warns(OutOfDistributionWarning, match="3 of 3 .* stimulus channel 0"):
        paths = model.sample_trajectories(X[-3:], 4, stimulus=stimulus, random_state=0)
    assert np.isfinite(paths).all()
    with pytest.raises(ValueError, match="stimulus holds numbers"):
        model.sample_trajectories(X[-3:], 4, stimulus=stimulus * 1e200)
    with pytest.raises(ValueError, match="y holds numbers as large as"):
        _quick().fit(X, data.activity * 1e307)


@pytest.mark.parametrize("scale", [1e30, 1e100])
@pytest.mark.parametrize("base", ["linear", "learned", "normal"])
def test_huge_units_are_fitted(base, scale):
    y = make_linear_var(300, 2, n_stimuli=0, random_state=0).activity * scale
    model = _quick(base=base).fit(_windows(y), y)
    assert np.isfinite(model.predict(_windows(y))).all()
    assert model.score(_windows(y)[1:], y[1:]) > 0.3 or base == "normal"


def test_a_forecast_of_other_columns_than_in_training_says_which():
    data = make_linear_var(n_times=150, n_channels=3, n_stimuli=1, n_runs=2)
    y, s, runs = data.activity, data.stimulus, data.runs
    model = Persistence(window_length=2, run_column=-1)
    model.fit(design_matrix(y, s, runs), y)
    shown = {"stimulus": s, "future_stimulus": s[:2]}
    for activity, given, made in (
        (y, shown, "3 channels, stimulus 1 and runs are not given, which makes 4"),
        (y, {"runs": runs}, "3 channels, stimulus 0 and runs are given, which makes 4"),
        (y[:, :2], {"runs": runs, **shown}, "2 channels, .* which makes 4"),
    ):
        with pytest.raises(ValueError, match=f"activity has {made} .*fitted on 5"):
            forecast(model, activity, 2, **given)
    assert forecast(model, y, 2, runs=runs, **shown).shape == (100, 2, 3)
