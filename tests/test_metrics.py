"""Scores agree with other libraries and closed forms, and are proper."""

import tracemalloc

import numpy as np
import properscoring
import pytest
import scoringrules
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from afm_sklearn.metrics import (
    coverage,
    crps,
    crps_gaussian,
    crps_sum,
    energy_score,
    pinball_loss,
    pit,
    variogram_score,
    weighted_quantile_loss,
)

SAMPLE_SCORES = [crps, energy_score, variogram_score]
ALL_SAMPLE_FUNCTIONS = [*SAMPLE_SCORES, coverage, pit, weighted_quantile_loss, crps_sum]
EXACT = {"rtol": 1e-6, "atol": 1e-9}


@st.composite
def forecasts(draw, max_variables=6):
    """Observations (n, d) and draws (n, m, d), of any scale, with or without ties."""
    n, m = draw(st.integers(1, 5)), draw(st.integers(2, 30))
    d = draw(st.integers(1, max_variables))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y, samples = rng.normal(size=(n, d)), rng.normal(size=(n, m, d))
    if draw(st.booleans()):
        y, samples = y.round(), samples.round()
    offset, scale = draw(st.sampled_from([(0, 1), (100, 0.1), (-3, 1e3)]))
    return offset + scale * y, offset + scale * samples


# Agreement with other libraries


@settings(deadline=None, max_examples=50)
@given(forecasts(), st.sampled_from(["fair", "nrg"]))
def test_agrees_with_scoringrules(forecast, estimator):
    y, samples = forecast
    options = {"estimator": estimator, "backend": "numpy"}
    theirs = scoringrules.crps_ensemble(y, samples, m_axis=1, **options)
    np.testing.assert_allclose(crps(y, samples, estimator=estimator), theirs, **EXACT)
    theirs = scoringrules.es_ensemble(y, samples, **options)
    ours = energy_score(y, samples, estimator=estimator)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7 * np.ptp(samples))
    for p in (0.5, 1.0, 2.0):
        theirs = scoringrules.vs_ensemble(y, samples, p=p, **options)
        ours = variogram_score(y, samples, p, estimator=estimator)
        atol = 1e-9 * np.ptp(samples) ** (2 * p)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=atol)


@settings(deadline=None, max_examples=50)
@given(forecasts())
def test_agrees_with_properscoring(forecast):
    y, samples = forecast
    theirs = properscoring.crps_ensemble(y, samples, axis=1)
    np.testing.assert_allclose(crps(y, samples, estimator="nrg"), theirs, **EXACT)


@settings(deadline=None, max_examples=50)
@given(forecasts())
def test_pinball_loss_agrees_with_scoringrules(forecast):
    y, quantiles = forecast
    alpha = np.linspace(0.01, 0.99, quantiles.shape[1])
    ours = pinball_loss(y, quantiles, alpha)
    theirs = scoringrules.quantile_score(
        y[:, None], quantiles, alpha[:, None], backend="numpy"
    )
    np.testing.assert_allclose(ours, theirs, **EXACT)


def test_weighted_quantile_loss_is_the_published_one():
    """Spelled out from the definition in GluonTS, entry by entry."""
    rng = np.random.default_rng(0)
    y, samples = rng.normal(1, 2, (7, 3, 2)), rng.normal(1, 2, (7, 40, 3, 2))
    y[2, 1, 0] = np.nan
    losses = []
    for q in np.arange(1, 20) / 20:
        forecast = np.sort(samples, axis=1)[:, int(np.round(39 * q))]
        loss = 2 * np.abs((forecast - y) * ((y <= forecast) - q))
        losses.append(np.nansum(loss) / np.nansum(np.abs(y)))
    assert weighted_quantile_loss(y, samples) == pytest.approx(np.mean(losses))
    summed = weighted_quantile_loss(y.sum(-1), samples.sum(-1))
    assert crps_sum(y, samples) == pytest.approx(summed)


# Closed forms


