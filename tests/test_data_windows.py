import copy
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.lib.stride_tricks import sliding_window_view
from numpy.testing import assert_array_equal
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import _safe_indexing, check_array, indexable

from afm_sklearn.data.windows import Windows

LENGTH, CHANNELS = 4, 3


def runs_of_rows(sizes, n_channels=CHANNELS, dtype=float):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(sum(sizes), n_channels)).astype(dtype)
    X[rng.random(X.shape) < 0.1] = np.nan
    return X, np.cumsum([0, *sizes[:-1]])


def dense(windows):
    """Windows by definition."""
    parts = [windows.rows[s : s + windows.length] for s in windows.starts]
    return np.array(parts, windows.dtype).reshape(windows.shape)


@pytest.fixture
def windows():
    X, starts = runs_of_rows([5, 1, 6])
    return Windows.from_rows(X, LENGTH, starts)


# --- indexing ------------------------------------------------------------------------

SHAPE = (12, LENGTH, CHANNELS)
ONE_AXIS = (
    st.slices(12)
    | hnp.arrays(bool, 12)
    | st.lists(st.integers(-12, 11), max_size=5)
    | hnp.integer_array_indices((12,), result_shape=hnp.array_shapes(max_dims=3))
)
REST = (
    hnp.basic_indices(SHAPE[1:], allow_newaxis=True)
    | hnp.arrays(bool, SHAPE[1:])
    | st.tuples(st.integers(-4, 3), st.lists(st.integers(-3, 2), min_size=1))
    | st.tuples(st.integers(-4, 3), st.none(), st.just([0, 2]))
    | st.tuples(st.slices(4), st.just([2, 0]))
)


def as_tuple(index):
    return index if isinstance(index, tuple) else (index,)


INDICES = (
    hnp.basic_indices(SHAPE, allow_newaxis=True)
    | ONE_AXIS
    | st.tuples(ONE_AXIS, REST).map(
        lambda pair: (*as_tuple(pair[0]), *as_tuple(pair[1]))
    )
    | hnp.arrays(bool, SHAPE)
    | hnp.arrays(bool, SHAPE[:2])
    | hnp.integer_array_indices(SHAPE)
)


@settings(deadline=None, max_examples=600)
@given(index=INDICES)
def test_any_index_gives_what_it_gives_for_the_array(index):
    X, starts = runs_of_rows([5, 1, 6])
    windows = Windows.from_rows(X, LENGTH, starts)
    try:
        expected = dense(windows)[index]
    except IndexError:
        with pytest.raises(IndexError):
            windows[index]
        return
    picked = windows[index]
    assert picked.shape == expected.shape
    assert picked.dtype == expected.dtype
    assert_array_equal(np.asarray(picked), expected)


@pytest.mark.parametrize(
    "index",
    [
        slice(3, 9),
        slice(None, None, -2),
        [1, 1, 0],
        np.array([4, -1]),
        np.arange(12) % 3 == 0,
        (slice(None), slice(-2, None)),
        (..., slice(0, 2)),
        ([3, 5], slice(1, 3), slice(1, None)),
        (np.array([2]), ...),
        [],
    ],
    ids=str,
)
def test_selections_of_windows_share_the_rows(windows, index):
    picked = windows[index]
    assert isinstance(picked, Windows)
    assert np.shares_memory(picked.rows, windows.rows)
    assert_array_equal(np.asarray(picked), dense(windows)[index])


def test_selections_of_selections(windows):
    everything = dense(windows)
    assert_array_equal(windows[3:][::2][[0, 2]], everything[3:][::2][[0, 2]])
    assert_array_equal(windows[:, 1:][:, :-1][[4]], everything[[4], 1:-1])


@pytest.mark.parametrize(
    "index",
    [12, -13, (0, 4), (0, 0, 3), (0, 0, 0, 0), [12], np.ones(3, bool), 1.0, "a"],
)
def test_what_is_out_of_bounds_or_no_index(windows, index):
    with pytest.raises(IndexError):
        windows[index]


