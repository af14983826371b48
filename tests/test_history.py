import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from afm_sklearn import SlidingWindow, design_matrix
from afm_sklearn.history import Standardizer, WindowStore, fill_missing, moments


def _windows(n_rows, n_channels, length, n_runs, missing, seed, dtype=np.float32):
    """Windows of runs one after the other, a strided view where there is one run."""
    rng = np.random.default_rng(seed)
    activity = rng.normal(size=(n_rows, n_channels)).astype(dtype)
    activity[rng.random(activity.shape) < missing] = np.nan
    runs = np.sort(rng.integers(n_runs, size=n_rows)) if n_runs > 1 else None
    column = None if runs is None else -1
    X = design_matrix(activity, runs=runs).astype(dtype)
    return SlidingWindow(length, run_column=column).fit_transform(X)


def _assert_kept(windows):
    store = WindowStore.from_windows(windows)
    assert len(store) == len(windows)
    everything = store[torch.arange(len(store))]
    np.testing.assert_array_equal(everything, windows.astype(np.float32))
    expected = np.isnan(windows).any((1, 2))
    np.testing.assert_array_equal(store.has_missing, expected)
    return store


@settings(max_examples=60, deadline=None)
@given(
    n_rows=st.integers(2, 40),
    n_channels=st.integers(1, 3),
    length=st.integers(1, 8),
    n_runs=st.integers(1, 4),
    missing=st.sampled_from([0.0, 0.3]),
    order=st.sampled_from(["as is", "copy", "slice", "stride", "shuffle", "reverse"]),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 99),
)
def test_any_windows_are_kept_exactly(
    n_rows, n_channels, length, n_runs, missing, order, dtype, seed
):
    windows = _windows(n_rows, n_channels, length, n_runs, missing, seed, dtype)
    rows = np.random.default_rng(seed).permutation(n_rows)
    pick = {
        "as is": lambda: windows,
        "copy": windows.copy,
        "slice": lambda: windows[n_rows // 3 :],
        "stride": lambda: windows[::2],
        "shuffle": lambda: windows[rows],
        "reverse": lambda: windows[::-1],
    }
    _assert_kept(pick[order]())


@pytest.mark.parametrize(
    "flip",
    [
        (slice(None, None, -1), slice(None, None, -1)),
        (slice(None), slice(None, None, -1)),
        (slice(None), slice(None), slice(None, None, -1)),
        (slice(None), slice(None), slice(None, None, 2)),
    ],
    ids=["rows and steps", "steps", "channels", "every second channel"],
)
def test_views_of_views_are_kept_exactly(flip):
    _assert_kept(_windows(20, 4, 3, 1, 0.1, 0)[flip])


def test_windows_that_repeat_one_step_are_kept_exactly():
    _assert_kept(np.broadcast_to(np.float32([1.0, np.nan]), (5, 3, 2)))
    _assert_kept(np.zeros((5, 3, 2), dtype=np.float32))


def test_each_time_step_is_kept_about_once():
    view = _windows(1000, 2, 20, 1, 0.0, 0)
    assert len(_assert_kept(view).rows) == 1019
    assert len(_assert_kept(view.copy()).rows) == 1019
    assert len(_assert_kept(_windows(1000, 2, 20, 5, 0.1, 0)).rows) <= 1000 + 5 * 20
    folds = np.concatenate([view[:300], view[600:]])
    assert len(_assert_kept(folds).rows) == 700 + 2 * 19


def test_the_windows_given_are_never_written_to():
    windows = _windows(50, 2, 4, 1, 0.2, 0).copy()
    before = windows.copy()
    store = WindowStore.from_windows(windows)
    Standardizer(torch.zeros(2), torch.ones(2))(store[torch.arange(50)])
    np.testing.assert_array_equal(windows, before)


def test_chunks_cover_the_rows_asked_for_in_their_order(monkeypatch):
    monkeypatch.setattr("afm_sklearn.history.CHUNK", 64)
    windows = _windows(50, 2, 4, 1, 0.0, 0)
    store = WindowStore.from_windows(windows)
    for index in (None, torch.tensor([40, 3, 3, 7, 20, 9, 11, 30, 31, 32, 33])):
        parts = list(store.chunks(index))
        assert len(parts) > 1
        rows = torch.cat([part for part, _ in parts])
        expected = torch.arange(50) if index is None else index
        assert torch.equal(rows, expected)
        np.testing.assert_array_equal(
            torch.cat([values for _, values in parts]), windows[rows]
        )


# -- filling -------------------------------------------------------------------


def _filled(series):
    """Last value observed, else the next, else 0; one step after the other."""
    out, seen = [], [v for v in series if not np.isnan(v)]
    for value in series:
        previous = out[-1] if out else (seen[0] if seen else 0.0)
        out.append(previous if np.isnan(value) else value)
    return out


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 3)),
    missing=st.sampled_from([0.2, 0.6, 1.0]),
    seed=st.integers(0, 999),
)
def test_missing_steps_take_the_last_value_else_the_next_else_zero(
    shape, missing, seed
):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    x[rng.random(shape) < missing] = np.nan
    expected = np.apply_along_axis(_filled, 1, x)
    np.testing.assert_array_equal(fill_missing(torch.from_numpy(x)), expected)
    plain = Standardizer(torch.zeros(shape[2]), torch.ones(shape[2])).double()
    values, flags = plain(torch.from_numpy(x))
    np.testing.assert_array_equal(values, expected)
    if np.isnan(x).any():
        np.testing.assert_array_equal(flags, np.isnan(x))
    else:
        assert flags is None


def test_standardizer_brings_every_channel_to_unit_scale():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(500, 3)) * [1, 100, 1e-3] + [0, 1e4, 5]
    values[rng.random(values.shape) < 0.1] = np.nan
    mean, scale = moments(values)
    np.testing.assert_allclose(mean, np.nanmean(values, 0))
    np.testing.assert_allclose(scale, np.nanstd(values, 0))
    standardizer = Standardizer(torch.from_numpy(mean), torch.from_numpy(scale))
    x, flags = standardizer(torch.from_numpy(values)[:, None], True)
    seen = x[flags == 0]
    assert abs(float(seen.mean())) < 1e-6 and abs(float(seen.std()) - 1) < 0.01


def test_channels_without_information_have_mean_and_scale_that_do_no_harm():
    values = np.full((10, 3), np.nan)
    values[:, 1], values[3, 2] = 7.3, 2.0
    mean, scale = moments(values)
    np.testing.assert_allclose(mean, [0, 7.3, 2])
    np.testing.assert_array_equal(scale, [1, 1, 1])
