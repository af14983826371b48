"""Iterated forecasts that are moved, lead by lead."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from afm_sklearn import AFMForecaster, SlidingWindow, design_matrix
from afm_sklearn.fitting.drift import _moves
from afm_sklearn.fitting.forecast import LinearMap
from afm_sklearn.law import rollout
from afm_sklearn.law.drift import Drift
from afm_sklearn.law.errors import GaussianErrors
from afm_sklearn.law.frame import Frame
from afm_sklearn.law.gaps import Gaps
from afm_sklearn.law.linear import LinearLaw
from afm_sklearn.law.resampling import smallest
from afm_sklearn.law.residual import ResidualLaw

D, S, LAGS, HORIZON = 2, 1, 3, 6


def _frame():
    rng = np.random.default_rng(1)
    frame = Frame(D + S, D, is_autoregressive=True, is_shifted=False)
    for name in ("x_mean", "y_mean", "lag_offset"):
        values = getattr(frame, name)
        values.copy_(torch.as_tensor(rng.normal(size=len(values))))
    for name in ("x_scale", "y_scale", "lag_scale"):
        values = getattr(frame, name)
        values.copy_(torch.as_tensor(rng.uniform(0.5, 2.0, len(values))))
    frame.low.fill_(-1e6)
    frame.high.fill_(1e6)
    return frame


class _Gain:
    def __init__(self, frame):
        self.n_lags = LAGS
        self.gain = (frame.y_scale / frame.lag_scale / frame.x_scale[:D]).numpy()


def _laws(added, n_own=0):
    """A law without errors, and the same moved by what is added to its means."""
    rng, frame = np.random.default_rng(0), _frame()
    linear = LinearLaw(LAGS, D + S, D, n_own, rank=min(1, n_own))
    linear.coef.copy_(torch.as_tensor(0.3 * rng.normal(size=linear.coef.shape)))
    linear.own.copy_(torch.as_tensor(0.3 * rng.normal(size=linear.own.shape)))
    linear.basis.fill_(0.7)
    errors = GaussianErrors(torch.zeros(D), torch.eye(D))
    parts = linear.coef, linear.intercept, linear.own, linear.basis
    mean = LinearMap(*(part.double().numpy() for part in parts))
    moves = torch.as_tensor(_moves(added, mean, _Gain(frame)))
    drift = Drift.of(moves, LAGS, D + S)
    gaps = Gaps(D + S)
    plain = ResidualLaw(frame, gaps, linear, errors)
    return plain, ResidualLaw(frame, gaps, linear, errors, drift)


@pytest.mark.parametrize("n_own", [0, 2])
def test_the_means_of_all_leads_are_moved_by_what_was_added_to_them(n_own):
    rng = np.random.default_rng(2)
    p = LAGS * (D + S)
    added = 0.2 * rng.normal(size=(HORIZON, 1 + p + (HORIZON - 1) * S, D))
    added[0] = 0  # the next step stays as it is
    for h in range(HORIZON):
        added[h, 1 + p + h * S :] = 0  # of stimuli after the lead
    plain, moved = _laws(added, n_own)
    windows = torch.as_tensor(rng.normal(size=(4, LAGS + 2, D + S)))
    stimulus = torch.as_tensor(rng.normal(size=(4, HORIZON, S)))
    paths = [
        plain.frame.to_u(rollout(law, windows, HORIZON, 1, stimulus=stimulus))[:, 0]
        for law in (plain, moved)
    ]
    x = plain.frame.standardize(windows)[:, -LAGS:].clone()
    shown = plain.frame.standardize_stimulus(stimulus)
    x[:, -1, D:] = shown[:, 0]
    inputs = torch.cat([torch.ones(4, 1), x.flatten(1), shown[:, 1:].flatten(1)], 1)
    expected = torch.einsum("nq,hqd->nhd", inputs, torch.as_tensor(added))
    assert_allclose((paths[1] - paths[0]).numpy(), expected.numpy(), atol=1e-4)


def test_nothing_is_added_after_the_last_lead():
    added = np.zeros((HORIZON, 1 + LAGS * (D + S) + (HORIZON - 1) * S, D))
    added[-1, 0] = 1.0
    plain, moved = _laws(added)
    windows = torch.zeros(2, LAGS, D + S, dtype=torch.float64)
    stimulus = torch.zeros(2, HORIZON + 2, S, dtype=torch.float64)
    paths = [
        rollout(law, windows, HORIZON + 2, 1, stimulus=stimulus)[:, 0]
        for law in (plain, moved)
    ]
    apart = (paths[1] - paths[0]) / plain.frame.y_scale
    assert_allclose(apart[:, : HORIZON - 1].numpy(), 0, atol=1e-5)
    assert_allclose(apart[:, HORIZON - 1].numpy(), 1, atol=1e-4)
    # The step after it forgets only as the law itself does.
    lags = plain.frame.lag(plain.frame.to_u(paths[1])) - plain.frame.lag(
        plain.frame.to_u(paths[0])
    )
    newest = plain.linear.coef.unflatten(0, (LAGS, -1))[-1, :D]
    carried = lags[:, HORIZON - 1].float() @ newest
    assert_allclose(apart[:, HORIZON].numpy(), carried.numpy(), atol=1e-4)


def test_a_moved_law_is_built_again_from_its_config():
    added = np.random.default_rng(0).normal(
        size=(HORIZON, 1 + LAGS * (D + S) + (HORIZON - 1) * S, D)
    )
    _, law = _laws(added)
    twin = ResidualLaw.from_config(law.config())
    twin.load_state_dict(law.state_dict())
    windows = torch.ones(2, LAGS, D + S, dtype=torch.float64)
    stimulus = torch.ones(2, 3, S, dtype=torch.float64)
    one, other = (rollout(x, windows, 3, 1, stimulus=stimulus) for x in (law, twin))
    assert torch.equal(one, other)


def _slow_and_fast(n, seed):
    """A slow rhythm of which a window of one step sees little under fast noise."""
    rng, slow = np.random.default_rng(seed), np.zeros((n, 2))
    for t in range(1, n):
        slow[t] = 0.97 * slow[t - 1] + np.sqrt(1 - 0.97**2) * rng.normal(size=2)
    return slow + rng.normal(size=(n, 2))


def test_what_iterating_forgets_too_soon_is_added():
    y = _slow_and_fast(3000, seed=0)
    X = SlidingWindow(1).fit_transform(design_matrix(y))
    model = AFMForecaster(max_epochs=1, hidden_dim=8, random_state=0)
    model.fit(X[:2000], y[:2000])
    member = next(m for m in model.law_.members if getattr(m, "drift", None))
    # Of the slow rhythm a window shows half, and that decays by .97 a step.
    origins = np.arange(2000, 2980, 4)
    windows = torch.as_tensor(np.asarray(X[origins]))
    generator = torch.Generator().manual_seed(0)
    mean = rollout(member, windows, 12, 400, generator=generator).mean(1)[:, -1]
    mean, before = mean.numpy(), y[origins - 1]
    slope = (mean * before).sum() / (before**2).sum()
    assert slope == pytest.approx(0.5 * 0.97**11, abs=0.1)  # iterated: .5 ** 12


@pytest.mark.parametrize("shape", [(3, 50, 7), (300, 200, 20)])
@pytest.mark.parametrize("has_ties", [False, True])
def test_the_smallest_are_found(shape, has_ties):
    n, m, k = shape
    values = torch.rand(n, m, generator=torch.Generator().manual_seed(0))
    values = (20 * values).floor() if has_ties else values
    at = smallest(values, k)
    expected = values.topk(k, largest=False).values
    assert_allclose(values.gather(1, at).sort(1).values, expected.sort(1).values)
    assert all(len(set(row)) == k for row in at.tolist())


@pytest.mark.parametrize("n_times", [60, 130, 400])
@pytest.mark.parametrize("lost", [0.0, 0.6])
def test_short_and_gappy_recordings_are_fitted(n_times, lost):
    rng = np.random.default_rng(0)
    y = _slow_and_fast(n_times, seed=1)
    runs = np.arange(n_times) // 40
    y[rng.random(y.shape) < lost] = np.nan
    X = design_matrix(y, runs=runs)
    model = AFMForecaster(
        window_length=2, run_column=-1, max_epochs=1, hidden_dim=8, random_state=0
    )
    model.fit(X, y)
    draws = model.sample(X, 5, random_state=0)
    assert np.isfinite(draws).all()


def test_a_block_without_whole_trajectories_does_not_stop_a_fit():
    y = _slow_and_fast(1200, seed=2)
    y[460:760:9, 0] = np.nan
    X = design_matrix(y)
    model = AFMForecaster(window_length=2, max_epochs=1, hidden_dim=8, random_state=0)
    model.fit(X, y)
    named = {record["candidate"].split(",")[0] for record in model.selection_}
    assert "direct" in named
    assert np.isfinite(model.predict(X)).all()
