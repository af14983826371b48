import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from afm_sklearn import SlidingWindow, design_matrix
from afm_sklearn.compute import budget, row_parts
from afm_sklearn.data import scaled
from afm_sklearn.data.blocks import hold_back, time_folds
from afm_sklearn.data.lags import find_lag_map, follows
from afm_sklearn.data.runs import begins_run
from afm_sklearn.data.scaled import ScaledRows
from afm_sklearn.data.scaling import moments, wild_cells
from afm_sklearn.data.store import WindowStore
from afm_sklearn.data.windows import Windows
from afm_sklearn.law.gaps import Gaps

NAN = np.nan


# -- scale ---------------------------------------------------------------------


@pytest.mark.parametrize("unit", [1e-140, 1e-13, 1.0, 1e13, 1e140])
def test_scale_follows_the_unit(unit):
    values = np.random.default_rng(0).normal(3.0, 2.0, size=(500, 2))
    mean, scale = moments(values)
    other_mean, other_scale = moments(values * unit)
    np.testing.assert_allclose(other_mean, mean * unit, rtol=1e-12)
    np.testing.assert_allclose(other_scale, scale * unit, rtol=1e-12)


def test_an_offset_far_from_zero_leaves_the_scale():
    values = np.random.default_rng(0).normal(size=(500, 1))
    mean, scale = moments(values + 1e8)
    np.testing.assert_allclose(mean - 1e8, values.mean(0), atol=1e-7)
    np.testing.assert_allclose(scale, values.std(0), rtol=1e-6)


def test_channels_without_information_have_mean_and_scale_that_do_no_harm():
    values = np.full((10, 3), NAN)
    values[:, 1], values[3, 2] = 7.3, 2.0
    mean, scale = moments(values)
    np.testing.assert_allclose(mean, [0, 7.3, 2])
    np.testing.assert_array_equal(scale, [1, 1, 1])


def test_missing_entries_do_not_count():
    values = np.random.default_rng(0).normal(size=(200, 3))
    values[values > 1] = NAN
    mean, scale = moments(values)
    np.testing.assert_allclose(mean, np.nanmean(values, 0))
    np.testing.assert_allclose(scale, np.nanstd(values, 0))


@pytest.mark.parametrize("level", [0.0, 100.0])
def test_one_artefact_is_found(level):
    values = level + np.random.default_rng(0).normal(size=(700, 3))
    values[321, 1] = 1e6
    assert [int(part[0]) for part in wild_cells(values)] == [321, 1]


