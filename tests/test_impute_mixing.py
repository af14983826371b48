"""Imputation that hides entries on purpose to choose its means: what must hold."""

import numpy as np
import pandas as pd
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern, WhiteKernel
from sklearn.linear_model import Ridge

from afm_sklearn import Climatology, ResidualForecaster, coverage, crps, design_matrix
from afm_sklearn.applications.hiding import gaps, hidden_patterns
from afm_sklearn.applications.impute import impute
from afm_sklearn.applications.local import cut_pieces
from afm_sklearn.applications.mixing import mix
from afm_sklearn.applications.stationary import StationarySmoother, _shapes


def _smooth_series(n=300, d=4, seed=0):
    """Draw channels that share one smooth process, with a little noise."""
    rng = np.random.default_rng(seed)
    lag = np.abs(np.subtract.outer(np.arange(n), np.arange(n))) * np.sqrt(3) / 9
    root = np.linalg.cholesky((1 + lag) * np.exp(-lag) + 1e-6 * np.eye(n))
    shared = root @ rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) / np.sqrt(d)
    return shared + 0.2 * rng.normal(size=(n, d))


def _mask(kind, shape):
    rng = np.random.default_rng(1)
    lost = np.zeros(shape, bool)
    if kind == "entries":
        return rng.random(shape) < 0.2
    if kind == "channel":
        lost[100:140, 0] = True
    else:
        lost[100:110] = lost[200:210] = True
    return lost


def _of_a_process(column, lost, rng):
    t = np.arange(len(column))[:, None].astype(float)
    process = GaussianProcessRegressor(Matern(9.0, nu=1.5) + WhiteKernel(0.1))
    seen = ~lost
    process.fit(t[seen], column[seen])
    mean, size = process.predict(t, return_std=True)
    return mean + size * rng.normal(size=(100, len(column)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", ["entries", "channel", "moment"])
def test_smooth_series_are_imputed_as_well_as_by_simple_methods(kind):
    # One gap says little: the ratio to the process is .8 to 1.1 from seed to seed.
    scores, covered = [], []
    for seed in range(5):
        series = _smooth_series(seed=seed)
        model = ResidualForecaster(Ridge(), window_length=2)
        model.fit(design_matrix(series), series)
        lost = _mask(kind, series.shape)
        y = np.where(lost, np.nan, series)
        rng = np.random.default_rng(0)
        line = pd.DataFrame(y).interpolate(limit_direction="both").to_numpy()
        size = np.sqrt(((line - series)[lost] ** 2).mean())
        columns = zip(series.T, lost.T, strict=True)
        answers = (
            impute(model, y, n_samples=100, random_state=0),
            np.stack([_of_a_process(c, m, rng) for c, m in columns], -1),
            line + size * rng.normal(size=(100, *y.shape)),
        )
        rows = [draws.transpose(1, 0, 2) for draws in answers]
        scores.append([crps(series, one)[lost].mean() for one in rows])
        hidden = np.where(lost, series, np.nan)
        covered.append(np.nanmean(coverage(hidden, rows[0])))
    ours, *simple = np.mean(scores, 0)
    assert ours < 1.02 * min(simple)
    assert 0.85 < np.mean(covered) < 0.95


def test_where_the_law_knows_nothing_the_recording_speaks():
    series = _smooth_series()
    model = Climatology(window_length=2).fit(design_matrix(series), series)
    lost = _mask("entries", series.shape)
    y = np.where(lost, np.nan, series)
    draws = impute(model, y, n_samples=50, random_state=0)
    np.testing.assert_array_equal(draws[:, ~lost], y[~lost][None].repeat(50, 0))
    again = impute(model, y, n_samples=50, random_state=0)
    np.testing.assert_array_equal(again, draws)
    error = draws.mean(0) - series
    assert error[lost].std() < 0.5 * series.std()


def test_a_channel_of_which_nothing_is_known_and_one_that_never_moves():
    series = _smooth_series()
    series[:, 3] = 2.0
    model = ResidualForecaster(Ridge(), window_length=2)
    model.fit(design_matrix(series), series)
    y = series.copy()
    y[:, 0] = np.nan
    y[50:60] = np.nan
    draws = impute(model, y, random_state=0)
    assert np.isfinite(draws).all()
    np.testing.assert_allclose(draws[:, :, 3], 2.0, atol=1e-2)
    assert np.abs(draws[:, :, 0]).max() < 20 * series[:, 0].std()


def test_hidden_gaps_are_as_long_and_as_wide_as_those_that_are_missing():
    labels = np.repeat([0, 1], 100)
    missing = np.zeros((200, 5), bool)
    missing[30:40] = True
    for hidden in hidden_patterns(missing, labels, np.random.default_rng(0)):
        assert not (hidden & missing).any()
        assert set(hidden.sum(1)) <= {0, 5}
        assert not hidden[100:].any()  # where no gap is, none is tried
    missing[:] = False
    missing[120:150, 2] = True
    for hidden in hidden_patterns(missing, labels, np.random.default_rng(0)):
        assert hidden.any(0).sum() == 1
        assert gaps(hidden, labels).max() <= 1  # two where the gap meets the end
    everything = np.ones((20, 2), bool)
    rng = np.random.default_rng(0)
    assert hidden_patterns(everything, np.zeros(20, int), rng) == []


def test_chance_gains_leave_the_law_and_large_ones_do_not():
    rng = np.random.default_rng(0)
    n = 600
    truth, cluster, channel = rng.normal(size=n), np.arange(n), np.arange(n) % 3
    law, size = np.zeros(n), np.ones(n)
    poor = 0.3 * rng.normal(size=(2, n))
    same = mix(truth, np.stack([law, *poor]), size, channel, cluster, 3)
    np.testing.assert_allclose(same.weights, [1, 0, 0])
    np.testing.assert_allclose(same.widening, 1.0, atol=0.03)
    good = truth + 0.3 * rng.normal(size=n)
    better = mix(truth, np.stack([law, good, poor[0]]), size, channel, cluster, 3)
    assert better.weights[1] > 0.8
    assert (better.widening < 0.6).all()
    wide = mix(truth, np.stack([law, *poor]), 0.4 * size, channel, cluster, 3)
    np.testing.assert_allclose(wide.widening, 2.5, rtol=0.15)


def test_the_stationary_smoother_is_gaussian_conditioning_on_the_circle():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(1, 40, 2))
    y[rng.random(y.shape) < 0.2] = np.nan
    y[0, 10:15] = np.nan
    process = StationarySmoother(y, np.ones(2))
    process.fit(rng, 0.1)
    lag = np.fft.irfft(process.covariance, n=process.n, axis=0)
    step = np.subtract.outer(np.arange(40), np.arange(40)) % process.n
    covariance = lag[step].transpose(0, 2, 1, 3).reshape(80, 80)
    seen = ~np.isnan(y).ravel()
    known = np.linalg.solve(covariance[np.ix_(seen, seen)], y.ravel()[seen])
    exact = (covariance[:, seen] @ known).reshape(40, 2)
    np.testing.assert_allclose(process.mean()[0], exact, atol=2e-2)
    assert (_shapes(50) > 0).all()


def test_pieces_put_together_are_the_recording():
    labels = np.repeat([0, 1, 2], [600, 20, 300])
    y = np.arange(920.0)[:, None]
    pieces = cut_pieces(labels)
    np.testing.assert_array_equal(pieces.join(pieces.cut(y), 920), y)
