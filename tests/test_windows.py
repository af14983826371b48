import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import (
    check_estimator,
    check_set_output_transform,
    check_set_output_transform_pandas,
    check_transformer_get_feature_names_out,
)

from afm_sklearn import design_matrix
from afm_sklearn.data.runs import label_starts
from afm_sklearn.data.windows import Windows
from afm_sklearn.windows import SlidingWindow, sliding_windows

pd = pytest.importorskip("pandas")

READS_NEIGHBOURS = {
    "check_methods_subset_invariance": "a window reads the rows before it",
    "check_methods_sample_order_invariance": "a window reads the rows before it",
}


def naive_windows(X, length, runs):
    """Windows by definition, entry by entry."""
    windows = np.full((len(X), length, X.shape[1]), np.nan, X.dtype)
    for t in range(len(X)):
        for lag in range(min(length, t + 1)):
            if len(set(runs[t - lag : t + 1])) > 1:
                break
            windows[t, length - 1 - lag] = X[t - lag]
    return windows


class LabelledWindow(SlidingWindow):
    """Finds runs of four rows in whatever the checks pass."""

    def _validate(self, X, *, reset):
        X = super()._validate(X, reset=reset).copy()
        if self.run_column is not None:
            X[:, self.run_column] = np.arange(len(X)) // 4
        return X


@pytest.fixture
def recording():
    rng = np.random.default_rng(0)
    return rng.normal(size=(12, 3)), np.repeat([4, 1, 7], [5, 1, 6])


# --- what the windows hold -----------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("length", [1, 2, 5, 20])
@pytest.mark.parametrize("run_column", [0, 2, 3, -1, -4])
def test_windows_match_their_definition(recording, length, run_column, dtype):
    X, runs = recording
    X = X.astype(dtype)
    with_runs = np.insert(X, run_column % 4, runs, axis=1)
    window = SlidingWindow(length, run_column=run_column)
    expected = naive_windows(X, length, runs)

    windows = window.fit_transform(with_runs)
    flat = clone(window).set_params(flatten=True).fit_transform(with_runs)

    assert windows.dtype == flat.dtype == dtype
    assert_array_equal(windows, expected)
    assert_array_equal(flat, expected.reshape(len(X), -1))


@pytest.mark.parametrize("length", [1, 3, 20])
def test_without_run_column_all_rows_are_one_run(recording, length):
    X, _ = recording
    expected = naive_windows(X, length, np.zeros(len(X)))
    assert_array_equal(SlidingWindow(length).fit_transform(X), expected)


def test_integers_become_floats_and_nan_stays():
    assert SlidingWindow(2).fit_transform([[1, 2], [3, 4]]).dtype == np.float64
    X = np.array([[1.0], [np.nan], [3.0]])
    windows = SlidingWindow(2).fit_transform(X)
    assert_array_equal(windows[..., 0], [[np.nan, 1], [1, np.nan], [np.nan, 3]])


@st.composite
def coded_rows(draw):
    """Rows that hold their run's label, cut and ordered in any way."""
    sizes = draw(st.lists(st.integers(1, 8), min_size=1, max_size=6))
    labels = draw(
        st.lists(
            st.integers(-5, 20), min_size=len(sizes), max_size=len(sizes), unique=True
        )
    )
    runs = np.repeat(labels, sizes).astype(float)
    rows = st.integers(0, len(runs) - 1)
    start, stop, step = draw(rows), draw(rows), draw(st.integers(1, 3))
    selections = st.one_of(
        st.just(slice(None)),
        st.just(slice(min(start, stop), max(start, stop) + 1, step)),
        st.just(slice(None, None, -step)),
        st.lists(rows, min_size=1, max_size=30),
    )
    return np.column_stack([runs, 100 * runs, runs])[draw(selections)]


def transformed(window, X):
    """Windows of any rows, by a transformer that was fitted on one run."""
    one_run = np.zeros((10, X.shape[1]))
    return np.asarray(window.fit(one_run).transform(X))


@settings(deadline=None, max_examples=300)
@given(X=coded_rows(), length=st.integers(1, 12), flatten=st.booleans())
def test_no_window_holds_a_value_of_another_run(X, length, flatten):
    window = SlidingWindow(length, run_column=-1, flatten=flatten)
    windows = transformed(window, X).reshape(len(X), length, 2)
    own = X[:, None, :2]

    assert np.all(np.isnan(windows) | (windows == own))
    assert_array_equal(windows[:, -1], X[:, :2])


@settings(deadline=None, max_examples=100)
@given(X=coded_rows(), length=st.integers(1, 12))
def test_windows_match_their_definition_under_any_slicing(X, length):
    windows = transformed(SlidingWindow(length, run_column=-1), X)
    assert_array_equal(windows, naive_windows(X[:, :2], length, X[:, 2]))


