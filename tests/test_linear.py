import numpy as np
import pytest
import torch
from sklearn.linear_model import PoissonRegressor, Ridge

from afm_sklearn import AFMForecaster, SlidingWindow, crps, design_matrix
from afm_sklearn.data.store import WindowStore
from afm_sklearn.data.windows import Windows
from afm_sklearn.datasets import make_linear_var, make_spiking_population
from afm_sklearn.fitting import features, log_rate, own, poisson, ridge
from afm_sklearn.fitting.features import LagFeatures
from afm_sklearn.fitting.left_out import Fit
from afm_sklearn.fitting.moments import moments_beside, moments_of
from afm_sklearn.fitting.poisson import fit_poisson
from afm_sklearn.fitting.ridge import fit_means
from afm_sklearn.law.gaps import Gaps
from afm_sklearn.law.linear import LinearLaw

BLOCKS = [slice(0, 100), slice(100, 250), slice(250, 300)]


@pytest.fixture
def one_ridge(monkeypatch):
    """One penalty and one decay: nothing is left to choose."""
    monkeypatch.setattr(ridge, "PENALTIES", np.array([30.0]))
    monkeypatch.setattr(ridge, "DECAYS", (1.0,))


@pytest.fixture
def one_poisson(monkeypatch):
    monkeypatch.setattr(poisson, "PENALTIES", (0.1,))
    monkeypatch.setattr(poisson, "COUPLING_PENALTIES", (0.1,))
    monkeypatch.setattr(poisson, "DECAYS", (1.0,))
    monkeypatch.setattr(poisson, "solve", lambda *a: log_rate.solve(*a[:4], 400))


def _features(windows, n_lagged=None):
    c = windows.shape[2]
    windows = Windows.from_array(np.asarray(windows, np.float32))
    store = WindowStore.from_windows(windows, np.zeros(c), np.ones(c))
    return LagFeatures(store, Gaps(c), c if n_lagged is None else n_lagged)


def _stack(*args, **kwargs):
    return fit_means(*args, **kwargs)["stack"]


def _problem(length=1, seed=0):
    """Independent windows, linear targets and all rows usable."""
    rng = np.random.default_rng(seed)
    windows = rng.normal(size=(300, length, 4)).astype(np.float32)
    y = windows.reshape(300, -1) @ rng.normal(size=(4 * length, 2)) + 1.0
    y += rng.normal(size=y.shape)
    return windows, torch.from_numpy(y).float(), np.ones(300, dtype=bool)


def _without(block):
    return np.setdiff1d(np.arange(300), np.arange(300)[block])


@pytest.mark.parametrize("length", [1, 3])
def test_out_of_block_fits_are_ridge_regressions_on_the_other_blocks(length, one_ridge):
    windows, y, usable = _problem(length)
    fit = _stack(_features(windows), y, usable, BLOCKS, walk=None)
    # A penalty that grows with the lag is a plain one on features that shrink.
    shrink = np.repeat(1.0 / np.arange(length, 0, -1), 4)
    F = windows.reshape(300, -1) * shrink
    for block, (coef, intercept, *_) in zip(BLOCKS, fit.others, strict=True):
        rows = _without(block)
        expected = Ridge(alpha=30.0).fit(F[rows], y.numpy()[rows])
        np.testing.assert_allclose(coef, shrink[:, None] * expected.coef_.T, rtol=1e-5)
        np.testing.assert_allclose(intercept, expected.intercept_, rtol=1e-5)
    expected = Ridge(alpha=30.0).fit(F, y.numpy())
    np.testing.assert_allclose(
        fit.whole.coef, shrink[:, None] * expected.coef_.T, rtol=1e-5
    )


def test_a_single_block_is_fitted_although_nothing_can_be_left_out():
    windows, y, usable = _problem()
    fit = _stack(_features(windows), y, usable, [slice(0, 300)], None)
    assert np.isfinite(fit.whole.coef).all() and len(fit.others) == 1


