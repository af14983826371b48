"""What all families promise, and what only one of them can."""

import numpy as np
import pytest
import torch
from scipy import special, stats

from afm_sklearn.law.families import FAMILIES, CountMixture, Family, GaussianMixture

GAUSSIAN = {  # location, scale and weight of each component
    "one": ([0.7], [1.3], [1.0]),
    "skewed": ([0.0, 1.0, 3.0], [0.5, 1.0, 2.0], [0.5, 0.3, 0.2]),
    "bimodal": ([-6.0, 6.0], [0.4, 0.4], [0.5, 0.5]),
    "unequal wells": ([-10.0, 0.0, 10.0], [0.2, 0.3, 0.1], [0.05, 0.9, 0.05]),
    "narrow in wide": ([0.0, 0.0], [0.01, 3.0], [0.5, 0.5]),
    "five": (
        [-20.0, -1.0, 0.0, 2.0, 30.0],
        [1.0, 0.1, 2.0, 0.5, 4.0],
        [0.1, 0.2, 0.3, 0.3, 0.1],
    ),
}
COUNTS = {  # mean, size and weight of each component
    "sparse": ([0.05], [1.0], [1.0]),
    "overdispersed": ([3.0], [0.3], [1.0]),
    "nearly Poisson": ([2.0], [1e7], [1.0]),
    "large": ([50.0], [20.0], [1.0]),
    "huge": ([1e4], [50.0], [1.0]),
    "mixture": ([0.1, 4.0], [2.0, 8.0], [0.6, 0.4]),
    "far apart": ([0.5, 300.0], [5.0, 1e4], [0.7, 0.3]),
}
EVERY_GAUSSIAN = pytest.mark.parametrize("name", GAUSSIAN)
EVERY_COUNT = pytest.mark.parametrize("name", COUNTS)
EVERY_LAW = pytest.mark.parametrize("name", [*GAUSSIAN, *COUNTS])
EVERY_DTYPE = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


def _law(name: str, dtype=torch.float64, n: int = 1) -> Family:
    """The law of n rows and one channel."""
    kind = GaussianMixture if name in GAUSSIAN else CountMixture
    values = torch.tensor((GAUSSIAN | COUNTS)[name], dtype=torch.float64)
    location = values[0] if name in GAUSSIAN else values[0].log()
    params = (location, values[1].log(), values[2].log())
    return kind(*(p.to(dtype)[None, :, None].repeat(n, 1, 1) for p in params))


