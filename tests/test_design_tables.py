from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from afm_sklearn import Persistence, forecast
from afm_sklearn.data.stacking import stack_runs
from afm_sklearn.design import design_matrix
from afm_sklearn.windows import SlidingWindow


@pytest.fixture
def recording():
    rng = np.random.default_rng(0)
    return rng.normal(size=(7, 3)), rng.normal(size=(7, 2)), np.repeat([5, 2], [4, 3])


@pytest.fixture
def pieces():
    rng = np.random.default_rng(1)
    return [[rng.normal(size=(n, c)) for n in (4, 2, 3)] for c in (3, 2)]


# --- polars --------------------------------------------------------------------------


@pytest.fixture
def pl():
    return pytest.importorskip("polars")


def test_polars_in_polars_out(pl, recording):
    activity, stimulus, runs = recording
    X = design_matrix(
        pl.DataFrame(activity, schema=["v1", "v2", "mt"]),
        pl.Series("light", stimulus[:, 0]),
        pl.Series(runs),
    )
    assert isinstance(X, pl.DataFrame)
    assert X.columns == ["v1_lag1", "v2_lag1", "mt_lag1", "light", "run"]
    assert_array_equal(X.to_numpy(), design_matrix(activity, stimulus[:, 0], runs))
    assert SlidingWindow(2, run_column="run").fit_transform(X).shape == (7, 2, 4)


def test_polars_of_many_types(pl):
    frame = pl.DataFrame({"a": [1, None, 3], "b": [True, False, None]})
    nan = np.nan
    assert_array_equal(design_matrix(frame), [[nan, nan], [1, 1], [nan, 0]])
    single = frame.cast(pl.Float32)
    assert design_matrix(single, single["a"])["a"].dtype == pl.Float32


def test_polars_runs(pl, pieces):
    frames = [pl.DataFrame(run, schema=list("abc")) for run in pieces[0]]
    X = design_matrix(frames, pieces[1])
    assert_array_equal(X, design_matrix(*pieces))
    with pytest.raises(ValueError, match="same columns in every run"):
        design_matrix([frames[0], frames[1][:, ::-1]])


def test_polars_dates_are_no_numbers(pl):
    frame = pl.DataFrame({"a": [1.0], "when": np.array(["2026-01-01"], "M8[ms]")})
    with pytest.raises(ValueError, match=r"activity must .*'when' holds dates"):
        design_matrix(frame)


# --- xarray --------------------------------------------------------------------------


@pytest.fixture
def xr():
    return pytest.importorskip("xarray")


def data_array(xr, values, dims=("time", "channel"), **coords):
    return xr.DataArray(values, dims=dims, coords=coords)


def test_dimension_time_is_the_rows(xr, recording):
    activity, stimulus, runs = recording
    times = np.arange(7) * 0.5
    names = ["v1", "v2", "mt"]
    upright = data_array(xr, activity, time=times, channel=names)
    light = data_array(xr, stimulus[:, 0], ["time"]).rename("light")
    X = design_matrix(upright, light, runs)
    assert_array_equal(X, design_matrix(activity, stimulus[:, 0], runs))
    assert list(X.columns) == ["v1_lag1", "v2_lag1", "mt_lag1", "light", "run"]
    assert_array_equal(X.index, times)
    assert design_matrix(upright.T, light, runs).equals(X)
    assert_array_equal(stack_runs(upright.T)[0], activity)


def test_times_of_a_data_array_are_checked(xr):
    gap = data_array(xr, np.ones((4, 1)), time=[0.0, 0.1, 5.0, 5.1])
    with pytest.raises(ValueError, match="activity has a gap before row 2"):
        design_matrix(gap)
    assert_array_equal(design_matrix(gap, runs=[0, 0, 1, 1])["run"], [0, 0, 1, 1])


def test_coordinate_that_names_runs(xr):
    runs = ("time", ["b", "b", "a"])
    activity = data_array(xr, np.ones((2, 3)), ["channel", "time"], run=runs)
    assert_array_equal(design_matrix(activity)["run"], [0, 0, 1])
    assert stack_runs(activity)[2].tolist() == ["b", "b", "a"]


