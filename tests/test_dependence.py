"""Dependence between channels: copulas of scores and of boxes, correlations."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import special, stats
from sklearn.covariance import ledoit_wolf

from afm_sklearn import compute
from afm_sklearn.law.correlation import correlation_root, shrunk_correlation
from afm_sklearn.law.dependence import (
    box_nodes,
    log_box_copula,
    log_copula,
    middle_score,
)
from afm_sklearn.law.families import CountMixture
from afm_sklearn.law.normal import log_interval, log_ndtri, ndtr, score_inside, score_of


def _tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def _normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


def _pair(correlation):
    return torch.linalg.cholesky(_tensor([1.0, correlation], [correlation, 1.0]))


def _root(d, seed=0):
    values = _normal(3 * d, d, seed=seed) @ _normal(d, d, seed=seed + 1)
    return torch.linalg.cholesky(torch.corrcoef(values.T))


def _grid(law):
    """Log probabilities and scores of all pairs of counts of two equal channels."""
    pairs = torch.cartesian_prod(*[torch.arange(40.0, dtype=torch.float64)] * 2)
    laws = law.rows([0] * len(pairs))
    return laws.log_density(pairs).sum(1), *laws.normal_scores(pairs)


def _poisson(mean, d=2):
    logs = _tensor(mean, 1e9, 1.0).log()
    return CountMixture(*logs.view(3, 1, 1, 1).expand(3, 1, 1, d))


# -- normal scores -------------------------------------------------------------


def test_masses_and_scores_keep_their_digits():
    z = torch.linspace(-12, 12, 97, dtype=torch.float64)
    np.testing.assert_allclose(ndtr(z), special.ndtr(z.numpy()), rtol=1e-12)
    torch.testing.assert_close(score_of(ndtr(z), ndtr(-z)), z)
    ends = score_of(_tensor(0.0, 1.0), _tensor(1.0, 0.0))
    torch.testing.assert_close(ends, _tensor(-12.0, 12.0))
    log_mass = -torch.logspace(-2, 7, 200, dtype=torch.float64)
    np.testing.assert_allclose(
        log_ndtri(log_mass), special.ndtri_exp(log_mass.numpy()), rtol=1e-10
    )


def test_intervals_keep_their_digits():
    low = _tensor(-30.0, -3.0, -1.0, 2.0, 30.0, 300.0, 0.5)
    high = _tensor(-29.0, 4.0, 1.0, 3.0, 30.5, 301.0, 0.5 + 1e-7)
    top, rest = (special.log_ndtr(-end.numpy()) for end in (low, high))
    expected = top + np.log(-np.expm1(rest - top))
    np.testing.assert_allclose(log_interval(low, high), expected, rtol=1e-8)
    for share in (0.0, 0.2, 0.5, 0.9, 1.0):
        at = score_inside(low, high, torch.full_like(low, share))
        assert ((at >= low) & (at <= high)).all()
        wide = at[:-1] - low[:-1] > 1e-9
        part = log_interval(low[:-1][wide], at[:-1][wide])
        whole = log_interval(low[:-1][wide], high[:-1][wide])
        torch.testing.assert_close((part - whole).exp(), torch.full_like(part, share))


def test_functions_of_tails_have_gradients():
    low = _tensor(-30.0, -3.0, -1.0, 2.0, 30.0).requires_grad_()
    high = _tensor(-29.0, 4.0, 1.0, 3.0, 30.5).requires_grad_()
    share = torch.full_like(low, 0.3).requires_grad_()
    assert torch.autograd.gradcheck(log_interval, (low, high))
    assert torch.autograd.gradcheck(score_inside, (low, high, share))
    log_mass = (-torch.logspace(-1, 4, 20, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(log_ndtri, log_mass)
    assert torch.autograd.gradgradcheck(log_ndtri, log_mass)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_middle_score_halves_the_probability(dtype):
    low = _tensor(-12.0, -12.0, -1.0, 4.0, 7.0, 11.0, 0.3).to(dtype)
    high = _tensor(12.0, -9.0, 2.0, 12.0, 7.5, 12.0, 0.3).to(dtype)
    z = middle_score(low, high)
    assert z.dtype == dtype and z[-1] == low[-1]
    tail = lambda x: special.ndtr(-np.abs(x.double().numpy()))  # noqa: E731
    middle = torch.special.ndtri(torch.from_numpy(0.5 * (tail(low) + tail(high))))
    expected = torch.stack([middle[1], -middle[3], -middle[4], -middle[5]]).to(dtype)
    torch.testing.assert_close(z[[1, 3, 4, 5]], expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(z[0], z.new_zeros(()), atol=1e-6, rtol=0)
    ends = [middle_score(low, high, torch.full_like(low, s)) for s in (0.0, 1.0)]
    torch.testing.assert_close(ends[0][1:], low[1:], rtol=1e-4, atol=1e-4)
    assert (ends[0] <= z).all() and (z <= ends[1]).all()


# -- the copula of scores ------------------------------------------------------


def test_copula_of_scores_is_that_of_scipy():
    root, z = _root(4), _normal(10, 4)
    joint = stats.multivariate_normal(cov=(root @ root.T).numpy()).logpdf(z)
    expected = joint - stats.norm.logpdf(z).sum(1)
    np.testing.assert_allclose(log_copula(root, z), expected, rtol=1e-8, atol=1e-10)


def test_missing_scores_are_marginalised():
    root, z = _root(4), _normal(6, 4)
    z[0, 2] = z[1, 0] = z[2, :3] = z[3] = torch.nan
    correlation = root @ root.T
    found = log_copula(root, z)
    for k in (0, 1, 2, 4, 5):
        seen = ~torch.isnan(z[k])
        own = torch.linalg.cholesky(correlation[seen][:, seen])
        expected = log_copula(own, z[k : k + 1, seen])
        torch.testing.assert_close(found[k : k + 1], expected)
    assert found[3] == 0.0


# -- the copula of boxes -------------------------------------------------------


@pytest.mark.parametrize("correlation", [-0.9, 0.5, 0.8, 0.95, 0.99])
def test_binary_channels_have_the_exact_probabilities(correlation):
    low, high = _tensor([-12.0, -12.0], [0.0, -12.0]), _tensor([0.0, 0.0], [12.0, 0.0])
    ratio = log_box_copula(_pair(correlation), low, high).exp()
    both = 0.25 + math.asin(correlation) / (2 * math.pi)
    expected = _tensor(4 * both, 4 * (0.5 - both))
    torch.testing.assert_close(ratio, expected, atol=0.01, rtol=0)


@pytest.mark.parametrize("n_nodes", [1, 32])
@pytest.mark.parametrize("mean", [0.05, 0.3, 3.0])
@pytest.mark.parametrize("correlation", [0.0, 0.8, 0.95, 0.999])
def test_probabilities_of_counts_sum_to_one(correlation, mean, n_nodes):
    log_mass, low, high = _grid(_poisson(mean))
    ratio = log_box_copula(_pair(correlation), low, high, n_nodes)
    assert float((log_mass + ratio).exp().sum()) == pytest.approx(1, abs=1e-6)


def test_binary_channels_of_high_correlation_sum_to_one():
    ends = _tensor(-12.0, 0.3, 12.0)
    low = torch.cartesian_prod(ends[:-1], ends[:-1])
    high = torch.cartesian_prod(ends[1:], ends[1:])
    ratio = log_box_copula(_pair(0.95), low, high)
    alone = (ndtr(high) - ndtr(low)).log().sum(1)
    assert float((alone + ratio).exp().sum()) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_silent_channels_have_probabilities(dtype):
    """Thirty channels with P(0) = .9999, and all outcomes with up to two spikes."""
    d = 30
    rows = [[]] + [list(c) for k in (1, 2) for c in itertools.combinations(range(d), k)]
    count = torch.zeros(len(rows), d, dtype=dtype)
    for row, channels in enumerate(rows):
        count[row, channels] = 1.0
    law = _poisson(1e-4, d)
    law = CountMixture(*(p.to(dtype) for p in law.parameters)).rows([0] * len(rows))
    root = torch.linalg.cholesky(0.6 * torch.eye(d) + 0.4).to(dtype)
    found = law.log_density(count).sum(1)
    found = found + log_box_copula(root, *law.normal_scores(count))
    assert (found <= 1e-6).all()
    assert float(found.double().exp().sum()) == pytest.approx(1, abs=1e-3)
    alone = math.exp(-1e-4 * d)
    assert alone <= float(found[0].exp()) < 1


def test_more_nodes_come_closer_to_the_exact_probability():
    root = _root(3, seed=4)
    low, high = _tensor([-1.0, -0.5, -12.0]), _tensor([0.2, 1.5, 0.7])
    exact = stats.multivariate_normal(cov=(root @ root.T).numpy()).cdf(
        high[0].numpy(), lower_limit=low[0].numpy(), rng=np.random.default_rng(0)
    )
    alone = float((ndtr(high) - ndtr(low)).prod())
    errors = [
        abs(alone * float(log_box_copula(root, low, high, n).exp()) / exact - 1)
        for n in (1, 32, 1024)
    ]
    assert errors[1] < 0.02 and errors[2] < 2e-3


def test_short_intervals_are_points():
    root, z = _root(3), _normal(5, 3)
    expected = log_copula(root, z)
    torch.testing.assert_close(log_box_copula(root, z, z), expected)
    for width in (1e-7, 1e-4):
        found = log_box_copula(root, z - width / 2, z + width / 2)
        torch.testing.assert_close(found, expected, atol=1e-2, rtol=0)
    mixed = z.clone()
    mixed[:, 1] += 1e-7
    torch.testing.assert_close(
        log_box_copula(root, z, mixed), expected, atol=1e-5, rtol=0
    )


def test_missing_channels_leave_the_box_of_the_others():
    root = _root(3)
    low, high = _tensor([-1.0, 0.2, -12.0]), _tensor([0.3, 1.0, 0.1])
    lost = torch.tensor([False, True, False])
    own = torch.linalg.cholesky((root @ root.T)[~lost][:, ~lost])
    expected = log_box_copula(own, low[:, ~lost], high[:, ~lost], 512)
    gone = [torch.where(lost, torch.nan, end) for end in (low, high)]
    found = log_box_copula(root, *gone, 512)
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)
    nothing = torch.full_like(low, torch.nan)
    assert float(log_box_copula(root, nothing, nothing)) == 0.0


def test_nodes_lie_in_their_boxes_and_follow_what_is_seen():
    root = _pair(0.9)
    low, high = _tensor([-1.0, torch.nan]), _tensor([0.5, torch.nan])
    log_ratio, z = box_nodes(root, low, high, 4096)
    assert log_ratio.shape == (1, 4096) and z.shape == (1, 4096, 2)
    assert ((z[..., 0] >= -1.0) & (z[..., 0] <= 0.5)).all()
    rest = (z[0, :, 1] - 0.9 * z[0, :, 0]) / math.sqrt(1 - 0.9**2)
    assert stats.kstest(rest.numpy(), "norm").statistic < 0.01


def test_rows_do_not_depend_on_their_batch(monkeypatch):
    root, low = _root(3), _normal(7, 3)
    high = low + 0.5
    low[2, 1] = high[2, 1] = torch.nan
    together = log_box_copula(root, low, high)
    alone = [log_box_copula(root, low[k : k + 1], high[k : k + 1]) for k in range(7)]
    torch.testing.assert_close(together, torch.cat(alone))
    assert len(log_box_copula(root, low[:0], high[:0])) == 0


def test_copulas_have_gradients():
    root, z = _root(3), _normal(3, 3)
    z[1, 0] = torch.nan
    root = root.requires_grad_()
    low = z.clone().requires_grad_()
    high = (z + _tensor(0.8, 0.0, 1.5)).requires_grad_()

    def boxes(root, low, high):
        return log_box_copula(root.tril(), low, high, 4)

    def points(root, z):
        return log_copula(root.tril(), z)

    given = low.nan_to_num(0.3), high.nan_to_num(1.1)
    given = [end.detach().requires_grad_() for end in given]
    assert torch.autograd.gradcheck(boxes, (root, *given), rtol=1e-3)
    assert torch.autograd.gradcheck(points, (root, given[0]))
    log_box_copula(root, low, high).sum().backward()
    for tensor in (root, low, high):
        assert torch.isfinite(tensor.grad).all()


# -- correlations --------------------------------------------------------------


def _values(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d))


@pytest.mark.parametrize(("n", "d"), [(30, 40), (500, 6), (2, 3), (50, 1)])
def test_it_is_the_ledoit_wolf_estimate_of_standardised_values(n, d):
    values = _values(n, d)
    standard = values / np.sqrt((values**2).mean(0))
    expected, _ = ledoit_wolf(standard, assume_centered=True)
    np.testing.assert_allclose(shrunk_correlation(values), expected, atol=1e-12)


def test_parts_do_not_show(monkeypatch):
    values = _values(100, 5)
    whole = shrunk_correlation(values)
    monkeypatch.setattr(compute, "SMALL_PART", 40)
    np.testing.assert_allclose(shrunk_correlation(values), whole, atol=1e-12)


def test_units_do_not_matter():
    values = _values(100, 4)
    other = values * np.array([1e-6, 1.0, 1e6, -3.0])
    sign = np.diag([1.0, 1.0, 1.0, -1.0])
    np.testing.assert_allclose(
        shrunk_correlation(other), sign @ shrunk_correlation(values) @ sign, atol=1e-12
    )


def test_missing_entries_count_as_uncorrelated():
    values = _values(200, 3)
    values[:100, 0] = np.nan
    filled = np.nan_to_num(values)
    np.testing.assert_allclose(
        shrunk_correlation(values), shrunk_correlation(filled), atol=1e-12
    )


def test_silent_channels_have_no_correlation():
    values = _values(50, 4)
    values[:, 2] = 0.0
    found = shrunk_correlation(values)
    np.testing.assert_array_equal(found[2], [0.0, 0.0, 1.0, 0.0])
    rest = [0, 1, 3]
    np.testing.assert_allclose(
        found[np.ix_(rest, rest)], shrunk_correlation(values[:, rest]), atol=1e-12
    )


def test_a_single_row_says_nothing_of_correlation():
    np.testing.assert_array_equal(shrunk_correlation(_values(1, 3)), np.eye(3))


def test_a_singular_correlation_has_a_root():
    root = correlation_root(np.ones((4, 4)))
    np.testing.assert_allclose(root @ root.T, 1.0, atol=1e-8)
