"""The linear, bimodal and spiking systems have the law that is written down."""

import numpy as np
import pytest
from scipy import stats

from afm_sklearn import SlidingWindow, design_matrix
from afm_sklearn.datasets import (
    make_double_well,
    make_linear_var,
    make_spiking_population,
)


def windows(data, length=1):
    """Windows within runs, NaN-padded."""
    X = design_matrix(data.activity, data.stimulus, data.runs)
    return SlidingWindow(length, run_column=-1).fit_transform(X)


def companion(law):
    """The VAR as a first-order system of stacked lags, newest first."""
    d = law.n_outputs
    matrix = np.eye(law.order * d, k=-d)
    matrix[:d] = np.hstack(list(law.lag_weights))
    return matrix


@pytest.mark.parametrize("order", [1, 3])
def test_var_samples_have_the_closed_form_law(order):
    data = make_linear_var(n_times=8, n_channels=4, order=order, random_state=0)
    law, m = data.oracle.law, 40_000
    history, stimulus = data.activity[5 - order : 5], data.stimulus[5]
    mean = law.stimulus_weights @ stimulus
    for weights, past in zip(law.lag_weights, history[::-1], strict=True):
        mean = mean + weights @ past
    X = windows(data, length=4)[5:6]
    assert np.allclose(data.oracle.mean(X), mean)

    draws = data.oracle.sample(X, m, random_state=0)[0]
    assert np.allclose(draws.mean(axis=0), mean, atol=5 / np.sqrt(m))
    assert np.allclose(np.cov(draws.T), data.oracle.covariance, atol=8 / np.sqrt(m))

    target = data.activity[5:6]
    exact = stats.multivariate_normal(mean, law.covariance).logpdf(target)
    assert np.allclose(data.oracle.log_prob(X, target), exact)


def test_var_trajectories_have_the_closed_form_law():
    data = make_linear_var(n_times=8, n_channels=3, order=3, random_state=0)
    law, m = data.oracle.law, 40_000
    stimulus = np.random.default_rng(0).standard_normal((1, 5, 2))
    X = windows(data, length=5)[5:6]
    roll = data.oracle.sample_trajectories
    draws = roll(X, 5, stimulus=stimulus, n_samples=m, random_state=0)
    F, now = companion(law), slice(0, 3)
    mean, covariance = data.activity[4:1:-1].ravel(), np.zeros((9, 9))
    for h in range(5):
        mean, covariance = F @ mean, F @ covariance @ F.T
        mean[now] += law.stimulus_weights @ stimulus[0, h]
        covariance[now, now] += law.covariance
        step, variance = draws[0, :, h], covariance[now, now]
        tolerance = 6 * np.sqrt(variance.max() / m)
        assert np.allclose(step.mean(axis=0), mean[now], atol=tolerance)
        assert np.allclose(np.cov(step.T), variance, atol=8 * variance.max() / m**0.5)


@pytest.mark.parametrize("seed", range(3))
def test_var_needs_all_its_lags(seed):
    data = make_linear_var(1500, order=3, spectral_radius=0.9, random_state=seed)
    radius = np.abs(np.linalg.eigvals(companion(data.oracle.law))).max()
    assert radius == pytest.approx(0.9)
    y, residual = data.activity[3:], []
    for length in (2, 3):
        X = windows(data, length)[3:].reshape(len(y), -1)
        residual.append((y - X @ np.linalg.lstsq(X, y)[0]).var())
    assert residual[1] < 0.8 * residual[0]


def test_var_without_stimulus():
    data = make_linear_var(n_times=10, n_stimuli=0, random_state=0)
    paths = data.oracle.sample_trajectories(windows(data)[1:], 3, n_samples=2)
    assert paths.shape == (9, 2, 3, 8)


def test_double_well_is_bimodal_at_the_barrier():
    oracle = make_double_well(n_times=1, random_state=0).oracle
    draws = oracle.sample(np.zeros((1, 5)), 4000, random_state=0)[0]
    assert np.allclose((draws > 0).mean(axis=0), 0.5, atol=0.04)
    # Bins of equal width: the density at the barrier is far below the wells'.
    counts, _ = np.histogram(np.abs(draws), bins=[0, 0.2, 0.8, 1.0])
    assert counts[0] < 0.5 * counts[2]
    assert np.allclose(oracle.predict(np.zeros((1, 5))), 0, atol=1e-12)


def test_spiking_counts_follow_the_rate():
    data = make_spiking_population(n_times=4000, random_state=0)
    X, counts = windows(data)[1:], data.activity[1:]
    rate = data.oracle.predict(X)
    assert 0.2 < counts.mean() < 0.45
    assert rate.max() <= 5 + 1e-9
    z = (counts - rate).sum(axis=0) / np.sqrt(rate.sum(axis=0))
    assert np.abs(z).max() < 4
    assert ((counts - rate) ** 2 / rate).mean() == pytest.approx(1, abs=0.05)
    draws = data.oracle.sample(X, 20, random_state=0)
    assert draws.mean() == pytest.approx(counts.mean(), rel=0.05)
    expected = stats.poisson(rate).logpmf(counts).sum(axis=1)
    assert np.allclose(data.oracle.log_prob(X, counts), expected)


def test_spiking_neurons_are_refractory():
    data = make_spiking_population(n_times=3, refractoriness=1.5, random_state=0)
    quiet = np.r_[np.zeros(30), 0.0, 1.0, 0.0]
    spiked = quiet.copy()
    spiked[0] = 1
    one, two = data.oracle.predict(np.stack([quiet, spiked]))
    assert two[0] / one[0] == pytest.approx(np.exp(-1.5))
