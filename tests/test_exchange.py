from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from afm_sklearn import design_matrix
from afm_sklearn.exchange import from_pynapple, to_frame, to_xarray

pd = pytest.importorskip("pandas")


def intervals(*edges):
    """Stand-in for pynapple.IntervalSet."""
    start, end = np.array(edges, float).T
    return SimpleNamespace(start=start, end=end)


def tsd(times, data, columns=None, support=None):
    """Stand-in for pynapple.Tsd, TsdFrame and TsdTensor."""
    times = np.asarray(times, float)
    support = support or intervals([times[0], times[-1]])
    named = {} if columns is None else {"columns": columns}
    data = np.asarray(data, float)
    return SimpleNamespace(t=times, d=data, time_support=support, **named)


class SpikeTimes:
    """Stand-in for pynapple.TsGroup: a bin is kept if its centre is in the epoch."""

    def __init__(self, units, support):
        self.units, self.time_support = units, support

    def count(self, bin_size, ep):
        centres, counts = [], []
        for start, end in zip(ep.start, ep.end, strict=True):
            edges = start + bin_size * np.arange(np.ceil((end - start) / bin_size) + 1)
            middle = edges[:-1] + bin_size / 2
            inside = middle <= end
            kept = [u[(u >= start) & (u <= end)] for u in self.units.values()]
            rows = [np.histogram(unit, edges)[0] for unit in kept]
            centres.append(middle[inside])
            counts.append(np.stack(rows, axis=1)[inside])
        return tsd(np.concatenate(centres), np.concatenate(counts), list(self.units))


@pytest.fixture
def spikes():
    rng = np.random.default_rng(0)
    units = {3: np.sort(rng.uniform(0, 20, 90)), 7: np.sort(rng.uniform(0, 20, 30))}
    return SpikeTimes(units, intervals([0, 8], [10, 20]))


# --- samples -------------------------------------------------------------------------

TWO = intervals([0, 0.35], [10, 10.15])
TIMES = np.r_[np.arange(4) * 0.1, 10 + np.arange(2) * 0.1]


def test_samples_of_two_epochs():
    data = np.arange(12.0).reshape(6, 2)
    recording = from_pynapple(tsd(TIMES, data, ["v1", "mt"], TWO))
    assert list(recording.activity.columns) == ["v1", "mt"]
    assert_array_equal(recording.activity, data)
    assert_array_equal(recording.activity.index, TIMES)
    assert_array_equal(recording.times, TIMES)
    assert_array_equal(recording.runs, [0, 0, 0, 0, 1, 1])
    assert recording.stimulus is None
    X = design_matrix(*recording[:3])
    assert_array_equal(X, design_matrix(data, runs=recording.runs))


def test_what_lies_outside_of_epochs_is_left_out():
    samples = tsd(np.arange(10), np.arange(10))
    recording = from_pynapple(samples, epochs=intervals([1, 3.5], [6, 8]))
    assert_array_equal(recording.activity["activity"], [1, 2, 3, 6, 7, 8])
    assert_array_equal(recording.runs, [0, 0, 0, 1, 1, 1])


def test_epochs_that_touch_share_no_sample():
    samples = tsd(np.arange(5), np.arange(5))
    recording = from_pynapple(samples, epochs=intervals([0, 2], [2, 4]))
    assert_array_equal(recording.runs, [0, 0, 1, 1, 1])


def test_a_tensor_has_a_column_an_entry():
    data = np.arange(24.0).reshape(4, 2, 3)
    recording = from_pynapple(tsd(np.arange(4), data))
    assert_array_equal(recording.activity["1_2"], data[:, 1, 2])
    assert recording.activity.shape == (4, 6)


def test_missing_samples_stay_missing():
    recording = from_pynapple(tsd(np.arange(3), [1, np.nan, 3]))
    assert_array_equal(recording.activity["activity"], [1, np.nan, 3])


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (
            [0, 0.1, 0.2, 0.4],
            r"uneven time stamps in epoch 0: a step of 0.2 s from 0.2",
        ),
        ([0, 0.1, 0.202, 0.3], "uneven time stamps in epoch 0"),
        ([0, 0.1, 0.1, 0.2], "time stamps that grow, got 0.1 s and then 0.1 s"),
    ],
)
def test_uneven_times_are_refused(times, message):
    with pytest.raises(ValueError, match=message):
        from_pynapple(tsd(times, np.ones(4)))


