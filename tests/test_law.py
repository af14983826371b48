import copy

import numpy as np
import pytest
import torch

from afm_sklearn import AFMForecaster, SlidingWindow, design_matrix
from afm_sklearn.contract import BaseForecaster
from afm_sklearn.datasets import make_double_well, make_spiking_population

BASES = ["linear", "learned", "normal"]
EVERY_BASE = pytest.mark.parametrize("base", BASES)
N_DRAWS = 20000


@pytest.fixture(scope="module")
def fitted():
    """Models by base and number of channels, each fitted once."""
    models = {}

    def get(base, d):
        if (base, d) not in models:
            data = make_double_well(800, max(d, 2), random_state=0)
            activity = data.activity[:, :d]
            X = SlidingWindow(2).fit_transform(design_matrix(activity))
            model = AFMForecaster(
                base=base,
                max_epochs=6,
                hidden_dim=32,
                validation_fraction=0,
                random_state=0,
            )
            models[base, d] = model.fit(X[:600], activity[:600]), X, activity
        return models[base, d]

    return get


@pytest.fixture(scope="module")
def spiking():
    models = {}

    def get(base):
        if base not in models:
            data = make_spiking_population(600, 3, mean_count=0.6, random_state=0)
            X = design_matrix(data.activity, data.stimulus)
            X = SlidingWindow(2).fit_transform(X)
            model = AFMForecaster(
                base=base, max_epochs=6, hidden_dim=32, random_state=0
            )
            models[base] = model.fit(X, data.activity), X, data.activity
        return models[base]

    return get


def _grid(activity, n):
    """Points at the middles of cells beyond all that is drawn, and a cell's size."""
    low, high = activity.min(0), activity.max(0)
    reach = high - low
    edges = [
        np.linspace(a - r, b + r, n + 1)
        for a, b, r in zip(low, high, reach, strict=True)
    ]
    middles = [0.5 * (e[1:] + e[:-1]) for e in edges]
    points = np.stack(np.meshgrid(*middles, indexing="ij"), -1).reshape(-1, len(low))
    return points, np.prod([e[1] - e[0] for e in edges])


@EVERY_BASE
@pytest.mark.parametrize(("d", "n"), [(1, 500), (2, 60)])
def test_density_integrates_to_one(fitted, base, d, n):
    model, X, activity = fitted(base, d)
    points, cell = _grid(activity, n)
    for row in (50, 700):
        at = np.broadcast_to(X[row], (len(points), *X[row].shape))
        total = np.exp(model.log_prob(at, points).astype(float)).sum() * cell
        assert total == pytest.approx(1, abs=0.02)


@EVERY_BASE
@pytest.mark.parametrize("d", [1, 2])
def test_draws_follow_the_density(fitted, base, d):
    model, X, activity = fitted(base, d)
    points, cell = _grid(activity, 60 if d == 2 else 500)
    at = np.broadcast_to(X[50], (len(points), *X[50].shape))
    mass = np.exp(model.log_prob(at, points).astype(float)) * cell
    exact = copy.copy(model).set_params(solver="rk4", n_steps=8)
    draws = exact.sample(X[50:51], N_DRAWS, random_state=0)[0]
    for moment in (lambda v: v, np.square, lambda v: np.prod(v, 1, keepdims=True)):
        expected = (mass[:, None] * moment(points)).sum(0)
        values = moment(draws)
        error = 5 * values.std(0) / np.sqrt(N_DRAWS) + 0.02
        assert (np.abs(values.mean(0) - expected) < error).all()


@EVERY_BASE
@pytest.mark.parametrize("d", [1, 2])
def test_predict_is_the_mean_of_the_draws(fitted, base, d):
    model, X, _ = fitted(base, d)
    mean = model.predict(X[100:103])
    draws = model.sample(X[100:103], N_DRAWS, random_state=0)
    # With a flow, predict averages 128 draws' difference to the law without it.
    error = 4 * draws.std(1) / np.sqrt(N_DRAWS) + 0.05 * draws.std(1)
    assert (np.abs(draws.mean(1) - mean) < error).all()


@EVERY_BASE
def test_quantiles_are_those_of_the_draws(fitted, base):
    model, X, _ = fitted(base, 2)
    levels = (0.1, 0.5, 0.9)
    quantiles = model.predict_quantiles(X[100:103], levels)
    draws = model.sample(X[100:103], N_DRAWS, random_state=0)
    below = (draws[:, :, None] <= quantiles[:, None]).mean(1)
    # With a flow they come from 400 draws.
    error = 4 * np.sqrt(0.25 / 400) if model.law_.flow is not None else 0.015
    assert (np.abs(below - np.array(levels)[:, None]) < error).all()


def test_moments_and_quantiles_without_a_flow_are_exact():
    data = make_double_well(600, 2, random_state=0)
    X, y = design_matrix(data.activity), data.activity
    model = AFMForecaster(max_epochs=6, random_state=0).fit(X, y)
    if model.law_.flow is not None:
        pytest.skip("the flow was kept")
    draws = model.sample(X[100:103], N_DRAWS, random_state=0)
    error = 4 * draws.std(1) / np.sqrt(N_DRAWS)
    assert (np.abs(draws.mean(1) - model.predict(X[100:103])) < error).all()
    below = draws[:, :, None] <= model.predict_quantiles(X[100:103])[:, None]
    expected = np.array([0.1, 0.5, 0.9])[:, None]
    assert (np.abs(below.mean(1) - expected) < 4 * np.sqrt(0.25 / N_DRAWS)).all()


