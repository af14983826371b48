"""The flow: paths, solvers, velocity, density, each against a closed form."""

import math
from functools import partial

import pytest
import torch
from scipy import stats
from torch import nn
from torch.special import ndtr

from afm_sklearn.law.dependence import log_box_copula, log_copula
from afm_sklearn.law.flow import velocity as velocity_module
from afm_sklearn.law.flow.density import trace_back
from afm_sklearn.law.flow.matching import Flow
from afm_sklearn.law.flow.paths import PATHS
from afm_sklearn.law.flow.solvers import SOLVERS, integrate, steps_needed
from afm_sklearn.law.flow.velocity import VelocityNetwork

ORDER = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4}
EVERY_PATH = pytest.mark.parametrize("path", PATHS)
EVERY_SOLVER = pytest.mark.parametrize("solver", SOLVERS)


def _flow(d=2, hidden_dim=6, n_layers=2, path="trigonometric", seed=0):
    """A flow that does something, without an encoder."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        flow = Flow(nn.Identity(), VelocityNetwork(d, hidden_dim, n_layers), path)
        for layer in (flow.velocity.outlet, flow.velocity.gain):
            nn.init.normal_(layer.weight, std=hidden_dim**-0.5)
            nn.init.normal_(layer.bias, std=0.3)
    return flow.double()


def _normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


def _weights(path, t):
    """Weights of noise and data at t, and their derivatives."""
    t = torch.as_tensor(t, dtype=torch.float64).clone().requires_grad_()
    zero, one = torch.zeros_like(t), torch.ones_like(t)
    noise, data = (
        PATHS[path]().interpolate(*pair, t) for pair in ((one, zero), (zero, one))
    )
    return tuple(w.detach() for w in (noise[0], data[0], noise[1], data[1]))


def _mixture_field(path, mean, scale, z, t):
    """The exact velocity from N(0, 1) to equal Gaussians (m,), of z (..., 1)."""
    a, b, da, db = _weights(path, t)
    variance = a**2 + b**2 * scale**2
    share = torch.softmax(-0.5 * (z - b * mean).square() / variance, -1)
    rate = (a * da + b * db * scale**2) / variance
    each = db * mean + rate * (z - b * mean)
    return (share * each).sum(-1, keepdim=True)


# -- paths ---------------------------------------------------------------------


@EVERY_PATH
def test_path_runs_from_noise_to_data_and_velocity_is_its_derivative(path):
    path = PATHS[path]()
    z0, z1 = _normal(2, 50, 3)
    t = torch.linspace(0, 0.99, 50, dtype=torch.float64)[:, None]
    start, _ = path.interpolate(z0, z1, torch.zeros_like(t))
    end, _ = path.interpolate(z0, z1, torch.ones_like(t))
    torch.testing.assert_close(start, z0)
    torch.testing.assert_close(end, z1)
    z, velocity = path.interpolate(z0, z1, t)
    later, _ = path.interpolate(z0, z1, t + 1e-6)
    torch.testing.assert_close((later - z) / 1e-6, velocity, atol=1e-4, rtol=1e-4)


# -- solvers -------------------------------------------------------------------


@pytest.mark.parametrize("solver", ORDER)
def test_solver_converges_at_its_order(solver):
    def error(n_steps):
        z = torch.ones(1, dtype=torch.float64)
        out = integrate(lambda z, t: z * math.cos(t), z, solver=solver, n_steps=n_steps)
        return abs(float(out) - math.exp(math.sin(1.0)))

    observed = math.log2(error(16) / error(32))
    assert observed == pytest.approx(ORDER[solver], abs=0.3)


@EVERY_SOLVER
@EVERY_PATH
def test_gaussian_flow_is_affine(path, solver):
    mean, scale = torch.tensor([2.0], dtype=torch.float64), 0.5
    field = partial(_mixture_field, path, mean, scale)
    z = _normal(3, 4, 1)
    out = integrate(field, z, solver=solver, n_steps=400)
    torch.testing.assert_close(out, mean + scale * z, atol=1e-2, rtol=1e-2)
    back = integrate(field, out, solver=solver, n_steps=400, reverse=True)
    torch.testing.assert_close(back, z, atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-7])
def test_adaptive_solver_keeps_its_tolerance(tolerance):
    z = torch.ones(1, 1, dtype=torch.float64)
    out = integrate(
        lambda z, t: z * torch.cos(9 * t), z, solver="dopri5", tolerance=tolerance
    )
    assert abs(float(out) - math.exp(math.sin(9) / 9)) < 10 * tolerance


@EVERY_SOLVER
def test_a_row_is_the_same_in_any_batch(solver):
    speed = torch.tensor([0.1, 3.0, 40.0], dtype=torch.float64)[:, None, None]

    def field(rows, z, t):
        return torch.sin(speed[rows] * z) + t

    z = _normal(3, 5, 2)
    together = integrate(partial(field, slice(None)), z, solver=solver)
    for row in range(3):
        own = slice(row, row + 1)
        alone = integrate(partial(field, own), z[own], solver=solver)
        assert torch.equal(alone, together[own])


def test_a_row_that_is_lost_ends_and_leaves_the_others_alone():
    z = torch.tensor([[1.0], [torch.nan], [3.0]], dtype=torch.float64)

    def field(z, t):  # the last row goes to infinity before t = 1
        return torch.where(z > 2.9, z.pow(4), z)

    out = integrate(field, z, solver="dopri5")
    assert not torch.isfinite(out[1:]).any()
    torch.testing.assert_close(
        out[0, 0], torch.tensor(math.e).double(), rtol=1e-4, atol=0
    )


def test_solver_refuses_what_it_does_not_know():
    z = torch.ones(1, 1)
    with pytest.raises(ValueError, match="solver='rk5' is unknown"):
        integrate(lambda z, t: z, z, solver="rk5")
    with pytest.raises(ValueError, match="n_steps is 0"):
        integrate(lambda z, t: z, z, n_steps=0)


@EVERY_PATH
@pytest.mark.parametrize("solver", ["euler", "midpoint", "heun", "rk4"])
def test_as_many_steps_as_needed_draw_the_law_of_the_flow(path, solver):
    mean, scale = torch.tensor([-1.5, 1.5], dtype=torch.float64), 0.3
    field = partial(_mixture_field, path, mean, scale)
    level = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    z = torch.special.ndtri(level).view(1, -1, 1)
    n_steps = steps_needed(field, z, solver, 0.02)
    draws = integrate(field, z, solver=solver, n_steps=n_steps)
    exact = lambda y: stats.norm.cdf((y[:, None] - mean.numpy()) / scale).mean(1)  # noqa: E731
    assert stats.kstest(draws.flatten().numpy(), exact).statistic < 0.02
    assert n_steps <= 64
    assert solver == "rk4" or n_steps > 2


# -- velocity ------------------------------------------------------------------


def test_untrained_flow_leaves_the_noise_as_it_is():
    flow = Flow(nn.Identity(), VelocityNetwork(3, 8, 2), "linear")
    z = torch.randn(2, 5, 3)
    out = integrate(flow.field(torch.zeros(2, 8)), z)
    torch.testing.assert_close(out, z)


@pytest.mark.parametrize(("d", "hidden_dim"), [(3, 8), (8, 8), (11, 4), (1, 4)])
@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_divergence_is_the_trace_of_the_jacobian(d, hidden_dim, n_layers, monkeypatch):
    net = _flow(d, hidden_dim, n_layers).velocity
    z, code = _normal(2, 3, d), _normal(2, hidden_dim, seed=1)
    clock = net.clock(torch.tensor([0.3, 0.8]).double()[:, None, None])
    modulation = net.modulation(code)[:, None]

    def sum_over_draws(z):
        return net(z, clock, modulation).sum((0, 1))

    jacobian = torch.autograd.functional.jacobian(sum_over_draws, z)
    expected = torch.einsum("inki->nk", jacobian)
    found = net.divergence(z, clock, modulation)
    torch.testing.assert_close(found, expected)
    monkeypatch.setattr(velocity_module, "SMALL_PART", 1)  # one row after the other
    with torch.no_grad():
        torch.testing.assert_close(net.divergence(z, clock, modulation), expected)


@pytest.mark.parametrize("d", [2, 7])
def test_divergence_has_gradients(d):
    flow = _flow(d, 4)
    inputs = _normal(1, 2, d), _normal(1, 4, seed=1)

    def divergence(z, code, *weights):
        call = _Divergence(flow.velocity)
        named = {f"net.{name}": w for name, w in zip(names, weights, strict=True)}
        return torch.func.functional_call(call, named, (z, code))

    names = [name for name, _ in flow.velocity.named_parameters()]
    weights = [w.detach().clone() for w in flow.velocity.parameters()]
    given = [t.requires_grad_() for t in (*inputs, *weights)]
    assert torch.autograd.gradcheck(divergence, given, fast_mode=True)


class _Divergence(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, z, code):
        clock = self.net.clock(z.new_full((1, 1, 1), 0.4))
        return self.net.divergence(z, clock, self.net.modulation(code)[:, None])


# -- flow ----------------------------------------------------------------------


def _checked(flow, function, *inputs):
    """Check gradients of function(flow, *inputs) by inputs and by all weights."""
    weights = [w.detach().clone().requires_grad_() for w in flow.parameters()]
    names = [name for name, _ in flow.named_parameters()]

    def call(*given):
        own = dict(zip(names, given[len(inputs) :], strict=True))
        module = _Call(flow, function)
        named = {f"flow.{name}": w for name, w in own.items()}
        return torch.func.functional_call(module, named, given[: len(inputs)])

    given = [t.clone().requires_grad_() for t in inputs]
    return torch.autograd.gradcheck(
        call, (*given, *weights), fast_mode=True, rtol=1e-3, atol=1e-5
    )


class _Call(nn.Module):
    def __init__(self, flow, function):
        super().__init__()
        self.flow, self.function = flow, function

    def forward(self, *inputs):
        return self.function(self.flow, *inputs)


@EVERY_PATH
def test_loss_has_gradients(path):
    low = _normal(4, 2, seed=2)
    high = low + torch.tensor([0.0, 0.5]).double()
    low[0, 0] = high[0, 0] = torch.nan

    def loss(flow, code):
        generator = torch.Generator().manual_seed(0)
        return flow.loss(code, torch.eye(2).double(), low, high, generator)

    assert _checked(_flow(path=path), loss, _normal(4, 6, seed=1))


@EVERY_SOLVER
def test_draws_have_gradients(solver):
    def draw(flow, z, code):
        options = {"solver": solver, "n_steps": 3, "tolerance": 1e-8}
        return integrate(flow.field(code), z, **options)

    flow = _flow(hidden_dim=3, n_layers=1)
    assert _checked(flow, draw, _normal(2, 2, 2), _normal(2, 3, seed=1))


def test_log_density_has_gradients():
    root = torch.linalg.cholesky(torch.tensor([[1.0, 0.6], [0.6, 1.0]]).double())

    def density(flow, z, code):
        return flow.log_copula(code, root, z)

    flow = _flow(hidden_dim=3, n_layers=1)
    assert _checked(flow, density, _normal(1, 2, 2), _normal(1, 3, seed=1))


@EVERY_PATH
def test_missing_entries_do_not_count_in_the_loss(path):
    flow, code, root = _flow(path=path), _normal(3, 6), torch.eye(2).double()
    scores = _normal(3, 2, seed=1)
    scores[1] = torch.nan
    scores[2, 0] = torch.nan
    flow.loss(code, root, scores, scores, torch.Generator().manual_seed(0)).backward()
    assert all(torch.isfinite(w.grad).all() for w in flow.velocity.parameters())
    nothing = torch.full_like(scores, torch.nan)
    loss = flow.loss(code, root, nothing, nothing, torch.Generator().manual_seed(0))
    assert float(loss.detach()) == 0.0


@EVERY_PATH
def test_loss_is_least_at_the_exact_velocity(path):
    """From N(0, 1) to N(0, 1) the exact velocity is a gain of the time alone."""
    flow, n = Flow(nn.Identity(), VelocityNetwork(1, 4, 1), path).double(), 20000
    code, root = torch.zeros(n, 4).double(), torch.eye(1).double()
    scores = _normal(n, 1, seed=3)

    def loss(gain):
        with torch.no_grad():
            flow.velocity.gain.bias.fill_(gain)
            generator = torch.Generator().manual_seed(0)
            return float(flow.loss(code, root, scores, scores, generator))

    best = {"trigonometric": 0.0, "linear": 0.0}[path]
    assert loss(best) < min(loss(best - 0.1), loss(best + 0.1))


def test_clocks_are_the_callers_and_die_with_them():
    flow, code, z = _flow(), _normal(2, 6), _normal(2, 3, 2)
    draw = lambda clocks: integrate(flow.field(code, clocks), z)  # noqa: E731
    with torch.no_grad():
        clocks = {}
        first = draw(clocks)
        assert clocks
        torch.testing.assert_close(draw(clocks), first, rtol=0, atol=0)
        torch.testing.assert_close(draw(None), first, rtol=0, atol=0)
        flow.load_state_dict(_flow(seed=1).state_dict())
        assert not torch.allclose(draw(None), first)
        fresh = integrate(_flow(seed=1).field(code), z)
        torch.testing.assert_close(draw({}), fresh, rtol=0, atol=0)
    draw(clocks).sum().backward()  # kept numbers must not hide the weights
    assert flow.velocity.time[0].weight.grad.abs().sum() > 0
    draw(clocks).sum().backward()  # nor belong to a graph that is gone


def test_clocks_of_inference_do_not_disturb_gradients():
    flow, code, clocks = _flow().requires_grad_(False), _normal(2, 6), {}
    with torch.inference_mode():
        before = integrate(flow.field(code, clocks), _normal(2, 3, 2))
    z = _normal(2, 3, 2).requires_grad_()
    after = integrate(flow.field(code, clocks), z)
    after.sum().backward()
    torch.testing.assert_close(after.detach(), before.clone())


# -- density -------------------------------------------------------------------


@EVERY_PATH
def test_log_density_of_exact_flows_is_that_of_their_law(path):
    mean, scale = torch.tensor([-1.0, 1.0], dtype=torch.float64), 0.4
    field = partial(_mixture_field, path, mean, scale)

    def divergence(z, t):
        with torch.enable_grad():
            at = z.detach().requires_grad_()
            (slope,) = torch.autograd.grad(field(at, t).sum(), at)
        return slope[..., 0]

    y = torch.linspace(-2.5, 2.5, 101, dtype=torch.float64)[None, :, None]
    start, gained = trace_back(field, divergence, y)
    normal = torch.distributions.Normal(0.0, 1.0)
    found = normal.log_prob(start[..., 0]) - gained
    each = torch.distributions.Normal(mean, scale).log_prob(y)
    expected = torch.logsumexp(each, -1) - math.log(2)
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0)


@pytest.mark.parametrize("d", [1, 2])
def test_density_integrates_to_one(d):
    flow, code = _flow(d, seed=5), _normal(1, 6, seed=1)
    root = torch.linalg.cholesky(0.5 * torch.eye(d) + 0.5).double()
    line = torch.linspace(-8, 8, 81 if d == 2 else 801, dtype=torch.float64)
    z = torch.cartesian_prod(*[line] * d).view(1, -1, d)
    with torch.no_grad():
        log_density = flow.log_copula(code, root, z) - 0.5 * z.square().sum(-1)
    total = log_density.exp().sum() * (line[1] - line[0]) ** d
    assert float(total / (2 * math.pi) ** (d / 2)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("d", [2, 40])
def test_few_nodes_are_as_good_as_many(d):
    flow, code, z = _flow(d, 16), _normal(1, 16, seed=1), _normal(1, 50, d)
    modulation = flow.velocity.modulation(code)[:, None]

    def divergence(z, t):
        clock = flow.velocity.clock(z.new_full((1, 1, 1), t))
        return flow.velocity.divergence(z, clock, modulation)

    with torch.no_grad():
        some = trace_back(flow.field(code), divergence, z)
        many = trace_back(flow.field(code), divergence, z, n_nodes=128)
    torch.testing.assert_close(some[0], many[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(some[1], many[1], atol=0.01, rtol=0)


def test_without_a_flow_to_speak_of_the_copula_is_the_gaussian_one():
    flow = Flow(nn.Identity(), VelocityNetwork(2, 4, 1), "linear").double()
    root = torch.linalg.cholesky(torch.tensor([[1.0, 0.8], [0.8, 1.0]]).double())
    z, code = _normal(5, 2), _normal(5, 4)
    lost = z.clone()
    lost[0, 1] = lost[1] = torch.nan
    for low, high in ((z, z), (lost, lost), (z, z + 0.7)):
        found = flow.log_box_copula(code, root, low, high)
        expected = log_box_copula(root, low, high, 16)
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        flow.log_copula(code, root, z[:, None])[:, 0], log_copula(root, z)
    )


def test_what_is_missing_is_marginalised():
    flow, code = _flow(2), _normal(1, 6, seed=1)
    root = torch.linalg.cholesky(torch.tensor([[1.0, 0.6], [0.6, 1.0]]).double())
    line = torch.linspace(-8, 8, 801, dtype=torch.float64)
    seen = torch.full_like(line, 0.7)
    whole = torch.stack([seen, line], 1)[None]
    lost = torch.tensor([[0.7, torch.nan]], dtype=torch.float64)
    with torch.no_grad():
        density = flow.log_copula(code, root, whole)[0].exp()
        density = density * torch.exp(-0.5 * line.square()) / math.sqrt(2 * math.pi)
        expected = torch.log(density.sum() * (line[1] - line[0]))
        found = flow.log_box_copula(code, root, lost, lost, n_nodes=256)
    torch.testing.assert_close(found[0], expected, atol=0.02, rtol=0)


def test_probabilities_of_boxes_sum_to_one():
    flow, code = _flow(2), _normal(1, 6, seed=1)
    root = torch.linalg.cholesky(torch.tensor([[1.0, 0.6], [0.6, 1.0]]).double())
    ends = torch.tensor([-12.0, -1.0, 0.0, 0.5, 12.0], dtype=torch.float64)
    low = torch.cartesian_prod(ends[:-1], ends[:-1])
    high = torch.cartesian_prod(ends[1:], ends[1:])
    with torch.no_grad():
        ratio = flow.log_box_copula(code.expand(16, -1), root, low, high).exp()
    alone = (ndtr(high) - ndtr(low)).prod(1)
    assert float((ratio * alone).sum()) == pytest.approx(1, abs=0.03)