def test_epochs_of_different_steps_are_refused():
    times = np.r_[np.arange(4) * 0.1, 10 + np.arange(3) * 0.2]
    with pytest.raises(
        ValueError, match=r"uneven time stamps in epoch 1: a step of 0.2"
    ):
        from_pynapple(tsd(times, np.ones(7), support=intervals([0, 1], [10, 11])))


# --- spike times ---------------------------------------------------------------------


def test_counts_of_whole_bins(spikes):
    recording = from_pynapple(spikes, bin_size=0.5)
    assert list(recording.activity.columns) == [3, 7]
    assert_array_equal(recording.runs, np.repeat([0, 1], [16, 20]))
    for unit, times in spikes.units.items():
        counted = [
            ((times >= t - 0.25) & (times < t + 0.25)).sum() for t in recording.times
        ]
        assert_array_equal(recording.activity[unit], counted)


@pytest.mark.parametrize("end", [8.0, 8.2, 8.3, 8.49])
def test_no_bin_reaches_beyond_its_epoch(spikes, end):
    recording = from_pynapple(spikes, bin_size=0.5, epochs=intervals([2, end]))
    assert_allclose(recording.times, 2.25 + 0.5 * np.arange(12))


def test_bins_outside_of_what_was_recorded(spikes):
    with pytest.warns(UserWarning, match=r"4 of 40 bins, the first at 8.25 s"):
        from_pynapple(spikes, bin_size=0.5, epochs=intervals([0, 20]))


# --- features ------------------------------------------------------------------------


def test_features_are_interpolated_at_the_centres_of_bins(spikes):
    clock = np.arange(0, 20.01, 0.03)
    ramp = tsd(clock, np.stack([2 * clock, -clock], axis=1), ["x", "y"])
    recording = from_pynapple(spikes, bin_size=0.5, features=ramp)
    assert list(recording.stimulus.columns) == ["x", "y"]
    assert_allclose(recording.stimulus["x"], 2 * recording.times)
    assert_allclose(recording.stimulus["y"], -recording.times)
    assert recording.stimulus.index.equals(recording.activity.index)


def test_features_of_the_same_clock_are_left_as_they_are():
    values = np.array([1.0, np.nan, 3.0, 7.0, 5.0, 6.0])
    samples = tsd(TIMES, np.ones(6), support=TWO)
    stimulus = from_pynapple(samples, features=tsd(TIMES, values)).stimulus
    assert_array_equal(stimulus["stimulus"].isna()[[0.0, 0.1]], [False, True])
    assert_array_equal(stimulus["stimulus"].iloc[3:], values[3:])


@pytest.mark.parametrize(
    ("clock", "where"),
    [
        (np.arange(2, 11.0), "2 of 11 steps, the first at 0 s"),
        (np.arange(0, 8.0), "3 of 11 steps, the first at 8 s"),
        (np.r_[0:4, 7:11.0], "3 of 11 steps, the first at 4 s"),
        ([5.0], "10 of 11 steps, the first at 0 s"),
    ],
)
def test_features_that_do_not_cover_the_activity(clock, where):
    features = tsd(clock, np.ones(len(clock)))
    with pytest.raises(ValueError, match=f"features must have samples at .* {where}"):
        from_pynapple(tsd(np.arange(11), np.ones(11)), features=features)


# --- bad input -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activity": np.ones(3)}, "activity must be an object of pynapple .* ndarray"),
        ({"bin_size": 0.5}, "bin_size must be None for samples, got 0.5"),
        (
            {"epochs": [0, 1]},
            "epochs must be an IntervalSet with start and end, got list",
        ),
        ({"epochs": intervals([3, 4], [0, 1])}, "epochs must follow one another"),
        ({"epochs": intervals([0, 2], [1, 3])}, "epochs must follow one another"),
        (
            {"epochs": intervals([0, 2], [3.2, 3.4], [4, 5])},
            "epochs must each hold a sample .* 1 of 3 hold none, the first from 3.2 to",
        ),
        ({"features": np.ones(10)}, "features must be a pynapple object .* ndarray"),
        (
            {"features": tsd([0, 2, 1], np.ones(3))},
            "features must have time stamps that grow",
        ),
    ],
)
def test_bad_input_names_the_argument(arguments, message):
    samples = tsd(np.arange(10), np.ones(10))
    with pytest.raises(ValueError, match=message):
        from_pynapple(**({"activity": samples} | arguments))


