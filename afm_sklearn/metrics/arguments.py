"""Checks of arguments that scores, scorers, comparison and plotting share."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

Array = NDArray[Any]
Seed = int | np.random.RandomState | None


def as_numbers(name: str, values: ArrayLike) -> Array:
    """Return `values` as a numeric array, without copying it where possible.

    What a masked array hides is NaN.

    Parameters
    ----------
    name : str
        Of the argument, for errors.
    values : array-like

    Returns
    -------
    ndarray

    Raises
    ------
    TypeError
        If the values are no real numbers.
    ValueError
        If they form no array.

    Examples
    --------
    >>> as_numbers("y", np.ma.array([1, 2], mask=[False, True]))
    array([ 1., nan])
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be an array of numbers: {error}") from error
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        return np.where(np.ma.getmaskarray(values), np.nan, array)
    return array


def check_levels(name: str, values: float | ArrayLike) -> Array:
    """Return probabilities as an array (n_levels,), each between 0 and 1.

    Parameters
    ----------
    name : str
        Of the argument, for errors.
    values : float or array-like of shape (n_levels,)

    Returns
    -------
    ndarray of shape (n_levels,)

    Raises
    ------
    ValueError
        If there is none, or one is not a number between 0 and 1.

    Examples
    --------
    >>> check_levels("level", 0.9)
    array([0.9])
    """
    try:
        levels = np.atleast_1d(np.asarray(values, dtype=np.float64))
    except (TypeError, ValueError):
        levels = np.array([])
    if levels.ndim != 1 or not len(levels) or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(f"{name} must hold numbers between 0 and 1, got {values!r}")
    return levels


def check_positive(name: str, value: Any) -> None:
    """Refuse what is not a finite number above 0."""
    if not isinstance(value, Real) or not 0 < float(value) < np.inf:
        raise ValueError(f"{name} must be a positive number, got {value!r}")


def check_seed(random_state: Any) -> None:
    """Refuse what scikit-learn takes for no seed."""
    try:
        check_random_state(random_state)
    except ValueError as error:
        raise ValueError(
            "random_state must be None, an integer from 0 to 2**32 - 1 or a "
            f"numpy.random.RandomState, got {random_state!r}"
        ) from error


def find_seed(random_state: Seed) -> int:
    """Return an integer that seeds draws: the one given, or one drawn.

    Parameters
    ----------
    random_state : int, RandomState or None
        As in scikit-learn; what is no integer is drawn from.

    Returns
    -------
    int
        From 0 to 2**32 - 1.

    Raises
    ------
    ValueError
        If it is none of these.

    Examples
    --------
    >>> find_seed(7)
    7
    """
    check_seed(random_state)
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
