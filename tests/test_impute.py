"""What was not recorded, drawn from past and future: `impute`."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from afm_sklearn import (
    AFMForecaster,
    Climatology,
    Persistence,
    ResidualForecaster,
    SlidingWindow,
    coverage,
    crps,
    design_matrix,
)
from afm_sklearn.applications.impute import impute
from afm_sklearn.applications.smoother import Smoother
from afm_sklearn.applications.surrogate import LinearSurrogate, linear_surrogate
from afm_sklearn.datasets import make_linear_var, make_spiking_population


def _dense(law, y, spread, length):
    """Mean and covariance of the missing entries by dense Gaussian conditioning."""
    n, d = y.shape
    J = np.zeros((n * d, n * d))
    target = np.zeros(n * d)
    inverse = np.linalg.inv(law.root)
    for t in range(n):
        rows = slice(t * d, (t + 1) * d)
        if t < length:
            J[rows, rows] = np.diag(1 / spread)
            target[rows] = law.centre / spread
            continue
        J[rows, rows] = inverse
        offset = law.drift[t].copy()
        for k, weights in enumerate(law.weights, 1):
            J[rows, (t - k) * d : (t - k + 1) * d] = -inverse @ weights.T
            offset -= law.centre @ weights
        target[rows] = inverse @ offset
    precision, shift = J.T @ J, J.T @ target
    missing = np.isnan(y).ravel()
    known = y.ravel()[~missing]
    block = precision[np.ix_(missing, missing)]
    right = shift[missing] - precision[np.ix_(missing, ~missing)] @ known
    return np.linalg.solve(block, right), np.linalg.inv(block)


@pytest.fixture
def law():
    rng = np.random.default_rng(0)
    weights = np.stack([0.5 * np.eye(3), 0.2 * rng.normal(size=(3, 3))])
    root = np.linalg.cholesky(np.cov(rng.normal(size=(3, 20))) + 0.2 * np.eye(3))
    drift = rng.normal(size=(40, 3))
    return LinearSurrogate(drift, weights, np.array([0.5, 0.0, -1.0]), root)


def test_the_smoother_is_that_of_dense_gaussian_conditioning(law):
    rng = np.random.default_rng(1)
    y = rng.normal(size=(40, 3))
    y[rng.random(y.shape) < 0.3] = np.nan
    y[20:25] = np.nan
    y[:2, 0] = np.nan
    spread = np.array([1.0, 2.0, 0.5])
    mean, covariance = _dense(law, y, spread, 2)
    follows = np.arange(40) >= 2
    smoother = Smoother(law, y, follows, spread)
    missing = np.isnan(y)
    np.testing.assert_allclose(smoother.mean()[missing], mean, atol=1e-3)
    draws = smoother.draw(20_000, rng)[:, missing]
    scale = np.sqrt(covariance.diagonal())
    np.testing.assert_allclose(draws.mean(0), mean, atol=0.05 * scale.max())
    np.testing.assert_allclose(draws.std(0) / scale, 1.0, atol=0.03)
    apart = np.cov(draws.T) - covariance
    assert np.abs(apart / np.outer(scale, scale)).max() < 0.06


def test_a_band_and_conjugate_gradients_agree(law):
    rng = np.random.default_rng(1)
    y = rng.normal(size=(40, 3))
    y[rng.random(y.shape) < 0.3] = np.nan
    y[20:25] = np.nan
    follows = np.arange(40) % 20 >= 2
    smoother = Smoother(law, y, follows, np.ones(3))
    direct = smoother.draw(3, np.random.default_rng(0))
    with sklearn.config_context(working_memory=1e-6):  # no room for the band
        slow = Smoother(law, y, follows, np.ones(3))
        assert slow._root is None
        iterated = slow.draw(3, np.random.default_rng(0))
    np.testing.assert_allclose(iterated, direct, atol=1e-2)


@pytest.mark.parametrize(
    "model",
    [
        ResidualForecaster(LinearRegression(), window_length=2),
        AFMForecaster(base="linear", max_epochs=1, random_state=0, window_length=2),
    ],
)
def test_on_a_linear_law_it_is_the_kalman_smoother_of_the_truth(model):
    data = make_linear_var(n_times=4000, n_channels=3, n_stimuli=1, random_state=0)
    X = design_matrix(data.activity, data.stimulus)
    model.fit(X, data.activity)
    y = data.activity[:300].copy()
    rng = np.random.default_rng(0)
    y[rng.random(y.shape) < 0.2] = np.nan
    y[100:105] = np.nan
    missing = np.isnan(y)
    rows = SlidingWindow(2).fit_transform(X[:300])
    true = data.oracle.law
    centre, spread = data.activity.mean(0), data.activity.std(0)
    weights = np.stack([w.T for w in true.lag_weights])
    past = np.asarray(rows).copy()
    past[:, :, :3] = centre
    drift = data.oracle.predict(past)
    exact = LinearSurrogate(drift, weights, centre, np.linalg.cholesky(true.covariance))
    mean, covariance = _dense(exact, y, spread, len(weights))
    given = {"stimulus": data.stimulus[:300], "random_state": 0}
    draws = impute(model, y, n_samples=400, **given)
    own = draws[:, missing]
    scale = np.sqrt(covariance.diagonal())
    inner = np.nonzero(missing)[0] > 5
    error = (own.mean(0) - mean)[inner] / scale[inner]
    assert np.sqrt((error**2).mean()) < 0.1  # 400 draws, and a law that was learnt
    assert (own.std(0) / scale)[inner].mean() == pytest.approx(1.0, abs=0.03)


def test_the_surrogate_of_a_linear_law_is_that_law():
    data = make_linear_var(n_times=2000, n_channels=3, n_stimuli=1, random_state=0)
    X = design_matrix(data.activity, data.stimulus)
    model = ResidualForecaster(LinearRegression(), window_length=2)
    model.fit(X, data.activity)
    windows = model.make_windows(X)
    moments = data.activity.mean(0), data.activity.std(0)
    law = linear_surrogate(model, windows, *moments, 0)
    coef = model.regressor_.coef_.reshape(3, 2, 4)[:, ::-1, :3]
    np.testing.assert_allclose(law.weights, coef.transpose(1, 2, 0), atol=1e-8)
    ratio = law.root @ law.root.T / model.covariance_
    np.testing.assert_allclose(ratio.diagonal(), 1.0, atol=0.05)


@pytest.fixture(scope="module")
def recording():
    return make_linear_var(
        n_times=1200, n_channels=4, n_stimuli=1, n_runs=4, random_state=0
    )


def _holes(y, seed=0, share=0.15):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(y.shape) < share, np.nan, y)


@pytest.mark.slow
@pytest.mark.parametrize("has_pipeline", [False, True])
def test_what_was_observed_stays_and_runs_are_apart(recording, has_pipeline):
    data = recording
    X = design_matrix(data.activity, data.stimulus, data.runs)
    if has_pipeline:
        model = make_pipeline(
            SlidingWindow(2, run_column=-1), ResidualForecaster(LinearRegression())
        )
    else:
        model = ResidualForecaster(LinearRegression(), window_length=2, run_column=-1)
    model.fit(X, data.activity)
    y = _holes(data.activity)
    given = {"stimulus": data.stimulus, "runs": data.runs}
    draws = impute(model, y, random_state=0, n_samples=60, **given)
    seen = ~np.isnan(y)
    assert draws.shape == (60, *y.shape)
    for draw in draws:
        np.testing.assert_array_equal(draw[seen], y[seen])
    assert np.isfinite(draws).all()
    hidden = np.where(seen, np.nan, data.activity)
    assert 0.85 < np.nanmean(coverage(hidden, draws.transpose(1, 0, 2))) < 0.95
    again = impute(model, y, random_state=0, n_samples=60, **given)
    np.testing.assert_array_equal(again, draws)
    # What one run holds says nothing of another.
    other = y.copy()
    first = data.runs == data.runs[0]
    rest = np.flatnonzero(~first)
    other[rest] = y[np.random.default_rng(1).permutation(rest)]
    moved = impute(model, other, random_state=0, n_samples=60, **given)
    np.testing.assert_allclose(moved[:, first], draws[:, first], atol=0.02)


@pytest.mark.slow
def test_it_beats_interpolation_on_a_linear_system(recording):
    data = recording
    X = design_matrix(data.activity, data.stimulus, data.runs)
    model = AFMForecaster(
        window_length=2, run_column=-1, base="linear", max_epochs=1, random_state=0
    )
    model.fit(X, data.activity)
    y = _holes(data.activity)
    draws = impute(model, y, stimulus=data.stimulus, runs=data.runs, n_samples=100)
    hidden = np.isnan(y)
    ours = crps(data.activity, draws.transpose(1, 0, 2))[hidden].mean()
    line = pd.DataFrame(y).interpolate(limit_direction="both").to_numpy()
    assert ours < 0.6 * np.abs(line - data.activity)[hidden].mean()


def test_counts_are_imputed_as_counts():
    data = make_spiking_population(n_times=800, n_neurons=4, random_state=0)
    X = design_matrix(data.activity, data.stimulus)
    model = AFMForecaster(window_length=2, family="counts", max_epochs=2)
    model.set_params(random_state=0).fit(X, data.activity)
    y = _holes(data.activity)
    draws = impute(model, y, stimulus=data.stimulus, random_state=0)
    assert (draws == np.round(draws)).all() and (draws >= 0).all()
    hidden = np.isnan(y)
    assert draws[:, hidden].mean() == pytest.approx(
        data.activity[hidden].mean(), rel=0.15
    )


@pytest.mark.parametrize("model", [Persistence(), Climatology()])
def test_simple_forecasters_impute_too(model):
    walk = np.random.default_rng(0).normal(size=(300, 2)).cumsum(0)
    model.set_params(window_length=2).fit(design_matrix(walk), walk)
    y = walk.copy()
    y[50:60] = np.nan
    draws = impute(model, y, n_samples=200, random_state=0)
    assert np.isfinite(draws).all()
    if isinstance(model, Persistence):  # a Brownian bridge
        bridge = np.linspace(y[49], y[60], 12)[1:-1]
        np.testing.assert_allclose(draws[:, 50:60].mean(0), bridge, atol=0.6)
        assert draws[:, 54].std() > draws[:, 50].std()


def test_a_single_channel_and_nothing_missing():
    y = np.sin(np.arange(200) / 5.0)
    model = ResidualForecaster(LinearRegression(), window_length=3)
    model.fit(design_matrix(y), y)
    assert impute(model, y, n_samples=3).shape == (3, 200)
    lost = y.copy()
    lost[90:95] = np.nan
    draws = impute(model, lost, n_samples=5, random_state=0)
    np.testing.assert_allclose(draws[:, 90:95], y[None, 90:95].repeat(5, 0), atol=0.05)


def test_bad_input_is_named(recording):
    X = design_matrix(recording.activity, recording.stimulus)
    model = ResidualForecaster(LinearRegression(), window_length=2)
    model.fit(X, recording.activity)
    with pytest.raises(ValueError, match="n_samples must be an integer"):
        impute(model, recording.activity, stimulus=recording.stimulus, n_samples=0)
    with pytest.raises(ValueError, match=r"features|channels|columns"):
        impute(model, recording.activity[:, :2], stimulus=recording.stimulus)
    decoder = ResidualForecaster(LinearRegression(), autoregressive=False)
    decoder.fit(recording.activity, recording.stimulus)
    with pytest.raises(ValueError, match=r"lagged targets|channels"):
        impute(decoder, recording.stimulus)
