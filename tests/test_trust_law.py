"""Numbers that must agree with one another, whatever family and base."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm, poisson

from afm_sklearn import (
    AFMForecaster,
    Climatology,
    SlidingWindow,
    crps,
    design_matrix,
    pit,
)
from afm_sklearn.datasets import make_linear_var


def _quick(**kwargs):
    return AFMForecaster(
        **{"max_epochs": 2, "random_state": 0, "hidden_dim": 16, **kwargs}
    )


def _windows(y, length=4):
    return SlidingWindow(length).fit_transform(design_matrix(y))


def _ar(n, d, memory=0.9, seed=0):
    rng, y = np.random.default_rng(seed), np.zeros((n, d))
    for t in range(1, n):
        y[t] = memory * y[t - 1] + np.sqrt(1 - memory**2) * rng.normal(size=d)
    return y


def _heart_rate():
    return np.round(70 + 3 * _ar(1200, 2))


def _codes():
    return np.random.default_rng(0).binomial(2, 0.5, size=(1200, 2)) + 3.0


def _states():
    switches = np.random.default_rng(0).random((1200, 2)) < 0.03
    return np.cumsum(switches, 0) % 2.0


def _spikes():
    return (
        np.random.default_rng(0).poisson(np.exp(0.7 * _ar(1200, 2) - 1)).astype(float)
    )


# -- the family of the laws ----------------------------------------------------


@pytest.mark.parametrize("make", [_heart_rate, _codes, _states, _spikes])
def test_auto_is_as_good_as_the_better_family(make):
    y = make()
    X, train, test = _windows(y), slice(1000), slice(1000, None)
    losses = {}
    for family in ("auto", "gaussian", "counts"):
        model = _quick(base="linear", family=family).fit(X[train], y[train])
        draws = model.sample(X[test], 200, random_state=0)
        losses[family] = crps(y[test], draws).mean()
    assert losses["auto"] < 1.02 * min(losses["gaussian"], losses["counts"])


def test_a_heart_rate_is_no_count():
    y = _heart_rate()
    model = _quick(base="linear").fit(_windows(y)[:1000], y[:1000])
    assert model.family_ == "gaussian"
    X = _windows(y)[1000:]
    draws = model.sample(X, 200, random_state=0)
    ranks = pit(y[1000:], draws, random_state=0)
    assert 0.85 < (np.abs(ranks - 0.5) < 0.45).mean() < 0.95
    shifted = _quick(base="linear").fit(_windows(y + 0.5)[:1000], y[:1000] + 0.5)
    other = shifted.sample(_windows(y + 0.5)[1000:], 200, random_state=0)
    loss = crps(y[1000:], draws).mean()
    assert loss == pytest.approx(crps(y[1000:] + 0.5, other).mean(), rel=0.02)
    climatology = Climatology().fit(X, y[1000:])
    assert loss < 0.8 * crps(y[1000:], climatology.sample(X, 200, 0)).mean()


def test_spike_counts_are_counts():
    y = _spikes()
    model = _quick(base="linear").fit(_windows(y), y)
    assert model.family_ == "counts"


@pytest.mark.parametrize("family", ["gaussian", "counts"])
def test_a_family_that_is_given_is_taken(family):
    y = _heart_rate()
    assert _quick(base="linear", family=family).fit(_windows(y), y).family_ == family


@pytest.mark.parametrize("value", [-1.0, 1.5])
def test_counts_of_what_is_no_count_are_refused(value):
    y = _spikes()
    y[5, 1] = value
    with pytest.raises(ValueError, match="family='counts' needs"):
        _quick(base="linear", family="counts").fit(_windows(y), y)


# -- probabilities -------------------------------------------------------------


def _correlated_counts(n=1500):
    rng = np.random.default_rng(0)
    z = rng.multivariate_normal([0, 0], [[1, 0.95], [0.95, 1]], n)
    return poisson(1.0).ppf(norm.cdf(z))


@pytest.mark.parametrize("base", ["auto", "linear", "learned"])
def test_probabilities_of_correlated_counts_sum_to_one(base):
    y = _correlated_counts()
    X = _windows(y, 1)
    model = _quick(base=base, family="counts").fit(X, y)
    grid = np.stack(np.meshgrid(np.arange(25.0), np.arange(25.0)), -1).reshape(-1, 2)
    for row in (5, 700):
        log_p = model.log_prob(np.repeat(X[row : row + 1], len(grid), 0), grid)
        assert (log_p <= 0).all()
        assert np.exp(log_p).sum() == pytest.approx(1.0, abs=0.03)


def test_no_probability_exceeds_one():
    rng = np.random.default_rng(0)
    y = np.where(rng.random((400, 1)) < 0.01, 1.0, 0.0) * np.ones(30)
    X = _windows(y, 1)
    model = _quick(base="linear", family="counts").fit(X, y)
    assert (model.log_prob(X, y) <= 0).all()


def test_log_probabilities_of_any_number_are_closed_forms():
    y = _spikes()
    X = _windows(y)
    model = _quick(base="auto", family="counts").fit(X, y)
    large = model.log_prob(X[-2:], np.full((2, 2), 1e10))
    assert np.isfinite(large).all() and (large < -100).all()
    for value in (-1.0, 1.5):
        np.testing.assert_array_equal(
            model.log_prob(X[-2:], np.array([[value, 0.0], [0.0, value]])), -np.inf
        )


@pytest.mark.parametrize("family", ["gaussian", "counts"])
@pytest.mark.parametrize("base", ["auto", "learned"])
def test_what_is_missing_in_an_outcome_is_integrated_out(family, base):
    y = _correlated_counts()
    X = _windows(y, 1)
    if family == "gaussian":
        y = y + np.random.default_rng(1).normal(size=y.shape)
        X = _windows(y, 1)
    model = _quick(base=base, family=family).fit(X, y)
    step = 1.0 if family == "counts" else 0.1
    other = np.arange(0.0 if family == "counts" else -12.0, 20.0, step)
    for known in (0.0, 2.0):
        outcome = np.column_stack([np.full(len(other), known), other])
        joint = model.log_prob(np.repeat(X[9:10], len(other), 0), outcome)
        alone = model.log_prob(X[9:10], np.array([[known, np.nan]]))
        assert alone[0] == pytest.approx(logsumexp(joint) + np.log(step), abs=0.05)
    nothing = np.full((1, 2), np.nan)
    assert model.log_prob(X[9:10], nothing)[0] == pytest.approx(0.0, abs=1e-6)


# -- draws, densities and quantiles of one law ----------------------------------


def _bimodal(n=1500):
    rng = np.random.default_rng(0)
    return rng.choice([-1.0, 1.0], n) + 0.2 * rng.normal(size=n)


@pytest.mark.slow
@pytest.mark.parametrize("base", ["normal", "linear", "auto"])
def test_draws_and_densities_are_of_the_same_law(base):
    y = _bimodal()
    X = _windows(y, 2)
    model = AFMForecaster(base=base, max_epochs=40, random_state=0).fit(X, y)
    if base == "normal":
        draws = model.sample(X[100::300], 1000, random_state=0)
        assert ((draws > 0.5) & (draws < 1.5)).mean() > 0.3  # it has learnt both modes
    grid = np.linspace(-4, 4, 801)
    at = X[500:501]
    density = np.exp(model.log_prob(np.repeat(at, len(grid), 0), grid))
    below = np.cumsum((density[1:] + density[:-1]) / 2) * (grid[1] - grid[0])
    assert below[-1] == pytest.approx(1.0, abs=0.01)
    draws = np.sort(model.sample(at, 40_000, random_state=0)[0])
    empirical = np.searchsorted(draws, grid[1:]) / len(draws)
    # Some sixty analogs are drawn as they are; their density smooths the steps.
    assert np.abs(empirical - below).max() < (0.03 if base == "auto" else 0.02)


@pytest.fixture(scope="module")
def flowing():
    """A forecaster with a flow that has something to do, and its windows."""
    data = make_linear_var(600, 3, n_stimuli=0, random_state=0)
    y = np.sign(data.activity) * np.abs(data.activity) ** 1.5
    X = _windows(y)
    return (
        AFMForecaster(base="normal", max_epochs=10, hidden_dim=32, random_state=0).fit(
            X, y
        ),
        X,
        y,
    )


def test_quantiles_have_their_level(flowing):
    model, X, _ = flowing
    X = X[-8:]
    levels = (0.05, 0.25, 0.5, 0.9)
    quantiles = model.predict_quantiles(X, levels)
    draws = model.sample(X, 20_000, random_state=0)
    for k, level in enumerate(levels):
        found = (draws <= quantiles[:, k, None]).mean(1)
        assert found.mean() == pytest.approx(level, abs=0.005)
        np.testing.assert_allclose(found, level, atol=0.02)


def test_the_mean_is_that_of_the_draws(flowing):
    model, X, _ = flowing
    draws = model.sample(X[-8:], 100_000, random_state=0)
    error = (model.predict(X[-8:]) - draws.mean(1)) / draws.std(1)
    assert np.sqrt((error**2).mean()) < 2000**-0.5  # as good as 2000 draws
    assert np.abs(error).max() < 0.03


@pytest.mark.parametrize("solver", ["midpoint", "dopri5"])
def test_a_row_is_answered_alike_in_any_batch(solver):
    y = _ar(300, 2)
    X = _windows(np.sign(y) * np.abs(y) ** 1.5)
    model = _quick(base="normal", solver=solver).fit(X, y)
    many = np.concatenate([np.repeat(X[99:100], 50, 0), X[:9]])
    outcome = np.repeat(y[99:100], len(many), 0)
    asked = {
        "predict": lambda X: model.predict(X),
        "quantiles": lambda X: model.predict_quantiles(X),
        "log_prob": lambda X: model.log_prob(X, outcome[: len(X)]),
    }
    for name, ask in asked.items():
        alone, together = ask(X[99:100]), ask(many)[:50]
        expected = np.broadcast_to(alone, together.shape)
        np.testing.assert_allclose(together, expected, rtol=1e-7, err_msg=name)


def test_densities_of_many_channels_are_the_same_in_any_batch():
    y = _ar(300, 40)
    X = _windows(y, 2)
    model = _quick(base="normal").fit(X, y)
    alone = [model.log_prob(X[k : k + 1], y[k : k + 1])[0] for k in range(20, 24)]
    np.testing.assert_allclose(model.log_prob(X, y)[20:24], alone, atol=1e-6)


# -- memory --------------------------------------------------------------------

MANY_DRAWS = """
import resource
import numpy as np
from afm_sklearn import AFMForecaster, design_matrix
y = np.random.default_rng(0).normal(size=(200, 1)).cumsum(0) / 9
X = design_matrix(y)
model = AFMForecaster(max_epochs=1, n_steps=1, base="normal", random_state=0)
model.fit(X, y)
model.sample(X[:1], 1000, random_state=0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
draws = model.sample(X[:1], 300_000, random_state=0)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) / 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak in kilobytes")
def test_many_draws_of_one_row_take_bounded_memory():
    result = subprocess.run(
        [sys.executable, "-c", MANY_DRAWS], capture_output=True, text=True, check=True
    )
    assert float(result.stdout) < 100  # MB, of which the result is 2


def test_a_channel_that_never_changed_has_a_density():
    y = np.random.default_rng(0).normal(size=(400, 3))
    y[:, 1] = 2.0
    X = _windows(y)
    model = _quick().fit(X[:300], y[:300])
    assert np.isfinite(model.log_prob(X[300:], y[300:])).all()
