import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp

from afm_sklearn.fitting.selection import pays, pool_weights


@pytest.mark.parametrize("seed", range(5))
def test_a_clear_gain_pays_and_a_clear_loss_does_not(seed):
    before = np.random.default_rng(seed).normal(size=400)
    after = before - 0.5 + 0.3 * np.random.default_rng(seed + 9).normal(size=400)
    assert pays(before, after)
    assert not pays(after, before)
    assert not pays(before, before)


def test_gains_by_chance_seldom_pay_however_alike_neighbours_are():
    rng = np.random.default_rng(0)
    for repeat in (1, 50):
        noise = np.repeat(rng.normal(size=(500, 400 // repeat)), repeat, axis=1)
        fooled = np.mean([pays(row, np.zeros_like(row)) for row in noise])
        assert fooled < 0.25  # a gain above one standard error, by chance 16 %


def test_pays_judges_any_number_of_rows():
    for n in range(2, 12):
        assert pays(np.ones(n) + np.arange(n) * 0.01, np.zeros(n))


# -- the pool ------------------------------------------------------------------


def _log_densities(n=2000, seed=0):
    """Members of which some mixture is right: N(0, 1), N(2, 1), N(0, 9)."""
    rng = np.random.default_rng(seed)
    which = rng.choice(3, n, p=[0.6, 0.3, 0.1])
    y = rng.normal(np.array([0, 2, 0])[which], np.array([1, 1, 3])[which])[:, None]
    mean, scale = np.array([0, 2, 0]), np.array([1, 1, 3])
    return -0.5 * ((y - mean) / scale) ** 2 - np.log(scale)


def _best_by_scipy(log_densities):
    def loss(a):
        return -logsumexp(log_densities + a - logsumexp(a), axis=1).mean()

    best = minimize(loss, np.zeros(log_densities.shape[1]), tol=1e-10)
    return best.fun


@pytest.mark.parametrize("seed", range(3))
def test_the_pool_maximises_its_likelihood(seed):
    logs = _log_densities(seed=seed)
    weights = pool_weights(logs)
    assert weights.sum() == pytest.approx(1)
    ours = -logsumexp(logs + np.log(weights), axis=1).mean()
    assert ours < _best_by_scipy(logs) + 1e-3


def test_weights_are_those_of_the_mixture_that_drew_the_data():
    np.testing.assert_allclose(
        pool_weights(_log_densities(20000)), [0.6, 0.3, 0.1], atol=0.04
    )


def test_a_useless_member_has_no_weight():
    logs = np.c_[_log_densities(), np.full(2000, -50.0)]
    assert pool_weights(logs)[-1] == 0


def test_only_differences_of_log_densities_matter():
    logs = _log_densities()
    shift = np.random.default_rng(0).normal(size=(len(logs), 1)) * 1000
    np.testing.assert_allclose(pool_weights(logs + shift), pool_weights(logs))


def test_a_member_that_excludes_what_happened_loses_to_one_that_does_not():
    logs = np.array([[0.0, -1.0], [-np.inf, -1.0], [0.0, -1.0]])
    weights = pool_weights(logs)
    assert np.isfinite(weights).all() and weights[1] > 0
