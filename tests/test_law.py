import json
import warnings

import numpy as np
import pytest
import torch

from afm_sklearn import (
    AFMForecaster,
    OutOfDistributionWarning,
    SlidingWindow,
    design_matrix,
)
from afm_sklearn.datasets import make_double_well, make_spiking_population
from afm_sklearn.law import StepLaw, rollout
from afm_sklearn.law.channels import ChannelLaws
from afm_sklearn.law.flow.paths import PATHS
from afm_sklearn.law.flow.solvers import SOLVERS
from afm_sklearn.law.frame import Frame
from afm_sklearn.law.gaps import Gaps
from afm_sklearn.law.linear import LinearLaw

BASES = ["linear", "learned", "normal"]
EVERY_BASE = pytest.mark.parametrize("base", BASES)
N_DRAWS = 20000


def _series(d, n_stimuli, n=300, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(n, d)).cumsum(0) * 0.3
    stimulus = rng.normal(size=(n, n_stimuli)) if n_stimuli else None
    return SlidingWindow(7).fit_transform(design_matrix(y, stimulus)), y


def _fit(X, y, **arguments):
    settings = {"hidden_dim": 16, "max_epochs": 2, "random_state": 0}
    return AFMForecaster(**settings | arguments).fit(X, y)


def _double(array):
    return torch.tensor(np.asarray(array), dtype=torch.float64)


# -- steps ---------------------------------------------------------------------


def _naive_rollout(law, windows, horizon, noise, stimulus=None):
    """Trajectories whose windows are written out, and encoded anew in each step."""
    d = law.frame.n_outputs
    n, k = noise.shape[:2]
    at = windows.repeat_interleave(k, 0)
    steps = []
    for h in range(horizon):
        if stimulus is not None:
            at = at.clone()
            at[:, -1, d:] = stimulus[:, h].repeat_interleave(k, 0)
        p = law.start(at).predict()
        y = p.rsample(1, noise=noise[:, :, h].flatten(0, 1)[:, None])[:, 0]
        steps.append(y)
        u = law.frame.bounded(law.frame.to_u(y))
        lag = (law.frame.to_y(u) - law.frame.lag_offset) / law.frame.lag_scale
        newest = torch.cat([lag, torch.zeros_like(at[:, 0, d:])], 1)
        at = torch.cat([at[:, 1:], newest[:, None]], 1)
    return torch.stack(steps, 1).unflatten(0, (n, k))


def _engine_rollout(law, windows, horizon, noise, stimulus=None):
    """The engine, fed with the noise of the naive one."""
    k = noise.shape[1]

    class Fed:
        def __init__(self, state, step=0, first=True):
            self.state, self.step, self.first = state, step, first

        def predict(self, given=None):
            p, step, first = self.state.predict(given), self.step, self.first

            class P:
                @staticmethod
                def rsample(m, generator=None):
                    part = noise[:, :, step]
                    part = part if first else part.flatten(0, 1)[:, None]
                    return p.rsample(m, noise=part)

            return P

        def advance(self, y, given=None):
            return Fed(self.state.advance(y, given), self.step + 1, False)

        def branch(self, rows):
            return Fed(self.state.branch(rows), self.step, False)

    class Law:
        @staticmethod
        def start(at):
            return Fed(law.start(at))

    return rollout(Law, windows, horizon, k, stimulus=stimulus)


