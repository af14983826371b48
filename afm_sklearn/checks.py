"""Checks of arguments, in one wording each."""

from __future__ import annotations

import sys
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, check_random_state

from .compute import row_parts

Array = NDArray[Any]

LARGEST = 1e150  # squares of larger numbers are infinite
LEVELS = (0.1, 0.5, 0.9)  # of quantiles, where none are given


def check_finite(
    name: str, values: Array, estimator: BaseEstimator, *, allow_nan: bool = True
) -> None:
    """Refuse infinities, and numbers close to them, a few rows at a time."""
    for rows in row_parts(len(values), max(1, values[:1].size)):
        part = values[rows]
        with np.errstate(over="ignore", invalid="ignore"):  # of a sum of large numbers
            assert_all_finite(
                part,
                allow_nan=allow_nan,
                estimator_name=type(estimator).__name__,
                input_name=name,
            )
        largest = float(np.nan_to_num(np.abs(part)).max(initial=0.0))
        if largest > LARGEST:
            raise ValueError(
                f"{name} holds numbers as large as {largest:.3g}, expected at most "
                f"{LARGEST:g}"
            )


def check_integer(name: str, value: Any, *, at_least: int = 1) -> None:
    """Refuse what is not an integer of at least `at_least`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < at_least:
        raise ValueError(f"{name} must be an integer >= {at_least}, got {value!r}")


def check_levels(alpha: Any, quantiles: Any = None) -> Array:
    """Return levels strictly between 0 and 1, given by either of their names."""
    name, given = ("alpha", alpha) if quantiles is None else ("quantiles", quantiles)
    if quantiles is not None and alpha is not LEVELS:
        raise ValueError(
            f"alpha and quantiles name the same levels, got {alpha} and {quantiles}"
        )
    try:
        levels = np.atleast_1d(np.asarray(given, dtype=float))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers, got {given!r}") from error
    if not levels.size:
        raise ValueError(f"{name} must hold at least one level, got {given!r}")
    if levels.ndim != 1 or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(f"{name} must lie strictly between 0 and 1, got {given}")
    return levels


def seed_from(random_state: Any) -> int:
    """Draw a seed from what scikit-learn takes for a random state."""
    try:
        generator = check_random_state(random_state)
    except ValueError as error:
        raise ValueError(
            "random_state must be an integer from 0 to 2**32 - 1, a RandomState or "
            f"None, got {random_state!r}"
        ) from error
    return int(generator.randint(2**31 - 1))


def outer_level() -> int:
    """Return the ``stacklevel`` of a warning for who called into the package."""
    package = __name__.partition(".")[0]
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals["__name__"].partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level
