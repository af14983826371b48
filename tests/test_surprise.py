"""P-values that are uniform under the model, and bets on them that are fair."""

import numpy as np
import pytest
from scipy.stats import kstest, norm
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from true_laws import SIMULATORS, true_law

from afm_sklearn import (
    Climatology,
    ResidualForecaster,
    SlidingWindow,
    datasets,
    design_matrix,
)
from afm_sklearn.applications.martingale import SurpriseMartingale
from afm_sklearn.applications.surprise import p_values, surprise

# -- p-values ------------------------------------------------------------------


@pytest.mark.parametrize("by", ["joint", "channel"])
@pytest.mark.parametrize("name", SIMULATORS)
def test_p_values_are_uniform_under_the_true_law(name, by):
    law, X, y = true_law(name, 800)
    p = surprise(law, X, y, by=by, n_samples=50, random_state=0)
    p = p.reshape(len(y), -1)
    p = p[~np.isnan(p).any(1)]
    assert len(p) >= len(y) - 2  # the start of the run, which has no known law
    for column in p.T:
        assert kstest(column, "uniform").pvalue > 1e-3 / p.shape[1]


@pytest.mark.parametrize("kind", ["normal", "counts", "few"])
def test_each_point_of_a_set_takes_another_rank(kind):
    rng = np.random.default_rng(0)
    m, d = (5, 12) if kind == "few" else (30, 3)
    points = rng.normal(size=(m + 1, d))
    if kind == "counts":
        points = rng.poisson(0.3, size=(m + 1, d)).astype(float)
    others = np.stack([np.delete(points, i, 0) for i in range(m + 1)])
    p = p_values(points, others, random_state=0)
    if kind == "counts":  # equal points share their ranks at random
        assert abs(p.mean() - 0.5) < 0.15
    else:
        ranks = np.floor(p * (m + 1)).astype(int)
        assert sorted(ranks) == list(range(m + 1))


def test_surprise_by_channel_is_the_two_sided_tail():
    z = np.array([[-3.0, -1.0, 0.0, 0.5, 2.0]])
    samples = np.random.default_rng(0).normal(size=(1, 20_000, 5))
    p = p_values(z, samples, by="channel", random_state=0)
    np.testing.assert_allclose(p, 2 * norm.sf(np.abs(z)), atol=0.03)


def test_joint_surprise_knows_the_correlation():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(1, 1000, 1))
    samples = shared + 0.2 * rng.normal(size=(1, 1000, 2))
    along, across = [[1.0, 1.0]], [[1.0, -1.0]]
    assert p_values(along, samples, random_state=0) > 0.3
    assert p_values(across, samples, random_state=0) < 0.01
    by_channel = p_values(across, samples, by="channel", random_state=0)
    assert (by_channel > 0.2).all()


def test_what_was_not_observed_is_left_out():
    rng = np.random.default_rng(0)
    samples, y = rng.normal(size=(3, 200, 2)), np.zeros((3, 2))
    y[0] = np.nan
    y[1, 1], y[2, 1] = np.nan, 6.0
    joint = p_values(y, samples, random_state=0)
    assert np.isnan(joint[0]) and joint[1] > 0.5 and joint[2] < 0.02
    by_channel = p_values(y, samples, by="channel", random_state=0)
    np.testing.assert_array_equal(np.isnan(by_channel), np.isnan(y))


def test_units_and_a_channel_that_never_varies_do_not_matter():
    rng = np.random.default_rng(0)
    samples, y = rng.normal(size=(20, 100, 3)), rng.normal(size=(20, 3))
    scale, offset = np.array([1e-3, 1.0, 1e4]), np.array([5.0, 0.0, -1e4])
    p = p_values(y, samples, random_state=0)
    other = p_values(y * scale + offset, samples * scale + offset, random_state=0)
    np.testing.assert_allclose(other, p)
    still = np.full((20, 100, 1), 1e6)
    wider = p_values(
        np.c_[y, still[:, 0]], np.concatenate([samples, still], 2), random_state=0
    )
    # The shrinkage sees the same correlations among the channels that vary.
    np.testing.assert_allclose(wider, p)


