"""Movement from neurons: `decode`."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from afm_sklearn import (
    AFMForecaster,
    ResidualForecaster,
    SlidingWindow,
    coverage,
    crps,
    design_matrix,
)
from afm_sklearn.applications.decode import decode

DECAY, DRIVE = 0.9, 0.3


@pytest.fixture(scope="module")
def reaching():
    """Movement that is a linear function of its past and of the neurons, plus noise."""
    rng = np.random.default_rng(0)
    neurons = rng.normal(size=(2500, 4))
    weights = rng.normal(size=(4, 2)) * DRIVE
    movement = np.zeros((2500, 2))
    for t in range(1, 2500):
        noise = 0.2 * rng.normal(size=2)
        movement[t] = DECAY * movement[t - 1] + neurons[t] @ weights + noise
    return movement, neurons, weights


@pytest.mark.parametrize(
    "model",
    [
        ResidualForecaster(LinearRegression(), window_length=2),
        AFMForecaster(base="linear", max_epochs=1, random_state=0, window_length=2),
    ],
)
def test_far_from_the_start_it_has_the_law_in_closed_form(model, reaching):
    movement, neurons, weights = reaching
    model.fit(design_matrix(movement[:2000], neurons[:2000]), movement[:2000])
    draws = decode(model, neurons[2000:], n_samples=200, random_state=0)
    mean = np.zeros((500, 2))
    for t in range(1, 500):
        mean[t] = DECAY * mean[t - 1] + neurons[2000 + t] @ weights
    sd = 0.2 / np.sqrt(1 - DECAY**2)
    late = slice(80, None)
    assert np.abs(draws.mean(0) - mean)[late].mean() < 0.15 * sd
    assert draws[:, late].std(0).mean() == pytest.approx(sd, rel=0.06)
    inside = coverage(movement[2000:][late], draws[:, late].transpose(1, 0, 2))
    assert (np.abs(inside - 0.9) < 0.06).all()


def test_the_default_follows_the_neurons_better_than_chance(reaching):
    movement, neurons, _ = reaching
    model = AFMForecaster(window_length=2, max_epochs=3, random_state=0)
    model.fit(design_matrix(movement[:1500], neurons[:1500]), movement[:1500])
    draws = decode(model, neurons[1500:1900], n_samples=60, random_state=0)
    y, late = movement[1500:1900], slice(60, None)
    ours = crps(y, draws.transpose(1, 0, 2))[late].mean()
    still = np.repeat(movement[None, :1500:25], 400, axis=0)
    assert ours < 0.6 * crps(y, still)[late].mean()


def test_runs_start_anew_and_pipelines_decode(reaching):
    movement, neurons, _ = reaching
    runs = np.repeat(np.arange(5), 100)
    X = design_matrix(movement[:500], neurons[:500], runs)
    pipe = make_pipeline(SlidingWindow(2, run_column=-1), ResidualForecaster(Ridge()))
    pipe.fit(X, movement[:500])
    two = decode(pipe, neurons[:200], runs=runs[:200], n_samples=300, random_state=0)
    assert two.shape == (300, 200, 2)
    lost = neurons[:200].copy()
    lost[:100] += 1.0  # the first run says nothing of the second
    other = decode(pipe, lost, runs=runs[:200], n_samples=300, random_state=0)
    np.testing.assert_allclose(other[:, 100:].mean(0), two[:, 100:].mean(0), atol=1e-8)
    again = decode(pipe, lost, runs=runs[:200], n_samples=300, random_state=0)
    np.testing.assert_array_equal(again, other)


def test_a_scaler_in_front_of_the_window_changes_nothing(reaching):
    movement, neurons, _ = reaching
    far = 20 + 10 * neurons
    X, test = design_matrix(movement, far), slice(2000, 2200)
    steps = SlidingWindow(2), ResidualForecaster(LinearRegression())
    plain = make_pipeline(*steps).fit(X[:2000], movement[:2000])
    steps = SlidingWindow(2), ResidualForecaster(LinearRegression())
    scaled = make_pipeline(StandardScaler(), *steps).fit(X[:2000], movement[:2000])
    draws = [decode(m, far[test], random_state=0) for m in (plain, scaled)]
    apart = np.abs(draws[0].mean(0) - draws[1].mean(0))
    assert apart[60:].max() < 1e-3


def test_neurons_may_be_lost(reaching):
    movement, neurons, _ = reaching
    model = ResidualForecaster(LinearRegression(), window_length=1)
    model.fit(design_matrix(movement[:500], neurons[:500]), movement[:500])
    lost = neurons[500:600].copy()
    lost[20:40, 1] = np.nan
    assert np.isfinite(decode(model, lost, n_samples=5, random_state=0)).all()


def test_bad_input_is_named(reaching):
    movement, neurons, _ = reaching
    model = ResidualForecaster(LinearRegression(), window_length=1)
    model.fit(design_matrix(movement[:500], neurons[:500]), movement[:500])
    with pytest.raises(ValueError, match="n_samples must be an integer"):
        decode(model, neurons, n_samples=0)
    with pytest.raises(ValueError, match="features"):
        decode(model, neurons[:50, :3])
    with pytest.raises(ValueError, match="stimulus has shape"):
        decode(model, neurons[:0])
