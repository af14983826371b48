import pytest
import torch

from afm_sklearn.law.families import CountMixture, GaussianMixture
from afm_sklearn.law.flow.paths import PATHS
from afm_sklearn.law.flow.solvers import integrate
from afm_sklearn.law.initial import build
from afm_sklearn.law.networks.architecture import Architecture
from afm_sklearn.law.networks.encoders import HISTORY_ENCODERS

EVERY_ENCODER = pytest.mark.parametrize("name", HISTORY_ENCODERS)
LENGTH = 7


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        yield


def _built(make):
    return build(make, torch.Generator().manual_seed(0))


def _architecture(name, *, d=3, groups=None, **changes):
    groups = {} if groups is None else groups
    sizes = dict(length=LENGTH, scales=(1,), hidden_dim=16, n_layers=2)
    sizes.update(changes)
    n_stimuli = sum(map(len, groups.values()))
    return Architecture(
        encoder=name,
        n_channels=d + n_stimuli,
        n_outputs=d,
        n_lagged=d,
        groups=groups,
        **sizes,
    )


def _differs(a, b):
    return float((a - b).abs().max()) > 1e-6


@EVERY_ENCODER
@pytest.mark.parametrize("scales", [(1,), (1, 5), (5, 7), (7,)])
@pytest.mark.parametrize("d", [1, 3, 40])
def test_a_window_of_any_population_becomes_one_code(name, scales, d):
    encoder = _built(_architecture(name, d=d, scales=scales).history_encoder)
    code = encoder(torch.randn(4, LENGTH, d), None)
    assert code.shape == (4, 16) and torch.isfinite(code).all()


@EVERY_ENCODER
def test_every_step_and_every_channel_matters(name):
    encoder = _built(_architecture(name).history_encoder)
    x = torch.randn(1, LENGTH, 3)
    code = encoder(x, None)
    for step in range(LENGTH):
        for channel in range(3):
            other = x.clone()
            other[0, step, channel] += 3.0
            assert _differs(encoder(other, None), code), (step, channel)


@EVERY_ENCODER
@pytest.mark.parametrize("scales", [(1,), (1, 5)])
def test_the_order_of_time_matters(name, scales):
    encoder = _built(_architecture(name, scales=scales).history_encoder)
    x = torch.randn(4, LENGTH, 3)
    code = encoder(x, None)
    old = torch.cat([x[:, : LENGTH - 1].flip(1), x[:, -1:]], 1)
    assert _differs(encoder(old, None), code)
    assert _differs(encoder(x.flip(2), None), code)  # and so do the channels


@EVERY_ENCODER
def test_the_newest_step_matters_more_than_the_oldest(name):
    encoder = _built(_architecture(name).history_encoder)
    x = torch.randn(64, LENGTH, 3)
    code, effects = encoder(x, None), []
    for step in (0, LENGTH - 1):
        other = x.clone()
        other[:, step] += 1.0
        effects.append(float((encoder(other, None) - code).abs().mean()))
    assert effects[0] < effects[1]


@EVERY_ENCODER
def test_steps_before_the_window_of_the_encoder_are_not_read(name):
    encoder = _built(_architecture(name).history_encoder)
    x = torch.randn(4, LENGTH, 3)
    longer = torch.cat([torch.randn(4, 5, 3), x], 1)
    torch.testing.assert_close(encoder(longer, None), encoder(x, None))


@EVERY_ENCODER
def test_rows_are_encoded_independently(name):
    encoder = _built(_architecture(name, scales=(1, 5)).history_encoder).double()
    x = torch.randn(6, LENGTH, 3, dtype=torch.float64)
    alone = torch.cat([encoder(row[None], None) for row in x])
    torch.testing.assert_close(encoder(x, None), alone)


@EVERY_ENCODER
def test_missing_flags_matter_and_none_means_no_flag(name):
    encoder = _built(_architecture(name, groups={"s": [0, 1]}).history_encoder)
    x = torch.randn(4, LENGTH, 5)
    flags = torch.zeros_like(x)
    code = encoder(x, None)
    torch.testing.assert_close(encoder(x, flags), code)
    for channel in range(5):
        flagged = flags.clone()
        flagged[:, -2:, channel] = 1.0
        assert _differs(encoder(x, flagged), code), channel


@EVERY_ENCODER
def test_modalities_of_any_width_and_order_have_a_branch_each(name):
    groups = {"sound": [2], "image": [0, 3, 4], "task": [1]}
    encoder = _built(_architecture(name, groups=groups).history_encoder)
    x = torch.randn(4, LENGTH, 8)
    code = encoder(x, None)
    for column in range(5):
        other = x.clone()
        other[:, -1, 3 + column] += 2.0
        assert _differs(encoder(other, None), code), column


