"""Recordings held by pynapple."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ..data.numbers import Array, as_columns
from ..data.timing import EVEN
from .epochs import check_even, find_epochs, read_epochs
from .features import interpolate, named_columns
from .recording import Recording


def from_pynapple(
    activity: Any,
    *,
    bin_size: float | None = None,
    features: Any = None,
    epochs: Any = None,
) -> Recording:
    """Read what `design_matrix` takes from pynapple objects.

    NWB files are read by pynapple, too: ``pynapple.load_file(path)["units"]``.

    Parameters
    ----------
    activity : TsGroup, Ts, TsdFrame, Tsd or TsdTensor
        Spike times, which are counted in bins, or samples at even time stamps.
    bin_size : float, optional
        Seconds of a bin; needed for spike times, and not taken for samples. Bins start
        with their epoch. What is left at its end and shorter than a bin has no row.
    features : TsdFrame, Tsd or TsdTensor, optional
        What is shown or done, on any clock. Their value in a row is interpolated
        linearly between the samples before and after the time of the row, the centre of
        a bin. Numbers that stand for categories have to become indicator columns first,
        and features that change faster than the bins be averaged first
        (``features.bin_average(bin_size)``).
    epochs : IntervalSet, optional
        Continuous pieces, each of which becomes a run; what lies outside is left out.
        The ``time_support`` of `activity` by default.

    Returns
    -------
    Recording
        Named tuple of activity, stimulus, runs and times. Activity and stimulus are
        pandas DataFrames indexed by seconds.

    Raises
    ------
    ValueError
        If time stamps within an epoch are uneven by more than 1 % of a step, an epoch
        has no sample or whole bin, or a row is further than 0.75 steps of the features
        from the nearest of their samples. If `bin_size` is missing or one too many.

    Warns
    -----
    UserWarning
        If bins lie outside of the ``time_support`` of spike times: whether a count of 0
        there means silence is not known.

    Notes
    -----
    A feature that is sampled more coarsely than the activity is interpolated towards
    its next sample, and so tells up to one of its own steps ahead.

    Objects are known by their attributes (``t``, ``d``, ``columns``, ``time_support``;
    ``count``; ``start``, ``end``); pynapple itself is not imported.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> from afm_sklearn.exchange import from_pynapple
    >>> halves = SimpleNamespace(start=[0.0, 10.0], end=[0.2, 10.1])
    >>> times = np.array([0.0, 0.1, 0.2, 10.0, 10.1])
    >>> lfp = SimpleNamespace(t=times, d=np.arange(5.0), time_support=halves)
    >>> recording = from_pynapple(lfp)  # in earnest a pynapple.Tsd
    >>> recording.runs
    array([0, 0, 0, 1, 1])
    >>> recording.activity.shape
    (5, 1)
    """
    import pandas as pd

    is_sampled = hasattr(activity, "d") and hasattr(activity, "t")
    if not is_sampled and not hasattr(activity, "count"):
        raise ValueError(
            "activity must be an object of pynapple with time stamps t and data d, or "
            f"one of spike times that has count, got {type(activity).__name__}"
        )
    chosen = activity.time_support if epochs is None else epochs
    name = "activity.time_support" if epochs is None else "epochs"
    start, end = read_epochs(chosen, name)
    if is_sampled:
        if bin_size is not None:
            raise ValueError(
                f"bin_size must be None for samples, got {bin_size}: it is for spike "
                "times. activity.bin_average(bin_size) brings samples to bins"
            )
        samples, half = activity, 0.0
    else:
        samples, half = _count(activity, bin_size, chosen), (bin_size or 0.0) / 2
    times = np.asarray(samples.t, float)
    # A bin that ends after its epoch was recorded in part and counts too little.
    runs = find_epochs(times, start, end + EVEN * 2 * half - half)
    kept = runs >= 0
    _check_all_there(runs, start, end, name)
    times, runs = times[kept], runs[kept]
    check_even(times, runs, "activity")
    if not is_sampled:
        _check_recorded(activity, times)

    matrix, names = named_columns(samples, "activity")
    index = pd.Index(times, name="time")
    frame = pd.DataFrame(as_columns(matrix[kept], "activity"), index, names)
    stimulus = None if features is None else _stimulus(features, times, index)
    return Recording(frame, stimulus, runs, times)


def _count(spikes: Any, bin_size: float | None, epochs: Any) -> Any:
    if bin_size is None or not bin_size > 0:
        raise ValueError(
            f"bin_size must be the seconds of a bin, for spike times, got {bin_size}"
        )
    return spikes.count(bin_size, ep=epochs)


def _check_all_there(runs: Array, start: Array, end: Array, name: str) -> None:
    empty = np.setdiff1d(np.arange(len(start)), runs)
    if len(empty):
        first = empty[0]
        raise ValueError(
            f"{name} must each hold a sample or a whole bin of activity, but "
            f"{len(empty)} of {len(start)} hold none, the first from "
            f"{start[first]:.6g} to {end[first]:.6g} s"
        )


def _check_recorded(spikes: Any, times: Array) -> None:
    outside = find_epochs(times, *read_epochs(spikes.time_support, "time_support")) < 0
    if outside.any():
        warnings.warn(
            f"{outside.sum()} of {len(times)} bins, the first at "
            f"{times[outside.argmax()]:.6g} s, lie outside of activity.time_support "
            "and count 0 spikes: give epochs inside it, or the TsGroup the "
            "time_support in which it was recorded",
            UserWarning,
            stacklevel=3,
        )


def _stimulus(features: Any, times: Array, index: Any) -> Any:
    import pandas as pd

    if not (hasattr(features, "t") and hasattr(features, "d")):
        raise ValueError(
            "features must be a pynapple object with time stamps t and data d, got "
            f"{type(features).__name__}"
        )
    matrix, names = named_columns(features, "stimulus")
    samples = as_columns(matrix, "features")
    at_steps = interpolate(np.asarray(features.t, float), samples, times, "features")
    return pd.DataFrame(at_steps, index, names)