# --- memory --------------------------------------------------------------------------


def peak_bytes(function, *args):
    tracemalloc.start()
    result = function(*args)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak, result


@pytest.mark.parametrize("flatten", [False, True])
@pytest.mark.parametrize("run_column", [None, 0, -1])
def test_one_run_costs_one_copy_of_the_recording(run_column, flatten):
    X = np.ones((200_000, 10))
    window = SlidingWindow(50, run_column=run_column, flatten=flatten).fit(X)
    peak, windows = peak_bytes(window.transform, X)

    assert peak < 1.2 * X.nbytes
    assert windows.nbytes >= 45 * X.nbytes
    assert np.shares_memory(windows[100], windows[101])
    assert not windows.flags.writeable


def recording_of_runs(n_runs, n_rows, n_channels):
    X = np.random.default_rng(0).normal(size=(n_runs * n_rows, n_channels + 1))
    X[:, -1] = np.arange(len(X)) // n_rows
    return X


def test_several_runs_cost_little_more_than_one():
    X = recording_of_runs(100, 1000, 20)
    window = SlidingWindow(20, run_column=-1)
    peak, windows = peak_bytes(window.fit_transform, X)

    assert windows.shape == (100_000, 20, 20)
    assert windows.rows.shape == (100_000 + 100 * 19, 20)
    assert peak < 1.3 * X.nbytes


def test_flat_windows_of_several_runs_are_written_out():
    X = recording_of_runs(4, 50, 3)
    flat = SlidingWindow(5, run_column=-1, flatten=True).fit_transform(X)
    assert type(flat) is np.ndarray
    assert flat.flags.c_contiguous
    expected = SlidingWindow(5, run_column=-1).fit_transform(X)
    assert_array_equal(flat, np.asarray(expected).reshape(200, 15))


def test_length_one_is_a_view_that_protects_its_input():
    X = np.ones((5, 2))
    windows = SlidingWindow(1).fit_transform(X)
    assert np.shares_memory(windows, X)
    assert not windows.flags.writeable
    assert np.shares_memory(SlidingWindow(1, run_column=-1).fit_transform(X), X)


def test_input_is_left_alone(recording):
    X, runs = recording
    X = np.column_stack([X, runs])
    before = X.copy()
    SlidingWindow(4, run_column=-1).fit_transform(X)
    assert_array_equal(X, before)


def test_sliding_windows_of_one_start_is_a_view():
    X = np.ones((6, 2))
    one = sliding_windows(X, 3, np.array([0]))
    assert np.shares_memory(one[3], one[4])
    assert_array_equal(one, sliding_windows(X, 3))


# --- scikit-learn --------------------------------------------------------------------


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("flatten", [False, True])
def test_check_estimator(flatten, routing):
    window = SlidingWindow(length=3, flatten=flatten)
    with config_context(enable_metadata_routing=routing):
        results = check_estimator(
            window, expected_failed_checks=READS_NEIGHBOURS, on_skip=None
        )
    xfailed = {r["check_name"] for r in results if r["status"] == "xfail"}
    assert xfailed <= set(READS_NEIGHBOURS)


def test_check_estimator_with_a_run_column():
    results = check_estimator(
        LabelledWindow(length=3, run_column=-1),
        expected_failed_checks=READS_NEIGHBOURS,
        on_skip=None,
    )
    xfailed = {r["check_name"] for r in results if r["status"] == "xfail"}
    assert xfailed <= set(READS_NEIGHBOURS)


@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")
@pytest.mark.parametrize("run_column", [None, 0])
def test_flat_windows_pass_the_checks_of_containers(run_column):
    window = LabelledWindow(length=3, run_column=run_column, flatten=True)
    check_transformer_get_feature_names_out("SlidingWindow", window)
    check_set_output_transform("SlidingWindow", window)
    check_set_output_transform_pandas("SlidingWindow", window)


def test_clone_and_pickle(recording):
    X, runs = recording
    X = np.insert(X, 1, runs, axis=1)
    window = SlidingWindow(4, run_column=1, flatten=True).fit(X)
    assert clone(window).get_params() == window.get_params()
    copy = pickle.loads(pickle.dumps(window))
    assert_array_equal(copy.transform(X), window.transform(X))