@EVERY_ENCODER
def test_a_stimulus_column_in_no_group_is_not_read(name):
    architecture = _architecture(name, groups={"s": [0, 2]})
    x = torch.randn(4, LENGTH, 6)
    other = x.clone()
    other[..., 3 + 1] += 5.0
    encoder = _built(architecture.history_encoder)
    torch.testing.assert_close(encoder(x, None), encoder(other, None))


@EVERY_ENCODER
def test_gradients_reach_every_parameter(name):
    encoder = _built(
        _architecture(name, groups={"s": [0]}, scales=(1, 5)).history_encoder
    )
    x = torch.randn(8, LENGTH, 4)
    with torch.enable_grad():
        encoder(x, (torch.rand_like(x) < 0.5).float()).square().sum().backward()
    for label, parameter in encoder.named_parameters():
        assert parameter.grad is not None, label
        assert torch.isfinite(parameter.grad).all(), label
        assert (parameter.grad != 0).any(), label


@EVERY_ENCODER
@pytest.mark.parametrize("scales", [(1,), (1, 3, 5), (5, 7)])
@pytest.mark.parametrize("n_drawn", [1, 2, 4, LENGTH, LENGTH + 3])
def test_drawn_steps_add_to_the_embedding_of_the_known_ones(name, scales, n_drawn):
    encoder = _built(
        _architecture(name, groups={"s": [0]}, scales=scales).history_encoder
    )
    x = torch.randn(4, LENGTH, 4)
    drawn, known = torch.randn(4, n_drawn, 3), x.clone()
    newest = min(n_drawn, LENGTH)
    known[:, -newest:, :3], x[:, -newest:, :3] = 0.0, drawn[:, -newest:]
    parts = zip(encoder.embed(known, None), encoder.embed_drawn(drawn), strict=True)
    code = encoder.encode([a + b for a, b in parts])
    torch.testing.assert_close(code, encoder(x, None))


# -- what is built on them -----------------------------------------------------


@EVERY_ENCODER
@pytest.mark.parametrize("path", PATHS)
def test_an_untrained_flow_leaves_its_noise_as_it_is(name, path):
    flow = _built(lambda: _architecture(name).flow(path))
    z = torch.randn(4, 10, 3)
    field = flow.field(flow.encoder(torch.randn(4, LENGTH, 3), None))
    torch.testing.assert_close(integrate(field, z), z)


def _marginal(name, unit, log_scale, *, k, sees="window", center=None):
    architecture = _architecture(name)
    is_centered = center is not None
    network = _built(lambda: architecture.marginal_network(sees, k, is_centered))
    network.start_from(unit, log_scale, center if is_centered else torch.zeros(3))
    return network


def _law(family, network, forecast, keeps_mean=False, x=None):
    x = torch.randn(4, LENGTH, 3) if x is None else x
    return family(*network(network.encoder(x, None), forecast, keeps_mean))


@pytest.mark.parametrize("n_components", [1, 3])
@EVERY_ENCODER
def test_an_untrained_marginal_is_the_linear_forecast(name, n_components):
    unit = torch.tensor([0.5, 1.0, 2.0])
    network = _marginal(name, unit, unit.log(), k=n_components)
    forecast = torch.randn(4, 3)
    law = _law(GaussianMixture, network, forecast)
    torch.testing.assert_close(law.mean, forecast)
    draws = law.from_normal(torch.randn(4, 4000, 3))
    torch.testing.assert_close(draws.std(1), unit.expand(4, 3), rtol=0.15, atol=0)


def test_an_untrained_count_law_is_the_poisson_regression():
    network = _marginal("mlp", torch.ones(3), torch.zeros(3), k=1)
    forecast = torch.randn(4, 3)
    law = _law(CountMixture, network, forecast)
    torch.testing.assert_close(law.mean, forecast.exp())


def test_a_network_with_a_centre_ignores_the_linear_forecast():
    center = torch.tensor([1.0, 2.0, 3.0])
    network = _marginal(
        "mlp", torch.ones(3), torch.zeros(3), k=3, sees="newest", center=center
    )
    assert network.reach == 1
    law = _law(GaussianMixture, network, torch.randn(4, 3))
    torch.testing.assert_close(law.mean, center.expand(4, 3))


def test_a_network_can_keep_the_mean_of_the_linear_forecast():
    unit = torch.tensor([0.5, 1.0, 2.0])
    network = _marginal("mlp", unit, unit.log(), k=3)
    torch.nn.init.normal_(network.outlet.weight)
    x, forecast = torch.randn(4, LENGTH, 3), torch.randn(4, 3)
    free, kept = (
        _law(GaussianMixture, network, forecast, keeps, x) for keeps in (False, True)
    )
    assert _differs(free.mean, forecast)
    torch.testing.assert_close(kept.mean, forecast)
    assert _differs(kept.parameters[1][0], kept.parameters[1][1])  # spread follows x
