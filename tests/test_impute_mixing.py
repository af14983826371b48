"""Imputation that hides entries on purpose to choose its means: what must hold."""

import numpy as np
import pandas as pd
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern, WhiteKernel
from sklearn.linear_model import Ridge

from afm_sklearn import Climatology, ResidualForecaster, coverage, crps, design_matrix
from afm_sklearn.applications.beside import beside, kernels
from afm_sklearn.applications.hiding import gaps, hidden_patterns
from afm_sklearn.applications.impute import impute
from afm_sklearn.applications.mixing import mix
from afm_sklearn.applications.placing import copied_gaps


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


def test_copies_of_a_gap_are_whole_and_apart_from_what_is_missing():
    labels = np.repeat([0, 1], 150)
    missing = np.zeros((300, 8), bool)
    missing[60:70] = True
    missing[200:240, 3] = True
    rounds = copied_gaps(missing, labels, np.random.default_rng(0))
    lost_at_once = set()
    for hidden in rounds:
        assert not (hidden & missing).any()
        numbers = gaps(hidden | missing, labels)
        lasts = np.bincount(numbers[numbers >= 0])
        assert set(lasts) <= {10, 40}
        lost_at_once |= set(hidden.sum(1))
    assert {1, 8} <= lost_at_once
    hidden = np.any(rounds, axis=0)
    assert hidden.mean(0).max() <= 0.25
    everything = np.ones((20, 2), bool), np.zeros(20, int)
    assert copied_gaps(*everything, np.random.default_rng(0)) == []


def test_chance_gains_leave_the_law_and_large_ones_do_not():
    rng = np.random.default_rng(0)
    n = 600
    truth, cluster, channel = rng.normal(size=n), np.arange(n), np.arange(n) % 3
    law, sizes = np.zeros(n), np.ones((2, n))
    poor = 0.3 * rng.normal(size=n)
    same = mix(truth, np.stack([law, poor]), sizes, channel, cluster, 3)
    assert same.weight < 0.02
    np.testing.assert_allclose(same.widening, 1.0, atol=0.03)
    good = truth + 0.3 * rng.normal(size=n)
    better = mix(truth, np.stack([law, good]), sizes, channel, cluster, 3)
    assert better.weight > 0.8
    assert (better.widening < 0.6).all()
    wide = mix(truth, np.stack([law, poor]), 0.4 * sizes, channel, cluster, 3)
    np.testing.assert_allclose(wide.widening, 2.5, rtol=0.15)
    # Six gaps of a hundred entries that err together are six, not six hundred.
    together = np.repeat(rng.normal(size=6), 100)
    at = np.repeat(np.arange(6), 100)
    few = mix(together, np.stack([law, law]), sizes, at % 3, at, 3)
    assert np.ptp(few.widening) < 0.1


def _channel_of_others(n=400, d=5, seed=0):
    """Draw channels, of which the first is a sum of the others and a smooth process."""
    rng = np.random.default_rng(seed)
    lag = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    others = rng.normal(size=(n, d))
    slopes = rng.normal(size=d) / np.sqrt(d)
    smooth = np.linalg.cholesky(kernels(lag)[3] + 1e-6 * np.eye(n))
    rest = smooth @ rng.normal(size=n) + 0.3 * rng.normal(size=n)
    covariance = kernels(lag)[3] + 0.09 * np.eye(n)
    return np.column_stack([others @ slopes + rest, others]), slopes, covariance


def test_a_channel_is_told_by_others_and_by_itself_as_by_its_true_covariance():
    apart, width = [], []
    for seed in range(5):
        y, slopes, covariance = _channel_of_others(seed=seed)
        lost = np.zeros(y.shape, bool)
        lost[100:104, 0] = lost[300:330, 0] = True
        there = lost[:, 0]
        known = np.linalg.solve(
            covariance[np.ix_(~there, ~there)], covariance[np.ix_(~there, there)]
        )
        rest = y[:, 0] - y[:, 1:] @ slopes
        exact = y[there, 1:] @ slopes + rest[~there] @ known
        across = covariance[np.ix_(~there, there)]
        size = np.sqrt(covariance.diagonal()[there] - (known * across).sum(0))
        shown, labels = np.where(lost, np.nan, y), np.zeros(len(y), int)
        filled = np.where(lost, 0.0, y)
        told = beside(shown, [shown], [filled], [lost], labels, np.ones(6))[0]
        np.testing.assert_array_equal(told.mean[~lost], y[~lost])
        apart.append((told.mean[lost] - exact) / size)
        width.append(told.size[lost] / size)
    assert np.sqrt(np.mean(np.square(apart))) < 0.35  # variances were to be learnt
    assert np.mean(width) == pytest.approx(1.0, abs=0.1)
