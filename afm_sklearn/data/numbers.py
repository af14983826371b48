"""Columns of numbers from whatever holds them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array

from .timing import is_time_series

Array = NDArray[Any]

FLOATS = (np.dtype(np.float64), np.dtype(np.float32))


def as_columns(values: Any, name: str) -> Array:
    """Return values as a matrix of numbers, one column where they are 1-D.

    Parameters
    ----------
    values : array-like of shape (T,) or (T, c)
        An array, masked or not, a list, DataFrame, Series or pynapple object. Truth
        values count as 0 and 1.
    name : str
        The argument, for the error.

    Returns
    -------
    ndarray of shape (T, c)
        NaN where masked. float32 stays float32, all else becomes float64.

    Raises
    ------
    ValueError
        If there is no row or column, another number of axes, an infinity, a date, a
        time difference or anything else that is no number.

    Examples
    --------
    >>> as_columns(np.ma.masked_equal([1, 999, 3], 999), "activity").ravel()
    array([ 1., nan,  3.])
    """
    try:
        values = values.d if is_time_series(values) else values
        _refuse_dates(values)
        return check_array(
            _two_axes(_unmasked(values)),
            dtype=FLOATS,
            ensure_all_finite="allow-nan",
            input_name=name,
        )
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be an array of numbers of shape (T,) or (T, n_columns), with "
            f"NaN where not observed: {error}"
        ) from error


def _unmasked(values: Any) -> Any:
    if not np.ma.isMaskedArray(values):
        return values
    dtype = values.dtype if values.dtype in FLOATS else np.float64
    return np.ma.filled(values.astype(dtype), np.nan)


def _two_axes(values: Any) -> Any:
    n_axes = np.ndim(values)
    if n_axes not in (1, 2):
        raise ValueError(f"got {type(values).__name__} of {n_axes} dimensions")
    if n_axes == 2:
        return values
    is_series = hasattr(values, "to_frame")
    return values.to_frame() if is_series else np.asarray(values)[:, None]


def _refuse_dates(values: Any) -> None:
    """Refuse dates and time differences, which would be taken for large numbers."""
    if hasattr(values, "columns") and hasattr(values, "iloc"):
        columns = [(name, values.iloc[:, j]) for j, name in enumerate(values.columns)]
    else:
        array = np.asarray(values)
        is_matrix = array.ndim == 2 and array.dtype == object
        columns = list(enumerate(array.T)) if is_matrix else [(0, array)]
    for name, column in columns:
        if _holds_dates(column):
            raise ValueError(
                f"column {name!r} holds dates or time differences ({column.dtype}); "
                "times belong into the index"
            )


def _holds_dates(column: Any) -> bool:
    if column.dtype.kind == "O":
        values = np.asarray(column).ravel()
        return any(isinstance(v, np.datetime64 | np.timedelta64) for v in values)
    return column.dtype.kind in "mM"