def test_a_code_for_missing_values_is_found_however_often_it_comes():
    values = np.random.default_rng(0).normal(size=(700, 2))
    coded = np.random.default_rng(1).random(700) < 0.1
    values[coded, 0] = -9999.0
    rows, columns = wild_cells(values)
    np.testing.assert_array_equal(rows, np.flatnonzero(coded))
    assert (columns == 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_heavy_tails_and_sparse_events_are_not_wild(seed):
    rng = np.random.default_rng(seed)
    sparse = rng.lognormal(size=(2000, 3)) * (rng.random((2000, 3)) < 0.004)
    once = np.zeros((2000, 1))
    once[700] = 5.0
    tails = rng.standard_t(2, size=(2000, 3))
    counts = rng.poisson(0.02, size=(2000, 3))
    assert not len(wild_cells(np.hstack([sparse, once, tails, counts]))[0])


# -- windows -------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    n_rows=st.integers(2, 40),
    length=st.integers(1, 8),
    n_runs=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_a_store_holds_standardised_windows(n_rows, length, n_runs, seed):
    rng = np.random.default_rng(seed)
    activity = rng.normal(size=(n_rows, 2))
    activity[rng.random(activity.shape) < 0.1] = NAN
    X = design_matrix(activity)
    starts = np.unique(np.append(0, rng.integers(n_rows, size=n_runs - 1)))
    windows = Windows.from_rows(X, length, starts)
    store = WindowStore.from_windows(windows, np.array([1.0, 2.0]), np.array([2, 4.0]))
    expected = (np.asarray(windows) - [1, 2]) / [2, 4]
    everything = store[torch.arange(n_rows)].numpy()
    np.testing.assert_array_equal(everything, expected.astype(np.float32))
    np.testing.assert_array_equal(store.complete(), ~np.isnan(expected).any((1, 2)))


def test_units_far_from_zero_keep_their_digits():
    X = 1e8 + np.random.default_rng(0).normal(size=(50, 1))
    windows = Windows.from_rows(X, 2)
    store = WindowStore.from_windows(windows, np.array([1e8]), np.ones(1))
    kept = store[torch.arange(1, 50)][:, 1, 0].numpy()
    np.testing.assert_allclose(kept, X[1:, 0] - 1e8, atol=1e-6)


def test_chunks_cover_the_rows_asked_for_in_their_order():
    windows = Windows.from_rows(np.random.default_rng(0).normal(size=(50, 2)), 4)
    store = WindowStore.from_windows(windows, np.zeros(2), np.ones(2))
    index = torch.tensor([40, 3, 3, 7, 20])
    rows = torch.cat([part for part, _ in store.chunks(index, Gaps(2))])
    assert torch.equal(rows, index)


def test_parts_cover_all_rows_within_the_budget():
    parts = list(row_parts(103, 7, at_most=50))
    np.testing.assert_array_equal(
        np.concatenate([np.arange(103)[part] for part in parts]), np.arange(103)
    )
    assert all((part.stop - part.start) * 7 <= 50 for part in parts)
    assert budget() > 0


@pytest.mark.parametrize("ready", [True, False])
def test_targets_are_standardised_in_double_precision(ready, monkeypatch):
    if not ready:
        monkeypatch.setattr(scaled, "MAX_READY", 0)
    y = 1e6 + np.random.default_rng(0).normal(size=(50, 3)) * [1.0, 2.0, 3.0]
    y[4, 1] = NAN
    y.setflags(write=False)
    mean, scale = moments(y)
    for rows in (slice(3, 9), torch.tensor([7, 4, 4]), np.array([0, 49])):
        found = ScaledRows(y, mean, scale)[rows]
        expected = ((y - mean) / scale)[rows].astype(np.float32)
        np.testing.assert_array_equal(found.numpy(), expected)


# -- runs and blocks -----------------------------------------------------------


def _windows(n=300, length=6, runs=None, lost=()):
    activity = np.random.default_rng(0).normal(size=(n, 2))
    activity[list(lost)] = NAN
    X = design_matrix(activity, runs=runs)
    column = None if runs is None else -1
    return SlidingWindow(length, run_column=column).fit_transform(X)


def test_a_lost_sample_does_not_start_a_run():
    runs = np.repeat([0, 1, 2], 100)
    begins = begins_run(_windows(runs=runs, lost=[50, 151, 152]), 2)
    np.testing.assert_array_equal(np.flatnonzero(begins), [0, 100, 200])


def _steps(row, length, first):
    """Time steps that a row knows of, its own included."""
    return set(range(max(first, row - length), row + 1))


@pytest.mark.parametrize("lost", [(), (57, 118, 119, 180)])
@pytest.mark.parametrize("n_runs", [1, 3])
def test_folds_share_no_step_whatever_was_lost(n_runs, lost):
    runs = None if n_runs == 1 else np.repeat(np.arange(n_runs), 300 // n_runs)
    windows = _windows(runs=runs, lost=lost)
    first = np.zeros(300, int) if runs is None else runs * (300 // n_runs)
    held = []
    for train, test in time_folds(windows, 5, 2):
        seen = set().union(*(_steps(row, 6, first[row]) for row in train))
        asked = set().union(*(_steps(row, 6, first[row]) for row in test))
        assert not seen & asked
        held.append(test)
    np.testing.assert_array_equal(np.concatenate(held), np.arange(300))


@pytest.mark.parametrize("length", [1, 10, 40])
def test_rows_held_back_share_no_step_with_the_others(length):
    fit_rows, held = hold_back(1000, length, np.array([0]), 0.15)
    np.testing.assert_array_equal(held, np.arange(850, 1000))
    # Row t knows of the steps t - length to t.
    assert fit_rows[-1] == held[0] - length
    np.testing.assert_array_equal(fit_rows, np.arange(len(fit_rows)))


def test_whole_runs_are_held_back_and_need_no_gap():
    starts = np.arange(0, 1000, 100)
    fit_rows, held = hold_back(1000, 20, starts, 0.15)
    assert held[0] in (800, 900) and held[-1] == 999
    np.testing.assert_array_equal(np.r_[fit_rows, held], np.arange(1000))


def test_a_run_that_starts_far_from_the_cut_is_cut():
    fit_rows, held = hold_back(1000, 20, np.array([0, 300]), 0.2)
    assert held[0] == 800 and fit_rows[-1] == 780


@pytest.mark.parametrize("n_rows", range(1, 40))
@pytest.mark.parametrize("length", [1, 5, 100])
def test_few_rows_are_all_fitted_or_leave_enough_on_both_sides(n_rows, length):
    fit_rows, held = hold_back(n_rows, length, np.array([], dtype=int), 0.25)
    if len(held):
        assert len(held) >= 5 and len(fit_rows) >= 5
    else:
        np.testing.assert_array_equal(fit_rows, np.arange(n_rows))


def test_nothing_is_held_back_at_a_fraction_of_zero():
    fit_rows, held = hold_back(500, 5, np.array([0, 250]), 0.0)
    assert len(fit_rows) == 500 and len(held) == 0


# -- lagged targets ------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, -2.5, 1e-9])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_lagged_targets_are_found_in_their_units(scale, offset):
    y = np.random.default_rng(0).normal(size=(80, 2))
    lag = (np.roll(y, 1, 0) - offset * scale) / scale
    lag[0] = NAN
    found = find_lag_map(lag, y)
    assert found is not None
    np.testing.assert_allclose(found[0], scale, rtol=1e-6)


def test_few_rows_left_out_do_not_hide_the_lags():
    y = np.random.default_rng(0).normal(size=(300, 2))
    lag = np.roll(y, 1, 0)
    kept = np.r_[0:100, 150:200, 260:300]
    assert find_lag_map(lag[kept], y[kept]) is not None


def test_a_rare_spike_beside_left_out_rows_does_not_hide_the_lags():
    y = np.zeros((60, 2))
    y[::7, 0] = 1.0
    y[[5, 29, 50], 1] = 1.0  # the second just before the rows left out
    windows = Windows.from_rows(np.vstack([np.full((1, 2), NAN), y[:-1]]), length=3)
    kept = np.r_[0:30, 40:60]
    at = windows[kept]
    newest = np.asarray(at)[:, -1]
    assert find_lag_map(newest, y[kept]) is None
    assert find_lag_map(newest, y[kept], follows(at)) is not None
    np.testing.assert_array_equal(follows(np.asarray(at)), np.diff(kept) == 1)


@pytest.mark.parametrize("rate", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("d", [1, 2])
def test_unrelated_binary_channels_are_not_taken_for_lags(rate, d):
    rng = np.random.default_rng(0)
    draws = (rng.random((1000, 2, 200, d)) < rate).astype(float)
    # Two channels that never change are lags of one another.
    telling = [pair for pair in draws if np.ptp(pair, axis=(0, 1)).any()]
    found = [find_lag_map(*pair) is not None for pair in telling]
    assert np.mean(found) < 0.01