def test_selections_do_not_write_all_windows_out():
    X = np.ones((20_000, 5), np.float32)
    windows = Windows.from_rows(X, 1000, np.arange(0, 20_000, 5000))
    steps = np.arange(100)[:, None] + np.arange(10)
    tracemalloc.start()
    assert_array_equal(windows[:, -1], X)
    assert_array_equal(windows[:, -1, [0, 2]], X[:, [0, 2]])
    assert_array_equal(windows[steps, -1, 2:], X[steps, 2:])
    assert_array_equal(windows[..., -1, 0], X[:, 0])
    assert_array_equal(windows[:, -3:][:, -1], X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * X.nbytes < windows.size / 10


# --- as an array ---------------------------------------------------------------------


def test_what_an_array_has(windows):
    array = dense(windows)
    assert len(windows) == len(array) == 12
    assert windows.shape == array.shape == np.shape(windows)
    assert windows.ndim == array.ndim == np.ndim(windows)
    assert windows.size == array.size
    assert windows.dtype == array.dtype
    assert repr(windows) == "Windows(shape=(12, 4, 3), dtype=float64)"
    assert_array_equal(list(windows), list(array))


@pytest.mark.parametrize("rows", [slice(None), slice(6, 9), slice(0, 0), [7]], ids=str)
@pytest.mark.parametrize("dtype", [None, np.float32, np.float64, ">f8"])
@pytest.mark.parametrize("copy_", [None, True])
def test_conversion_to_an_array(windows, rows, dtype, copy_):
    picked, expected = windows[rows], dense(windows)[rows]
    array = np.array(picked, dtype=dtype, copy=copy_)
    assert type(array) is np.ndarray
    assert array.dtype == np.dtype(dtype if dtype else float)
    assert_array_equal(array, expected.astype(array.dtype))
    if copy_:
        assert array.flags.writeable
        assert not np.shares_memory(array, windows.rows)


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="numpy 2")
def test_conversion_without_a_copy(windows):
    one_run = windows[6:]
    array = np.asarray(one_run, copy=False)
    assert np.shares_memory(array, windows.rows)
    assert not array.flags.writeable
    for picked, dtype in ((windows, None), (one_run, np.float32)):
        with pytest.raises(ValueError, match="copy"):
            np.asarray(picked, dtype=dtype, copy=False)


def test_arithmetic_and_functions_see_the_array(windows):
    array = dense(windows)
    assert_array_equal(np.isnan(windows), np.isnan(array))
    assert_array_equal(np.isnan(windows[[3, 0]]), np.isnan(array[[3, 0]]))
    assert_array_equal(windows / 2 + windows, array / 2 + array)
    assert_array_equal(-windows, -array)
    assert_array_equal(windows == windows, array == array)
    assert_array_equal(np.nanmax(windows, axis=(0, 1)), np.nanmax(array, axis=(0, 1)))
    assert_array_equal(np.add.reduce(windows, axis=2), array.sum(2))
    assert_array_equal(np.concatenate([windows, windows]), np.concatenate([array] * 2))
    assert_array_equal(windows[np.isnan(windows)], array[np.isnan(array)])


def test_windows_are_only_read(windows):
    with pytest.raises(TypeError):
        windows[0] = 1.0
    with pytest.raises(TypeError):
        np.add(1.0, 1.0, out=windows)
    with pytest.raises(TypeError):
        windows += 1.0
    with pytest.raises(ValueError, match="read-only"):
        windows[0][:] = 1.0
    picked = windows[:, -1]
    picked[:] = 0.0  # a copy, as of any array
    assert not (windows[:, -1] == 0).any()


@pytest.mark.parametrize("rows", [slice(None), slice(6, 9), [8, 2, 2], []], ids=str)
def test_copies_hold_no_more_rows_than_they_need(windows, rows):
    picked = windows[rows]
    for same in (
        pickle.loads(pickle.dumps(picked)),
        copy.deepcopy(picked),
        picked.compact(),
    ):
        assert isinstance(same, Windows)
        assert_array_equal(np.asarray(same), dense(windows)[rows])
        used = {t for s in picked.starts for t in range(s, s + LENGTH)}
        assert len(same.rows) == (len(used) if used else LENGTH)


def test_windows_that_use_all_rows_are_compact(windows):
    assert windows.compact() is windows


# --- scikit-learn --------------------------------------------------------------------


@pytest.mark.parametrize(
    "rows",
    [np.array([3, 1]), [0, 5], slice(2, 7), np.arange(12) < 4],
    ids=str,
)
def test_safe_indexing(windows, rows):
    picked = _safe_indexing(windows, rows)
    assert isinstance(picked, Windows)
    assert_array_equal(picked, dense(windows)[rows])


def test_indexable_and_check_array(windows):
    same, _ = indexable(windows, np.arange(12))
    assert same is windows
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        indexable(windows, np.arange(11))
    checked = check_array(windows, allow_nd=True, ensure_all_finite=False)
    assert_array_equal(checked, dense(windows))


def newest(windows):
    assert isinstance(windows, Windows)
    return np.nan_to_num(windows[:, -1])


@pytest.mark.parametrize("cv", [KFold(3), TimeSeriesSplit(3)])
def test_grid_search(cv):
    X, starts = runs_of_rows([40, 50])
    windows = Windows.from_rows(X, LENGTH, starts)
    y = np.nan_to_num(X) @ [1.0, 2.0, 3.0]
    search = GridSearchCV(
        make_pipeline(FunctionTransformer(newest), Ridge()),
        {"ridge__alpha": [1e-8, 1e6]},
        cv=cv,
    ).fit(windows, y)
    assert search.best_params_ == {"ridge__alpha": 1e-8}
    assert search.best_score_ > 0.99
    np.testing.assert_allclose(search.predict(windows[5:9]), y[5:9], atol=1e-6)


