"""Each simulated regime is what its name says, by a law that adds up."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import trapezoid

from afm_sklearn import SlidingWindow, design_matrix
from afm_sklearn.datasets import (
    make_calcium,
    make_oscillator,
    make_overlapping_counts,
    make_sparse_events,
)


def known_rows(data):
    """Windows as long as the law reads, and targets, of rows whose law is known."""
    X = design_matrix(data.activity, data.stimulus, data.runs)
    X = SlidingWindow(data.oracle.law.order, run_column=-1).fit_transform(X)
    known = np.isfinite(X).all(axis=(1, 2))
    return X[known], data.activity[known]


def autocorrelation(y, lag=1):
    """Of each channel."""
    z = (y - y.mean(axis=0)) / y.std(axis=0)
    return (z[lag:] * z[:-lag]).mean(axis=0)


def explained(y, forecast):
    """Share of the variance that a forecast explains, over all channels."""
    return 1 - ((y - forecast) ** 2).mean() / y.var(axis=0).mean()


def explained_by_the_law(data):
    X, y = known_rows(data)
    return explained(y, data.oracle.predict(X))


def log_probs(data, row, values):
    """Log probability of each of `values` (m,) for the only channel after a row."""
    X, _ = known_rows(data)
    repeated = np.repeat(X[row : row + 1], len(values), axis=0)
    return data.oracle.log_prob(repeated, values[:, None])


def rows_alike(data, activity):
    """Windows of the same `activity` (n, d) in all lags, without a stimulus."""
    law = data.oracle.law
    X = np.zeros((len(activity), law.order, law.n_outputs + law.n_stimuli))
    X[:, :, : law.n_outputs] = activity[:, None]
    return X


# A calcium indicator


@pytest.mark.parametrize("seed", range(3))
def test_calcium_is_skewed_smooth_and_mostly_at_rest(seed):
    data = make_calcium(random_state=seed)
    assert np.median(stats.skew(data.activity)) > 1.5
    assert (np.abs(data.activity) < 0.25).mean() > 0.5
    assert autocorrelation(data.activity).min() > 0.9
    assert 0.85 < explained_by_the_law(data) < 0.97


def test_calcium_decays_when_silent():
    data = make_calcium(2000, 10, mean_rate=0.01, tuning=0, coupling=0, random_state=0)
    X, y = known_rows(data)
    law = data.oracle.law
    decayed = 1.2 * X[:, 1, :10] - 0.27 * X[:, 0, :10]
    jumps = (y - decayed) / law.amplitude
    silent = np.abs(jumps) < 0.5
    assert silent.mean() == pytest.approx(np.exp(-law.rate).mean(), abs=0.01)
    assert jumps[~silent].min() > 0.7
    single = jumps[~silent & (jumps < 1.5)]
    assert single.mean() == pytest.approx(1, abs=4 * single.std() / len(single) ** 0.5)
    noise = (y - decayed)[silent]
    assert noise.std() == pytest.approx(0.03, rel=0.03)
    assert abs(noise.mean()) < 4 * 0.03 / np.sqrt(len(noise))


def test_calcium_has_the_level_of_its_rates():
    data = make_calcium(n_times=100, n_runs=200, coupling=0, random_state=0)
    law = data.oracle.law
    rate = law.rate * np.exp(0.5 * 0.6**2)
    level = law.amplitude * rate / (0.1 * 0.7)
    means = data.activity.reshape(200, 100, -1).mean(axis=1)
    z = (means.mean(axis=0) - level) / (means.std(axis=0) / np.sqrt(200))
    assert np.abs(z).max() < 4


@pytest.mark.parametrize("mean_rate", [0.03, 1.0])
def test_calcium_density_integrates_to_one(mean_rate):
    data = make_calcium(50, 1, mean_rate=mean_rate, random_state=0)
    mean = data.oracle.predict(known_rows(data)[0])[:, 0]
    grid = np.arange(-1.0, 40.0, 0.004)
    for row in (0, 20):
        values = mean[row] - 10 + grid
        density = np.exp(log_probs(data, row, values))
        assert trapezoid(density, values) == pytest.approx(1, abs=1e-6)
        assert trapezoid(density * values, values) == pytest.approx(mean[row])


def test_calcium_gain_is_shared():
    data = make_calcium(10, 5, coupling=0.5, random_state=0)
    law = data.oracle.law
    level = 1 / law.pooling[0] / 5
    X = rows_alike(data, level * np.array([[0.0] * 5, [1.0] * 5, [3.0] * 5]))
    X[:, 0, :5] = 9 * level
    spikes = law.spike_rate(X[:, :, :5], X[:, -1, 5:])
    assert np.allclose(spikes, law.rate * np.array([[0.5], [1.0], [2.0]]))


# Overlapping bins


@pytest.mark.parametrize("seed", range(3))
def test_overlapping_counts_are_smooth(seed):
    data = make_overlapping_counts(random_state=seed)
    y = data.activity
    assert np.array_equal(y, np.round(y))
    assert y.min() == 0
    assert autocorrelation(y).min() > 0.88
    assert 0.85 < explained_by_the_law(data) < 0.98
    assert y.mean() == pytest.approx(3, rel=0.25)
    step = np.abs(np.diff(y, axis=0))
    assert (step <= 1).mean() > 0.85


def test_overlapping_counts_at_a_constant_rate_are_poisson():
    data = make_overlapping_counts(20_000, 5, tuning=0, coupling=0, random_state=0)
    y = data.activity
    assert np.allclose(y.mean(axis=0), 3, atol=0.2)
    assert np.allclose(y.var(axis=0), 3, atol=0.3)
    for lag in (1, 5, 10):
        assert autocorrelation(y, lag).mean() == pytest.approx(0.9**lag, abs=0.02)


@pytest.mark.parametrize("bin_length", [1.0, 4.0])
def test_overlapping_counts_have_the_law_of_a_convolution(bin_length):
    data = make_overlapping_counts(
        60, 1, bin_length=bin_length, mean_count=1, random_state=0
    )
    X, _ = known_rows(data)
    counts = np.arange(60.0)
    for row in (0, 30, 50):
        last, law = X[row, -1, 0], data.oracle.law
        inflow = law.inflow(X[row : row + 1, :, :1], X[row : row + 1, -1, 1:])[0, 0]
        kept = stats.binom(last, law.survival).pmf(counts)
        exact = np.convolve(kept, stats.poisson(inflow).pmf(counts))[:60]
        found = np.exp(log_probs(data, row, counts))
        assert np.allclose(found, exact, rtol=1e-8, atol=1e-30)
        assert found.sum() == pytest.approx(1)
        assert found @ counts == pytest.approx(data.oracle.predict(X)[row, 0])
    assert np.all(log_probs(data, 0, np.array([-1.0, 0.5])) == -np.inf)


def test_overlapping_counts_have_an_inflow_that_others_change():
    data = make_overlapping_counts(10, 6, coupling=0.9, random_state=0)
    law, rate = data.oracle.law, 0.3 * np.exp(-0.5 * 0.6**2)
    X = rows_alike(data, np.array([[3.0] * 6, [0.0] * 6, [9.0] * 6]))
    usual, silent, busy = law.inflow(X[:, :, :6], X[:, -1, 6:])
    pull = 3 * law.lag_weights.sum(axis=1)
    assert np.allclose(usual, rate)
    assert np.allclose(silent, rate * np.maximum(0, 1 - pull))
    assert np.allclose(busy, rate * np.maximum(0, 1 + 2 * pull))
    assert np.array_equal(data.oracle.predict(X)[1], silent)
    assert busy.min() == 0


def test_overlapping_counts_refuse_lags_that_are_no_counts():
    data = make_overlapping_counts(10, random_state=0)
    for wrong in (-1.0, 0.5):
        X = rows_alike(data, np.full((2, 20), wrong))
        with pytest.raises(ValueError, match=rf"X must hold counts .*got {wrong}"):
            data.oracle.sample(X)


# Sparse events


@pytest.mark.parametrize("amplitudes", [False, True])
def test_events_are_sparse(amplitudes):
    data = make_sparse_events(amplitudes=amplitudes, random_state=0)
    y = data.activity
    assert 0.96 < (y == 0).mean() < 0.99
    if amplitudes:
        sizes = y[y > 0]
        assert stats.kstest(sizes, stats.gamma(2, scale=0.5).cdf).pvalue > 1e-3
    else:
        assert set(np.unique(y)) == {0, 1}
    assert explained_by_the_law(data) < 0.15


def test_events_follow_their_probability():
    data = make_sparse_events(10_000, random_state=0)
    X, y = known_rows(data)
    chance = data.oracle.predict(X)
    z = (y - chance).sum(axis=0) / np.sqrt((chance * (1 - chance)).sum(axis=0))
    assert np.abs(z).max() < 4
    assert y.mean() == pytest.approx(0.02, rel=0.25)
    # Where an event is likely, it happens as often as the law says.
    likely = chance > np.quantile(chance, 0.95)
    assert chance[likely].mean() > 3 * chance.mean()
    assert y[likely].mean() == pytest.approx(chance[likely].mean(), rel=0.05)


def test_rates_of_events_drift():
    def change(drift):
        """Events of the last quarter less those of the first, in standard errors."""
        data = make_sparse_events(4000, 50, tuning=0, drift=drift, random_state=0)
        first, *_, last = data.activity.reshape(4, 1000, 50).sum(axis=1)
        return np.mean((last - first) ** 2 / (last + first + 1))

    assert change(0.0) < 2
    assert change(1.0) > 4


def test_drift_is_slow_and_shown():
    data = make_sparse_events(20_000, drift_time=100.0, random_state=0)
    assert data.stimulus_names == ["cos", "sin", "drift"]
    drift = data.stimulus[:, -1:]
    assert autocorrelation(drift, 100)[0] == pytest.approx(np.exp(-1), abs=0.15)
    assert drift.std() == pytest.approx(1, abs=0.2)


def test_events_come_in_bursts():
    data = make_sparse_events(10, 3, burst=1.0, tuning=0, drift=0, random_state=0)
    chance = data.oracle.predict(rows_alike(data, np.array([[0.0] * 3, [0.7] * 3])))
    rates = -np.log1p(-chance)
    assert np.allclose(rates[0], 0.02)
    assert np.allclose(rates[1], 0.02 * np.e)


@pytest.mark.parametrize("amplitudes", [False, True])
def test_events_have_a_law_of_mass_one(amplitudes):
    data = make_sparse_events(50, 1, amplitudes=amplitudes, random_state=0)
    mean = data.oracle.predict(known_rows(data)[0])[:, 0]
    for row in (0, 20):
        (log_none,) = log_probs(data, row, np.zeros(1))
        if amplitudes:
            sizes = np.arange(1e-4, 25, 1e-3)
            weights = 1e-3 * np.exp(log_probs(data, row, sizes))
        else:
            sizes = np.ones(1)
            weights = np.exp(log_probs(data, row, sizes))
        assert np.exp(log_none) + weights.sum() == pytest.approx(1, abs=1e-5)
        assert weights @ sizes == pytest.approx(mean[row], rel=1e-3)
        impossible = np.array([-1.0] if amplitudes else [-1.0, 0.5, 2.0])
        assert np.all(log_probs(data, row, impossible) == -np.inf)


# Oscillations


@pytest.mark.parametrize("seed", range(3))
def test_oscillator_is_nearly_deterministic_from_two_steps(seed):
    data = make_oscillator(random_state=seed)
    assert explained_by_the_law(data) > 0.99
    y = data.activity
    from_one = y[:-1] @ np.linalg.lstsq(y[:-1], y[1:])[0]
    assert explained(y[1:], from_one) < 0.97


def test_oscillator_loses_its_phase():
    data = make_oscillator(n_times=6000, random_state=0)
    X, y = known_rows(data)
    origins, horizon = np.arange(0, len(X) - 200, 20), 200
    paths = data.oracle.sample_trajectories(
        X[origins], horizon, n_samples=20, random_state=0
    )
    ahead = y[origins[:, None] + np.arange(horizon)]
    shares = [explained(ahead[:, h], paths[:, :, h].mean(1)) for h in (0, 9, 199)]
    assert shares[0] > 0.99
    assert 0.8 < shares[1] < shares[0]
    assert shares[2] < 0.4


def test_oscillator_has_its_rhythms():
    periods = (30.0, 12.0)
    law = make_oscillator(
        n_times=1, n_channels=4, periods=periods, spectral_radius=0.99, random_state=0
    ).oracle.law
    first, second = law.lag_weights
    dynamics = np.block([[first, second], [np.eye(4), np.zeros((4, 4))]])
    roots = np.linalg.eigvals(dynamics)
    assert np.abs(roots).max() == pytest.approx(0.99)
    turning = np.sort(np.angle(roots[np.abs(roots) > 0.98]))
    turns = 2 * np.pi / np.array(periods)
    assert np.allclose(turning, [-turns[1], -turns[0], turns[0], turns[1]])


def test_oscillator_has_sources_of_the_stated_variance():
    data = make_oscillator(n_times=20, n_runs=500, n_channels=5, random_state=0)
    variances = np.linalg.eigvalsh(np.cov(data.activity.T))
    assert np.allclose(variances, [0.01, 0.01, 1, 1, 1], rtol=0.2)