def test_gaussian_closed_form():
    rng = np.random.default_rng(0)
    y, mean, scale = rng.normal(size=(3, 50))
    scale = np.abs(scale) + 0.1
    theirs = scoringrules.crps_normal(y, mean, scale, backend="numpy")
    np.testing.assert_allclose(crps_gaussian(y, mean, scale), theirs, **EXACT)
    grid = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    samples = mean[:, None] + scale[:, None] * grid
    np.testing.assert_allclose(crps(y, samples), theirs, rtol=1e-3)


@pytest.mark.parametrize("m", [2, 3, 20])
def test_fair_is_unbiased_and_nrg_is_too_high(m):
    rng = np.random.default_rng(m)
    samples = rng.normal(size=(20_000, m, 3))
    y = np.broadcast_to([0.0, 1.0, -2.0], (20_000, 3))
    exact = crps_gaussian(y[0], 0.0, 1.0)
    for estimator, bias in (("fair", 0.0), ("nrg", 1 / (m * np.sqrt(np.pi)))):
        scores = crps(y, samples, estimator=estimator)
        error = scores.std(axis=0) / np.sqrt(len(y))
        assert (np.abs(scores.mean(axis=0) - exact - bias) < 4 * error).all()


def test_energy_score_of_one_variable_is_the_crps():
    rng = np.random.default_rng(0)
    y, samples = rng.normal(size=9), rng.normal(size=(9, 20))
    np.testing.assert_allclose(energy_score(y, samples), crps(y, samples))


def test_energy_score_of_a_gaussian():
    """In d dimensions E|X - X'| is sqrt(2) E|X|, and E|X| the mean of a chi."""
    rng, d = np.random.default_rng(0), 10
    scores = energy_score(np.zeros((4000, d)), rng.normal(size=(4000, 20, d)))
    exact = stats.chi(d).mean() * (1 - np.sqrt(0.5))
    assert abs(scores.mean() - exact) < 4 * scores.std() / np.sqrt(len(scores))


def test_variogram_score_of_a_gaussian():
    """For p = 2 the variogram of white noise is 2 between any two variables."""
    rng = np.random.default_rng(0)
    y = np.broadcast_to([0.0, 1.0, 3.0], (20_000, 3))
    scores = variogram_score(y, rng.normal(size=(20_000, 5, 3)), p=2)
    exact = 2 * ((1 - 2) ** 2 + (9 - 2) ** 2 + (4 - 2) ** 2)
    assert abs(scores.mean() - exact) < 4 * scores.std() / np.sqrt(len(scores))


# Propriety


@pytest.mark.parametrize("score", SAMPLE_SCORES)
@pytest.mark.parametrize("change", ["shifted", "wide", "narrow", "independent"])
def test_true_law_scores_best(score, change):
    rng = np.random.default_rng(0)
    n, m = 5000, 30
    mix = np.array([[1.0, 0.0], [0.95, 0.3]])
    y, samples = rng.normal(size=(n, 2)) @ mix.T, rng.normal(size=(n, m, 2)) @ mix.T
    others = {
        "shifted": samples + np.array([0.5, 0.0]),
        "wide": 1.5 * samples,
        "narrow": samples / 1.5,
        "independent": np.concatenate([samples[..., :1], samples[::-1, :, 1:]], -1),
    }
    worse_by = score(y, others[change]) - score(y, samples)
    worse_by = worse_by.reshape(n, -1).mean(axis=1)
    bar = 2 * worse_by.std() / np.sqrt(n)
    blind = score is crps and change == "independent"
    assert abs(worse_by.mean()) < bar if blind else worse_by.mean() > bar


# Calibration


@pytest.mark.parametrize("m", [19, 100])
def test_coverage_of_a_perfect_forecast_is_nominal(m):
    rng = np.random.default_rng(0)
    y, samples = rng.normal(size=(20_000, 1, 2)), rng.normal(size=(20_000, m, 1, 2))
    levels = np.array([0.5, 0.8, 0.9])
    observed = coverage(y, samples, levels)
    assert observed.shape == (3, 1, 2)
    bar = 4 * np.sqrt(levels * (1 - levels) / len(y))
    assert (np.abs(observed - levels[:, None, None]) < bar[:, None, None]).all()
    np.testing.assert_array_equal(coverage(y, samples, 0.8), observed[1])


