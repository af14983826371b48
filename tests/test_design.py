import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from afm_sklearn.design import design_matrix
from afm_sklearn.windows import SlidingWindow

pd = pytest.importorskip("pandas")


@pytest.fixture
def recording():
    rng = np.random.default_rng(0)
    return rng.normal(size=(7, 3)), rng.normal(size=(7, 2)), np.repeat([5, 2], [4, 3])


# --- layout --------------------------------------------------------------------------


def test_layout(recording):
    activity, stimulus, runs = recording
    X = design_matrix(activity, stimulus, runs)

    assert X.shape == (7, 6)
    assert_array_equal(X[[1, 2, 3, 5, 6], :3], activity[[0, 1, 2, 4, 5]])
    assert np.isnan(X[[0, 4], :3]).all()
    assert_array_equal(X[:, 3:5], stimulus)
    assert_array_equal(X[:, 5], runs)


def test_without_stimulus_and_runs(recording):
    activity, _, runs = recording
    X = design_matrix(activity)
    assert X.shape == (7, 3)
    assert np.isnan(X[0]).all() and np.isfinite(X[1:]).all()
    assert design_matrix(activity, runs=runs).shape == (7, 4)


def test_one_series_is_one_column():
    X = design_matrix([1, 2, 3], stimulus=[4, 5, 6])
    assert_array_equal(X, [[np.nan, 4], [1, 5], [2, 6]])


def test_one_step():
    assert_array_equal(design_matrix([[1.0]], [[2.0]], ["a"]), [[np.nan, 2, 0]])


def test_nan_means_not_observed():
    X = design_matrix([1.0, np.nan, 3.0], stimulus=[np.nan, 5.0, 6.0])
    assert_array_equal(X, [[np.nan, np.nan], [1, 5], [np.nan, 6]])


def test_input_is_left_alone(recording):
    copies = [array.copy() for array in recording]
    design_matrix(*recording)
    for array, copy in zip(recording, copies, strict=True):
        assert_array_equal(array, copy)


@pytest.mark.parametrize(
    ("activity", "stimulus", "expected"),
    [
        (np.float32, np.float32, np.float32),
        (np.float32, None, np.float32),
        (np.float32, np.float64, np.float64),
        (np.float64, np.float32, np.float64),
        (np.int64, None, np.float64),
        (bool, bool, np.float64),
    ],
)
def test_dtype(activity, stimulus, expected):
    shown = None if stimulus is None else np.ones((4, 1), stimulus)
    X = design_matrix(np.ones((4, 2), activity), shown, runs=np.arange(4))
    assert X.dtype == expected


# --- leakage -------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(data=st.data(), length=st.integers(1, 6))
def test_no_row_depends_on_its_target_or_later_ones(data, length):
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    runs = np.repeat(np.arange(len(sizes)), sizes)
    t = data.draw(st.integers(0, len(runs) - 1))
    rng = np.random.default_rng(0)
    activity, stimulus = rng.normal(size=(2, len(runs), 2))
    changed = activity.copy()
    changed[t:] = rng.normal(size=changed[t:].shape)

    before = design_matrix(activity, stimulus, runs)
    after = design_matrix(changed, stimulus, runs)
    windows = SlidingWindow(length, run_column=-1).fit(before[:1])

    assert_array_equal(before[: t + 1], after[: t + 1])
    assert_array_equal(
        windows.transform(before)[: t + 1], windows.transform(after)[: t + 1]
    )


# --- run labels ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([3, 3, -1, 7], [3, 3, -1, 7]),
        ([0.5, 0.5, 2.5, 2.5], [0.5, 0.5, 2.5, 2.5]),
        ([True, True, False, False], [1, 1, 0, 0]),
        (["b", "b", "a", "c"], [0, 0, 1, 2]),
        (np.array(["x", "y", "y", "z"], dtype=object), [0, 1, 1, 2]),
        (np.array(["2020-01-01", "2020-01-02"], "M8[D]").repeat(2), [0, 0, 1, 1]),
        (pd.Series(["s1", "s1", "s2", "s2"], dtype="category"), [0, 0, 1, 1]),
        (
            np.array([np.int64(4), np.int64(4), None.__class__, "a"], object),
            [0, 0, 1, 2],
        ),
    ],
)
def test_run_labels_become_numbers(runs, expected):
    X = design_matrix(np.ones((4, 1)), runs=runs)
    assert_array_equal(X[:, -1], expected)
    assert_array_equal(np.isnan(X[:, 0]), np.diff(expected, prepend=np.inf) != 0)


