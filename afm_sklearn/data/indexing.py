"""Indices of windows (n, L, c), written out for all three axes."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np


def complete(index: Any) -> list[Any]:
    """Write an index out for all three axes.

    Parameters
    ----------
    index : int, slice, array-like, None, Ellipsis or tuple of these
        As for an array of three axes.

    Returns
    -------
    list
        Without Ellipsis; lists are arrays and masks of several axes integers.

    Examples
    --------
    >>> complete((..., 0))
    [slice(None, None, None), slice(None, None, None), 0]
    """
    parts: list[Any] = []
    for part in index if isinstance(index, tuple) else (index,):
        if isinstance(part, list | tuple):
            part = np.asarray(part) if len(part) else np.zeros(0, np.intp)
        several_axes = isinstance(part, np.ndarray) and part.ndim > 1
        parts += part.nonzero() if several_axes and part.dtype == bool else [part]
    whole = [slice(None)] * (3 - sum(p is not None and p is not ... for p in parts))
    at = next((i for i, part in enumerate(parts) if part is ...), len(parts))
    return parts[:at] + whole + parts[at + 1 :]


def is_basic(part: Any) -> bool:
    """Tell whether part of an index picks by a view: None, a slice or an integer.

    Examples
    --------
    >>> is_basic(slice(3)), is_basic([0, 1]), is_basic(True)
    (True, False, False)
    """
    if isinstance(part, bool):
        return False
    return part is None or isinstance(part, slice | Integral)


def keeps_windows(picked: Any, rest: list[Any], length: int) -> bool:
    """Tell whether an index picks windows, successive steps and a slice of channels.

    Parameters
    ----------
    picked : int or ndarray
        The windows that are picked.
    rest : list
        The index of the other axes.
    length : int
        Steps in a window, L.

    Examples
    --------
    >>> keeps_windows(np.arange(3), [slice(-2, None), slice(None)], length=5)
    True
    >>> keeps_windows(np.arange(3), [-1, slice(None)], length=5)
    False
    """
    if np.ndim(picked) != 1 or len(rest) != 2:
        return False
    if not all(isinstance(part, slice) for part in rest):
        return False
    begin, stop, step = rest[0].indices(length)
    return step == 1 and begin < stop
