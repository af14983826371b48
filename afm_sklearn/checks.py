"""Input checks that all forecasters share."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from .autoregression import find_lag_map
from .history import all_missing, row_parts, shared_rows

Array = NDArray[Any]

MAX_COMPARED_ROWS = 10000  # to tell lagged targets


class InputChecks(BaseEstimator):
    """Checks of X, y and the future stimulus, with what they find out at fit.

    Attributes
    ----------
    window_shape_ : tuple of int
        Steps and channels of a window, (L, c).
    n_outputs_ : int
        Target channels d.
    autoregressive_ : bool
        Whether the first channels of X are the lagged targets.
    lag_scale_, lag_offset_ : ndarray of shape (d,)
        The newest lagged channels are ``(y - lag_offset_) / lag_scale_``.
    """

    autoregressive: Any = "auto"
    n_outputs_: int
    window_shape_: tuple[int, ...]

    def _windows(self, X: Any) -> Array:
        check_is_fitted(self)
        return self._check_X(X, reset=False)

    def _check_X(self, X: Any, *, reset: bool) -> Array:
        X = validate_data(
            self,
            X,
            reset=reset,
            dtype=(np.float64, np.float32),
            allow_nd=True,
            ensure_all_finite=False,
        )
        # A view is checked by the steps it shares, in a tenth of the memory.
        shared = shared_rows(X) if X.ndim == 3 else None
        check_finite("X", X if shared is None else shared, self)
        X = X[:, None] if X.ndim == 2 else X
        if X.ndim != 3:
            raise ValueError(f"X has {X.ndim} dimensions, expected 2 or 3")
        if reset:
            self.window_shape_ = X.shape[1:]
        elif X.shape[1:] != self.window_shape_:
            raise ValueError(
                f"X has windows of shape {X.shape[1:]}, but {type(self).__name__} was "
                f"fitted on {self.window_shape_} (length, channels)"
            )
        return X

    def _check_y(self, y: Any, n_rows: int, *, allow_nan: bool = True) -> Array:
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is "
                "None"
            )
        y = check_array(
            y,
            ensure_2d=False,
            dtype=(np.float64, np.float32),
            ensure_all_finite=False,
            input_name="y",
        )
        check_finite("y", y, self, allow_nan=allow_nan)
        if all_missing(y.reshape(len(y), -1)).all():
            raise ValueError(
                "y is NaN throughout, expected at least one observed entry"
            )
        if y.ndim not in (1, 2):
            raise ValueError(f"y has {y.ndim} dimensions, expected 1 or 2")
        if len(y) != n_rows:
            raise ValueError(
                f"X and y have inconsistent numbers of samples: {n_rows} and {len(y)}"
            )
        return y

    def _check_outcome(self, y: Any, n_rows: int) -> Array:
        """Return what followed n rows, all observed, as (n, d)."""
        y = self._check_y(y, n_rows, allow_nan=False).reshape(n_rows, -1)
        if y.shape[1] != self.n_outputs_:
            raise ValueError(f"y has {y.shape[1]} columns, expected {self.n_outputs_}")
        return y

    def _find_lags(self, windows: Array, targets: Array) -> None:
        d = targets.shape[1]
        found = None
        if self.autoregressive is not False and windows.shape[2] >= d:
            newest = windows[-MAX_COMPARED_ROWS:, -1, :d].astype(float)
            found = find_lag_map(newest, targets[-MAX_COMPARED_ROWS:])
        self.lag_scale_, self.lag_offset_ = found or (np.ones(d), np.zeros(d))
        if self.autoregressive is True and windows.shape[2] < d:
            raise ValueError(
                f"autoregressive=True needs at least {d} channels in X, got "
                f"{windows.shape[2]}"
            )
        self.autoregressive_ = self.autoregressive is True or found is not None
        self._why_not = (
            "autoregressive=False"
            if self.autoregressive is False
            else "those of the rows given to fit are not, nor a scaled copy of them"
        )

    def _check_stimulus(self, stimulus: Any, n_rows: int, horizon: int) -> Array | None:
        s = self.window_shape_[1] - self.n_outputs_
        if stimulus is None:
            if s and horizon > 1:
                raise ValueError(
                    f"stimulus is None, but the model has {s} stimulus channels and "
                    f"horizon is {horizon}"
                )
            return None
        stimulus = check_array(
            stimulus,
            allow_nd=True,
            ensure_2d=False,
            dtype=(np.float64, np.float32),
            ensure_all_finite="allow-nan",
            input_name="stimulus",
        )
        if stimulus.ndim != 3:
            raise ValueError(
                f"stimulus has shape {stimulus.shape}, expected "
                f"({n_rows}, {horizon}, {s})"
            )
        given = stimulus.shape
        if given[1] != horizon:
            raise ValueError(f"stimulus has {given[1]} steps, horizon needs {horizon}")
        if given[0] != n_rows:
            raise ValueError(f"stimulus has {given[0]} rows, X has {n_rows}")
        if given[2] != s:
            raise ValueError(f"stimulus has {given[2]} channels, the model has {s}")
        return stimulus


def check_finite(
    name: str, values: Array, estimator: BaseEstimator, *, allow_nan: bool = True
) -> None:
    """Refuse infinities in values (n, ...), a few rows at a time."""
    for rows in row_parts(len(values), values[0].size):
        assert_all_finite(
            values[rows],
            allow_nan=allow_nan,
            estimator_name=type(estimator).__name__,
            input_name=name,
        )


def check_integer(name: str, value: Any, *, at_least: int = 1) -> None:
    """Refuse what is not an integer of at least `at_least`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < at_least:
        raise ValueError(f"{name} must be an integer >= {at_least}, got {value!r}")
