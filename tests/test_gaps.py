import numpy as np
import pytest
import torch

from afm_sklearn import AFMForecaster, crps, design_matrix
from afm_sklearn.data.store import WindowStore
from afm_sklearn.data.windows import Windows
from afm_sklearn.datasets import make_linear_var
from afm_sklearn.fitting.gaps import learn_gaps
from afm_sklearn.law.gaps import Gaps

NAN = float("nan")
MEMORY = (0.9, -0.6, 0.0)
PATTERNS = {
    "between": [2, 3],
    "newest": [5, 6],
    "oldest": [0, 1, 2],
    "all": list(range(7)),
    "several": [0, 2, 3, 6],
}


def _gaps(memory=MEMORY, root=None):
    gaps = Gaps(len(memory))
    gaps.memory.copy_(torch.tensor(memory))
    if root is not None:
        gaps.root.copy_(torch.as_tensor(root))
    return gaps.double()


def _windows(lost, n=1, channels=3):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 7, channels, generator=generator, dtype=torch.float64)
    x[:, lost] = NAN
    return x.expand(n, -1, -1).clone()


def _conditional(memory, x, lost):
    """Mean and covariance of lost steps of an AR(1) process, given the others."""
    steps = np.arange(len(x))
    # memory to the power of the lag, also for a memory of zero
    covariance = np.power(float(memory), np.abs(steps[:, None] - steps))
    known = np.setdiff1d(steps, lost)
    across = covariance[np.ix_(lost, known)]
    weights = across @ np.linalg.inv(covariance[np.ix_(known, known)])
    return weights @ x[known], covariance[np.ix_(lost, lost)] - weights @ across.T


@pytest.mark.parametrize("lost", PATTERNS.values(), ids=PATTERNS)
def test_gaps_are_filled_with_their_conditional_mean(lost):
    x = _windows(lost)
    filled, missing = _gaps().fill(x)
    for channel, memory in enumerate(MEMORY):
        mean, _ = _conditional(memory, x[0, :, channel].numpy(), lost)
        np.testing.assert_allclose(filled[0, lost, channel], mean, atol=1e-6)
    torch.testing.assert_close(missing, torch.isnan(x).double())
    known = ~torch.isnan(x)
    assert torch.equal(filled[known], x[known])


@pytest.mark.parametrize("lost", PATTERNS.values(), ids=PATTERNS)
def test_draws_have_the_conditional_law(lost):
    n = 40_000
    x = _windows(lost, n)
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    drawn = _gaps().draw(x, noise)
    assert torch.isfinite(drawn).all()
    for channel, memory in enumerate(MEMORY):
        mean, covariance = _conditional(memory, x[0, :, channel].numpy(), lost)
        found = drawn[:, lost, channel].numpy()
        np.testing.assert_allclose(found.mean(0), mean, atol=0.03)
        np.testing.assert_allclose(
            np.cov(found.T).reshape(covariance.shape), covariance, atol=0.03
        )
    known = ~torch.isnan(x)
    assert torch.equal(drawn[known], x[known])


def test_draws_share_the_correlation_between_channels():
    root = np.linalg.cholesky(np.array([[1.0, 0.8], [0.8, 1.0]]))
    x = _windows([5, 6], 40_000, channels=2)
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    drawn = _gaps((0.5, 0.5), root).draw(x, noise)
    for step in (5, 6):
        assert np.corrcoef(drawn[:, step].T.numpy())[0, 1] == pytest.approx(
            0.8, abs=0.02
        )


def test_windows_without_gaps_stay_as_they_are():
    x = _windows([])
    filled, missing = _gaps().fill(x)
    assert filled is x and missing is None
    assert torch.equal(_gaps().draw(x, torch.ones_like(x)), x)


def test_no_argument_is_overwritten():
    x, noise = _windows([2]), torch.ones(1, 7, 3, dtype=torch.float64)
    before = x.clone(), noise.clone()
    _gaps().fill(x)
    _gaps().draw(x, noise)
    torch.testing.assert_close(x, before[0], equal_nan=True)
    assert torch.equal(noise, before[1])


