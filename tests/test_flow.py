import math

import pytest
import torch

from afm_sklearn.flow.paths import PATHS
from afm_sklearn.flow.solvers import SOLVERS, integrate
from afm_sklearn.rollout import rollout

ORDER = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4}


@pytest.mark.parametrize("name", PATHS)
def test_path_runs_from_noise_to_data_and_velocity_is_its_derivative(name):
    path = PATHS[name]()
    z0, z1 = torch.randn(2, 50, 3, dtype=torch.float64).unbind(0)
    t = torch.linspace(0, 0.99, 50, dtype=torch.float64)[:, None]
    start, _ = path.interpolate(z0, z1, torch.zeros_like(t))
    end, _ = path.interpolate(z0, z1, torch.ones_like(t))
    torch.testing.assert_close(start, z0)
    torch.testing.assert_close(end, z1)
    z, velocity = path.interpolate(z0, z1, t)
    later, _ = path.interpolate(z0, z1, t + 1e-6)
    torch.testing.assert_close((later - z) / 1e-6, velocity, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("solver", ORDER)
def test_solver_converges_at_its_order(solver):
    def error(n_steps):
        z = torch.ones(1, dtype=torch.float64)
        out = integrate(lambda z, t: z * math.cos(t), z, solver=solver, n_steps=n_steps)
        return abs(float(out) - math.exp(math.sin(1.0)))

    observed = math.log2(error(16) / error(32))
    assert observed == pytest.approx(ORDER[solver], abs=0.3)


@pytest.mark.parametrize("solver", SOLVERS)
def test_solver_runs_back_to_its_start(solver):
    z = torch.tensor([[1.0, -2.0]], dtype=torch.float64)

    def field(z, t):
        return torch.sin(z) + t

    end = integrate(field, z, solver=solver, n_steps=400)
    back = integrate(field, end, solver=solver, n_steps=400, reverse=True)
    torch.testing.assert_close(back, z, atol=1e-2, rtol=1e-2)


def test_rollout_feeds_each_draw_into_the_next_window():
    windows = torch.zeros(2, 3, 2)
    stimulus = torch.arange(8.0).view(2, 4, 1)

    def draw(windows, k):  # last activity plus the current stimulus
        return windows[:, None, -1:, :1].sum(2).expand(-1, k, -1) + windows[
            :, None, -1, 1:
        ].expand(-1, k, -1)

    out = rollout(draw, windows, 4, 5, n_outputs=1, stimulus=stimulus)
    expected = stimulus.cumsum(1)[:, None].expand(-1, 5, -1, -1)
    torch.testing.assert_close(out, expected)
