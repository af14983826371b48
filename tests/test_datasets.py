"""The simulated systems obey their law, and their oracle is that law."""

import copy
import pickle

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.base import clone

from afm_sklearn.datasets import (
    make_double_well,
    make_linear_var,
    make_lorenz,
    make_spiking_population,
)

MAKERS = {
    "var": make_linear_var,
    "lorenz": make_lorenz,
    "double_well": make_double_well,
    "spiking": make_spiking_population,
}
DIFFUSIONS = ["lorenz", "double_well"]


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


def windows(data, length=1):
    """Windows of [activity[t-1] | stimulus[t]] within runs, NaN-padded."""
    lagged = np.roll(data.activity, 1, axis=0)
    lagged[np.diff(data.runs, prepend=-1) != 0] = np.nan
    rows = lagged if data.stimulus is None else np.c_[lagged, data.stimulus]
    out = np.full((len(rows), length, rows.shape[1]), np.nan)
    for k in range(length):
        within = np.flatnonzero(data.runs == np.roll(data.runs, k))
        within = within[within >= k]
        out[within, -1 - k] = rows[within - k]
    return out


def companion(law):
    """The VAR as a first-order system of stacked lags, newest first."""
    d = law.n_outputs
    matrix = np.eye(law.order * d, k=-d)
    matrix[:d] = np.hstack(list(law.lag_weights))
    return matrix


# The recording


def test_shapes(make):
    data = make(n_steps=30, n_runs=3, random_state=0)
    assert data.activity.shape == (90, data.oracle.law.n_outputs)
    assert np.array_equal(data.runs, np.repeat([0, 1, 2], 30))
    s = data.oracle.law.n_stimuli
    assert len(data.stimulus_names) == s
    assert data.stimulus.shape == (90, s) if s else data.stimulus is None
    assert np.isfinite(data.activity).all()


def test_same_seed_same_data(make):
    for seeded in (int, np.random.default_rng, np.random.RandomState):
        one, two, other = (make(10, random_state=seeded(k)) for k in (5, 5, 6))
        assert np.array_equal(one.activity, two.activity)
        assert not np.array_equal(one.activity, other.activity)


def test_global_generators_untouched(make):
    before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    for seed in (None, 0):
        data = make(n_steps=5, random_state=seed)
        X = windows(data)[1:]
        data.oracle.predict(X)
        data.oracle.sample(X, 3, random_state=seed)
        data.oracle.sample_trajectories(X, 1, n_samples=3, random_state=seed)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_before)


def test_runs_are_independent_and_stationary(make):
    data = make(n_steps=30, n_runs=400, random_state=0)
    runs = data.activity.reshape(400, 30, -1)
    early, late = runs[:, 0], runs[:, -1]
    spread = np.hypot(early.std(0), late.std(0)) / 20
    assert np.all(np.abs(early.mean(0) - late.mean(0)) < 4 * spread)
    assert np.allclose(early.std(0) / late.std(0), 1, atol=0.4)
    neighbour = np.corrcoef(early[:-1, 0], early[1:, 0])[0, 1]
    assert abs(neighbour) < 4 / 20


# The oracle as a forecaster


def test_oracle_methods(make):
    data = make(n_steps=12, random_state=0)
    d = data.activity.shape[1]
    X = windows(data, length=3)[3:]
    oracle = data.oracle
    assert oracle.fit(X, data.activity[3:]) is oracle
    assert oracle.predict(X).shape == (9, d)
    assert oracle.sample(X, 7).shape == (9, 7, d)
    future = None if data.stimulus is None else np.ones((9, 4, data.stimulus.shape[1]))
    paths = oracle.sample_trajectories(X, 4, stimulus=future, n_samples=7)
    assert paths.shape == (9, 7, 4, d)
    assert np.array_equal(oracle.predict(X), oracle.predict(X[:, -1]))


def test_oracle_survives_copies(make):
    data = make(n_steps=10, random_state=0)
    X = windows(data)[1:]
    expected = data.oracle.sample(X, 5, random_state=1)
    for duplicate in (clone, copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))):
        draws = duplicate(data.oracle).sample(X, 5, random_state=1)
        assert np.array_equal(draws, expected)


def test_predict_does_not_depend_on_company(make):
    data = make(n_steps=20, random_state=0)
    X = windows(data)[1:]
    for rows in (slice(None, None, -1), slice(4, 5)):
        assert np.allclose(data.oracle.predict(X[rows]), data.oracle.predict(X)[rows])


def test_oracle_does_not_look_ahead(make):
    data = make(n_steps=20, random_state=0)
    X = windows(data)[1:]
    changed = X.copy()
    changed[10:] = X[:9][::-1]
    one, two = (data.oracle.sample(Z, 5, random_state=0) for Z in (X, changed))
    assert np.array_equal(one[:10], two[:10])


