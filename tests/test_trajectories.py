"""Training on trajectories."""

import numpy as np
import pytest
import torch

from afm_sklearn import AFMForecaster, SlidingWindow, design_matrix, energy_score
from afm_sklearn.fitting.trajectories import TrajectoryLoss, fair_score
from afm_sklearn.metrics import crps


def test_the_score_is_the_mean_of_energy_score_and_crps_by_the_entry():
    rng = np.random.default_rng(0)
    paths, y = rng.normal(size=(6, 5, 4, 3)), rng.normal(size=(6, 4, 3))
    expected = energy_score(y, paths).mean() / np.sqrt(12) + crps(y, paths).mean()
    score = fair_score(torch.as_tensor(paths), torch.as_tensor(y))
    assert float(score) == pytest.approx(expected, rel=1e-6)


def test_missing_entries_do_not_count():
    rng = np.random.default_rng(0)
    paths, y = (torch.as_tensor(rng.normal(size=s)) for s in ((6, 5, 4, 3), (6, 4, 3)))
    shorter = fair_score(paths[:, :, :2], y[:, :2])
    y[:, 2:] = torch.nan
    assert float(fair_score(paths, y)) == pytest.approx(float(shorter), rel=1e-6)


def test_the_truth_has_the_best_score():
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(4000, 4, 2, generator=generator)
    paths = torch.randn(4000, 4, 4, 2, generator=generator)
    true = fair_score(paths, y)
    for other in (0.6 * paths, 1.5 * paths, paths + 0.4):
        assert fair_score(other, y) > true + 0.01


@pytest.fixture(scope="module")
def driven():
    """A smooth movement that a noisy population follows: a decoder's data."""
    rng = np.random.default_rng(0)
    n = 2400
    goal = np.repeat(rng.normal(size=(n // 30, 2)), 30, axis=0)
    movement = np.zeros((n, 2))
    for t in range(1, n):
        noise = 0.05 * rng.normal(size=2)
        movement[t] = 0.7 * movement[t - 1] + 0.3 * np.tanh(3 * goal[t]) + noise
    neurons = goal @ rng.normal(size=(2, 12)) + rng.normal(size=(n, 12))
    return movement, neurons


def _rows(driven):
    movement, neurons = driven
    X = SlidingWindow(3).fit_transform(design_matrix(movement, neurons))
    return np.asarray(X), movement


@pytest.mark.filterwarnings("ignore::afm_sklearn.OutOfDistributionWarning")
def test_trained_on_trajectories_a_decoder_scores_better_on_trajectories(driven):
    X, y = _rows(driven)
    model = AFMForecaster(random_state=0, max_epochs=10).fit(X[:2000], y[:2000])
    assert "trajectories" in model.history_
    names = [record["candidate"] for record in model.selection_]
    (tuned,) = [name for name in names if name.endswith("trajectories")]
    scores = {r["candidate"]: r.get("trajectory") for r in model.selection_}
    rest = [name for name in names[names.index("pool") + 1 :] if name != tuned]
    assert all(scores[tuned] < scores[name] for name in rest)
    origins = np.arange(2000, 2390, 5)
    steps = origins[:, None] + np.arange(8)
    shown = X[steps, -1, 2:]
    paths = model.sample_trajectories(X[origins], 8, stimulus=shown, random_state=0)
    linear = AFMForecaster(base="linear", random_state=0).fit(X[:2000], y[:2000])
    others = linear.sample_trajectories(X[origins], 8, stimulus=shown, random_state=0)
    own, other = (energy_score(y[steps], p).mean() for p in (paths, others))
    assert own < 0.95 * other


def test_gradients_reach_the_weights_through_all_steps(driven):
    X, y = _rows(driven)
    law = AFMForecaster(base="learned", random_state=0, max_epochs=2).fit(X, y).law_
    law.channels.members.requires_grad_(True)
    loss = TrajectoryLoss(law)
    windows = torch.as_tensor(X[10:40])
    x, missing = law.gaps.fill(law.frame.standardize(windows).float())
    y_ahead = torch.as_tensor(np.stack([y[t : t + 4] for t in range(10, 40)])).float()
    shown = torch.as_tensor(np.stack([X[t : t + 4, -1, 2:] for t in range(10, 40)]))
    value = loss.loss(x, missing, y_ahead, shown, generator=torch.Generator())
    value.backward()
    gradients = [p.grad for p in law.channels.members.parameters()]
    assert any(g is not None and bool(g.abs().sum() > 0) for g in gradients)
    assert all(bool(torch.isfinite(g).all()) for g in gradients if g is not None)