def test_a_jump_surprises_once_whoever_forecasts():
    data = datasets.make_linear_var(400, 3, n_stimuli=1, random_state=0)
    X, y = design_matrix(data.activity, data.stimulus), data.activity.copy()
    models = {
        "pipeline": make_pipeline(SlidingWindow(2), ResidualForecaster(Ridge())),
        "owns its window": ResidualForecaster(Ridge(), window_length=2),
    }
    y[350] += 15.0
    for model in models.values():
        model.fit(X[:300], y[:300])
        p = surprise(model, X, y, random_state=0)
        assert p[350] < 0.01
        again = surprise(model, X, y, random_state=0)
        np.testing.assert_array_equal(again, p)
        assert surprise(model, X, y, by="channel", random_state=0).shape == y.shape


def test_targets_of_one_axis():
    y = datasets.make_linear_var(300, 1, n_stimuli=0, random_state=0).activity[:, 0]
    X = design_matrix(y)
    model = ResidualForecaster(LinearRegression()).fit(X, y)
    for by in ("joint", "channel"):
        p = surprise(model, X, y, by=by, random_state=0)
        assert p.shape == (300,)
        assert kstest(p, "uniform").pvalue > 1e-3


def test_bad_arguments_are_refused_by_name():
    y = np.random.default_rng(0).normal(size=(60, 2))
    X = design_matrix(y)
    model = Climatology().fit(X, y)
    with pytest.raises(ValueError, match="by must be one of"):
        surprise(model, X, y, by="neuron")
    with pytest.raises(ValueError, match="n_samples must be an integer >= 2"):
        surprise(model, X, y, n_samples=1)
    with pytest.raises(TypeError, match="method sample"):
        surprise(Ridge().fit(X[1:], y[1:]), X[1:], y[1:])
    with pytest.raises(ValueError, match="same number of rows"):
        surprise(model, X, y[:-1])
    with pytest.raises(ValueError, match="samples must have shape"):
        surprise(model, X, y[:, :1])


# -- the martingale ------------------------------------------------------------


def _paths(p):
    """Highest wealth, and the Shiryaev-Roberts statistic in the end, of each row."""
    wealth, change = np.empty(p.shape), np.empty(p.shape)
    for i, row in enumerate(p):
        martingale = SurpriseMartingale()
        for t, one in enumerate(row):
            wealth[i, t] = martingale.update(one)
            change[i, t] = martingale.log_change
    return wealth, change


def test_wealth_is_the_mixture_of_products_of_bets():
    p, e = np.array([0.2, 0.9, 0.01]), np.linspace(0.1, 0.9, 9)[:, None]
    small = (e * p ** (e - 1)).prod(1)
    large = (e * (1 - p) ** (e - 1)).prod(1)
    martingale = SurpriseMartingale()
    for one in p:
        martingale.update(one)
    expected = np.log(np.mean([small, large]))
    assert martingale.log_wealth == pytest.approx(expected)
    martingale.reset()
    assert martingale.log_wealth == pytest.approx(0.0)


def test_a_fair_game_is_seldom_won():
    p = np.random.default_rng(0).uniform(size=(250, 80))
    wealth, _ = _paths(p)
    for alpha in (0.3, 0.1, 0.03):
        share = (wealth.max(1) >= np.log(1 / alpha)).mean()
        assert share <= alpha + 2 * np.sqrt(alpha / len(p))


def test_a_change_that_is_none_is_found_as_seldom_as_stated():
    rng, c, lengths = np.random.default_rng(1), 60, []
    for _ in range(60):
        martingale, n = SurpriseMartingale(), 0
        while martingale.log_change < np.log(c) and n < 1500:
            martingale.update(rng.uniform())
            n += 1
        lengths.append(n)
    assert np.mean(lengths) > c


@pytest.mark.parametrize("shape", [(0.5, 1.0), (1.0, 0.5), (3.0, 3.0)])
def test_what_is_not_uniform_is_found(shape):
    rng = np.random.default_rng(0)
    p = np.concatenate([rng.uniform(size=500), rng.beta(*shape, size=300)])
    _, change = _paths(p[None])
    if shape == (3.0, 3.0):  # neither too small nor too large: no bet is on that
        assert change[0, -1] < np.log(1000)
    else:
        assert change[0, -1] > np.log(1000) > change[0, 499]


def test_a_missing_p_value_changes_nothing_and_others_are_refused():
    martingale = SurpriseMartingale()
    assert martingale.log_change == -np.inf
    before = martingale.update(0.1)
    assert martingale.update(np.nan) == before
    for p in (-0.1, 1.1, "x", None):
        with pytest.raises(ValueError, match="p must be a number from 0 to 1"):
            martingale.update(p)
    assert np.isfinite([martingale.update(0.0), martingale.update(1.0)]).all()
