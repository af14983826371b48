import numpy as np
import pytest
from numpy.testing import assert_array_equal

from afm_sklearn.data.stacking import stack_runs
from afm_sklearn.design import design_matrix

pd = pytest.importorskip("pandas")

# --- runs one by one -----------------------------------------------------------------

LENGTHS = [4, 2, 3]


@pytest.fixture
def pieces():
    rng = np.random.default_rng(1)
    return [rng.normal(size=(n, 3)) for n in LENGTHS], [
        rng.normal(size=(n, 2)) for n in LENGTHS
    ]


def stacked(pieces, labels):
    activity, stimulus = map(np.concatenate, pieces)
    return design_matrix(activity, stimulus, np.repeat(labels, LENGTHS))


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("labels", [None, [5, 2, 9], ["b", "a", "c"]])
def test_list_of_runs(pieces, kind, labels):
    X = design_matrix(*map(kind, pieces), runs=labels)
    assert_array_equal(X, stacked(pieces, labels or [0, 1, 2]))


def test_trials_of_one_length():
    rng = np.random.default_rng(2)
    activity, stimulus = rng.normal(size=(4, 6, 3)), rng.normal(size=(4, 6, 2))
    X = design_matrix(activity, stimulus)
    runs = np.repeat(np.arange(4), 6)
    expected = design_matrix(activity.reshape(24, 3), stimulus.reshape(24, 2), runs)
    assert_array_equal(X, expected)
    assert_array_equal(design_matrix(activity.tolist(), list(stimulus)), expected)


def test_cells_of_an_object_array(pieces):
    cells = np.empty(3, object)
    cells[:] = pieces[0]
    assert_array_equal(design_matrix(cells), design_matrix(pieces[0]))


def test_runs_of_one_stimulus_without_columns(pieces):
    shown = [stimulus[:, 0] for stimulus in pieces[1]]
    expected = design_matrix(pieces[0], [s[:, None] for s in shown])
    assert_array_equal(design_matrix(pieces[0], shown), expected)


def test_a_list_of_rows_stays_a_list_of_rows():
    rows = [np.array([1.0, 2.0]), np.array([3.0, 4.0])]
    assert_array_equal(design_matrix(rows), [[np.nan, np.nan], [1, 2]])


def test_masked_and_single_precision_runs(pieces):
    activity = [np.ma.masked_less(run.astype(np.float32), 0) for run in pieces[0]]
    X = design_matrix(activity)
    assert X.dtype == np.float32
    filled = np.concatenate([run.filled(np.nan) for run in activity])
    assert_array_equal(X, design_matrix(filled, runs=np.repeat([0, 1, 2], LENGTHS)))


def test_frames_of_runs(pieces):
    times = [np.arange(n) * 0.5 for n in LENGTHS]
    frames = [
        pd.DataFrame(run, index=t, columns=list("abc"))
        for run, t in zip(pieces[0], times, strict=True)
    ]
    X = design_matrix(frames, pieces[1], runs=["b", "a", "c"])
    assert list(X.columns)[:3] == ["a_lag1", "b_lag1", "c_lag1"]
    assert_array_equal(X.index, np.concatenate(times))
    assert_array_equal(X, stacked(pieces, [0, 1, 2]))


