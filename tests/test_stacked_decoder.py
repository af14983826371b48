"""Movement from neurons in two passes: `StackedDecoder`."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import TimeSeriesSplit, cross_val_score

from afm_sklearn import (
    ResidualForecaster,
    coverage,
    crps,
    design_matrix,
    neg_crps_scorer,
)
from afm_sklearn.applications.stacked_decoder import StackedDecoder

DECAY, N_TRAIN = 0.9, 3000


def gaussian():
    """A linear Gaussian second pass: fast, and exact where the world is linear."""
    return ResidualForecaster(Ridge(), autoregressive=False)


@pytest.fixture(scope="module")
def reaching():
    """A linear Gaussian state that neurons measure, and its exact Kalman filter."""
    rng = np.random.default_rng(0)
    n, s = 4000, 8
    measure = rng.normal(size=(s, 2))
    movement = np.zeros((n, 2))
    for t in range(1, n):
        movement[t] = DECAY * movement[t - 1] + 0.3 * rng.normal(size=2)
    neurons = movement @ measure.T + 2 * rng.normal(size=(n, s))
    mean, cov, filtered = np.zeros(2), np.eye(2), np.empty((n, 2))
    for t in range(n):
        mean, cov = DECAY * mean, DECAY**2 * cov + 0.09 * np.eye(2)
        gain = (
            cov @ measure.T @ np.linalg.inv(measure @ cov @ measure.T + 4 * np.eye(s))
        )
        mean = mean + gain @ (neurons[t] - measure @ mean)
        cov = cov - gain @ measure @ cov
        filtered[t] = mean
    return movement, neurons, filtered, np.sqrt(np.diag(cov))


@pytest.fixture(scope="module")
def decoder(reaching):
    movement, neurons, _, _ = reaching
    X = design_matrix(movement, neurons)
    model = StackedDecoder([Ridge()], gaussian(), random_state=0)
    return model.fit(X[:N_TRAIN], movement[:N_TRAIN])


def test_of_a_linear_law_it_is_nearly_the_exact_kalman_filter(decoder, reaching):
    movement, neurons, filtered, sd = reaching
    test = slice(N_TRAIN, None)
    draws = decoder.decode(neurons[test], n_samples=200, random_state=0)
    draws = draws.transpose(1, 0, 2)
    noise = np.random.default_rng(1).normal(size=draws.shape)
    exact = filtered[test, None] + sd * noise
    ours, best = (crps(movement[test], d).mean() for d in (draws, exact))
    assert ours < 1.05 * best
    np.testing.assert_allclose(coverage(movement[test], draws), 0.9, atol=0.04)


@pytest.mark.slow
def test_the_default_is_near_the_kalman_filter_too(reaching):
    movement, neurons, filtered, sd = reaching
    X = design_matrix(movement, neurons)
    model = StackedDecoder(random_state=0)
    model.set_params(regressors=[Ridge(), ExtraTreesRegressor(20, min_samples_leaf=3)])
    model.fit(X[:1500], movement[:1500])
    test = slice(1500, 2500)
    draws = model.sample(X[test], 100, random_state=0)
    noise = np.random.default_rng(1).normal(size=draws.shape)
    exact = crps(movement[test], filtered[test, None] + sd * noise).mean()
    assert crps(movement[test], draws).mean() < 1.05 * exact


def test_it_never_looks_at_the_movement_in_x(decoder, reaching):
    movement, neurons, _, _ = reaching
    seen = design_matrix(movement[:60], neurons[:60])
    unseen = seen.copy()
    unseen[:, :2] = np.nan
    np.testing.assert_array_equal(decoder.predict(seen), decoder.predict(unseen))
    draws = decoder.decode(neurons[:60], n_samples=7, random_state=3)
    of_rows = decoder.sample(unseen, 7, random_state=3)
    np.testing.assert_array_equal(draws, of_rows.transpose(1, 0, 2))


def test_the_newest_steps_say_all_and_the_future_nothing(decoder, reaching):
    movement, neurons, _, _ = reaching
    X = design_matrix(movement[:200], neurons[:200])
    whole, reach = decoder.predict(X), decoder.reach_
    assert reach == decoder.length + decoder.context - 1
    late = decoder.predict(X[150 - reach : 150])
    np.testing.assert_allclose(late[-1], whole[149], atol=1e-9)
    changed = X.copy()
    changed[100:, 2:] += 5.0
    np.testing.assert_array_equal(decoder.predict(changed)[:100], whole[:100])


def test_runs_are_apart_wherever_their_column_is(reaching):
    movement, neurons, _, _ = reaching
    runs = np.repeat(np.arange(8), 100)
    X = design_matrix(movement[:800], neurons[:800], runs)
    model = StackedDecoder([Ridge()], gaussian(), run_column=-1, random_state=0)
    model.fit(X, movement[:800])
    two = model.decode(neurons[:200], runs=runs[:200], n_samples=5, random_state=0)
    lost = neurons[:200].copy()
    lost[:100] = np.nan
    other = model.decode(lost, runs=runs[:200], n_samples=5, random_state=0)
    np.testing.assert_array_equal(other[:, 100:], two[:, 100:])
    assert np.isfinite(other).all()
    front = np.roll(X, 1, axis=1)
    with pytest.raises(ValueError, match="not the lagged y"):
        StackedDecoder([Ridge()], gaussian(), random_state=0).fit(front, movement[:800])
    middle = np.insert(X[:, :-1], 2, X[:, -1], axis=1)
    moved = StackedDecoder([Ridge()], gaussian(), run_column=2, random_state=0)
    moved.fit(middle, movement[:800])
    again = moved.decode(neurons[:200], runs=runs[:200], n_samples=5, random_state=0)
    np.testing.assert_allclose(again, two, atol=1e-9)


def test_missing_neurons_and_targets_are_allowed(reaching):
    movement, neurons, _, _ = reaching
    rng = np.random.default_rng(0)
    lost, y = neurons[:900].copy(), movement[:900].copy()
    lost[rng.random(lost.shape) < 0.1] = np.nan
    y[rng.random(y.shape) < 0.1] = np.nan
    X = design_matrix(y, lost)
    model = StackedDecoder([LinearRegression()], gaussian(), random_state=0).fit(X, y)
    draws = model.decode(lost[:300], n_samples=20, random_state=0)
    assert np.isfinite(draws).all()
    assert np.abs(draws.mean(0) - movement[:300]).mean() < 0.8 * np.abs(movement).mean()


def test_it_is_a_scikit_learn_estimator(decoder, reaching):
    movement, neurons, _, _ = reaching
    X, y = design_matrix(movement[:600], neurons[:600]), movement[:600]
    folds = TimeSeriesSplit(2)
    r2 = cross_val_score(clone(decoder), X, y, cv=folds)
    assert r2[1] > 0.4
    scores = cross_val_score(clone(decoder), X, y, cv=folds, scoring=neg_crps_scorer)
    assert (scores > -0.5).all()
    copy = pickle.loads(pickle.dumps(decoder))
    np.testing.assert_array_equal(copy.predict(X), decoder.predict(X))
    again = clone(decoder).fit(X, y).predict(X)
    np.testing.assert_array_equal(clone(decoder).fit(X, y).predict(X), again)


def test_of_one_channel_the_last_axis_is_dropped(reaching):
    movement, neurons, _, _ = reaching
    X, y = design_matrix(movement[:500, 0], neurons[:500]), movement[:500, 0]
    model = StackedDecoder([Ridge()], gaussian(), random_state=0).fit(X, y)
    assert model.decode(neurons[:50], n_samples=4, random_state=0).shape == (4, 50)
    assert model.predict(X).shape == (500,)
    assert model.predict_interval(X, 0.5).shape == (500, 2)


def test_bad_input_is_named(decoder, reaching):
    movement, neurons, _, _ = reaching
    X = design_matrix(movement[:300], neurons[:300])
    with pytest.raises(ValueError, match=r"neurons has 3 columns, fit had 8"):
        decoder.decode(neurons[:9, :3])
    with pytest.raises(ValueError, match=r"runs is given, but were not in fit"):
        decoder.decode(neurons[:9], runs=np.zeros(9))
    with pytest.raises(ValueError, match="not the lagged y"):
        StackedDecoder().fit(neurons[:300], movement[:300])
    with pytest.raises(ValueError, match="at least one neuron"):
        StackedDecoder().fit(design_matrix(movement[:300]), movement[:300])
    with pytest.raises(ValueError, match="regressors is empty"):
        StackedDecoder([]).fit(X, movement[:300])
    with pytest.raises(TypeError, match="regressor must be an estimator"):
        StackedDecoder([Ridge]).fit(X, movement[:300])
    with pytest.raises(ValueError, match="y has 299 rows, X has 300"):
        StackedDecoder().fit(X, movement[:299])
    with pytest.raises(ValueError, match="'length' parameter"):
        StackedDecoder(length=0).fit(X, movement[:300])
    with pytest.raises(ValueError, match="infinity"):
        decoder.decode(np.full((9, 8), np.inf))
    with pytest.raises(ValueError, match="n_samples must be an integer"):
        decoder.decode(neurons[:9], n_samples=0)
