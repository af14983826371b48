"""Draws of trajectories as labelled tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..data.numbers import Array

AXES = ("origin", "sample", "lead_time", "channel")


class _Labelled(NamedTuple):
    """Draws with the name and the labels of every axis."""

    draws: Array
    axes: tuple[str, ...]
    labels: tuple[Sequence[Any], ...]


def to_frame(
    draws: Any,
    *,
    channels: Sequence[Any] | None = None,
    times: Sequence[Any] | None = None,
    origins: Sequence[Any] | None = None,
    long: bool = False,
) -> Any:
    """Return draws of trajectories as a pandas DataFrame.

    Parameters
    ----------
    draws : array-like of shape (n_samples, horizon, d) or (n, n_samples, horizon, d)
        What `forecast` or `sample_trajectories` returns. Of a model of 1-D targets,
        ``draws[..., None]``.
    channels : sequence of length d, optional
        Names of the channels, such as ``activity.columns``; 0, 1, ... by default.
    times : sequence of length horizon, optional
        Labels of the steps ahead, lead times or dates; 1, 2, ... by default.
    origins : sequence of length n, optional
        Labels of the rows forecast from; 0, 1, ... by default.
    long : bool, default=False
        One row a number, with the columns origin, sample, lead_time, channel and value.

    Returns
    -------
    DataFrame
        Rows indexed by ((origin,) sample, lead_time), one column a channel; or long.

    Raises
    ------
    ValueError
        If draws have other axes, labels have another number or one twice, or `origins`
        are given for draws from one.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.exchange import to_frame
    >>> draws = np.arange(8.0).reshape(2, 2, 2)
    >>> to_frame(draws, channels=["v1", "mt"])
    channel            v1   mt
    sample lead_time
    0      1          0.0  1.0
           2          2.0  3.0
    1      1          4.0  5.0
           2          6.0  7.0
    """
    import pandas as pd

    array, axes, labels = _label(draws, channels, times, origins)
    rows = pd.MultiIndex.from_product(labels[:-1], names=axes[:-1])
    columns = pd.Index(labels[-1], name=axes[-1])
    if not long:
        return pd.DataFrame(array.reshape(len(rows), -1), rows, columns)
    index = pd.MultiIndex.from_product(labels, names=axes)
    return pd.Series(array.ravel(), index, name="value").reset_index()


def to_xarray(
    draws: Any,
    *,
    channels: Sequence[Any] | None = None,
    times: Sequence[Any] | None = None,
    origins: Sequence[Any] | None = None,
) -> Any:
    """Return draws of trajectories as an xarray DataArray.

    Parameters
    ----------
    draws : array-like of shape (n_samples, horizon, d) or (n, n_samples, horizon, d)
        As in `to_frame`.
    channels, times, origins : sequence, optional
        As in `to_frame`; they become the coordinates.

    Returns
    -------
    xarray.DataArray
        Of dimensions ((origin,) sample, lead_time, channel).

    Raises
    ------
    ValueError
        As in `to_frame`.
    ImportError
        If xarray is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.exchange import to_xarray
    >>> array = to_xarray(np.zeros((100, 8, 3)))  # doctest: +SKIP
    >>> array.mean("sample").dims  # doctest: +SKIP
    ('lead_time', 'channel')
    """
    array, axes, labels = _label(draws, channels, times, origins)
    import xarray as xr

    coords = dict(zip(axes, labels, strict=True))
    return xr.DataArray(array, coords=coords, dims=axes)


def _label(draws: Any, channels: Any, times: Any, origins: Any) -> _Labelled:
    array = np.asarray(draws)
    if array.ndim not in (3, 4):
        raise ValueError(
            "draws must have shape (n_samples, horizon, d) or (n, n_samples, horizon, "
            f"d), got shape {array.shape}"
        )
    if array.ndim == 3 and origins is not None:
        raise ValueError(
            "origins are for draws of shape (n, n_samples, horizon, d), got shape "
            f"{array.shape}"
        )
    *n_origins, n_samples, horizon, d = array.shape
    labels: list[Sequence[Any]] = [
        range(n_samples),
        _labels(times, "times", horizon, "lead times", first=1),
        _labels(channels, "channels", d, "channels"),
    ]
    if n_origins:
        labels.insert(0, _labels(origins, "origins", n_origins[0], "origins"))
    return _Labelled(array, AXES[-array.ndim :], tuple(labels))


def _labels(
    given: Any, name: str, size: int, what: str, first: int = 0
) -> Sequence[Any]:
    if given is None:
        return range(first, first + size)
    labels = given if hasattr(given, "dtype") else list(given)
    if len(labels) != size:
        raise ValueError(f"{name} has {len(labels)} labels, draws have {size} {what}")
    if len(set(labels)) < size:
        raise ValueError(f"{name} must differ from one another, got {list(labels)}")
    return labels