@pytest.mark.parametrize("base", [20_260_101_01, 2**62, 1e300])
def test_labels_too_large_for_the_dtype_stay_apart(base):
    runs = np.array([base, base + 1]) if base != 1e300 else np.array([base, 2 * base])
    X = design_matrix(np.ones((2, 1), np.float32), runs=runs)
    assert_array_equal(X[:, -1], [0, 1])


def test_label_that_comes_back():
    message = "runs must be contiguous: label 'a' comes back in row 3 after another run"
    with pytest.raises(ValueError, match=message):
        design_matrix(np.ones((5, 1)), runs=list("aabab"))


@pytest.mark.parametrize(
    ("runs", "got"),
    [
        ([1.0, np.nan, 2.0], "nan in row 1"),
        ([1.0, 2.0, np.inf], "inf in row 2"),
        ([None, "a", "b"], "None in row 0"),
        (["a", np.nan, "b"], None),
        (np.array(["2020-01-01", "NaT", "2020-01-02"], "M8[ns]"), "NaT in row 1"),
        (pd.array(["a", "b", None], dtype="string"), "row 2"),
        (pd.array([1, None, 2], dtype="Int64"), "in row 1"),
    ],
)
def test_missing_label(runs, got):
    if got is None:
        runs, got = np.array(runs, dtype=object), "nan in row 1"
    with pytest.raises(ValueError, match=f"runs must label every row, got .*{got}"):
        design_matrix(np.ones((3, 1)), runs=runs)


# --- data frames ---------------------------------------------------------------------


def test_frames_in_frame_out(recording):
    activity, stimulus, runs = recording
    index = pd.date_range("2026-01-01", periods=7, freq="2s")
    X = design_matrix(
        pd.DataFrame(activity, columns=["v1", "v2", "mt"], index=index),
        pd.DataFrame(stimulus, columns=["sound", "light"]),
        pd.Series(runs),
    )
    assert list(X.columns) == ["v1_lag1", "v2_lag1", "mt_lag1", "sound", "light", "run"]
    assert X.index.equals(index)
    assert_array_equal(X, design_matrix(activity, stimulus, runs))

    windows = SlidingWindow(2, run_column="run").fit_transform(X)
    assert windows.shape == (7, 2, 5)


def test_names_of_what_has_none(recording):
    activity, stimulus, _ = recording
    X = design_matrix(pd.DataFrame(activity), stimulus)
    names = ["0_lag1", "1_lag1", "2_lag1", "stimulus_0", "stimulus_1"]
    assert list(X.columns) == names

    X = design_matrix(pd.Series([1.0, 2.0]), pd.Series([3.0, 4.0], name="light"))
    assert list(X.columns) == ["activity_0_lag1", "light"]


def test_array_in_array_out_whatever_the_stimulus(recording):
    activity, stimulus, runs = recording
    X = design_matrix(activity, pd.DataFrame(stimulus), pd.Series(runs))
    assert isinstance(X, np.ndarray)


def test_nullable_columns():
    frame = pd.DataFrame({"a": pd.array([1, None, 3], dtype="Int64")})
    assert_array_equal(design_matrix(frame)["a_lag1"], [np.nan, 1, np.nan])


def test_names_that_collide():
    activity = pd.DataFrame({"a": [1.0, 2.0]})
    stimulus = pd.DataFrame({"run": [1.0, 2.0]})
    with pytest.raises(ValueError, match=r"must have names that differ.*got \['run'\]"):
        design_matrix(activity, stimulus, runs=[0, 0])