def test_coverage_leaves_missing_observations_out():
    samples = np.tile(np.linspace(-1, 1, 41), (4, 1))
    assert coverage([0.0, np.nan, 5.0, 0.1], samples) == pytest.approx(2 / 3)
    assert np.isnan(coverage(np.full(4, np.nan), samples))


@pytest.mark.parametrize("law", ["normal", "poisson"])
def test_pit_of_a_perfect_forecast_is_uniform(law):
    rng = np.random.default_rng(0)
    draw = getattr(rng, law)
    values = pit(draw(size=(5000, 2)), draw(size=(5000, 20, 2)), random_state=0)
    assert values.shape == (5000, 2)
    assert stats.kstest(values.ravel(), "uniform").pvalue > 0.01


def test_pit_is_random_only_by_its_argument():
    rng = np.random.default_rng(0)
    y, samples = rng.poisson(size=50), rng.poisson(size=(50, 10))
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    np.testing.assert_array_equal(
        pit(y, samples, random_state=1), pit(y, samples, random_state=1)
    )
    assert not np.array_equal(pit(y, samples), pit(y, samples))
    for generator in (np.random.RandomState, np.random.default_rng):
        one, two = (pit(y, samples, random_state=generator(0)) for _ in range(2))
        np.testing.assert_array_equal(one, two)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# Shapes and missing values


@pytest.mark.parametrize("shape", [(6,), (6, 3), (6, 4, 3)])
def test_shapes(shape):
    rng = np.random.default_rng(0)
    y, samples = rng.normal(size=shape), rng.normal(size=(6, 10, *shape[1:]))
    assert crps(y, samples).shape == pit(y, samples).shape == shape
    assert energy_score(y, samples).shape == variogram_score(y, samples).shape == (6,)
    assert coverage(y, samples).shape == shape[1:]
    assert isinstance(weighted_quantile_loss(y, samples), float)
    flat = samples.reshape(6, 10, -1)
    for score in (energy_score, variogram_score):
        np.testing.assert_allclose(score(y, samples), score(y.reshape(6, -1), flat))


@pytest.mark.parametrize("score", [*SAMPLE_SCORES, pit])
def test_missing_observations_and_forecasts_have_no_score(score):
    rng = np.random.default_rng(0)
    y, samples = rng.normal(size=(5, 3)), rng.normal(size=(5, 10, 3))
    expected = np.zeros((5, 3), bool)
    expected[0, 1] = expected[3] = True
    y[0, 1], samples[3] = np.nan, np.nan
    options = {"random_state": 0} if score is pit else {}
    scores = score(y, samples, **options)
    expected = expected if scores.ndim == 2 else expected.any(axis=1)
    np.testing.assert_array_equal(np.isnan(scores), expected)


@pytest.mark.parametrize("score", SAMPLE_SCORES)
def test_what_a_mask_hides_is_missing(score):
    rng = np.random.default_rng(0)
    y, samples = rng.normal(size=(5, 3)), rng.normal(size=(5, 10, 3))
    hidden = np.where(rng.random((5, 3)) < 0.3, np.nan, y)
    masked = np.ma.array(y, mask=np.isnan(hidden))
    np.testing.assert_array_equal(score(masked, samples), score(hidden, samples))


@pytest.mark.parametrize("function", ALL_SAMPLE_FUNCTIONS)
def test_inputs_stay_as_they_are(function):
    rng = np.random.default_rng(0)
    y, samples = rng.normal(size=(5, 3)), rng.normal(size=(5, 10, 3))
    y_before, samples_before = y.copy(), samples.copy()
    function(y, samples)
    np.testing.assert_array_equal(y, y_before)
    np.testing.assert_array_equal(samples, samples_before)


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_any_real_dtype(dtype):
    rng = np.random.default_rng(0)
    samples = (10 * rng.normal(size=(5, 10, 3))).astype(dtype)
    y = samples[:, 0]
    for score in SAMPLE_SCORES:
        exact = score(y.astype(float), samples.astype(float))
        np.testing.assert_array_equal(score(y, samples), exact)