@pytest.mark.parametrize("family", ["ridge", "Poisson"])
def test_forecasts_of_a_block_never_used_its_targets(family, request):
    if family == "ridge":
        request.getfixturevalue("one_ridge")
        windows, y, usable = _problem()

        def fit(y):
            return _stack(_features(windows), y, usable, BLOCKS, None)
    else:
        request.getfixturevalue("one_poisson")
        windows, y, usable = _spikes()

        def fit(y):
            return _log_rate(_features(windows), y, usable, BLOCKS)

    other = y.clone()
    other[BLOCKS[1]] = other[BLOCKS[1]].flip(0) + 1.0
    first, second = fit(y), fit(other)
    # Poisson fits start from the fit of all rows and stop at a tolerance.
    rtol = 1e-6 if family == "ridge" else 0.01
    np.testing.assert_allclose(
        first.others[1].coef, second.others[1].coef, rtol=rtol, atol=rtol / 10
    )
    assert not np.allclose(first.others[0].coef, second.others[0].coef, atol=0.01)


def test_rows_that_are_not_usable_do_not_enter():
    windows, y, usable = _problem()
    usable[::7] = False
    wild = torch.where(torch.from_numpy(usable)[:, None], y, 1e3)
    fits = [_stack(_features(windows), t, usable, BLOCKS, None) for t in (y, wild)]
    np.testing.assert_array_equal(fits[0].whole.coef, fits[1].whole.coef)
    windows[::7] = 1e3
    other = _stack(_features(windows), y, usable, BLOCKS, None)
    np.testing.assert_array_equal(fits[0].whole.coef, other.whole.coef)


def test_missing_targets_leave_the_others_as_they_are():
    windows, y, usable = _problem()
    truth = _stack(_features(windows), y, usable, BLOCKS, None)
    holes = y.clone()
    holes[torch.rand(y.shape, generator=torch.Generator().manual_seed(0)) < 0.2] = (
        torch.nan
    )
    before = holes.clone()
    fit = _stack(_features(windows), holes, usable, BLOCKS, None)
    assert torch.equal(holes.isnan(), before.isnan())
    np.testing.assert_allclose(fit.whole.coef, truth.whole.coef, atol=0.2)


def test_a_random_walk_is_forecast_by_its_last_value():
    walk = np.random.default_rng(0).normal(size=(1500, 5)).cumsum(0)
    X = SlidingWindow(4).fit_transform(design_matrix(walk))
    model = AFMForecaster(max_epochs=1, random_state=0).fit(X[:1000], walk[:1000])
    error = model.predict(X[1000:]) - walk[999:-1]
    assert np.sqrt((error**2).mean()) < 0.15  # of the steps' standard deviation


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("n_channels", [2, 20])
def test_the_stack_is_within_two_per_cent_of_the_oracle(order, n_channels):
    data = make_linear_var(3500, n_channels, order=order, random_state=0)
    X = SlidingWindow(5).fit_transform(design_matrix(data.activity, data.stimulus))
    y = data.activity
    model = AFMForecaster(max_epochs=1, random_state=0).fit(X[:3000], y[:3000])
    scores = [
        crps(y[3000:], m.sample(X[3000:], 100, random_state=0)).mean()
        for m in (model, data.oracle)
    ]
    assert scores[0] < 1.02 * scores[1]


# -- counts --------------------------------------------------------------------


def _spikes(n_steps=301, n_neurons=4):
    data = make_spiking_population(n_steps, n_neurons, mean_count=0.5, random_state=0)
    X = design_matrix(data.activity, data.stimulus)[1:, None]
    y = torch.from_numpy(data.activity[1:]).float()
    return X, y, np.ones(len(X), dtype=bool)


def _log_rate(*given):
    return fit_poisson(*given, is_autoregressive=True)


def test_out_of_block_fits_are_poisson_regressions_on_the_other_blocks(one_poisson):
    windows, y, usable = _spikes()
    fit = _log_rate(_features(windows, 4), y, usable, BLOCKS)
    parts = [
        *zip(BLOCKS, fit.others, strict=True),
        (slice(0, 0), fit.whole),
    ]
    for block, (coef, intercept, *_) in parts:
        rows = _without(block)
        for j in range(4):
            theirs = PoissonRegressor(alpha=0.1, max_iter=1000, tol=1e-8)
            theirs.fit(windows[rows, 0], y.numpy()[rows, j])
            np.testing.assert_allclose(coef[:, j], theirs.coef_, atol=2e-3)
            np.testing.assert_allclose(intercept[j], theirs.intercept_, atol=2e-3)