@pytest.mark.parametrize("labels", [["mon", "tue", "wed"], [3, 1, 2], [1, "a", 2.5]])
def test_stacked_runs_are_rows_of_x(pieces, labels):
    activity, stimulus, runs = stack_runs(*pieces, runs=labels)
    assert_array_equal(activity, np.concatenate(pieces[0]))
    assert_array_equal(stimulus, np.concatenate(pieces[1]))
    assert runs.tolist() == [
        x for x, n in zip(labels, LENGTHS, strict=True) for _ in range(n)
    ]
    X = design_matrix(activity, stimulus, runs)
    assert_array_equal(X, design_matrix(*pieces, runs=labels))
    again = stack_runs(activity, stimulus, runs)
    assert all(a is b for a, b in zip(again, (activity, stimulus, runs), strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stimulus": [np.ones((4, 1))]}, "stimulus .* expected 3 runs, got 1"),
        ({"stimulus": np.ones((9, 1))}, "stimulus must be a list of 3 runs .* ndarray"),
        (
            {"stimulus": [np.ones((n, 1)) for n in (4, 3, 2)]},
            "stimulus must have the steps .* expected 2 in run 1, got 3",
        ),
        ({"runs": [0, 1]}, r"runs .* expected 3 labels, got shape \(2,\)"),
        ({"runs": np.repeat([0, 1, 2], LENGTHS)}, "runs .* expected 3 labels"),
        ({"runs": ["a", "b", "b"]}, "runs .* 'b' for run 1 and run 2"),
        ({"runs": ["a", None, "b"]}, "runs must label every row, got None in row 4"),
        (
            {"activity": [np.ones((4, 2)), np.ones((2, 3))]},
            "same columns .* 2 in run 0",
        ),
        ({"activity": [np.ones((4, 2)), np.ones((0, 2))]}, "run 1 of activity must"),
        ({"activity": [np.ones((4, 2)), [["a", "b"]]]}, "run 1 of activity must"),
        (
            {"activity": [np.ones((4, 2)), pd.DataFrame(np.ones((4, 2)))]},
            "activity must have runs of one kind, got ndarray in run 0 and DataFrame",
        ),
        (
            {"activity": np.ones((9, 2)), "stimulus": [np.ones((3, 1))] * 3},
            "stimulus must be stacked as activity is.* got 3 runs",
        ),
    ],
)
def test_runs_that_do_not_fit(pieces, change, message):
    with pytest.raises(ValueError, match=message):
        design_matrix(**({"activity": pieces[0]} | change))


def test_times_are_checked_run_by_run(pieces):
    gap = pd.DataFrame(np.ones((4, 3)), index=[0.0, 0.1, 5.0, 5.1])
    with pytest.raises(ValueError, match="run 0 of activity has a gap before row 2"):
        design_matrix([gap, gap])


# --- runs in the index ---------------------------------------------------------------


def leveled(name, labels=("b", "a")):
    tuples = [(label, t / 2) for label in labels for t in range(3)]
    index = pd.MultiIndex.from_tuples(tuples, names=[name, "time"])
    return pd.DataFrame({"v1": np.arange(float(len(index)))}, index=index)


@pytest.mark.parametrize("name", ["run", "runs", "trial", "session"])
def test_level_that_names_runs(name):
    frame = leveled(name)
    X = design_matrix(frame, stimulus=frame.rename(columns={"v1": "light"}))
    nan = np.nan
    assert_array_equal(X["v1_lag1"], [nan, 0, 1, nan, 3, 4])
    assert_array_equal(X["run"], [0, 0, 0, 1, 1, 1])
    assert X.index.equals(frame.index)
    assert stack_runs(frame)[2].tolist() == list("bbbaaa")


def test_other_levels_name_no_runs():
    assert list(design_matrix(leveled("subject")).columns) == ["v1_lag1"]


def test_given_runs_come_before_a_level():
    X = design_matrix(leveled("run"), runs=[1, 2, 2, 3, 3, 3])
    assert_array_equal(X["run"], [1, 2, 2, 3, 3, 3])


def test_times_beside_a_level_are_checked():
    times = [0.0, 0.5, 9.0, 9.5]
    index = pd.MultiIndex.from_product([["a"], times], names=["run", "time"])
    with pytest.raises(ValueError, match="activity has a gap before row 2"):
        design_matrix(pd.DataFrame({"v1": np.ones(4)}, index=index))


@pytest.mark.parametrize(
    ("activity", "stimulus", "message"),
    [
        (leveled("run"), leveled("run", ["b", "c"]), "expected 'a' in row 3, got 'c'"),
        (np.ones(6), leveled("run"), "index of stimulus names runs.*give runs"),
        (
            leveled("run")
            .set_index([[0] * 6], append=True)
            .rename_axis(["run", "time", "session"]),
            None,
            "index of activity has 'run' and 'session', which may all tell runs",
        ),
        (leveled("run", "aba"), None, "label 'a' comes back in row 6"),
    ],
)
def test_levels_that_do_not_fit(activity, stimulus, message):
    with pytest.raises(ValueError, match=message):
        design_matrix(activity, stimulus)
