"""Means and quantiles of a law with a flow, read off without integrating it."""

import numpy as np
import pytest
import torch

from afm_sklearn import AFMForecaster, SlidingWindow, design_matrix
from afm_sklearn.datasets import make_double_well
from afm_sklearn.law.flow.margins import Margins

N_DRAWS = 20000
LEVELS = (0.05, 0.5, 0.95)


@pytest.fixture(scope="module")
def windows():
    y = make_double_well(1300, 4, random_state=0).activity
    return np.asarray(SlidingWindow(3).fit_transform(design_matrix(y))), y


@pytest.fixture(scope="module")
def model(windows):
    X, y = windows
    model = AFMForecaster(base="learned", max_epochs=15, random_state=0)
    return model.fit(X[:1200], y[:1200])


@pytest.fixture(scope="module")
def draws(model, windows):
    return model.sample(windows[0][1200:1240], N_DRAWS, random_state=0)


def test_affine_margins_carry_scores_and_bring_them_back():
    margins = Margins(3, 2)
    margins.coef.copy_(torch.randn(3, 6, generator=torch.manual_seed(0)) / 9)
    moved = margins(torch.linspace(-1, 1, 15).view(5, 3))
    z = torch.linspace(-3, 3, 20).view(5, 2, 2)
    torch.testing.assert_close(moved.back(moved.carry(z)), z)


def test_mean_is_that_of_draws(model, windows, draws):
    assert model.law_.margins is not None
    error = (model.predict(windows[0][1200:1240]) - draws.mean(1)) / draws.std(1)
    assert np.sqrt(np.square(error).mean(0)).max() < 2000**-0.5


def test_quantiles_and_distribution_function_are_those_of_draws(model, windows, draws):
    X = windows[0][1200:1240]
    quantiles = model.predict_quantiles(X, LEVELS)
    for k, level in enumerate(LEVELS):
        below = (draws <= quantiles[:, k][:, None]).mean(1)
        assert np.sqrt(np.square(below - level).mean()) < 0.015
    with torch.no_grad():
        p = model.law_.in_double().start(torch.tensor(X)).predict()
        torch.testing.assert_close(
            p.cdf(torch.as_tensor(quantiles[:, 0])),
            torch.full((40, 4), 0.05, dtype=torch.float64),
            atol=1e-6,
            rtol=0.0,
        )


def test_another_solver_is_asked_by_its_own_draws(model):
    law = model.law_
    assert law.with_solver(law.solver, law.n_steps).margins is law.margins
    assert law.with_solver("euler", 1).margins is None
    assert law.margins is not None


def test_a_flow_that_does_everything_is_integrated(windows):
    X, y = windows
    model = AFMForecaster(base="normal", max_epochs=8, random_state=0)
    law = model.fit(X[:400], y[:400]).law_
    assert law.margins is None
    assert law.n_points < 1024


def test_quantiles_where_something_is_missing_are_those_of_draws(windows):
    X, y = windows
    model = AFMForecaster(base="normal", max_epochs=8, random_state=0)
    model.fit(X[:400], y[:400])
    X = X[1200:1205].copy()
    X[:, 0, 0] = np.nan
    draws = model.sample(X, 4000, random_state=0)
    below = (draws[:, None] <= model.predict_quantiles(X, LEVELS)[:, :, None]).mean(2)
    error = below - np.array(LEVELS)[:, None]
    assert np.sqrt(np.square(error).mean()) < 0.02
    centre = (model.predict(X) - draws.mean(1)) / draws.std(1)
    assert np.abs(centre).max() < 0.1


def test_margins_are_saved(model, windows, tmp_path):
    model.save(tmp_path / "model")
    twin = AFMForecaster.load(tmp_path / "model")
    X = windows[0][1200:1210]
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