def test_missing_counts_are_left_out(one_poisson):
    windows, y, usable = _spikes()
    holes = y.clone()
    holes[::3, 1] = torch.nan
    fit = _log_rate(_features(windows, 4), holes, usable, BLOCKS)
    seen = ~holes[:, 1].isnan().numpy()
    # The penalty is beside a mean over all rows, so that fewer targets weigh less.
    theirs = PoissonRegressor(alpha=0.1 / seen.mean(), max_iter=1000, tol=1e-8)
    theirs.fit(windows[seen, 0], y.numpy()[seen, 1])
    np.testing.assert_allclose(fit.whole.coef[:, 1], theirs.coef_, atol=2e-3)


def test_weights_of_a_spiking_population_are_recovered():
    data = make_spiking_population(8000, 6, mean_count=0.5, random_state=1)
    X = design_matrix(data.activity, data.stimulus)[1:, None]
    y = torch.from_numpy(data.activity[1:]).float()
    blocks = [slice(k, k + 1600) for k in range(0, 7999, 1600)]
    blocks[-1] = slice(6400, 7999)
    usable = np.ones(len(X), dtype=bool)
    fit = _log_rate(_features(X, 6), y, usable, blocks)
    law = data.oracle.law
    true = np.r_[law.lag_weights.T, law.stimulus_weights.T]
    assert np.corrcoef(fit.whole.coef.ravel(), true.ravel())[0, 1] > 0.98
    np.testing.assert_allclose(fit.whole.coef, true, atol=0.5)


def test_weights_between_neurons_without_couplings_hardly_move_a_rate():
    rng = np.random.default_rng(0)
    y = np.zeros((601, 20))
    for t in range(600):
        y[t + 1] = rng.poisson(np.exp(-0.7 + 0.8 * np.minimum(y[t], 2)))
    usable, blocks = np.ones(600, bool), [slice(k, k + 120) for k in range(0, 600, 120)]
    rest = y[:-1] - y.mean(0)
    fit = _log_rate(
        _features(rest[:, None], 20), torch.tensor(y[1:]).float(), usable, blocks
    )
    by_others = rest @ (fit.whole.coef * (1 - np.eye(20)))
    by_itself = rest * fit.whole.coef.diagonal()
    assert fit.whole.coef.diagonal().min() > 0.15
    assert by_others.std() < 0.15 * by_itself.std()


# -- more channels than features hold --------------------------------------------


@pytest.fixture
def few_features(monkeypatch):
    """The newest step alone is seen by all channels, those before it by each alone."""
    monkeypatch.setattr(features, "MAX_FEATURES", 1)
    monkeypatch.setattr(features, "MIN_RANK", 2)