# Bad input


@pytest.mark.parametrize("function", ALL_SAMPLE_FUNCTIONS)
def test_errors_name_the_argument(function):
    y, samples = np.ones((4, 3)), np.zeros((4, 10, 3))
    with pytest.raises(ValueError, match=r"samples .*\(4, n_samples, 3\).*got \(4, 3"):
        function(y, np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"samples .*got \(5, 10, 3\)"):
        function(y, np.zeros((5, 10, 3)))
    with pytest.raises(ValueError, match="samples"):
        function(y, np.zeros((4, 0, 3)))
    with pytest.raises(ValueError, match="y must have shape"):
        function(np.float64(1), samples)
    with pytest.raises(TypeError, match="samples must hold real numbers"):
        function(y, samples.astype(complex))
    bad = samples.copy()
    bad[1, 2, 0] = np.inf
    with pytest.raises(ValueError, match="samples must be finite"):
        function(y, bad)
    bad[1, 2, 0] = np.nan
    with pytest.raises(ValueError, match="samples must be free of NaN"):
        function(y, bad)
    with pytest.raises(ValueError, match="y must be finite"):
        function(np.full((4, 3), np.inf), samples)


@pytest.mark.parametrize("score", SAMPLE_SCORES)
def test_estimator_is_checked(score):
    y, samples = np.zeros((4, 3)), np.zeros((4, 1, 3))
    with pytest.raises(ValueError, match="estimator must be 'fair' or 'nrg'"):
        score(y, samples, estimator="unbiased")
    with pytest.raises(ValueError, match="at least 2 samples"):
        score(y, samples)
    assert (score(y, samples, estimator="nrg") == 0).all()


def test_other_arguments_are_checked():
    y, samples = np.zeros(4), np.zeros((4, 5))
    for level in (0.0, 1.0, 90, [[0.5]], "a", None, ()):
        with pytest.raises(ValueError, match="level must hold numbers between 0 and 1"):
            coverage(y, samples, level)
    for p in (0, np.inf, np.nan, "a", None):
        with pytest.raises(ValueError, match="p must be a positive number"):
            variogram_score(y, samples, p=p)
    with pytest.raises(ValueError, match="scale must be positive"):
        crps_gaussian(y, 0.0, 0.0)
    with pytest.raises(ValueError, match="mean must broadcast"):
        crps_gaussian(y, np.zeros(3), 1.0)
    for alpha in (np.linspace(0, 1, 5), "a"):
        with pytest.raises(ValueError, match="alpha must hold numbers"):
            pinball_loss(y, samples, alpha)
    with pytest.raises(ValueError, match="quantiles must hold numbers"):
        weighted_quantile_loss(y, samples, "a")
    for bad in ("a", -1, 2**40, 1.5):
        with pytest.raises(ValueError, match="random_state must be None, an integer"):
            pit(y, samples, random_state=bad)
    with pytest.raises(ValueError, match="y must be an array of numbers"):
        crps([[1.0], [1.0, 2.0]], samples)
    with pytest.raises(ValueError, match="quantile_forecasts must have shape"):
        pinball_loss(y, samples, [0.1, 0.9])
    with pytest.raises(ValueError, match="observation other than 0"):
        weighted_quantile_loss(y, samples)
    with pytest.raises(ValueError, match="forecast of every observation"):
        weighted_quantile_loss(y + 1, np.full((4, 5), np.nan))
    with pytest.raises(ValueError, match="axis of variables"):
        crps_sum(y, samples)


# Memory


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (crps, (100_000, 1000)),
        (coverage, (20_000, 1000)),
        (pit, (20_000, 1000)),
        (energy_score, (500, 200, 50)),
        (variogram_score, (200, 200, 50)),
    ],
)
def test_memory_is_bounded(function, shape):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(shape[0], *shape[2:]))
    # All rows share their draws: the samples themselves take no memory here.
    samples = np.broadcast_to(rng.normal(size=shape[1:]), shape)
    tracemalloc.start()
    try:
        function(y, samples)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 * 2**20