def _random(kind, n=5, k=3, d=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(  # noqa: E731
        shape, generator=generator, dtype=torch.float64
    )
    return kind(draw(n, k, d), 0.5 * draw(n, k, d), draw(n, k, d).log_softmax(1))


def _grid(dtype=torch.float64, end=4.0):
    return torch.linspace(-end, end, 401, dtype=dtype)[None, :, None]


# -- what all promise ----------------------------------------------------------


@EVERY_LAW
def test_a_draw_has_the_probability_of_its_score(name):
    law, z = _law(name), _grid()
    y, probability = law.from_normal(z), torch.special.ndtr(z)
    at = law.cdf(y)
    if not law.is_discrete:
        torch.testing.assert_close(at, probability, atol=1e-12, rtol=1e-9)
        return
    assert (at >= probability * (1 - 1e-12)).all()
    assert (law.cdf(y - 1) < probability).all()


@EVERY_LAW
@EVERY_DTYPE
def test_scores_lead_back_to_where_they_come_from(name, dtype):
    z = _grid(dtype)
    y = _law(name, dtype).from_normal(z)[0]
    law = _law(name, dtype, n=len(y))
    low, high = law.normal_scores(y)
    assert (low < high).all() if law.is_discrete else torch.equal(low, high)
    middle = 0.5 * (low + high)
    back = law.from_normal(middle[:, None])[:, 0]
    exact = dtype == torch.float64
    # In single precision a count may miss by one at a step.
    atol = 1e-8 if exact else (1.0 if law.is_discrete else 2e-3)
    torch.testing.assert_close(back, y, atol=atol, rtol=1e-6)


@EVERY_LAW
def test_draws_and_quantiles_never_fall(name):
    law, levels = _law(name), torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    y = law.from_normal(_grid(end=11.0))
    quantiles = law.quantile(levels)
    assert (y.diff(dim=1) >= 0).all() and (quantiles.diff(dim=1) >= 0).all()
    assert quantiles.shape == (1, 999, 1)
    expected = law.from_normal(torch.special.ndtri(levels)[None, :, None])
    torch.testing.assert_close(quantiles, expected)


@EVERY_LAW
def test_moments_are_those_of_the_draws(name):
    law = _law(name)
    level = (torch.arange(50000, dtype=torch.float64) + 0.5) / 50000
    y = law.quantile(level)[0]
    torch.testing.assert_close(law.mean[0], y.mean(0), rtol=2e-3, atol=1e-3)
    torch.testing.assert_close(law.variance[0], y.var(0), rtol=2e-2, atol=1e-3)


@EVERY_LAW
def test_density_belongs_to_the_distribution_function(name):
    law = _law(name)
    y = law.from_normal(_grid())
    density = law.rows([0] * 401).log_density(y[0]).exp()
    step = 1.0 if law.is_discrete else 1e-5 * float(law.log_scale.exp().min())
    lower, upper = (y - step, y) if law.is_discrete else (y - step, y + step)
    rise = (law.cdf(upper) - law.cdf(lower))[0]
    per_unit = rise if law.is_discrete else rise / (2 * step)
    torch.testing.assert_close(per_unit, density, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("kind", FAMILIES.values())
def test_pool_is_the_mixture(kind):
    laws = [_random(kind, k=3), _random(kind, k=2, seed=1)]
    weights = torch.tensor([0.3, 0.7], dtype=torch.float64)
    pool = kind.pool(laws, weights.log())
    y = torch.arange(10, dtype=torch.float64).view(5, 2)
    each = torch.stack([law.log_density(y).exp() for law in laws])
    expected = (weights[:, None, None] * each).sum(0)
    torch.testing.assert_close(pool.log_density(y).exp(), expected)
    torch.testing.assert_close(pool.cdf(y), 0.3 * laws[0].cdf(y) + 0.7 * laws[1].cdf(y))
    alone = kind.pool(laws, torch.tensor([0.0, -torch.inf], dtype=torch.float64))
    torch.testing.assert_close(alone.cdf(y), laws[0].cdf(y))
    z = torch.randn(5, 7, 2, dtype=torch.float64)
    torch.testing.assert_close(alone.from_normal(z), laws[0].from_normal(z))


@pytest.mark.parametrize("kind", FAMILIES.values())
def test_merged_rows_are_an_equal_mixture(kind):
    law = _random(kind, n=6)
    merged = law.merged(3)
    y = torch.arange(4, dtype=torch.float64).view(2, 2)
    each = law.cdf(y.repeat_interleave(3, 0)).unflatten(0, (2, 3))
    torch.testing.assert_close(merged.cdf(y), each.mean(1))
    means = law.mean.unflatten(0, (2, 3)).mean(1)
    torch.testing.assert_close(merged.mean, means)


@pytest.mark.parametrize("kind", FAMILIES.values())
def test_rows_are_the_laws_of_some_windows(kind):
    law, index = _random(kind), torch.tensor([4, 0])
    torch.testing.assert_close(law.rows(index).variance, law.variance[index])
    torch.testing.assert_close(law.rows(slice(1, 3)).mean, law.mean[1:3])


@EVERY_LAW
@EVERY_DTYPE
def test_precision_is_kept_and_arguments_stay_as_they_are(name, dtype):
    law, z = _law(name, dtype, n=3), torch.randn(3, 4, 1, dtype=dtype)
    given = [t.clone() for t in (*law.parameters, z)]
    draws = law.from_normal(z)
    y = draws[:, 0].clone()
    answers = [
        draws,
        law.cdf(y),
        law.cdf(draws),
        law.log_density(y),
        law.mean,
        law.variance,
        law.quantile(torch.tensor([0.1, 0.5])),
        *law.normal_scores(y),
    ]
    assert all(answer.dtype == dtype for answer in answers)
    assert all(torch.isfinite(answer).all() for answer in answers)
    torch.testing.assert_close([*law.parameters, z], given, rtol=0, atol=0)
    torch.testing.assert_close(y, draws[:, 0], rtol=0, atol=0)


@pytest.mark.parametrize("kind", FAMILIES.values())
@pytest.mark.parametrize("spread", [0.3, 30.0])
@pytest.mark.parametrize("shape", [(1, 3000, 3), (1500, 1, 4), (7, 11, 300)])
def test_a_draw_is_the_same_whatever_is_drawn_beside_it(kind, spread, shape):
    n, k, d = shape
    law = _random(kind, n, 5, d)
    location = law.parameters[0] * (spread if kind is GaussianMixture else 1.0)
    law = kind(*(p.float() for p in (location, *law.parameters[1:])))
    z = torch.randn(n, k, d, generator=torch.Generator().manual_seed(0))
    together = law.from_normal(z)
    for row, sample in ((0, 0), (n - 1, k - 1), (n // 2, k // 2)):
        alone = law.rows([row]).from_normal(z[row : row + 1, sample : sample + 1])
        torch.testing.assert_close(
            together[row, sample], alone[0, 0], atol=1e-4, rtol=1e-5
        )


@EVERY_LAW
def test_what_is_missing_stays_missing(name):
    law, lost = _law(name, n=2), torch.tensor([[torch.nan], [1.0]]).double()
    for answer in (law.log_density(lost), law.cdf(lost), *law.normal_scores(lost)):
        assert torch.isnan(answer).flatten().tolist() == [True, False]


@EVERY_LAW
def test_densities_have_gradients(name):
    law = _law(name, n=3)
    params = [p.clone().requires_grad_() for p in law.parameters]
    y = law.from_normal(torch.tensor([[[-1.0]], [[0.3]], [[1.5]]]).double())[:, 0]
    answers = ["log_density", "cdf", "normal_scores"]
    if law.is_discrete:
        y = y + torch.tensor([[0.0], [0.0], [40.0]])  # walked to, and far out
    for answer in answers:

        def function(*params, answer=answer):
            return getattr(type(law)(*params), answer)(y)

        assert torch.autograd.gradcheck(function, params, rtol=1e-4, atol=1e-7)
    assert torch.autograd.gradcheck(lambda *p: type(law)(*p).mean, params)
    assert torch.autograd.gradcheck(lambda *p: type(law)(*p).variance, params)


@pytest.mark.parametrize("kind", FAMILIES.values())
def test_what_does_not_fit_is_refused(kind):
    law = _random(kind)
    with pytest.raises(ValueError, match="shapes"):
        kind(law.parameters[0][:, :1], *law.parameters[1:])
    with pytest.raises(ValueError, match=r"log_weights has 1 entries, expected 2"):
        kind.pool([law, law], torch.zeros(1))
    with pytest.raises(ValueError, match="m is 2, expected a divisor of the 5"):
        law.merged(2)
    with pytest.raises(ValueError, match=r"levels .* expected in \(0, 1\)"):
        law.quantile(torch.tensor([0.5, 1.0]))


# -- real values ---------------------------------------------------------------


@EVERY_GAUSSIAN
def test_gaussian_densities_and_scores_are_those_of_scipy(name):
    loc, scale, weight = map(np.array, GAUSSIAN[name])
    law = _law(name)
    y = law.from_normal(_grid(end=6.0))[0]
    u = (y.numpy() - loc) / scale
    density = (weight * stats.norm.pdf(u) / scale).sum(1)
    laws = law.rows([0] * len(y))
    np.testing.assert_allclose(laws.log_density(y)[:, 0], np.log(density), rtol=1e-9)
    np.testing.assert_allclose(
        law.cdf(y[None])[0, :, 0], (weight * stats.norm.cdf(u)).sum(1), rtol=1e-9
    )
    score, _ = laws.normal_scores(y)
    np.testing.assert_allclose(score[:, 0], _grid(end=6.0)[0, :, 0], atol=1e-7)


@EVERY_GAUSSIAN
@EVERY_DTYPE
def test_scores_keep_their_digits_in_both_tails(name, dtype):
    z = torch.tensor([-10.0, -8.0, -6.0, 6.0, 8.0, 10.0], dtype=dtype)
    law = _law(name, dtype)
    y = law.from_normal(z[None, :, None])[0]
    score, _ = law.rows([0] * 6).normal_scores(y)
    torch.testing.assert_close(score[:, 0], z, rtol=1e-4, atol=0)


def test_quantiles_of_the_narrowest_components_are_found():
    rng = np.random.default_rng(0)
    loc, log_scale = 5 * rng.normal(size=(500, 6, 1)), rng.uniform(-6, 2, (500, 6, 1))
    weight = rng.dirichlet(np.ones(6), 500)[..., None]
    z = torch.from_numpy(rng.normal(size=(500, 50, 1)))
    law = GaussianMixture(*map(torch.from_numpy, (loc, log_scale, np.log(weight))))
    for exact, atol in ((law, 1e-10), (_single(law), 5e-3)):
        y = exact.from_normal(z.to(exact.loc)).double()
        torch.testing.assert_close(law.cdf(y), torch.special.ndtr(z), atol=atol, rtol=0)


def _single(law):
    return type(law)(*(p.float() for p in law.parameters))


def test_one_gaussian_is_affine():
    law = _law("one", torch.float32)
    z = torch.linspace(-30, 30, 19)
    y = law.from_normal(z[None, :, None])[0]
    torch.testing.assert_close(y[:, 0], 0.7 + 1.3 * z, rtol=1e-6, atol=1e-6)
    low, _ = law.rows([0] * 19).normal_scores(y)
    torch.testing.assert_close(low[:, 0], z, rtol=1e-5, atol=1e-5)


@EVERY_GAUSSIAN
def test_draws_have_gradients(name):
    params = [p.clone().requires_grad_() for p in _law(name, n=2).parameters]
    z = torch.tensor([-4.0, -2.1, -1.0, -0.2, 0.1, 0.6, 2.0, 4.0]).double()
    z = z.view(2, 4, 1).requires_grad_()

    def draw(z, *params):
        return GaussianMixture(*params).from_normal(z)

    # The numerical derivative of a steep draw is the less exact one.
    assert torch.autograd.gradcheck(draw, (z, *params), rtol=1e-4, atol=1e-6)
    levels = torch.tensor([0.03, 0.4, 0.8]).double()

    def quantile(*params):
        return GaussianMixture(*params).quantile(levels)

    assert torch.autograd.gradcheck(quantile, params, rtol=1e-4, atol=1e-6)


@EVERY_DTYPE
def test_gradients_in_an_empty_gap_are_finite(dtype):
    params = [p.requires_grad_() for p in _law("bimodal", dtype).parameters]
    z = torch.zeros(1, 1, 1, dtype=dtype, requires_grad=True)
    wide = params[0] * 100, *params[1:]
    GaussianMixture(*wide).from_normal(z).sum().backward()
    for tensor in (z, *params):
        assert torch.isfinite(tensor.grad).all()


def test_gradients_need_nothing_where_none_are_asked_for():
    params = [p.requires_grad_() for p in _law("bimodal").parameters]
    law = GaussianMixture(*params)
    with torch.no_grad():
        assert law.from_normal(_grid()).grad_fn is None
    assert law.from_normal(_grid()).grad_fn is not None
    with torch.inference_mode():
        assert law.from_normal(_grid()).is_inference()


@pytest.mark.parametrize("name", ["skewed", "bimodal"])
def test_draws_have_second_derivatives(name):
    params = [p.clone().requires_grad_() for p in _law(name).parameters]
    z = torch.tensor([-1.3, 0.4]).double().view(1, 2, 1).requires_grad_()
    draw = lambda z, *params: GaussianMixture(*params).from_normal(z)  # noqa: E731
    assert torch.autograd.gradgradcheck(draw, (z, *params), rtol=1e-3, atol=1e-5)


# -- counts --------------------------------------------------------------------


def _masses(name, count):
    mean, size, weight = map(np.array, COUNTS[name])
    law = stats.nbinom(size, size / (size + mean))
    return (weight * law.pmf(np.asarray(count)[:, None])).sum(-1)


@EVERY_COUNT
@pytest.mark.parametrize(
    ("dtype", "rtol"), [(torch.float64, 1e-6), (torch.float32, 1e-4)]
)
def test_count_density_is_that_of_scipy(name, dtype, rtol):
    y = torch.cat([torch.arange(60.0), torch.tensor([100.0, 1000.0, 12345.0])])
    ours = _law(name, dtype, n=len(y)).log_density(y[:, None].to(dtype))[:, 0]
    mass = _masses(name, y.numpy())
    possible = mass > 1e-290
    expected = np.log(mass[possible])
    np.testing.assert_allclose(ours[possible], expected, rtol=rtol, atol=rtol)


@EVERY_DTYPE
@pytest.mark.parametrize("mean", [0.5, 1e4, 1e9, 1e10])
@pytest.mark.parametrize("size", [0.3, 5.0, 1e6, 1e12])
def test_count_density_of_enormous_counts(dtype, mean, size):
    mpmath = pytest.importorskip("mpmath")
    log_mean, log_size = torch.tensor([mean, size]).log().to(dtype).view(2, 1, 1, 1)
    law = CountMixture(log_mean, log_size, torch.zeros_like(log_mean))
    rtol = 1e-6 if dtype == torch.float64 else 1e-4
    with mpmath.workdps(50):
        m, r = (mpmath.exp(mpmath.mpf(float(p))) for p in (log_mean, log_size))
        for y in (7, 10**5, 10**10):
            expected = (
                mpmath.loggamma(y + r) - mpmath.loggamma(r) - mpmath.loggamma(y + 1)
            ) + (r * mpmath.log(r / (r + m)) + y * mpmath.log(m / (r + m)))
            ours = law.log_density(torch.tensor([[float(y)]], dtype=torch.float64))
            assert float(ours) == pytest.approx(float(expected), rel=rtol)


@EVERY_COUNT
def test_what_is_no_count_has_no_probability(name):
    y = torch.tensor([-1.0, 1.5, 0.3, 16.5, torch.inf, -torch.inf])[:, None].double()
    assert (_law(name, n=len(y)).log_density(y) == -torch.inf).all()


@EVERY_COUNT
def test_probabilities_sum_to_one(name):
    y = torch.arange(60000.0, dtype=torch.float64)[:, None]
    law = _law(name).rows([0] * len(y))
    total = law.log_density(y).exp().sum()
    assert float(total) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("mean", [0.01, 1.0, 40.0, 300.0, 1e4, 1e6])
@pytest.mark.parametrize("size", [0.1, 1.0, 20.0, 1e5])
def test_count_quantiles_are_those_of_scipy(mean, size):
    law = CountMixture(*torch.tensor([mean, size, 1.0]).double().log().view(3, 1, 1, 1))
    # The law of what the logarithms round to.
    mean, size = law.log_mean.exp().item(), law.log_size.exp().item()
    z = _grid(end=7.0)[0, ::8, 0]
    ours = law.from_normal(z[None, :, None])[0, :, 0]
    scipy = stats.nbinom(size, size / (size + mean))
    below = scipy.ppf(stats.norm.cdf(z))
    expected = np.where(z < 0, below, scipy.isf(stats.norm.sf(z)))
    np.testing.assert_array_equal(ours, expected)
    at = torch.arange(51, dtype=torch.float64)[None, :, None] * mean / 10
    np.testing.assert_allclose(
        law.cdf(at)[0, :, 0], scipy.cdf(at[0, :, 0].floor()), rtol=1e-9
    )


@EVERY_COUNT
def test_counts_in_single_precision_miss_by_little_at_a_step_only(name):
    z = _grid(torch.float32)
    ours = _law(name, torch.float32).from_normal(z).double()
    exact = _law(name).from_normal(z.double())
    assert ((ours - exact).abs() <= 1 + 1e-6 * exact).all()
    assert (ours != exact).double().mean() < 0.02


def test_extreme_scores_of_large_counts_are_no_zeros():
    law = _single(_law("huge"))
    y = law.from_normal(torch.tensor([[[-30.0], [-7.0], [7.0], [30.0]]]))[0, :, 0]
    assert (y[:2] > 10).all() and torch.isfinite(y).all() and (y.diff() > 0).all()


@EVERY_COUNT
def test_scores_of_counts_touch_and_keep_their_digits(name):
    mean, size, weight = map(np.array, COUNTS[name])
    y = torch.cat([torch.arange(50.0), torch.tensor([200.0, 201.0, 9000.0, 9001.0])])
    low, high = _law(name, n=len(y)).normal_scores(y[:, None].double())
    torch.testing.assert_close(low[1:50], high[:49], rtol=1e-9, atol=1e-9)
    scipy = stats.nbinom(size, size / (size + mean))
    below = (weight * scipy.cdf(y[:, None])).sum(1)
    above = (weight * scipy.sf(y[:, None])).sum(1)
    with np.errstate(divide="ignore"):
        score = np.where(below < above, special.ndtri(below), -special.ndtri(above))
    np.testing.assert_allclose(high[:, 0], score.clip(-12, 12), rtol=1e-6, atol=1e-9)
    assert float(low[0]) == pytest.approx(-12)


@EVERY_COUNT
def test_random_scores_of_counts_are_standard_normal(name):
    rng = np.random.default_rng(0)
    z = torch.from_numpy(rng.normal(size=(1, 20000, 1))).float()
    law = _single(_law(name))
    y = law.from_normal(z)[0]
    low, high = law.rows([0] * len(y)).normal_scores(y)
    ends = stats.norm.cdf(torch.cat([low, high], 1).double())
    score = stats.norm.ppf(rng.uniform(ends[:, 0], ends[:, 1]))
    assert stats.kstest(score, "norm").pvalue > 1e-3


@EVERY_DTYPE
def test_scores_of_counts_that_never_occur_are_finite(dtype):
    y = torch.tensor([60.0, 200.0, 0.0, 1e9], dtype=dtype)[:, None]
    for mean, size in ((0.6, 5.0), (0.01, 50.0), (90.0, 50.0)):
        logs = torch.tensor([mean, size, 1.0], dtype=dtype).log()
        law = CountMixture(*logs.view(3, 1, 1, 1).expand(3, 4, 1, 1))
        for end in law.normal_scores(y):
            assert torch.isfinite(end).all()


def test_draws_of_counts_refuse_gradients():
    law = CountMixture(*(p.requires_grad_() for p in _law("mixture").parameters))
    with pytest.raises(RuntimeError, match="draws of counts have no gradient"):
        law.from_normal(_grid())
    with pytest.raises(RuntimeError, match="draws of counts have no gradient"):
        _law("mixture").from_normal(_grid().requires_grad_())
    with torch.no_grad():
        assert torch.isfinite(law.from_normal(_grid())).all()
