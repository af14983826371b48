"""Values that channels take again and again."""

import numpy as np
import pytest
import torch

from afm_sklearn import (
    AFMForecaster,
    OutOfDistributionWarning,
    SlidingWindow,
    crps,
    design_matrix,
    pit,
)
from afm_sklearn.datasets import make_linear_var, make_sparse_events
from afm_sklearn.law.atoms import find_atoms


def _settle(atoms, values):
    return atoms.settle(torch.as_tensor(np.asarray(values, float))[:, None])[:, 0]


def test_counts_in_any_unit_settle_to_their_lattice():
    rng = np.random.default_rng(0)
    y = 2.5 * rng.poisson(3.0, size=(2000, 1)) - 1.0
    atoms = find_atoms(y)
    drawn = _settle(atoms, [-2.1, -0.2, 0.3, 3.9, 6.4])
    np.testing.assert_allclose(drawn, [-1.0, -1.0, 1.5, 4.0, 6.5])


def test_an_even_lattice_has_the_values_between_and_goes_on_beyond():
    y = np.repeat([[-0.5], [0.0], [1.0]], 50, axis=0)
    atoms = find_atoms(y)
    drawn = _settle(atoms, [-9.0, 0.6, 1.3, 7.1])
    np.testing.assert_allclose(drawn, [-0.5, 0.5, 1.0, 1.0])  # both ends are bounds
    rare = np.concatenate([y, [[2.5], [2.5]]])
    drawn = _settle(find_atoms(rare), [2.1, 2.9, 7.1])
    np.testing.assert_allclose(drawn, [2.0, 3.0, 7.0])


def test_what_is_drawn_of_few_counts_are_counts():
    y = np.random.default_rng(0).poisson(40.0, size=(30, 2)).astype(float)
    y[:, 1] = np.nan
    atoms = find_atoms(y, are_counts=True)
    x = torch.as_tensor(np.random.default_rng(1).normal(30, 40, size=(5000, 2)))
    settled = atoms.settle(x)
    np.testing.assert_array_equal(settled, x.round().clamp(min=0))
    at = torch.tensor([[-3.0], [0.0], [4.6], [200.0]]).double().expand(-1, 2)
    for point, edge in zip(at, atoms.edge(at), strict=True):
        assert torch.equal((settled <= point).sum(0), (x <= edge).sum(0))


def test_what_settles_does_not_depend_on_the_rest_of_the_batch(events):
    X, y = events
    model = AFMForecaster(base="linear", random_state=0, max_epochs=1)
    model.fit(X[:1000], y[:1000])
    batch = X[1000:1003].copy()
    batch[-1, :, :6] += 1e4 * y.max()  # has left the range
    levels = [0.05, 0.5, 0.95]
    alone = model.predict_quantiles(batch[:2], levels)
    with pytest.warns(OutOfDistributionWarning):
        beside = model.predict_quantiles(batch, levels)
    np.testing.assert_array_equal(beside[:2], alone)


def test_what_never_repeats_has_no_atoms():
    y = np.random.default_rng(0).normal(size=(300, 2))
    y[0] = np.nan
    atoms = find_atoms(y)
    x = torch.randn(5, 4, 2, dtype=torch.float64)
    assert len(atoms) == 0 and atoms.settle(x) is x
    assert len(find_atoms(np.zeros((20, 1)))) == 0  # constant: nothing to choose


def test_the_distribution_function_is_that_of_what_settles():
    rng = np.random.default_rng(0)
    y = np.where(rng.random((3000, 1)) < 0.8, 0.0, 0.5 + rng.gamma(2.0, size=(3000, 1)))
    atoms = find_atoms(y)
    x = torch.as_tensor(rng.normal(0.3, 1.0, size=(200_000, 1)))
    settled = atoms.settle(x)
    at = torch.tensor([[-0.5], [0.0], [0.2], [0.26], [1.0]]).double()
    for point, edge in zip(at, atoms.edge(at), strict=True):
        assert (settled <= point).double().mean() == (x <= edge).double().mean()


def test_settling_keeps_the_gradient():
    atoms = find_atoms(np.repeat([[0.0], [1.0]], 50, axis=0))
    x = torch.tensor([[0.2], [0.9]], dtype=torch.float64, requires_grad=True)
    atoms.settle(x).sum().backward()
    np.testing.assert_array_equal(x.grad, np.ones((2, 1)))


@pytest.fixture(scope="module")
def events():
    data = make_sparse_events(
        n_times=2500, n_neurons=6, mean_rate=0.1, amplitudes=True, random_state=0
    )
    X = SlidingWindow(3).fit_transform(design_matrix(data.activity, data.stimulus))
    return np.asarray(X), data.activity


@pytest.mark.filterwarnings("ignore::afm_sklearn.OutOfDistributionWarning")
def test_silence_is_drawn_as_silence(events):
    X, y = events
    model = AFMForecaster(random_state=0, max_epochs=5).fit(X[:2000], y[:2000])
    draws = model.sample(X[2000:], 100, random_state=0)
    silent = (draws == 0).mean()
    assert silent == pytest.approx((y[2000:] == 0).mean(), abs=0.06)
    ranks = pit(y[2000:], draws, random_state=0)
    assert 0.86 < (np.abs(ranks - 0.5) < 0.45).mean() < 0.94
    share = model.predict_quantiles(X[2000:], [0.5])
    assert (share == 0).mean() > 0.9


@pytest.mark.filterwarnings("ignore::afm_sklearn.OutOfDistributionWarning")
@pytest.mark.parametrize("base", ["linear", "learned"])
def test_one_law_alone_settles_too(events, base):
    X, y = events
    model = AFMForecaster(base=base, random_state=0, max_epochs=3)
    model.fit(X[:1000], y[:1000])
    paths = model.sample_trajectories(
        X[1000:1005], 3, stimulus=_ahead(X, 3), n_samples=50, random_state=0
    )
    assert (paths == 0).mean() > 0.4


def _ahead(X, horizon):
    return X[(1000 + np.arange(5))[:, None] + np.arange(horizon), -1, 6:]


def test_rounded_values_are_forecast_no_worse_than_those_they_come_from():
    data = make_linear_var(n_times=1500, n_channels=2, n_stimuli=1, random_state=0)
    scores = []
    for y in (data.activity, np.round(data.activity)):
        X = design_matrix(y, data.stimulus)
        model = AFMForecaster(base="linear", random_state=0, max_epochs=1)
        draws = model.fit(X[:1000], y[:1000]).sample(X[1000:], 100, random_state=0)
        scores.append(crps(y[1000:], draws).mean())
    assert (draws == np.round(draws)).all()
    assert scores[1] < 1.15 * scores[0]