def test_unknown_rows_are_nan(make):
    data = make(n_steps=6, n_runs=2, random_state=0)
    X = windows(data)
    starts = np.isin(np.arange(12), [0, 6])
    trajectories = data.oracle.sample_trajectories(X, 1, n_samples=3)
    for values in (data.oracle.predict(X), data.oracle.sample(X, 3), trajectories):
        missing = np.isnan(values.reshape(12, -1))
        assert np.array_equal(missing, np.broadcast_to(starts[:, None], missing.shape))
    assert np.isnan(data.oracle.predict(X[:1])).all()


@pytest.mark.parametrize("name", ["var", *DIFFUSIONS])
def test_data_are_uniform_under_the_oracle(name):
    data = MAKERS[name](n_steps=1500, random_state=1)
    samples = data.oracle.sample(windows(data)[1:], 99, random_state=2)
    below = (samples < data.activity[1:, None]).sum(axis=1)
    levels = (below + np.random.default_rng(3).uniform(size=below.shape)) / 100
    for channel in levels.T:
        assert stats.kstest(channel, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("name", DIFFUSIONS)
def test_monte_carlo_mean_of_diffusions(name):
    data = MAKERS[name](n_steps=20, random_state=0)
    X = windows(data)[1:]
    samples = data.oracle.sample(X, 10_000, random_state=1)
    error = (data.oracle.predict(X) - samples.mean(axis=1)) / samples.std(axis=1)
    assert np.abs(error).max() < 4 * np.hypot(0.023, 0.01)


# Each law


@pytest.mark.parametrize("order", [1, 3])
def test_var_samples_have_the_closed_form_law(order):
    data = make_linear_var(n_steps=8, n_channels=4, order=order, random_state=0)
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
    data = make_linear_var(n_steps=8, n_channels=3, order=3, random_state=0)
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
    data = make_linear_var(n_steps=10, n_stimuli=0, random_state=0)
    paths = data.oracle.sample_trajectories(windows(data)[1:], 3, n_samples=2)
    assert paths.shape == (9, 2, 3, 8)


def test_double_well_is_bimodal_at_the_barrier():
    oracle = make_double_well(n_steps=1, random_state=0).oracle
    draws = oracle.sample(np.zeros((1, 5)), 4000, random_state=0)[0]
    assert np.allclose((draws > 0).mean(axis=0), 0.5, atol=0.04)
    # Bins of equal width: the density at the barrier is far below the wells'.
    counts, _ = np.histogram(np.abs(draws), bins=[0, 0.2, 0.8, 1.0])
    assert counts[0] < 0.5 * counts[2]
    assert np.allclose(oracle.predict(np.zeros((1, 5))), 0, atol=1e-12)


def test_spiking_counts_follow_the_rate():
    data = make_spiking_population(n_steps=4000, random_state=0)
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
    data = make_spiking_population(n_steps=3, refractoriness=1.5, random_state=0)
    quiet = np.r_[np.zeros(30), 0.0, 1.0, 0.0]
    spiked = quiet.copy()
    spiked[0] = 1
    one, two = data.oracle.predict(np.stack([quiet, spiked]))
    assert two[0] / one[0] == pytest.approx(np.exp(-1.5))


# Bad input


def test_oracle_errors():
    data = make_linear_var(n_steps=10, order=3, random_state=0)
    oracle, X = data.oracle, windows(data, length=3)[4:]
    wrong = np.zeros((6, 3, 2))
    for message, call in {
        "at least 3 rows": lambda: oracle.predict(X[:, -2:]),
        "8 lagged channels and 2 stimulus": lambda: oracle.predict(X[..., :-1]),
        "n_samples": lambda: oracle.sample(X, 0),
        "horizon": lambda: oracle.sample_trajectories(X, 0),
        "stimulus is None": lambda: oracle.sample_trajectories(X, 2),
        "stimulus must": lambda: oracle.sample_trajectories(X, 2, stimulus=wrong),
        "y must have shape": lambda: oracle.log_prob(X, data.activity[:2]),
    }.items():
        with pytest.raises(ValueError, match=message):
            call()
    assert not hasattr(make_lorenz(n_steps=1).oracle, "log_prob")


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("var", {"n_steps": 0}),
        ("var", {"order": 0}),
        ("var", {"n_stimuli": -1}),
        ("var", {"spectral_radius": 1.0}),
        ("lorenz", {"interval": 0.5}),
        ("double_well", {"interval": 4.0}),
        ("spiking", {"mean_count": 0.0}),
    ],
)
def test_maker_errors(name, bad):
    (argument,) = bad
    with pytest.raises(ValueError, match=argument):
        MAKERS[name](**bad)