def test_list_of_data_arrays(xr, pieces):
    arrays = [data_array(xr, run.T, ["channel", "time"]) for run in pieces[0]]
    X = design_matrix(arrays, pieces[1])
    assert_array_equal(X, design_matrix(*pieces))


@pytest.mark.parametrize("dims", [["channel"], ["t", "x"], ["trial", "time", "x"]])
def test_data_arrays_without_plain_times(xr, dims):
    activity = data_array(xr, np.ones([2] * len(dims)), dims)
    with pytest.raises(ValueError, match="activity must have the dimension 'time'"):
        design_matrix(activity)


def test_collections_are_no_tables(xr):
    with pytest.raises(ValueError, match="activity must be one table, got a Dataset"):
        design_matrix(xr.Dataset({"a": ("time", [1.0, 2.0])}))


def test_epochs_and_spike_times_are_no_tables():
    epochs = SimpleNamespace(start=np.zeros(1), end=np.ones(1))
    with pytest.raises(ValueError, match=r"stimulus must .* got epochs"):
        design_matrix(np.ones(1), epochs)
    spikes = SimpleNamespace(count=lambda: 0, time_support=None)
    with pytest.raises(ValueError, match=r"spike times .*: count them with from_pyn"):
        design_matrix(spikes)


# --- forecast reads what design_matrix reads -----------------------------------------


@pytest.fixture
def walk():
    return np.random.default_rng(0).normal(size=(60, 2)).cumsum(0)


def ahead(X, y, *given, **named):
    run_column = -1 if X.shape[1] > y.shape[1] else None
    model = Persistence(window_length=3, run_column=run_column).fit(X, y)
    return forecast(model, *given, horizon=3, n_samples=5, random_state=0, **named)


def test_forecast_refuses_gaps(walk):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(walk, index=np.arange(60) * 0.5)
    with pytest.raises(ValueError, match="time index of activity has a gap before row"):
        ahead(design_matrix(walk), walk, frame.drop(index=frame.index[20:25]))


def test_forecast_reads_run_levels_and_lists(walk):
    pd = pytest.importorskip("pandas")
    index = pd.MultiIndex.from_product([[0, 1], range(30)], names=["run", "bin"])
    frame, runs = pd.DataFrame(walk, index=index), np.repeat([0, 1], 30)
    X = design_matrix(walk, runs=runs)
    expected = ahead(X, walk, walk, runs=runs)
    for given in (frame, [walk[:30], walk[30:]], walk.reshape(2, 30, 2)):
        assert_array_equal(ahead(X, walk, given), expected)


def test_forecast_reads_the_dimensions_of_a_data_array(walk):
    xr = pytest.importorskip("xarray")
    array = xr.DataArray(walk.T, dims=("unit", "time"))
    X = design_matrix(walk)
    assert_array_equal(ahead(X, walk, array), ahead(X, walk, walk))


def test_forecast_reads_polars(pl, walk):
    X, frame = design_matrix(walk), pl.DataFrame(walk, schema=["a", "b"])
    assert_array_equal(ahead(X, walk, frame), ahead(X, walk, walk))


def test_forecast_refuses_columns_in_another_order(walk):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(walk, columns=["a", "b"])
    X = design_matrix(frame)
    assert_array_equal(ahead(X, walk, frame), ahead(X, walk, walk))
    with pytest.raises(ValueError, match=r"order of training.*got \['b_lag1', 'a_lag1"):
        ahead(X, walk, frame[["b", "a"]])


def test_forecast_counts_the_rows_that_were_given(walk):
    X, runs = design_matrix(walk, runs=np.zeros(60)), np.zeros(59)
    with pytest.raises(ValueError, match="expected 60 rows, got 59"):
        ahead(X, walk, walk, runs=runs)


def test_forecast_warns_where_it_is_called(walk):
    pd = pytest.importorskip("pandas")
    times = np.arange(60.0)
    times[30] += 0.2
    with pytest.warns(UserWarning, match="uneven steps") as caught:
        ahead(design_matrix(walk), walk, pd.DataFrame(walk, index=times))
    assert [w.filename for w in caught] == [__file__]