def test_windows_inside_a_search_with_groups():
    rng = np.random.default_rng(0)
    runs = np.repeat(np.arange(4), 30)
    X = np.column_stack([rng.normal(size=(120, 2)), runs])
    y = np.nan_to_num(sliding_windows(X, 3, label_starts(runs))[:, 0, 0])
    search = GridSearchCV(
        make_pipeline(
            SlidingWindow(run_column=-1, flatten=True),
            SimpleImputer(strategy="constant", fill_value=0.0),
            Ridge(),
        ),
        {"slidingwindow__length": [1, 2, 3]},
        cv=GroupKFold(4),
    ).fit(X, y, groups=runs)
    assert search.best_params_ == {"slidingwindow__length": 3}
    assert search.best_score_ > 0.9


# --- names and data frames -----------------------------------------------------------


@pytest.fixture
def frame():
    return pd.DataFrame(
        {"a": [1.0, 2.0, 3.0], "run": [0.0, 0.0, 5.0], "b": [4.0, 5.0, 6.0]},
        index=["r", "s", "t"],
    )


def test_run_column_by_name(frame):
    windows = SlidingWindow(2, run_column="run").fit_transform(frame)
    expected = SlidingWindow(2, run_column=1).fit_transform(frame.to_numpy())
    assert_array_equal(windows, expected)


def test_names_of_flat_windows(frame):
    window = SlidingWindow(3, run_column="run", flatten=True).fit(frame)
    names = ["a_t-2", "b_t-2", "a_t-1", "b_t-1", "a_t-0", "b_t-0"]
    assert_array_equal(window.get_feature_names_out(), names)

    window = SlidingWindow(2, flatten=True).fit(np.ones((3, 2)))
    names = ["x0_t-1", "x1_t-1", "x0_t-0", "x1_t-0"]
    assert_array_equal(window.get_feature_names_out(), names)


def test_flat_windows_become_a_frame(frame):
    window = SlidingWindow(2, run_column="run", flatten=True)
    out = window.set_output(transform="pandas").fit_transform(frame)
    assert list(out.columns) == ["a_t-1", "b_t-1", "a_t-0", "b_t-0"]
    assert list(out.index) == ["r", "s", "t"]
    assert_array_equal(out["a_t-1"], [np.nan, 1, np.nan])


def test_windows_stay_an_array_whatever_the_container(frame):
    window = SlidingWindow(2, run_column="run")
    assert not hasattr(window, "get_feature_names_out")

    pipeline = make_pipeline(StandardScaler(), SlidingWindow(2))
    windows = pipeline.set_output(transform="pandas").fit_transform(frame)
    assert isinstance(windows, np.ndarray) and windows.shape == (3, 2, 3)

    with config_context(transform_output="pandas"):
        windows = window.fit_transform(frame)
    assert isinstance(windows, Windows) and windows.shape == (3, 2, 2)


# --- bad input -----------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, -1, 2.0, "3", None, True])
def test_bad_length(length):
    with pytest.raises(ValueError, match=r"length must be an integer >= 1, got"):
        SlidingWindow(length).fit(np.ones((4, 2)))


@pytest.mark.parametrize(
    ("run_column", "message"),
    [
        (9, r"run_column=9 is out of range for X with 4 columns"),
        (-5, r"run_column=-5 is out of range for X with 4 columns"),
        ("run", r"run_column='run' is a name, but X has no column names"),
        (1.0, r"run_column must be None, an index or a column name, got 1\.0"),
        (True, r"run_column must be None, an index or a column name, got True"),
    ],
)
def test_bad_run_column(run_column, message):
    with pytest.raises(ValueError, match=message):
        SlidingWindow(2, run_column=run_column).fit(np.ones((5, 4)))


def test_unknown_name(frame):
    message = r"run_column='trial' is not a column of X, which has \['a', 'run', 'b'\]"
    with pytest.raises(ValueError, match=message):
        SlidingWindow(2, run_column="trial").fit(frame)


def test_run_column_alone():
    with pytest.raises(ValueError, match="run_column=0 leaves no column to window"):
        SlidingWindow(2, run_column=0).fit(np.ones((5, 1)))


def test_missing_run_label(recording):
    X, runs = recording
    X = np.column_stack([X, runs])
    window = SlidingWindow(2, run_column=-1).fit(X)
    X[4, -1] = np.nan
    message = r"column 3 of X \(run_column\) must label every row .* NaN in row 4"
    with pytest.raises(ValueError, match=message):
        window.transform(X)
    with pytest.raises(ValueError, match=message):
        window.fit(X)


def test_infinity():
    X = np.array([[1.0], [np.inf]])
    with pytest.raises(ValueError, match="infinity"):
        SlidingWindow(2).fit(X)
    with pytest.raises(ValueError, match="infinity"):
        SlidingWindow(2).fit(X[:1]).transform(X)


def test_other_number_of_columns():
    window = SlidingWindow(2).fit(np.ones((4, 3)))
    with pytest.raises(ValueError, match="X has 2 features, but SlidingWindow"):
        window.transform(np.ones((4, 2)))