@pytest.mark.parametrize("memory", [1.0, -1.0, 0.0])
def test_extreme_memories_give_finite_numbers(memory):
    for lost in PATTERNS.values():
        x = _windows(lost)
        gaps = _gaps((memory,) * 3)
        assert torch.isfinite(gaps.fill(x)[0]).all()
        assert torch.isfinite(gaps.draw(x, torch.ones_like(x))).all()


def test_known_steps_pass_gradients_on():
    x = _windows([2])
    known = torch.nan_to_num(x).requires_grad_()
    gap = torch.isnan(x)
    filled, _ = _gaps().fill(torch.where(gap, NAN, known))
    filled[0, 2, 0].backward()
    assert known.grad is not None
    gradient = known.grad[0, :, 0]
    assert (gradient[[1, 3]] > 0.1).all() and torch.isfinite(gradient).all()


def test_draws_rest_where_a_channel_rests_and_leap_as_it_leaps():
    """A trace that is zero nine times of ten is not drawn from a normal law."""
    rng = np.random.default_rng(0)
    trace = np.where(rng.random(4000) < 0.1, rng.exponential(3, 4000), 0.0)
    windows = Windows.from_rows(trace[:, None], 5)
    store = WindowStore.from_windows(windows, np.zeros(1), np.ones(1))
    gaps = learn_gaps(store)
    x = torch.zeros(4000, 5, 1)
    x[:, -1] = NAN
    noise = torch.as_tensor(rng.normal(size=x.shape), dtype=torch.float32)
    drawn = gaps.draw(x, noise)[:, -1, 0].numpy()
    rests = (np.abs(drawn - np.median(drawn)) < 0.05).mean()
    assert 0.85 < rests < 0.95
    np.testing.assert_allclose(drawn.std(), trace.std(), rtol=0.15)


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_no_row_needs_to_be_complete(share):
    """Trajectories of eight steps without a gap no longer exist here."""
    data = make_linear_var(n_times=700, n_channels=8, random_state=0)
    rng = np.random.default_rng(0)
    y = np.where(rng.random(data.activity.shape) < share, NAN, data.activity)
    X = design_matrix(y, data.stimulus)
    model = AFMForecaster(window_length=3, max_epochs=2, random_state=0)
    draws = model.fit(X[:600], y[:600]).sample(X[600:], 100, random_state=0)
    climate = np.repeat(data.activity[None, :600:6], 100, 0)
    ours, theirs = (crps(data.activity[600:], x).mean() for x in (draws, climate))
    assert ours < 0.9 * theirs
    assert model.base_.startswith("pool")


def test_a_channel_that_is_never_observed_leaves_the_others_as_they_are():
    data = make_linear_var(n_times=600, n_channels=4, n_stimuli=1, random_state=0)
    alive = [0, 1, 3]
    dead = data.activity.copy()
    dead[:, 2] = np.nan
    answers = []
    for activity in (data.activity[:, alive], dead):
        X = design_matrix(activity, data.stimulus)
        model = AFMForecaster(window_length=4, max_epochs=1, random_state=0)
        rows = model.fit(X[:400], activity[:400]).make_windows(X)[400:]
        draws = model.sample(rows, 100, random_state=0)
        answers.append((model.predict(rows), draws))
    (few, few_draws), (all_, all_draws) = answers
    apart = few - all_[:, alive]
    assert np.square(apart).mean() < 0.02 * np.square(few - few.mean(0)).mean()
    y = data.activity[400:, alive]
    ratio = crps(y, all_draws[:, :, alive]).mean() / crps(y, few_draws).mean()
    assert ratio < 1.02


def test_counts_with_a_channel_that_is_never_observed_are_drawn():
    counts = np.random.default_rng(0).poisson(1.0, (300, 3)).astype(float)
    counts[:, 2] = np.nan
    X = design_matrix(counts)
    model = AFMForecaster(window_length=2, max_epochs=2, random_state=0)
    rows = model.fit(X, counts).make_windows(X)[-3:]
    draws = model.sample_trajectories(rows, 8, n_samples=20, random_state=0)
    assert (draws[..., :2] == draws[..., :2].round()).all()
    assert np.isfinite(draws).all() and (draws >= 0).all()
