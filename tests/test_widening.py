"""A law is wider where a stimulus lies outside its training range."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from afm_sklearn import AFMForecaster, OutOfDistributionWarning, crps, design_matrix
from afm_sklearn.law.additive import AdditiveDistribution
from afm_sklearn.law.errors import GaussianErrors
from afm_sklearn.law.frame import Frame
from afm_sklearn.law.residual import FramedDistribution
from afm_sklearn.law.widening import DISTANCES, Widened, Widening

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
warns = pytest.mark.filterwarnings("ignore::afm_sklearn.OutOfDistributionWarning")


def ramps(n=1000, d=6, seed=0):
    """Activity that follows tanh of a stimulus, and rows in which it is below .5."""
    rng = np.random.default_rng(seed)
    stimulus = np.sin(np.arange(n) * 0.07 + 2 * np.sin(np.arange(n) * 0.011))[:, None]
    center, gain = rng.uniform(-1, 1, d), rng.uniform(1, 2, d)
    mean = gain * np.tanh((stimulus - center) / 0.4)
    activity = mean + 0.3 * rng.normal(size=(n, d))
    return activity, stimulus, stimulus[:, 0] < 0.5


@pytest.fixture(scope="module")
def fitted():
    activity, stimulus, inside = ramps()
    X = design_matrix(activity, stimulus)
    model = AFMForecaster(random_state=0, base="learned", max_epochs=15)
    return model.fit(X[inside], activity[inside]), X, activity, inside


def test_a_forecast_that_follows_the_stimulus_is_wider_the_farther_outside(fitted):
    model, X, _, inside = fitted
    row = X[inside][-1:].repeat(5, 0)
    low, high = X[inside, -1].min(), X[inside, -1].max()
    row[:, -1] = high + (high - low) * np.array([0.0, 0.11, 0.3, 0.6, 1.0])
    with pytest.warns(OutOfDistributionWarning):
        ends = model.predict_interval(row)
    width = (ends[:, 1] - ends[:, 0]).mean(1)
    # The forecast itself hardly moves on beyond a tenth of the range.
    assert (np.diff(width) > 0).all()
    assert width[-1] > 1.5 * width[0]


@warns
def test_intervals_cover_what_happens_outside(fitted):
    model, X, activity, inside = fitted
    X, y = X[~inside][::4], activity[~inside][::4]
    ends = model.predict_interval(X)
    is_within = (y >= ends[:, 0]) & (y <= ends[:, 1])
    assert is_within.mean() > 0.8


@warns
def test_draws_quantiles_and_probabilities_tell_of_the_same_law(fitted):
    model, X, _, inside = fitted
    windows = torch.as_tensor(X[~inside][:3, None])
    p = model.law_.in_double().start(windows).predict()
    assert isinstance(p, Widened)
    generator = torch.Generator().manual_seed(0)
    draws = p.rsample(20_000, generator=generator)
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    quantiles = p.quantile(levels)
    share = (draws[:, None] <= quantiles[:, :, None]).double().mean(2)
    torch.testing.assert_close(
        share, levels[None, :, None].expand_as(share), atol=0.015, rtol=0
    )
    for k, level in enumerate(LEVELS):
        at = p.cdf(quantiles[:, k])
        torch.testing.assert_close(at, torch.full_like(at, level), atol=2e-3, rtol=0)
    torch.testing.assert_close(p.mean, draws.mean(1), atol=0.05, rtol=0)


@warns
def test_a_stimulus_given_later_widens_as_one_in_the_window_does(fitted):
    model, X, _, inside = fitted
    law = model.law_.in_double()
    there = torch.as_tensor(X[~inside][:4, None])
    here = there.clone()
    here[:, :, -1] = float(X[inside, -1].mean())
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    later = law.start(here).predict(there[:, -1, -1:]).quantile(levels)
    torch.testing.assert_close(later, law.start(there).predict().quantile(levels))


def test_inside_the_range_nothing_is_widened(fitted):
    model, X, _, inside = fitted
    p = model.law_.start(torch.as_tensor(X[inside][:5, None])).predict()
    assert not isinstance(p, Widened)


def test_a_widened_gaussian_is_the_wider_gaussian():
    frame = Frame(2, 1, is_autoregressive=True, is_shifted=True)
    errors = GaussianErrors(torch.full((1,), 0.5), torch.eye(1)).double()
    location = torch.tensor([[2.0], [-1.0]]).double()
    own = FramedDistribution(AdditiveDistribution(location, errors), frame, None)
    p = Widened(own, torch.tensor([[3.0], [1.0]]).double())
    wide = norm(location.numpy(), [[1.5], [0.5]])
    y = torch.tensor([[3.0], [-0.2]]).double()
    np.testing.assert_allclose(p.cdf(y), wide.cdf(y))
    np.testing.assert_allclose(p.log_prob(y), wide.logpdf(y)[:, 0])
    np.testing.assert_allclose(p.log_prob_by_channel(y), wide.logpdf(y))
    np.testing.assert_allclose(p.mean, location)
    quantiles = p.quantile(torch.tensor(LEVELS).double())
    np.testing.assert_allclose(quantiles[..., 0], wide.ppf(LEVELS), rtol=1e-6)


@warns
def test_widening_improves_the_score_outside():
    activity, stimulus, inside = ramps(seed=1)
    X = design_matrix(activity, stimulus)
    model = AFMForecaster(random_state=0, base="learned", max_epochs=15)
    model.fit(X[inside], activity[inside])
    scores = []
    for _ in range(2):
        draws = model.sample(X[~inside], 200, random_state=0)
        scores.append(crps(activity[~inside], draws).mean())
        for name, values in model.law_.state_dict().items():
            if name.endswith("widening.excess"):
                values.zero_()
    assert scores[0] < scores[1]


def test_a_stimulus_without_effect_widens_little():
    rng = np.random.default_rng(0)
    activity, stimulus = rng.normal(size=(600, 3)), rng.uniform(size=(600, 2))
    X = design_matrix(activity, stimulus)
    model = AFMForecaster(random_state=0, base="linear").fit(X, activity)
    assert float(model.law_.frame.widening.excess.max()) < 0.05


def test_the_variance_added_is_interpolated_and_that_of_the_worst_channel():
    widening = Widening(3)
    widening.excess[1] = torch.tensor([0.0, 1.0, 3.0, 3.0, 3.0, 3.0]).double()
    widening.excess[2] = 2 * torch.tensor(DISTANCES).double()
    outside = torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.0, 0.4], [9.0, 9.0]]).double()
    expected = torch.tensor([0.0, 2.0, 0.8, 3.0]).double()
    torch.testing.assert_close(widening(outside), expected)