# --- columns that are no labels, and labels that were overlooked ---------------------


def test_run_column_that_changes_in_most_rows():
    rng = np.random.default_rng(0)
    X = design_matrix(rng.normal(size=(300, 2)), rng.normal(size=(300, 1)))
    message = (
        r"column 2 of X \(run_column\) does not look like run labels: its value "
        "changes in 299 of 300 rows"
    )
    with pytest.raises(ValueError, match=message):
        SlidingWindow(5, run_column=-1).fit(X)


@pytest.mark.parametrize("sizes", [[2] * 10, [1, 1, 4], [1] * 4, [1, 2, 1], [1]])
def test_short_runs_and_few_rows_are_labels(sizes):
    X = np.ones((sum(sizes), 2))
    X[:, -1] = np.repeat(np.arange(len(sizes)), sizes)
    SlidingWindow(2, run_column=-1).fit(X)


def test_rows_of_other_runs_are_transformed_one_by_one():
    X = recording_of_runs(10, 20, 2)
    window = SlidingWindow(3, run_column=-1).fit(X)
    windows = np.asarray(window.transform(X[::20]))
    assert np.isnan(windows[:, :2]).all()
    assert_array_equal(windows[:, -1], X[::20, :2])


LABELS = [
    np.repeat([0, 1, 2], [50, 30, 40]),
    np.repeat([5, 2], [70, 50]),
    np.repeat(["rest", "movie", "task"], 40),
]


@pytest.mark.parametrize("runs", LABELS)
@pytest.mark.parametrize("n_stimuli", [0, 2])
@pytest.mark.parametrize("scaled", [False, True])
def test_labels_that_were_overlooked(runs, n_stimuli, scaled):
    rng = np.random.default_rng(0)
    activity = rng.normal(size=(120, 3))
    activity[::7, 1] = np.nan  # lost samples
    activity[:, 2] = np.nan  # a dead channel
    stimulus = rng.integers(2, size=(120, n_stimuli)) if n_stimuli else None
    X = design_matrix(activity, stimulus, runs)
    if scaled:
        X[:, :2] = StandardScaler().fit_transform(X[:, :2])
        X[:, 3:] = StandardScaler().fit_transform(X[:, 3:])
    column = X.shape[1] - 1
    message = rf"column {column} of X looks like run labels.*pass run_column=-1"
    with pytest.warns(UserWarning, match=message):
        SlidingWindow(5).fit(X)


def test_labels_that_were_overlooked_in_a_frame():
    activity = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)))
    X = design_matrix(activity, runs=np.repeat([1, 2, 3], 20))
    with pytest.warns(UserWarning, match="column 'run' of X .*run_column='run'"):
        SlidingWindow(5).fit(X)


def stimuli():
    t = np.arange(120)
    return {
        "constant": np.ones(120),
        "blocks": (t // 20 % 2).astype(float),
        "step": (t >= 60).astype(float),
        "stairs": t // 30,
        "trials": t // 4,
        "ramp": t,
        "noise": np.random.default_rng(0).normal(size=120),
        "spikes": np.random.default_rng(0).random(120) < 0.1,
        "unknown at first": np.where(t < 10, np.nan, t // 30),
    }


@pytest.mark.parametrize("lost", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("name", stimuli())
def test_stimuli_are_no_labels(name, lost):
    rng = np.random.default_rng(0)
    activity = rng.normal(size=(120, 3))
    activity[rng.random(120) < lost, 0] = np.nan
    SlidingWindow(5).fit(design_matrix(activity, stimuli()[name]))


def test_labels_given_are_not_warned_of():
    condition = np.repeat([3, 4], 60)  # a stimulus that changes between runs
    X = design_matrix(np.arange(120.0), condition, runs=np.repeat([0, 1], 60))
    assert SlidingWindow(5, run_column=-1).fit(X).run_column_ == 2


def test_windows_of_runs_are_windows_also_to_a_search():
    X = recording_of_runs(6, 40, 2)
    windows = SlidingWindow(4, run_column=-1).fit_transform(X)
    assert isinstance(windows, Windows)
    search = GridSearchCV(
        make_pipeline(FunctionTransformer(flat_windows), Ridge()),
        {"ridge__alpha": [1e-8, 1e6]},
        cv=GroupKFold(3),
    )
    search.fit(windows, np.nan_to_num(X[:, :2] @ [1.0, 2.0]), groups=X[:, -1])
    assert search.best_params_ == {"ridge__alpha": 1e-8}
    assert search.best_score_ > 0.99


def flat_windows(windows):
    assert isinstance(windows, Windows)
    return np.nan_to_num(windows).reshape(len(windows), -1)