# --- where windows come from ---------------------------------------------------------


@settings(deadline=None, max_examples=100)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    length=st.integers(1, 8),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_from_rows_keeps_each_row_once(sizes, length, dtype):
    X, starts = runs_of_rows(sizes, dtype=dtype)
    windows = Windows.from_rows(X, length, starts)
    assert windows.dtype == dtype
    assert len(windows.rows) == len(X) + (length - 1) * len(sizes)
    run = np.repeat(np.arange(len(sizes)), sizes)
    for t, window in enumerate(windows):
        past = [X[s] for s in range(max(0, t - length + 1), t + 1) if run[s] == run[t]]
        padding = np.full((length - len(past), CHANNELS), np.nan)
        assert_array_equal(window, np.concatenate([padding, past]))


def strided(X, length):
    return sliding_window_view(X, length, axis=0).transpose(0, 2, 1)


@settings(deadline=None, max_examples=200)
@given(
    n_runs=st.integers(1, 3),
    length=st.integers(1, 5),
    dtype=st.sampled_from([np.float32, np.float64]),
    change=st.sampled_from(
        ["none", "copy", "slice", "stride", "shuffle", "reverse", "steps", "channels"]
    ),
)
def test_any_array_is_kept_exactly(n_runs, length, dtype, change):
    X, starts = runs_of_rows([5] * n_runs, dtype=dtype)
    array = np.asarray(Windows.from_rows(X, length, starts))
    order = np.random.default_rng(0).permutation(len(array))
    array = {
        "none": lambda: array,
        "copy": array.copy,
        "slice": lambda: array[2:],
        "stride": lambda: array[::2],
        "shuffle": lambda: array[order],
        "reverse": lambda: array[::-1],
        "steps": lambda: array[:, ::-1],
        "channels": lambda: array[:, :, ::-2],
    }[change]()
    windows = Windows.from_array(array)
    assert windows.dtype == dtype
    assert_array_equal(windows, array)


def test_steps_that_windows_share_are_kept_once():
    X, _ = runs_of_rows([100])
    view = strided(X, 10)
    assert np.shares_memory(Windows.from_array(view).rows, X)
    assert np.shares_memory(Windows.from_array(X[:, None]).rows, X)
    assert len(Windows.from_array(view).rows) == 100
    assert len(Windows.from_array(view.copy()).rows) == 100
    folds = np.concatenate([view[:30], view[60:]])
    assert len(Windows.from_array(folds).rows) == 39 + 40
    runs = np.asarray(Windows.from_rows(X, 10, np.array([0, 50])))
    assert len(Windows.from_array(runs).rows) == 100 + 2 * 9


def test_windows_that_repeat_one_step():
    array = np.broadcast_to([1.0, np.nan], (5, 3, 2))
    assert_array_equal(Windows.from_array(array), array)


def test_what_is_no_float_becomes_double():
    array = np.arange(24).reshape(4, 3, 2)
    windows = Windows.from_array(array)
    assert windows.dtype == np.float64
    assert_array_equal(windows, array)
    assert Windows.from_array(windows) is windows
    assert Windows.from_array(np.ones((0, 3, 2))).shape == (0, 3, 2)


def test_rows_given_are_neither_copied_nor_locked():
    rows = np.zeros((5, 2))
    windows = Windows(rows, np.array([0, 3]), 2)
    assert np.shares_memory(windows.rows, rows)
    assert rows.flags.writeable


# --- bad input -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "starts", "length", "message"),
    [
        (np.ones(5), [0], 1, r"rows must be .* got float64 of shape \(5,\)"),
        (np.ones((5, 2), int), [0], 1, "rows must be .* got int64"),
        (np.ones((5, 2)), [0], 0, "length must be from 1 to the 5 steps .* got 0"),
        (np.ones((5, 2)), [0], 6, "length must be from 1 to the 5 steps .* got 6"),
        (np.ones((5, 2)), [0, 4], 2, "starts must lie between 0 and 3.* got 0 to 4"),
        (np.ones((5, 2)), [-1], 2, "starts must lie between 0 and 3.* got -1 to -1"),
        (np.ones((5, 2)), [0.5], 2, "starts must be a vector of row numbers.*float64"),
        (np.ones((5, 2)), [[0]], 2, r"starts must be .* of shape \(1, 1\)"),
    ],
)
def test_bad_parts(rows, starts, length, message):
    with pytest.raises(ValueError, match=message):
        Windows(rows, np.array(starts), length)


@pytest.mark.parametrize("shape", [(4, 3), (4,), (4, 0, 2), (1, 2, 3, 4)])
def test_bad_array(shape):
    with pytest.raises(ValueError, match="windows must have shape"):
        Windows.from_array(np.ones(shape))
