import numpy as np
import pytest
import torch
from scipy import integrate, stats

from afm_sklearn.marginals import CountMixture, GaussianMixture

MIXTURES = {  # location, scale and weight of each component
    "one": ([0.7], [1.3], [1.0]),
    "skewed": ([0.0, 1.0, 3.0], [0.5, 1.0, 2.0], [0.5, 0.3, 0.2]),
    "bimodal": ([-6.0, 6.0], [0.4, 0.4], [0.5, 0.5]),
    "unequal wells": ([-10.0, 0.0, 10.0], [0.2, 0.3, 0.1], [0.05, 0.9, 0.05]),
    "narrow in wide": ([0.0, 0.0], [0.01, 3.0], [0.5, 0.5]),
}
EVERY_MIXTURE = pytest.mark.parametrize("name", MIXTURES)


def _gaussians(name, dtype=torch.float64):
    """Parameters of one row and one channel, (1, K, 1)."""
    loc, scale, weight = torch.tensor(MIXTURES[name], dtype=torch.float64)
    return tuple(p.to(dtype)[None, :, None] for p in (loc, scale.log(), weight.log()))


def _cdf(name, y):
    loc, scale, weight = map(np.array, MIXTURES[name])
    return (weight * stats.norm.cdf((np.asarray(y)[..., None] - loc) / scale)).sum(-1)


def _scores(y, params):
    """Scores of draws y (1, k, 1) of one law."""
    rows = y[0]
    return GaussianMixture.normal_scores(
        rows, tuple(p.expand(len(rows), -1, -1) for p in params)
    )


@EVERY_MIXTURE
@pytest.mark.parametrize(
    ("dtype", "atol"), [(torch.float64, 2e-5), (torch.float32, 1e-3)]
)
def test_normal_scores_invert_the_transport(name, dtype, atol):
    params = _gaussians(name, dtype)
    z = torch.linspace(-4, 4, 801, dtype=dtype)[None, :, None]
    y = GaussianMixture.from_normal(z, params)
    low, high = _scores(y, params)
    assert torch.equal(low, high)
    rest = _between_wells(name, z)
    torch.testing.assert_close(low[~rest, 0], z[0, ~rest, 0], atol=atol, rtol=0)
    assert (y[:, 1:] >= y[:, :-1]).all()


def _between_wells(name, z):
    """Scores whose quantile lies in an empty gap, where rounding places it."""
    weights = np.cumsum(MIXTURES[name][2])[:-1]
    probability = stats.norm.cdf(z[0, :, 0].double())
    return torch.from_numpy((np.abs(probability[:, None] - weights) < 1e-3).any(1))


@EVERY_MIXTURE
def test_quantiles_have_the_probability_of_their_score(name):
    z = torch.linspace(-4, 4, 801, dtype=torch.float64)
    y = GaussianMixture.from_normal(z[None, :, None], _gaussians(name))[0, :, 0]
    np.testing.assert_allclose(_cdf(name, y), stats.norm.cdf(z), atol=1e-9, rtol=1e-4)


def test_quantiles_of_the_narrowest_components_are_found():
    rng = np.random.default_rng(0)
    loc, log_scale = 5 * rng.normal(size=(500, 6, 1)), rng.uniform(-6, 2, (500, 6, 1))
    weight = rng.dirichlet(np.ones(6), 500)[..., None]
    z = rng.normal(size=(500, 50, 1))
    params = tuple(map(torch.from_numpy, (loc, log_scale, np.log(weight))))
    y = GaussianMixture.from_normal(torch.from_numpy(z), params).numpy()
    each = stats.norm.cdf(
        (y[:, None] - loc[:, :, None]) / np.exp(log_scale)[:, :, None]
    )
    found = (weight[:, :, None] * each).sum(1)
    np.testing.assert_allclose(found, stats.norm.cdf(z), atol=5e-3)