@EVERY_BASE
@pytest.mark.parametrize("encoder", ["mlp", "conv", "gru", "lstm", "transformer"])
@pytest.mark.parametrize("n_stimuli", [0, 2])
def test_trajectories_are_those_of_windows_that_are_written_out(
    base, encoder, n_stimuli
):
    X, y = _series(3, n_stimuli)
    model = _fit(X, y, base=base, history_encoder=encoder, scales=(1, 3))
    law = model.law_.in_double()
    windows = _double(X[100:102])
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(2, 4, 12, 3, generator=generator, dtype=torch.float64)
    stimulus = None
    if n_stimuli:
        stimulus = torch.randn(2, 12, 2, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        naive = _naive_rollout(law, windows, 12, noise, stimulus)
        engine = _engine_rollout(law, windows, 12, noise, stimulus)
    torch.testing.assert_close(engine, naive, rtol=1e-7, atol=1e-7)


def test_an_observed_step_leads_where_its_window_leads():
    X, y = _series(3, 2)
    law = _fit(X, y, base="learned").law_.in_double()
    state = law.start(_double(X[100:110]))
    ahead = state.advance(_double(y[100:110])).predict(_double(X[101:111, -1, 3:]))
    there = law.start(_double(X[101:111])).predict()
    # The window has one step more at its old end than what the state has seen.
    torch.testing.assert_close(ahead.mean, there.mean, rtol=1e-6, atol=1e-6)


def test_a_step_without_its_stimulus_is_refused():
    X, y = _series(2, 1)
    law = _fit(X, y, base="linear").law_
    state = law.start(_double(X[5:8])).advance(_double(y[5:8]))
    with pytest.raises(ValueError, match="stimulus is None, but the law has 1"):
        state.predict()
    with pytest.raises(ValueError, match=r"stimulus has shape \(3, 2\)"):
        state.predict(torch.zeros(3, 2))
    with pytest.raises(ValueError, match=r"y has shape \(2, 2\)"):
        state.advance(torch.zeros(2, 2))
    with pytest.raises(ValueError, match="missing entries"):
        state.advance(torch.full((3, 2), torch.nan))


# -- no hidden state -----------------------------------------------------------


@EVERY_BASE
@pytest.mark.parametrize("kind", ["values", "counts"])
def test_a_law_is_its_config_and_its_tensors(base, kind):
    X, y = _series(2, 1)
    if kind == "counts":
        y = np.random.default_rng(0).poisson(1.0, y.shape).astype(float)
        X = SlidingWindow(4).fit_transform(design_matrix(y))
    law = _fit(X, y, base=base).law_
    config = json.loads(json.dumps(law.config()))
    twin = StepLaw.from_config(config)
    twin.load_state_dict(law.state_dict())
    draws = [
        one.start(_double(X[50:60]))
        .predict()
        .rsample(5, generator=torch.Generator().manual_seed(0))
        for one in (law, twin)
    ]
    assert torch.equal(*draws)


@EVERY_BASE
def test_draws_follow_weights_that_are_loaded_later(base):
    X, y = _series(2, 1)
    one = _fit(X, y, base=base, random_state=0).law_
    other = _fit(X, y + 5.0, base=base, random_state=1).law_

    def draws(law):
        generator = torch.Generator().manual_seed(0)
        return law.start(_double(X[50:60])).predict().rsample(5, generator=generator)

    with torch.inference_mode():
        before, expected = draws(one), draws(other)
        one.load_state_dict(other.state_dict())
        assert not torch.equal(before, draws(one))
        assert torch.equal(expected, draws(one))


def test_answers_leave_the_law_as_it_was():
    X, y = _series(2, 1)
    model = _fit(X, y, base="learned")
    before = {k: v.clone() for k, v in model.law_.state_dict().items()}
    keys = set(vars(model.law_))
    model.predict(X[:5])
    model.predict_quantiles(X[:5])
    model.sample(X[:5])
    model.log_prob(X[:5], y[:5])
    assert set(vars(model.law_)) == keys
    for name, value in model.law_.state_dict().items():
        assert torch.equal(value, before[name]), name


# -- gradients -----------------------------------------------------------------


def _differentiable(base, path="trigonometric", solver="midpoint"):
    X, y = _series(2, 1, n=120)
    model = _fit(
        X[:, -3:],
        y,
        base=base,
        path=path,
        solver=solver,
        n_steps=2,
        hidden_dim=4,
        validation_fraction=0,
    )
    return model.law_.in_double(), _double(X[50:52, -3:])


@pytest.mark.parametrize(
    ("base", "path", "solver"),
    [
        *(("learned", path, solver) for path in PATHS for solver in SOLVERS),
        ("normal", "linear", "euler"),
        ("normal", "trigonometric", "midpoint"),
        ("linear", "trigonometric", "heun"),
    ],
)
def test_draws_have_the_gradients_of_finite_differences(base, path, solver):
    law, windows = _differentiable(base, path, solver)
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(2, 2, 3, 2, generator=generator, dtype=torch.float64)
    stimulus = torch.randn(2, 2, 1, generator=generator, dtype=torch.float64)

    def two_steps(windows, stimulus):
        state = law.start(windows)
        y = state.predict(stimulus[:, 0]).rsample(2, noise=noise[:, :2, 0])
        state = state.branch(torch.tensor([0, 0, 1, 1]))
        state = state.advance(y.flatten(0, 1), stimulus[:, 0])
        later = state.predict(stimulus[:, 1]).rsample(
            1, noise=noise[:, :, 1].reshape(4, 1, 2)
        )
        return torch.cat([y.flatten(), later.flatten()])

    inputs = windows.requires_grad_(), stimulus.requires_grad_()
    assert torch.autograd.gradcheck(two_steps, inputs, eps=1e-6, atol=1e-4)


@pytest.mark.parametrize("base", ["learned", "normal", "linear"])
def test_draws_and_densities_have_gradients_in_every_parameter(base):
    law, windows = _differentiable(base)
    law.requires_grad_(True)
    p = law.start(windows).predict()
    y = p.rsample(3, generator=torch.Generator().manual_seed(0))
    y.sum().backward()
    given = {n: q.grad for n, q in law.named_parameters() if q.grad is not None}
    assert given or base == "linear"
    for name, gradient in given.items():
        assert torch.isfinite(gradient).all(), name
    law.zero_grad()
    at = y.detach()[:, 0].requires_grad_()
    law.start(windows).predict().log_prob(at).sum().backward()
    assert torch.isfinite(at.grad).all() and (at.grad != 0).any()


def test_log_densities_have_the_gradients_of_finite_differences():
    law, windows = _differentiable("learned")
    y = law.start(windows).predict().mean.detach() + 0.1

    def density(y, windows):
        return law.start(windows).predict().log_prob(y)

    inputs = y.requires_grad_(), windows.requires_grad_()
    assert torch.autograd.gradcheck(density, inputs, eps=1e-6, atol=1e-4)


def test_draws_of_counts_say_that_they_have_no_gradient():
    y = np.random.default_rng(0).poisson(1.0, (120, 2)).astype(float)
    X = SlidingWindow(3).fit_transform(design_matrix(y))
    law = _fit(X, y, family="counts").law_
    windows = _double(X[50:52]).requires_grad_()
    with pytest.raises((RuntimeError, ValueError), match="no gradient"):
        law.start(windows).predict().rsample(2)


# -- densities -----------------------------------------------------------------


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
        total = np.exp(model.log_prob(at, points)).sum() * cell
        assert total == pytest.approx(1, abs=0.02)


@EVERY_BASE
@pytest.mark.parametrize("d", [1, 2])
def test_draws_follow_the_density(fitted, base, d):
    model, X, activity = fitted(base, d)
    points, cell = _grid(activity, 60 if d == 2 else 500)
    at = np.broadcast_to(X[50], (len(points), *X[50].shape))
    mass = np.exp(model.log_prob(at, points)) * cell
    draws = model.sample(X[50:51], N_DRAWS, random_state=0)[0]
    for moment in (lambda v: v, np.square, lambda v: np.prod(v, 1, keepdims=True)):
        expected = (mass[:, None] * moment(points)).sum(0)
        values = moment(draws)
        error = 5 * values.std(0) / np.sqrt(N_DRAWS) + 0.02
        assert (np.abs(values.mean(0) - expected) < error).all()


@EVERY_BASE
def test_draws_and_density_of_one_channel_are_one_law(fitted, base):
    model, X, activity = fitted(base, 1)
    points, cell = _grid(activity, 4000)
    at = np.broadcast_to(X[50], (len(points), *X[50].shape))
    mass = np.cumsum(np.exp(model.log_prob(at, points)) * cell)
    draws = np.sort(model.sample(X[50:51], 50000, random_state=0)[0, :, 0])
    below = np.searchsorted(draws, points[:, 0] + cell / 2) / len(draws)
    assert np.abs(below - mass).max() < 0.02


@EVERY_BASE
@pytest.mark.parametrize("d", [1, 2])
def test_predict_is_the_mean_of_the_draws(fitted, base, d):
    model, X, _ = fitted(base, d)
    mean = model.predict(X[100:103])
    draws = model.sample(X[100:103], N_DRAWS, random_state=0)
    error = (4 / np.sqrt(N_DRAWS) + 0.005) * draws.std(1)
    assert (np.abs(draws.mean(1) - mean) < error).all()


@EVERY_BASE
def test_quantiles_are_those_of_the_draws(fitted, base):
    model, X, _ = fitted(base, 2)
    levels = (0.1, 0.25, 0.5, 0.9)
    quantiles = model.predict_quantiles(X[100:103], levels)
    draws = model.sample(X[100:103], 10 * N_DRAWS, random_state=0)
    below = (draws[:, :, None] <= quantiles[:, None]).mean(1)
    error = 0.005 + 4 * np.sqrt(0.25 / (10 * N_DRAWS))
    assert (np.abs(below - np.array(levels)[:, None]) < error).all()


@EVERY_BASE
def test_the_distribution_function_and_its_quantiles_agree(fitted, base):
    model, X, _ = fitted(base, 2)
    p = model.law_.in_double().start(_double(X[100:103])).predict()
    levels = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    quantiles = p.quantile(levels)
    for k, level in enumerate(levels):
        found = p.cdf(quantiles[:, k])
        assert (found - level).abs().max() < 0.003


def test_missing_targets_are_marginalised(fitted):
    model, X, activity = fitted("linear", 2)
    y = activity[100:110].copy()
    y[:, 1] = np.nan
    ours = model.log_prob(X[100:110], y)
    points, cell = _grid(activity, 2000)
    line = np.unique(points[:, 1])
    step = line[1] - line[0]
    assert cell > 0
    for row in (0, 5):
        at = np.broadcast_to(X[100 + row], (len(line), *X[0].shape))
        both = np.column_stack([np.full(len(line), y[row, 0]), line])
        total = np.log(np.exp(model.log_prob(at, both)).sum() * step)
        assert ours[row] == pytest.approx(total, abs=0.05)
    y[:, 0] = np.nan
    np.testing.assert_allclose(model.log_prob(X[100:110], y), 0, atol=1e-9)


# -- counts --------------------------------------------------------------------


@pytest.fixture(scope="module")
def spiking():
    models = {}

    def get(base):
        if base not in models:
            data = make_spiking_population(600, 3, mean_count=0.6, random_state=0)
            X = design_matrix(data.activity, data.stimulus)
            X = SlidingWindow(2).fit_transform(X)
            model = AFMForecaster(
                base=base,
                family="counts",
                max_epochs=6,
                hidden_dim=32,
                random_state=0,
            )
            models[base] = model.fit(X, data.activity), X, data.activity
        return models[base]

    return get


@pytest.mark.parametrize("base", ["auto", "linear", "learned"])
def test_draws_of_counts_are_counts(spiking, base):
    model, X, activity = spiking(base)
    future = np.broadcast_to(X[:6, -1:, 3:], (6, 12, 3))
    paths = model.sample_trajectories(X[:6], 12, stimulus=future, n_samples=50)
    for draws in (model.sample(X[:50], 40), paths):
        assert (draws == np.round(draws)).all() and draws.min() >= 0
    assert paths.mean() < 2 * activity.mean()
    assert (model.predict(X[:50]) >= 0).all()


@pytest.mark.parametrize("base", ["auto", "linear", "learned"])
def test_no_burst_of_counts_grows_beyond_what_was_seen(spiking, base):
    model, X, activity = spiking(base)
    burst = X[:4].copy()
    highest = activity.max(0)
    burst[..., :3] = highest
    future = np.broadcast_to(burst[:, -1:, 3:], (4, 40, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OutOfDistributionWarning)
        assert (model.predict(burst) <= highest * (1 + 1e-6)).all()
        paths = model.sample_trajectories(
            burst, 40, stimulus=future, n_samples=100, random_state=0
        )
    assert (paths.mean((0, 1)) <= 1.1 * highest).all()
    assert (paths < 25 * highest).all()


def test_a_network_that_diverges_stays_near_the_range_of_training():
    d, n_channels = 2, 2
    linear = LinearLaw(1, n_channels, d)
    linear.coef.fill_(-5.0)
    linear.log_scale.fill_(4.0)
    linear.low.fill_(-1.0)
    linear.high.fill_(3.0)
    frame = Frame(n_channels, d, is_autoregressive=True, is_shifted=True)
    frame.low.fill_(-1.0)
    frame.high.fill_(3.0)
    channels = ChannelLaws(linear, [], "gaussian")
    law = StepLaw(frame, Gaps(n_channels), channels, None, "midpoint", 2)
    generator = torch.Generator().manual_seed(0)
    paths = rollout(law, torch.ones(50, 1, 2), 20, 20, generator=generator)
    assert paths.min() > -5 - 5 * 2 and paths.max() < 7 + 5 * 2
    family = law.start(torch.full((1, 1, 2), 3.0)).predict().family()
    torch.testing.assert_close(family.mean, torch.full((1, 2), -5.0))
    torch.testing.assert_close(family.variance, torch.full((1, 2), 4.0))


def test_counts_that_excite_one_another_stay_bounded():
    d = 4
    linear = LinearLaw(1, d, d)
    linear.coef.fill_(3.0)
    linear.high.fill_(5.0)
    linear.log_scale.fill_(-6.0)
    frame = Frame(d, d, is_autoregressive=True, is_shifted=False)
    frame.high.fill_(5.0)
    law = StepLaw(
        frame, Gaps(d), ChannelLaws(linear, [], "counts"), None, "midpoint", 2
    )
    generator = torch.Generator().manual_seed(0)
    paths = rollout(law, torch.full((50, 1, d), 5.0), 30, 20, generator=generator)
    assert 4.5 < paths.mean() < 5.5  # the largest rate there is
    p = law.start(torch.full((1, 1, d), 5.0)).predict()
    assert p.family().variance.max() <= 5 + 5 * 5 + 1e-3


@pytest.mark.parametrize("base", ["linear", "learned"])
def test_predict_is_the_mean_of_the_draws_of_counts(spiking, base):
    model, X, _ = spiking(base)
    draws = model.sample(X[100:103], N_DRAWS, random_state=0)
    error = (4 / np.sqrt(N_DRAWS) + 0.01) * draws.std(1)
    assert (np.abs(draws.mean(1) - model.predict(X[100:103])) < error).all()


def test_probabilities_of_a_count_sum_to_one():
    data = make_spiking_population(600, 3, mean_count=0.6, random_state=0)
    X = design_matrix(data.activity[:, :1], data.stimulus)
    model = AFMForecaster(
        family="counts", base="linear", max_epochs=1, random_state=0
    ).fit(X, data.activity[:, :1])
    counts = np.arange(60.0)[:, None]
    for row in (10, 300):
        at = np.broadcast_to(X[row], (60, X.shape[1]))
        probabilities = np.exp(model.log_prob(at, counts))
        assert probabilities.sum() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("kind", ["equal", "silent"])
def test_log_prob_of_correlated_counts_is_a_probability(kind):
    rng = np.random.default_rng(0)
    if kind == "equal":
        shared = rng.random(2000) < 0.5
        y = np.column_stack([shared, shared ^ (rng.random(2000) < 0.02)]).astype(float)
        outcomes = np.array([[a, b] for a in range(8) for b in range(8)], float)
    else:
        together = rng.random((2000, 1)) < 0.01
        y = (together & (rng.random((2000, 30)) < 0.5)).astype(float)
        outcomes = np.vstack([np.zeros(30), np.eye(30), np.ones(30)])
    X = design_matrix(y)
    model = AFMForecaster(base="auto", family="counts", max_epochs=1, random_state=0)
    model.set_params(validation_fraction=0).fit(X, y)
    at = np.broadcast_to(X[50], (len(outcomes), X.shape[1]))
    total = np.exp(model.log_prob(at, outcomes)).sum()
    assert total < 1.03
    if kind == "equal":
        assert total == pytest.approx(1, abs=0.03)


def test_what_is_no_count_has_no_probability(spiking):
    model, X, _ = spiking("linear")
    y = np.array([[-1.0, 0, 0], [1.5, 0, 0], [1e10, 0, 0]])
    found = model.log_prob(X[100:103], y)
    assert (found[:2] == -np.inf).all() and found[2] < -1e3