@pytest.mark.parametrize("bin_size", [None, 0.0, -1.0])
def test_spike_times_need_bins(spikes, bin_size):
    with pytest.raises(ValueError, match="bin_size must be the seconds of a bin"):
        from_pynapple(spikes, bin_size=bin_size)


# --- pynapple itself -----------------------------------------------------------------


def test_the_objects_of_pynapple(spikes):
    nap = pytest.importorskip("pynapple")
    support = nap.IntervalSet([0, 10], [8, 20])
    units = {k: nap.Ts(t) for k, t in spikes.units.items()}
    group = nap.TsGroup(units, time_support=support)
    clock = np.arange(0, 20.01, 0.03)
    ramp = nap.TsdFrame(t=clock, d=clock[:, None], columns=["x"])
    recording = from_pynapple(group, bin_size=0.5, features=ramp)
    expected = from_pynapple(spikes, bin_size=0.5)
    assert_array_equal(recording.activity, expected.activity)
    assert_array_equal(recording.runs, expected.runs)
    assert_allclose(recording.stimulus["x"], recording.times)
    X = design_matrix(*recording[:3])
    assert list(X.columns) == ["3_lag1", "7_lag1", "x", "run"]


# --- draws ---------------------------------------------------------------------------


@pytest.fixture
def draws():
    return np.random.default_rng(0).normal(size=(2, 5, 3, 4))


LABELS = {
    "channels": list("abcd"),
    "times": [0.5, 1.0, 1.5],
    "origins": [100, 200],
}


def test_every_draw_is_under_its_labels(draws):
    frame = to_frame(draws, **LABELS)
    assert frame.index.names == ["origin", "sample", "lead_time"]
    assert frame.shape == (30, 4)
    assert frame.loc[(200, 3, 1.5), "b"] == draws[1, 3, 2, 1]
    long = to_frame(draws, **LABELS, long=True)
    assert list(long.columns) == ["origin", "sample", "lead_time", "channel", "value"]
    keys = ["origin", "sample", "lead_time", "channel"]
    wide = long.set_index(keys)["value"].unstack("channel")
    pd.testing.assert_frame_equal(wide, frame)


def test_draws_of_one_origin(draws):
    frame = to_frame(draws[0])
    assert frame.index.names == ["sample", "lead_time"]
    assert_array_equal(frame.xs(1, level="lead_time"), draws[0, :, 0])
    assert list(frame.columns) == [0, 1, 2, 3]


def test_labels_may_be_an_index(draws):
    dates = pd.date_range("2026-01-01", periods=3, freq="1s")
    columns = pd.DataFrame(columns=list("abcd")).columns
    frame = to_frame(draws[0], channels=columns, times=dates)
    assert frame.loc[(0, dates[1]), "c"] == draws[0, 0, 1, 2]


def test_data_array_of_draws(draws):
    pytest.importorskip("xarray")
    array = to_xarray(draws, **LABELS)
    assert array.dims == ("origin", "sample", "lead_time", "channel")
    place = {"origin": 200, "sample": 3, "lead_time": 1.5, "channel": "b"}
    assert array.sel(place).item() == draws[1, 3, 2, 1]
    assert to_xarray(draws[0]).dims == ("sample", "lead_time", "channel")


@pytest.mark.parametrize("convert", [to_frame, to_xarray])
@pytest.mark.parametrize(
    ("axes", "labels", "message"),
    [
        (2, {}, r"draws must have shape .* got shape \(3, 4\)"),
        (3, {"origins": [1]}, "origins are for draws of shape"),
        (4, {"origins": [1]}, "origins has 1 labels, draws have 2 origins"),
        (3, {"channels": ["a"]}, "channels has 1 labels, draws have 4 channels"),
        (3, {"times": [1, 2]}, "times has 2 labels, draws have 3 lead times"),
        (3, {"channels": list("abca")}, "channels must differ"),
    ],
)
def test_labels_that_do_not_fit(draws, convert, axes, labels, message):
    some = draws[(0,) * (4 - axes)]
    with pytest.raises(ValueError, match=message):
        convert(some, **labels)
