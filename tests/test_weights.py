import numpy as np
import pytest
from scipy.optimize import minimize

from afm_sklearn.fitting.weights import (
    Score,
    best_weights,
    few_of,
    surest_weight,
    weight_of_second,
    weights_by_score,
)
from afm_sklearn.metrics import crps


def _draws(n, spreads_and_offsets, seed=0, n_samples=64):
    rng = np.random.default_rng(seed)
    shape = n, n_samples, 1
    return [offset + s * rng.normal(size=shape) for s, offset in spreads_and_offsets]


def _truth(n, seed=1):
    return np.random.default_rng(seed).normal(size=(n, 1))


def test_the_score_of_a_single_law_is_the_fair_crps_of_its_draws():
    y, draws = _truth(400), _draws(400, [(1.0, 0.0)], n_samples=200)
    score = Score.of(draws, y, False)
    expected = crps(y, draws[0]).mean()
    assert score.single.mean() == pytest.approx(expected, rel=0.02)


def test_the_terms_of_a_mixture_are_those_of_its_draws():
    y, draws = _truth(500), _draws(500, [(1.0, 0.5), (1.0, -0.5)], n_samples=200)
    score = Score.of(draws, y, False)
    half = np.array([0.5, 0.5])
    mixed = half @ score.to_y.mean(1) - 0.5 * half @ score.between.mean(2) @ half
    both = np.concatenate([x[:, :100] for x in draws], axis=1)
    assert mixed == pytest.approx(crps(y, both).mean(), rel=0.02)


def test_weights_minimise_the_quadratic_form_on_the_simplex():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(6, 3))
    between = np.linalg.norm(points[:, None] - points, axis=2)
    to_y = np.linalg.norm(points - rng.normal(size=3), axis=1)

    def loss(a):
        w = np.exp(a - a.max()) / np.exp(a - a.max()).sum()
        return to_y @ w - 0.5 * w @ between @ w

    w = best_weights(to_y, between)
    starts = [minimize(loss, rng.normal(size=6), tol=1e-12).fun for _ in range(5)]
    assert to_y @ w - 0.5 * w @ between @ w <= min(starts) + 2e-3
    assert w.min() >= 0 and w.sum() == pytest.approx(1)


def test_equal_laws_get_even_weights_and_a_bad_one_none():
    y = _truth(60)
    law, bad = _draws(60, [(1.0, 0.0), (1.0, 4.0)])
    weights = weights_by_score([Score.of([law, law, law, bad], y, False)])
    np.testing.assert_allclose(weights, [1 / 3, 1 / 3, 1 / 3, 0], atol=1e-3)


def test_a_law_that_is_surely_better_is_hardly_mixed():
    y = _truth(2000)
    weights = weights_by_score(
        [Score.of(_draws(2000, [(1.0, 0.0), (1.0, 0.7), (1.6, 0.0)]), y, False)]
    )
    assert weights[0] > 0.8


def test_a_newcomer_needs_more_than_chance():
    y = _truth(200)
    sure = Score.of(_draws(200, [(1.0, 1.0), (1.0, 0.0)]), y, False)
    assert weight_of_second([sure]) > 0.9
    assert (
        weight_of_second([Score.of(_draws(200, [(1.0, 0), (1.0, 2)]), y, False)]) == 0
    )
    one_case = Score.of(_draws(1, [(1.0, 1.0), (1.0, 0.0)]), y[:1], False)
    assert weight_of_second([one_case]) == 0


def test_a_gain_must_be_large_to_leave_nothing_to_the_other():
    between = np.full((2, 2, 80), 0.5)
    weights = [
        weight_of_second(
            [Score(np.stack([np.ones(80), np.full(80, 1 - gain)]), between)]
        )
        for gain in (0.005, 0.02, 0.2)
    ]
    assert 0.5 < weights[0] < weights[1] < 1 == weights[2]


def test_the_same_gain_earns_less_where_it_is_less_certain():
    rng = np.random.default_rng(0)
    even = np.full(80, 0.05)
    weights = []
    for noise in (0.02, 0.4):
        gain = even + noise * np.repeat(rng.permutation([-1, 1] * 4), 10)
        to_y = np.stack([np.ones(80), 1 - gain])
        between = np.full((2, 2, 80), 0.5)
        weights.append(weight_of_second([Score(to_y, between)]))
    assert weights[0] > weights[1] > 0


def test_the_gain_of_a_pool_is_that_of_its_draws():
    y, draws = _truth(500), _draws(500, [(1.0, 0.5), (1.0, -0.5)], n_samples=200)
    gain, error = Score.of(draws, y, False).gain_of_pool(0.5)
    both = np.concatenate([x[:, :100] for x in draws], axis=1)
    alone, pooled = crps(y, draws[0]).mean(), crps(y, both).mean()
    assert gain == pytest.approx(1 - pooled / alone, abs=0.01)
    assert 0 < error < 0.1


def test_a_sure_weight_loses_no_score():
    even = np.full((2, 2, 80), 0.5)
    better = Score(np.stack([np.ones(80), np.full(80, 0.8)]), even)
    worse = Score(np.stack([np.ones(80), np.full(80, 1.1)]), even)
    assert surest_weight([better]) == 1
    assert surest_weight([better, worse]) == 0
    noisy = np.repeat([-1.0, 1.0] * 4, 10)
    unsure = Score(np.stack([np.ones(80), 0.8 + noisy]), even)
    assert surest_weight([better, unsure]) == 0


def test_what_is_missing_does_not_count():
    rng = np.random.default_rng(0)
    draws = [rng.normal(size=(6, 50, 3)) for _ in range(2)]
    y = rng.normal(size=(6, 3))
    y[:, 2] = np.nan
    y[5] = np.nan
    for is_joint in (False, True):
        whole = Score.of(draws, y, is_joint)
        seen = Score.of([x[:5, :, :2] for x in draws], y[:5, :2], is_joint)
        share = 1.0 if is_joint else 2 / 3
        np.testing.assert_allclose(whole.to_y, share * seen.to_y, rtol=1e-6)
        np.testing.assert_allclose(whole.between, share * seen.between, rtol=1e-6)


def test_a_pool_of_few_keeps_what_it_cannot_do_without():
    y = _truth(400)
    # The second is the first again; the third is worse; the fourth errs the other way.
    laws = [(1.0, 1.0), (1.0, 1.0), (1.0, 3.0), (1.0, -1.0)]
    score = Score.of(_draws(400, laws), y, False)
    few = few_of([[score], [score]], 2)
    assert len(few) == 2
    assert 3 in few and (0 in few or 1 in few)
    assert few_of([[score]], 4).tolist() == [0, 1, 3]


def test_each_use_of_a_pool_of_few_counts():
    y = _truth(400)
    laws = [(1.0, 0.0), (1.0, 2.0), (1.0, 4.0)]
    near = Score.of(_draws(400, laws), y, False)
    far = Score.of(_draws(400, laws[::-1]), y, False)
    assert few_of([[near], [far]], 2).tolist() == [0, 2]
    assert few_of([[near], [near]], 1).tolist() == [0]


def test_some_of_the_laws_keep_their_scores():
    score = Score.of(_draws(50, [(1.0, 0.0), (2.0, 0.0), (1.0, 1.0)]), _truth(50), True)
    some = score.of_laws([2, 0])
    np.testing.assert_array_equal(some.single, score.single[[2, 0]])
    np.testing.assert_array_equal(some.between[0, 1], score.between[2, 0])
