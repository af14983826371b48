from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from afm_sklearn import design_matrix

pd = pytest.importorskip("pandas")

N = 12
RUNS = np.repeat([0, 1], [5, 7])


def as_dates(seconds):
    return pd.Timestamp("2026-03-01") + pd.to_timedelta(seconds, unit="s")


def as_local_dates(seconds):
    return as_dates(seconds).tz_localize("Europe/Berlin")


def as_differences(seconds):
    return pd.to_timedelta(seconds, unit="s")


def frame(seconds, kind):
    values = np.arange(float(len(seconds)))
    return pd.DataFrame({"v1": values}, index=kind(np.asarray(seconds)))


def tsd(seconds, n_columns=2):
    """Stand-in for the objects of pynapple."""
    data = np.arange(float(len(seconds) * n_columns)).reshape(len(seconds), -1)
    support = SimpleNamespace(start=np.array([seconds[0]]), end=np.array([seconds[-1]]))
    return SimpleNamespace(t=np.asarray(seconds), d=data, time_support=support)


KINDS = {
    "dates": lambda s: frame(s, as_dates),
    "local dates": lambda s: frame(s, as_local_dates),
    "differences": lambda s: frame(s, as_differences),
    "seconds": lambda s: frame(s, pd.Index),
    "series": lambda s: frame(s, pd.Index)["v1"],
    "pynapple": tsd,
}

EVEN = np.arange(N) * 0.5
GAP = EVEN + 20 * (np.arange(N) >= 5)
ONE_STEP_LOST = np.delete(np.arange(N + 1), 5) * 0.5
STOPS = np.repeat(EVEN[::2], 2)


@pytest.fixture(params=KINDS)
def recording(request):
    return KINDS[request.param]


@pytest.mark.parametrize("times", [EVEN, EVEN * 1e-4, EVEN * 1.004 + 1e6, GAP[5:]])
@pytest.mark.parametrize("runs", [None, RUNS])
def test_even_times_pass(recording, times, runs):
    runs = None if runs is None else runs[-len(times) :]
    design_matrix(recording(times), runs=runs)
    design_matrix(np.ones(len(times)), recording(times), runs)


@pytest.mark.parametrize(("times", "size"), [(GAP, 41), (ONE_STEP_LOST, 2)])
@pytest.mark.parametrize("name", ["activity", "stimulus"])
def test_gaps_without_runs(recording, times, size, name):
    arguments = {"activity": np.ones(N)} | {name: recording(times)}
    message = (
        f"the time index of {name} has a gap before row 5, from .* to .*: {size} times "
        "the median step. Pass runs, with a new label from there on, or insert rows"
    )
    with pytest.raises(ValueError, match=message):
        design_matrix(**arguments)


@pytest.mark.parametrize("times", [GAP, ONE_STEP_LOST, EVEN - 20 * RUNS])
def test_between_runs_times_may_jump(recording, times):
    X = np.asarray(design_matrix(recording(times), runs=RUNS))
    assert_array_equal(np.flatnonzero(np.isnan(X[:, 0])), [0, 5])


def test_gap_inside_a_run(recording):
    times = GAP + 7 * (np.arange(N) >= 9)
    with pytest.raises(
        ValueError, match=r"activity has a gap before row 9.* Give runs"
    ):
        design_matrix(recording(times), runs=RUNS)


@pytest.mark.parametrize(("times", "row"), [(EVEN[::-1], 1), (STOPS, 1)])
def test_times_that_do_not_grow(recording, times, row):
    message = (
        f"activity must grow from row to row of a run, but does not before row {row}"
    )
    with pytest.raises(ValueError, match=message):
        design_matrix(recording(times))


def test_uneven_times(recording):
    times = EVEN.copy()
    times[7] += 0.02
    with pytest.warns(
        UserWarning, match="activity has uneven steps, .* before row [78]"
    ):
        design_matrix(recording(times))


def test_times_that_are_missing():
    seconds = np.where(np.arange(N) == 4, np.nan, EVEN)
    for kind in ("dates", "seconds", "pynapple"):
        with pytest.raises(ValueError, match="a time for every row, got none in row 4"):
            design_matrix(KINDS[kind](seconds))


@pytest.mark.parametrize(
    "index",
    [
        np.array([5, 3, 9, 1, 0, 2, 4, 6, 7, 8, 10, 11]),
        list("abcdefghijkl"),
        pd.MultiIndex.from_product([[0, 1], range(6)]),
    ],
)
def test_an_index_that_is_no_time_is_not_checked(index):
    design_matrix(pd.DataFrame({"a": np.ones(N)}, index=index))


def test_one_row(recording):
    assert design_matrix(recording([3.0])).shape[0] == 1


def test_times_and_data_of_pynapple_objects():
    activity = tsd(EVEN)
    X = design_matrix(activity, stimulus=tsd(EVEN, 1), runs=RUNS)
    assert type(X) is np.ndarray
    expected = design_matrix(activity.d, np.arange(float(N)), RUNS)
    assert_array_equal(X, expected)


def test_columns_named_like_parts_of_pynapple_objects():
    activity = pd.DataFrame(np.ones((N, 3)), columns=["t", "d", "time_support"])
    assert design_matrix(activity).shape == (N, 3)


# --- rows matched by position --------------------------------------------------------

LABELS = {
    "positions": pd.RangeIndex(N),
    "numbers": pd.Index(np.arange(N) * 2 + 3),
    "names": pd.Index(list("abcdefghijkl")),
    "dates": as_dates(EVEN),
    "seconds": pd.Index(EVEN),
    "pairs": pd.MultiIndex.from_product([["a", "b"], range(6)]),
}


@pytest.fixture(params=["stimulus", "runs"])
def second(request):
    def build(index):
        if request.param == "runs":
            return {"runs": pd.Series(RUNS, index=index)}
        return {"stimulus": pd.DataFrame({"light": np.ones(N)}, index=index)}

    build.name = request.param
    return build


@pytest.mark.parametrize("labels", LABELS)
def test_the_same_labels_in_another_order(second, labels):
    index = LABELS[labels]
    activity = pd.DataFrame({"a": np.ones(N)}, index=index)
    design_matrix(activity, **second(index))
    message = f"{second.name} is matched to activity by position, but row 0 has"
    with pytest.raises(ValueError, match=message):
        design_matrix(activity, **second(index[::-1]))


def test_labels_that_overlap_partly(second):
    activity = pd.DataFrame({"a": np.ones(N)})
    message = f"{second.name} is matched .* row 0 has the index 0 in activity and 3 in"
    with pytest.raises(ValueError, match=message):
        design_matrix(activity, **second(pd.RangeIndex(3, N + 3)))


@pytest.mark.parametrize("labels", ["names", "dates", "seconds", "pairs"])
def test_other_labels_say_nothing(second, labels):
    activity = pd.DataFrame({"a": np.ones(N)}, index=LABELS[labels])
    design_matrix(activity, **second(pd.RangeIndex(N)))
    design_matrix(activity.reset_index(drop=True), **second(LABELS[labels]))
    design_matrix(activity["a"], **second(LABELS[labels]))
    design_matrix(activity.to_numpy(), **second(LABELS[labels]))
    design_matrix(activity.reset_index(drop=True), **second(pd.RangeIndex(N, 2 * N)))