def _series(n=400, d=4, s=2, length=4, seed=0):
    """Lagged windows (n, L, d + s) of a series, and what follows."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(n + length, d))
    for t in range(3, len(y)):
        y[t] += 0.5 * y[t - 1] - 0.2 * y[t - 2] + 0.4 * y[t - 3]
    shown = rng.normal(size=(n + length, s))
    steps = np.concatenate([y, shown], 1).astype(np.float32)
    windows = np.stack([steps[k : k + length] for k in range(n)])
    return windows, y[length:], [slice(0, 150), slice(150, n)]


def _own_features(windows, d):
    c = windows.shape[2]
    given = Windows.from_array(windows)
    store = WindowStore.from_windows(given, np.zeros(c), np.ones(c))
    return LagFeatures(store, Gaps(c), d, sees_own=True)


def test_an_autoregression_of_each_channel_sees_all_steps_of_the_window(
    few_features, monkeypatch
):
    monkeypatch.setattr(own, "PENALTIES", np.array([5.0]))
    windows, y, blocks = _series()
    n, d = y.shape
    given = _own_features(windows, d)
    maps = own.fit_own(given, torch.from_numpy(y).float(), np.ones(n, bool), blocks)
    for block, each in zip([*blocks, slice(0, 0)], maps, strict=True):
        rows = np.setdiff1d(np.arange(n), np.arange(n)[block])
        for j in range(d):
            past = np.concatenate([windows[:, :, j], windows[:, -1, d:]], 1)
            theirs = Ridge(alpha=5.0).fit(past[rows], y[rows, j])
            weights = np.concatenate([each.own[:, j], each.coef[given.past(j), j]])
            np.testing.assert_allclose(weights, theirs.coef_[:4], rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(
                each.coef[given.shown(), j], theirs.coef_[4:], rtol=1e-4, atol=1e-6
            )
            np.testing.assert_allclose(each.intercept[j], theirs.intercept_, atol=1e-5)


def test_fits_are_judged_as_if_their_forecasts_were_compared_row_by_row(few_features):
    windows, y, blocks = _series()
    n, d = y.shape
    given, usable = _own_features(windows, d), np.ones(n, bool)
    target = torch.from_numpy(y).float()
    held = [moments_of(given, target, usable, block) for block in blocks]
    fit = Fit(given, held[0] + held[1], held[0])
    maps = own.fit_own(given, target, usable, blocks)
    parts = [moments_beside(given, target, usable, b, [maps[0].own])[0] for b in blocks]
    fit.anchor(np.zeros((given.n_features, d)))
    fit.anchor_own(maps[0], parts[0] + parts[1], parts[0])
    rotation, penalties = fit.rotate(1.0), np.array([0.1, 30.0])
    errors = fit.errors(rotation, penalties)
    inputs = next(given.chunks(blocks[0]))
    left_out, k = y[blocks[0]].astype(np.float32), 0
    for anchor in range(2):
        for penalty in range(2):
            fit.choose(rotation, np.full((2, d), penalties[penalty]))
            ahead = fit.map_of(fit.coefs[k + anchor], float(anchor))(inputs)
            squares = ((left_out - ahead) ** 2).sum(0)
            np.testing.assert_allclose(errors[anchor, penalty], squares, rtol=1e-4)
            k += 2
    fit.coefs = fit.coefs[:4]
    gram, against, yy = fit.products()
    means = [
        fit.map_of(c, s)(inputs) for c, s in zip(fit.coefs, fit.shares(), strict=True)
    ]
    means = [mean - fit.y_mean for mean in means]
    about = left_out - fit.y_mean
    expected = [[np.vdot(a, b) for a in means] for b in means]
    np.testing.assert_allclose(gram, expected, rtol=1e-4)
    np.testing.assert_allclose(against, [np.vdot(a, about) for a in means], rtol=1e-4)
    np.testing.assert_allclose(yy, (about**2).sum(), rtol=1e-4)


def test_what_is_drawn_later_adds_to_what_the_window_says():
    law = LinearLaw(2, 5, 3, n_own=3, rank=2)
    generator = torch.Generator().manual_seed(0)
    for name in ("coef", "own", "basis", "intercept"):
        getattr(law, name).normal_(generator=generator)
    x = torch.randn(4, 6, 5, generator=generator)
    expected = law.intercept + torch.einsum(
        "nld,lde->ne", x[:, -law.reach :, :3].flip(1), law.slopes()
    )
    dense = law.coef[3 * 2 :].unflatten(0, (2, 5))
    expected += torch.einsum("nls,lse->ne", x[:, -2:, 3:], dense[:, 3:])
    torch.testing.assert_close(law(x), expected)
    for n_later in range(1, 7):
        known = x.clone()
        known[:, -n_later:, :3] = 0
        later = law.embed_drawn(x[:, -n_later:, :3])
        torch.testing.assert_close(law.embed(known) + later, law(x))


def test_a_channel_is_forecast_from_all_of_its_past_however_many_there_are(monkeypatch):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(900, 6))
    for t in range(3, len(y)):
        y[t] += 0.5 * y[t - 1] + 0.1 * y[t - 2] + 0.3 * y[t - 3]
    X = SlidingWindow(5).fit_transform(design_matrix(y))
    errors = []
    for at_most in (600, 1):
        monkeypatch.setattr(features, "MAX_FEATURES", at_most)
        model = AFMForecaster(max_epochs=1, random_state=0).fit(X[:700], y[:700])
        errors.append(((model.predict(X[700:]) - y[700:]) ** 2).mean())
    assert errors[1] < 1.02 * errors[0]