@pytest.mark.parametrize("shape", [(1, 5000, 3), (3000, 1, 4), (7, 11, 900)])
def test_a_draw_is_the_same_whatever_is_drawn_beside_it(shape):
    n, k, d = shape
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(shape, generator=generator)  # noqa: E731
    params = draw(n, 5, d), 0.5 * draw(n, 5, d), draw(n, 5, d).log_softmax(1)
    z = draw(n, k, d)
    together = GaussianMixture.from_normal(z, params)
    for row, sample in ((0, 0), (n - 1, k - 1), (n // 2, k // 2)):
        alone = GaussianMixture.from_normal(
            z[row : row + 1, sample : sample + 1],
            tuple(p[row : row + 1] for p in params),
        )
        torch.testing.assert_close(together[row, sample], alone[0, 0])


@EVERY_MIXTURE
def test_draws_follow_the_mixture(name):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(1, 20000, 1, generator=generator)
    draws = GaussianMixture.from_normal(z, _gaussians(name, torch.float32))
    result = stats.kstest(draws.flatten().numpy(), lambda y: _cdf(name, y))
    assert result.pvalue > 1e-3


@EVERY_MIXTURE
def test_gaussian_density_integrates_to_one_and_to_the_mean(name):
    params = _gaussians(name)
    loc, scale, _ = map(np.array, MIXTURES[name])

    def density(y):
        at = torch.tensor([[y]], dtype=torch.float64)
        return float(GaussianMixture.log_density(at, params).exp())

    ends = {"points": np.r_[loc, loc - 3 * scale, loc + 3 * scale], "limit": 200}
    low, high = (loc - 12 * scale).min(), (loc + 12 * scale).max()
    total, _ = integrate.quad(density, low, high, **ends)
    mean, _ = integrate.quad(lambda y: y * density(y), low, high, **ends)
    assert total == pytest.approx(1, abs=1e-7)
    assert float(GaussianMixture.mean(params)) == pytest.approx(mean, abs=1e-6)


def test_gaussian_density_of_rows_and_channels_is_that_of_scipy():
    rng = np.random.default_rng(0)
    loc, log_scale = rng.normal(size=(2, 6, 4, 3))
    weight = rng.dirichlet(np.ones(4), (6, 3)).swapaxes(1, 2)
    y = rng.normal(size=(6, 3))
    params = tuple(map(torch.from_numpy, (loc, log_scale, np.log(weight))))
    ours = GaussianMixture.log_density(torch.from_numpy(y), params)
    each = stats.norm.pdf(y[:, None], loc, np.exp(log_scale))
    np.testing.assert_allclose(ours, np.log((weight * each).sum(1)), rtol=1e-10)


def test_one_gaussian_is_affine():
    params = _gaussians("one", torch.float32)
    z = torch.linspace(-9, 9, 19)
    y = GaussianMixture.from_normal(z[None, :, None], params)[0, :, 0]
    torch.testing.assert_close(y, 0.7 + 1.3 * z, rtol=1e-6, atol=1e-6)
    low, _ = _scores(y[None, :, None], params)
    torch.testing.assert_close(low[:, 0], z, rtol=1e-5, atol=1e-5)


# -- counts --------------------------------------------------------------------

COUNTS = {  # mean, size and weight of each component
    "sparse": ([0.05], [1.0], [1.0]),
    "overdispersed": ([3.0], [0.3], [1.0]),
    "nearly Poisson": ([2.0], [np.exp(5.0)], [1.0]),
    "large": ([50.0], [20.0], [1.0]),
    "mixture": ([0.1, 4.0], [2.0, 8.0], [0.6, 0.4]),
}
EVERY_COUNT = pytest.mark.parametrize("name", COUNTS)


def _counts(name, dtype=torch.float64, n=1):
    mean, size, weight = torch.tensor(COUNTS[name], dtype=torch.float64)
    params = (mean.log(), size.log(), weight.log())
    return tuple(p.to(dtype)[:, None].expand(n, -1, 1) for p in params)


def _masses(name, n=3000):
    """Probabilities of 0 to n - 1."""
    mean, size, weight = map(np.array, COUNTS[name])
    k = np.arange(n)[:, None]
    return (weight * stats.nbinom.pmf(k, size, size / (size + mean))).sum(-1)


def _ppf(name, probability):
    return np.searchsorted(_masses(name).cumsum(), probability).astype(float)


@EVERY_COUNT
@pytest.mark.parametrize(
    ("dtype", "rtol"), [(torch.float64, 1e-9), (torch.float32, 1e-4)]
)
def test_count_density_is_that_of_scipy(name, dtype, rtol):
    y = torch.arange(100, dtype=dtype)[:, None]
    ours = CountMixture.log_density(y, _counts(name, dtype, n=100))[:, 0]
    expected = np.log(_masses(name)[:100])
    np.testing.assert_allclose(ours, expected, rtol=rtol, atol=rtol)


@EVERY_COUNT
def test_count_transport_is_the_quantile_function(name):
    z = torch.linspace(-4, 4, 2001, dtype=torch.float64)
    ours = CountMixture.from_normal(z[None, :, None], _counts(name))[0, :, 0]
    np.testing.assert_array_equal(ours, _ppf(name, stats.norm.cdf(z)))
    mean, size, weight = COUNTS[name]
    if len(weight) == 1:
        law = stats.nbinom(size[0], size[0] / (size[0] + mean[0]))
        np.testing.assert_array_equal(ours, law.ppf(stats.norm.cdf(z)))


@EVERY_COUNT
def test_count_transport_in_single_precision_misses_by_one_at_a_step_only(name):
    z = torch.linspace(-4, 4, 2001)
    ours = CountMixture.from_normal(z[None, :, None], _counts(name, torch.float32))
    wrong = ours[0, :, 0].numpy() - _ppf(name, stats.norm.cdf(z.double()))
    assert np.abs(wrong).max() <= 1 and (wrong != 0).mean() < 0.01


@EVERY_COUNT
def test_random_scores_of_counts_are_standard_normal(name):
    rng = np.random.default_rng(0)
    y = _ppf(name, rng.random(20000))
    params = _counts(name, torch.float32, n=len(y))
    target = torch.from_numpy(y).float()[:, None]
    low, high = CountMixture.normal_scores(target, params)
    assert (low < high).all()
    ends = stats.norm.cdf(torch.cat([low, high], 1).double())
    score = stats.norm.ppf(rng.uniform(ends[:, 0], ends[:, 1]))
    assert stats.kstest(score, "norm").pvalue > 1e-3


@EVERY_COUNT
def test_the_middle_of_an_interval_of_scores_gives_the_count_back(name):
    first, last = _ppf(name, [1e-5, 0.9999])  # scores end at -5 and 5
    y = torch.arange(first, last + 1, dtype=torch.float64)[:, None]
    params = _counts(name, n=len(y))
    low, high = CountMixture.normal_scores(y, params)
    torch.testing.assert_close(low[1:], high[:-1])  # the intervals touch
    middle = (0.5 * (low + high))[:, None]
    back = CountMixture.from_normal(middle, params)[:, 0]
    torch.testing.assert_close(back, y)


@EVERY_COUNT
def test_count_mean_is_that_of_the_masses(name):
    masses = _masses(name)
    expected = float((np.arange(len(masses)) * masses).sum())
    assert float(CountMixture.mean(_counts(name))) == pytest.approx(expected, rel=1e-6)


def test_counts_of_many_rows_and_channels_use_their_own_law():
    rng = np.random.default_rng(0)
    mean, size = rng.uniform(0.01, 20, (7, 3)), rng.uniform(0.2, 30, (7, 3))
    z = rng.normal(size=(7, 50, 3))
    log = [torch.from_numpy(np.log(p))[:, None] for p in (mean, size)]
    params = (*log, torch.zeros_like(log[0]))
    ours = CountMixture.from_normal(torch.from_numpy(z), params)
    p = (size / (size + mean))[:, None]
    expected = stats.nbinom.ppf(stats.norm.cdf(z), size[:, None], p)
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_scores_of_counts_that_never_occur_are_finite(dtype):
    y = torch.tensor([60.0, 200.0, 0.0], dtype=dtype)[:, None]
    for mean, size in ((0.6, 5.0), (0.01, 50.0), (90.0, 50.0)):
        logs = torch.tensor([mean, size], dtype=dtype).log()[:, None].expand(3, 2, 1)
        params = logs[:, :1], logs[:, 1:], torch.zeros_like(logs[:, :1])
        for end in CountMixture.normal_scores(y, params):
            assert torch.isfinite(end).all()
