"""What the tables of other libraries say of rows, columns and runs."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TIME = "time"
RUN_NAMES = ("run", "runs", "trial", "session")


def is_polars(values: Any) -> bool:
    """Tell whether values are a polars DataFrame or Series, without importing it."""
    polars = sys.modules.get("polars")
    return polars is not None and isinstance(values, polars.DataFrame | polars.Series)


def is_data_array(values: Any) -> bool:
    """Tell whether values are an xarray DataArray."""
    is_labelled = all(hasattr(values, k) for k in ("dims", "coords", "to_pandas"))
    return is_labelled and not hasattr(values, "data_vars")  # as a Dataset has


def as_table(values: Any, name: str) -> Any:
    """Return a DataArray as a pandas object and a polars Series as a DataFrame.

    Parameters
    ----------
    values : array-like
        What is neither comes back as it is.
    name : str
        The argument, for the error.

    Returns
    -------
    DataFrame, Series or `values`
        Rows are the times of a DataArray. Names and times stay.

    Raises
    ------
    ValueError
        If a DataArray has no dimension "time" or more than two dimensions, a polars
        column holds dates, or values are spike times, epochs or a Dataset.

    Examples
    --------
    >>> as_table([1.0, 2.0], "activity")
    [1.0, 2.0]
    """
    if is_polars(values):
        return _polars_table(values, name)
    _refuse_collections(values, name)
    if not is_data_array(values):
        return values
    if TIME not in values.dims or len(values.dims) > 2:
        raise ValueError(
            f"{name} must have the dimension 'time' and at most one other, got a "
            f"DataArray of dimensions {tuple(values.dims)}"
        )
    table = values.transpose(TIME, ...).to_pandas()
    return table if values.ndim == 2 else table.rename(values.name)


def run_labels(values: Any, name: str) -> Array | None:
    """Read run labels from an index level or coordinate of one of `RUN_NAMES`.

    Parameters
    ----------
    values : array-like
        Only the MultiIndex of a pandas object and the coordinates of a DataArray are
        looked at.
    name : str
        The argument, for the error.

    Returns
    -------
    ndarray of shape (T,) or None

    Raises
    ------
    ValueError
        If several levels or coordinates have one of these names.

    Examples
    --------
    >>> import pandas as pd
    >>> index = pd.MultiIndex.from_product([["a", "b"], [0.0, 0.1]])
    >>> index.names = ["run", "time"]
    >>> run_labels(pd.Series([1.0, 2, 3, 4], index), "activity").tolist()
    ['a', 'a', 'b', 'b']
    """
    found = {}
    if is_data_array(values):
        along_time = {k: v for k, v in values.coords.items() if v.dims == (TIME,)}
        found = {k: along_time[k] for k in RUN_NAMES if k in along_time}
    elif _has_levels(values):
        index = values.index
        found = {k: index.get_level_values(k) for k in RUN_NAMES if k in index.names}
    if len(found) > 1:
        raise ValueError(
            f"the index of {name} has {' and '.join(map(repr, found))}, which may all "
            "tell runs: give runs"
        )
    return next((np.asarray(labels) for labels in found.values()), None)


def without_run_level(values: Any) -> Any:
    """Leave the level that names runs out of a MultiIndex, so that times remain.

    Parameters
    ----------
    values : array-like

    Returns
    -------
    array-like
        `values` itself where there is no such level.

    Examples
    --------
    >>> import pandas as pd
    >>> index = pd.MultiIndex.from_tuples([("a", 0.5)], names=["run", "time"])
    >>> without_run_level(pd.Series([1.0], index)).index.name
    'time'
    """
    if not _has_levels(values):
        return values
    levels = [name for name in values.index.names if name in RUN_NAMES]
    return values.droplevel(levels) if len(levels) < values.index.nlevels else values


def _has_levels(values: Any) -> bool:
    return hasattr(values, "iloc") and values.index.nlevels > 1


def _refuse_collections(values: Any, name: str) -> None:
    if hasattr(values, "iloc") or is_data_array(values):  # with names as attributes
        return
    if hasattr(values, "data_vars"):
        raise ValueError(
            f"{name} must be one table, got a Dataset: take one of its variables, or "
            "to_dataarray"
        )
    if hasattr(values, "time_support") and not hasattr(values, "d"):
        raise ValueError(
            f"{name} must be an array of numbers, got the spike times of a "
            f"{type(values).__name__}: count them with from_pynapple"
        )
    if hasattr(values, "start") and hasattr(values, "end"):
        raise ValueError(
            f"{name} must be an array of numbers, got epochs, a "
            f"{type(values).__name__}: from_pynapple takes them as epochs"
        )


def _polars_table(values: Any, name: str) -> Any:
    if not hasattr(values, "columns"):
        label = name.split()[-1]
        values = values.to_frame(values.name or f"{label}_0")
    for column, dtype in values.schema.items():
        if dtype.is_temporal():
            raise ValueError(
                f"{name} must be a table of numbers, but column {column!r} holds dates "
                f"or time differences ({dtype})"
            )
    return values