def test_arrays_need_no_pandas():
    code = """
import sys
class NoPandas:
    def find_spec(self, name, path=None, target=None):
        if name == "pandas":
            raise ImportError(name)
sys.meta_path.insert(0, NoPandas())
from afm_sklearn.design import design_matrix
design_matrix([1.0, 2.0], runs=["a", "b"])
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# --- bad input -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activity": [1.0, np.inf]}, r"activity must be .*infinity"),
        ({"stimulus": [1.0, -np.inf]}, r"stimulus must be .*infinity"),
        (
            {"activity": np.ones((2, 1, 1, 1))},
            r"activity must be .*ndarray of 4 dimensions",
        ),
        ({"activity": 3.0}, r"activity must be .*float of 0 dimensions"),
        ({"activity": None}, r"activity must be .*NoneType of 0 dimensions"),
        ({"activity": ["a", "b"]}, r"activity must be .*'a'"),
        ({"activity": [[1.0], [1.0, 2.0]]}, r"activity must be "),
        ({"activity": np.ones((0, 3))}, r"activity must be .*0 sample"),
        ({"stimulus": np.ones((3, 1))}, r"stimulus .* expected 2 rows, got 3"),
        ({"runs": [1, 1, 1]}, r"runs .* expected 2 rows, got 3"),
        ({"runs": np.ones((2, 1))}, r"runs must have shape \(T,\).*got shape \(2, 1\)"),
    ],
)
def test_bad_input_names_the_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        design_matrix(**({"activity": [1.0, 2.0]} | arguments))


# --- masks, dates, truth values ------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, int, bool])
def test_masked_entries_are_missing(dtype):
    activity = np.ma.masked_array(np.ones((4, 2), dtype), mask=False)
    stimulus = np.ma.masked_array(np.ones(4, dtype), mask=[0, 0, 0, 1])
    activity.mask[1, 0] = True
    activity.data[2] = 0
    X = design_matrix(activity, stimulus)
    assert type(X) is np.ndarray
    assert X.dtype == (np.float32 if dtype == np.float32 else np.float64)
    nan = np.nan
    assert_array_equal(X, [[nan, nan, 1], [1, 1, 1], [nan, 1, 1], [0, 0, nan]])
    assert activity.data[1, 0] == 1


def test_infinity_behind_a_mask_is_missing():
    activity = np.ma.masked_invalid([1.0, np.inf, 3.0])
    assert_array_equal(design_matrix(activity).ravel(), [np.nan, 1, np.nan])


@pytest.mark.parametrize("dtype", [int, float, "U1", object])
def test_masked_label(dtype):
    runs = np.ma.masked_array(np.array([1, 1, 2]).astype(dtype), mask=[0, 0, 1])
    with pytest.raises(ValueError, match=r"runs must label .* a masked label in row 2"):
        design_matrix(np.ones(3), runs=runs)
    runs.mask[2] = False
    assert_array_equal(np.isnan(design_matrix(np.ones(3), runs=runs)[:, 0]), [1, 0, 1])


DAYS = np.array(["2026-01-01", "2026-01-02", "2026-01-03"], "M8[ns]")


@pytest.mark.parametrize(
    ("values", "column"),
    [
        (DAYS, "0"),
        (DAYS[:, None], "0"),
        (list(DAYS), "0"),
        (DAYS - DAYS[0], "0"),
        (DAYS.astype("M8[D]").astype(object), None),
        (np.array([[1.0, day] for day in DAYS], dtype=object), "1"),
        (np.ma.masked_array(DAYS, mask=[0, 1, 0]), "0"),
        (pd.Series(DAYS), "0"),
        (pd.DataFrame({"a": [1.0, 2, 3], "when": DAYS}), "'when'"),
        (pd.DataFrame({"a": DAYS - DAYS[0]}), "'a'"),
        (pd.DataFrame({"a": pd.date_range("2026", periods=3, tz="UTC")}), "'a'"),
        (pd.DataFrame(np.array([[1.0, 2.0]] * 3)).assign(when=DAYS), "'when'"),
    ],
)
@pytest.mark.parametrize("name", ["activity", "stimulus"])
def test_dates_are_no_numbers(values, column, name):
    arguments = {"activity": np.ones(3)} | {name: values}
    message = f"{name} must be an array of numbers"
    if column is not None:
        message += f".*column {column} holds dates or time differences"
    with pytest.raises(ValueError, match=message):
        design_matrix(**arguments)


def test_truth_values_count_as_0_and_1():
    frame = pd.DataFrame({"a": [True, False, True], "b": [0.5, 1.5, 2.5]})
    X = design_matrix(frame, stimulus=np.array([False, True, True]))
    expected = [[np.nan, np.nan, 0], [1, 0.5, 1], [0, 1.5, 1]]
    assert_array_equal(X.to_numpy(), expected)


def test_large_numbers_are_numbers():
    assert_array_equal(design_matrix([1e30, 2.0]).ravel(), [np.nan, 1e30])


# --- layout of the recording ---------------------------------------------------------


def test_transposed_activity():
    message = "activity has 5 steps and 300 channels: rows are time steps"
    with pytest.warns(UserWarning, match=message):
        design_matrix(np.zeros((300, 5)).T)
    with pytest.warns(UserWarning, match="activity has 1 steps and 300 channels"):
        design_matrix(np.zeros((1, 300)))


@pytest.mark.parametrize("shape", [(1, 10), (300, 1000), (100, 400), (40, 150)])
def test_short_recordings_of_many_channels(shape):
    assert design_matrix(np.zeros(shape)).shape == shape


def test_rows_that_stimulus_or_runs_agree_with_are_steps():
    activity = np.zeros((10, 300))
    design_matrix(activity, stimulus=np.zeros(10))
    design_matrix(activity, runs=np.repeat([0, 1], 5))