@EVERY_BASE
def test_trajectories_stay_within_a_range_of_what_was_seen(fitted, base):
    model, X, activity = fitted(base, 2)
    wild = X[100:104] * np.array([1, 10, -10, 100])[:, None, None]
    paths = model.sample_trajectories(wild, 40, n_samples=20, random_state=0)
    assert np.isfinite(paths).all()
    low, high = activity[:600].min(0), activity[:600].max(0)
    reach = 1.001 * (high - low)
    assert (paths >= low - reach).all() and (paths <= high + reach).all()


@EVERY_BASE
@pytest.mark.parametrize("encoder", ["mlp", "conv", "gru"])
@pytest.mark.parametrize("d", [1, 3])
def test_samples_that_share_their_past_draw_as_if_each_had_its_own(base, encoder, d):
    rng = np.random.default_rng(0)
    y, stimulus = rng.normal(size=(300, d)).cumsum(0), rng.normal(size=(300, 2))
    X = SlidingWindow(7).fit_transform(design_matrix(y, stimulus))
    model = AFMForecaster(
        history_encoder=encoder, base=base, scales=(1, 3), hidden_dim=16, max_epochs=2
    ).fit(X, y)
    future = torch.randn(2, 20, 2, generator=torch.Generator().manual_seed(1))
    shared, separate = (
        roll(
            model, torch.tensor(X[100:102]).float(), 20, 5, future, model._generator(0)
        )
        for roll in (AFMForecaster._rollout, BaseForecaster._rollout)
    )
    torch.testing.assert_close(shared, separate, rtol=1e-3, atol=1e-3)


# -- counts --------------------------------------------------------------------


@pytest.mark.parametrize("base", ["auto", "linear", "learned"])
def test_draws_of_counts_are_counts(spiking, base):
    model, X, activity = spiking(base)
    future = np.broadcast_to(X[:6, -1:, 3:], (6, 12, 3))
    paths = model.sample_trajectories(X[:6], 12, stimulus=future, n_samples=50)
    for draws in (model.sample(X[:50], 40), paths):
        assert (draws == np.round(draws)).all()
        assert draws.min() >= 0 and draws.max() <= 2 * activity.max() + 1
    assert (model.predict(X[:50]) >= 0).all()


@pytest.mark.parametrize("base", ["linear", "learned"])
def test_predict_is_the_mean_of_the_draws_of_counts(spiking, base):
    model, X, _ = spiking(base)
    draws = model.sample(X[100:103], N_DRAWS, random_state=0)
    error = 4 * draws.std(1) / np.sqrt(N_DRAWS) + 0.05 * draws.std(1)
    assert (np.abs(draws.mean(1) - model.predict(X[100:103])) < error).all()


def test_probabilities_of_a_count_sum_to_one():
    data = make_spiking_population(600, 3, mean_count=0.6, random_state=0)
    X = design_matrix(data.activity[:, :1], data.stimulus)
    model = AFMForecaster(max_epochs=6, random_state=0).fit(X, data.activity[:, :1])
    assert model.law_.flow is None
    counts = np.arange(60.0)[:, None]
    for row in (0, 10, 300):
        at = np.broadcast_to(X[row], (60, X.shape[1]))
        probabilities = np.exp(model.log_prob(at, counts).astype(float))
        assert probabilities.sum() == pytest.approx(1, abs=1e-4)
        draws = model.sample(X[row : row + 1], N_DRAWS, random_state=0)[0, :, 0]
        observed = np.bincount(draws.astype(int), minlength=60)[:60] / N_DRAWS
        error = 5 * np.sqrt(probabilities / N_DRAWS) + 1e-3
        assert (np.abs(observed - probabilities) < error).all()


@pytest.mark.parametrize("size", [1, 150])
def test_rows_drawn_in_parts_are_those_drawn_together(fitted, monkeypatch, size):
    model, X, _ = fitted("learned", 2)
    together = model.sample(X[:200], 5, random_state=0)
    monkeypatch.setattr("afm_sklearn.law.PART", size)
    parts = model.sample(X[:200], 5, random_state=0)
    np.testing.assert_allclose(parts, together, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("data", ["values", "counts"])
def test_the_size_of_parts_does_not_show_in_a_fit(monkeypatch, data):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(300, 2)) if data == "values" else rng.poisson(1.0, (300, 2))
    X = SlidingWindow(3).fit_transform(design_matrix(y.astype(float)))

    def predicted():
        model = AFMForecaster(base="linear", max_epochs=1, random_state=0)
        fitted = model.fit(X, y)
        fitted.law_.flow = None
        return fitted.predict(X), fitted.law_.factor

    together = predicted()
    for name in ("history.CHUNK", "targets.MAX_READY", "linear.poisson.MAX_KEPT"):
        monkeypatch.setattr(f"afm_sklearn.{name}", 50)
    for part, whole in zip(predicted(), together, strict=True):
        np.testing.assert_allclose(part, whole, rtol=1e-3, atol=1e-3)
