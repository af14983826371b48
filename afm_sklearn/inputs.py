"""Checks of X, y and the future stimulus that all forecasters share."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from .checks import check_finite, outer_level
from .compute import row_parts
from .data.labels import find_column
from .data.lags import find_lag_map, follows
from .data.scaling import wild_cells
from .data.windows import Windows
from .windows import SlidingWindow

Array = NDArray[Any]

MAX_COMPARED_ROWS = 10000  # to tell lagged targets
MIN_COMPARED_ROWS = 10
N_NAMED = 3


class InputChecks(BaseEstimator):
    """Checks of X, y and the future stimulus, with what they find out at fit.

    Attributes
    ----------
    window_shape_ : tuple of int
        Steps and channels of a window, (L, c).
    window_ : SlidingWindow or None
        Makes windows of rows, with `window_length`.
    run_column_ : int or None
        Index of the run column, with `window_length`.
    n_outputs_ : int
        Target channels d.
    autoregressive_ : bool
        Whether the first channels of X are the lagged targets.
    lag_scale_, lag_offset_ : ndarray of shape (d,)
        The newest lagged channels are ``(y - lag_offset_) / lag_scale_``.
    """

    autoregressive: Any = "auto"
    window_length: Any = None
    run_column: Any = None
    n_outputs_: int
    window_: SlidingWindow | None
    run_column_: int | None
    window_shape_: tuple[int, ...]

    def make_windows(self, X: Any) -> Any:
        """Make the windows that the forecaster works on.

        Parameters
        ----------
        X : array-like of shape (n, c)
            Rows of `design_matrix`, with `window_length`; windows (n, L, c) are
            returned as they are.

        Returns
        -------
        array-like of shape (n, L, c)
            Without the run column.
        """
        check_is_fitted(self)
        return self._check_X(X, reset=False)

    def _check_X(self, X: Any, *, reset: bool) -> Any:
        """Return windows (n, L, c), an array or `Windows`."""
        if getattr(X, "ndim", None) == 3 or (isinstance(X, list) and np.ndim(X) == 3):
            windows = self._check_windows(X, reset=reset)
        else:
            windows = self._windows_of_rows(X, reset=reset)
        if reset:
            self.window_shape_ = tuple(windows.shape[1:])
        elif tuple(windows.shape[1:]) != self.window_shape_:
            raise ValueError(
                f"X has windows of {windows.shape[1]} steps and {windows.shape[2]} "
                f"channels, expected {self.window_shape_[0]} and "
                f"{self.window_shape_[1]}"
            )
        return windows

    def _check_windows(self, X: Any, *, reset: bool) -> Any:
        if not isinstance(X, Windows):
            X = check_array(
                X,
                dtype=(np.float64, np.float32),
                allow_nd=True,
                ensure_all_finite=False,
                estimator=self,
                input_name="X",
            )
        if 0 in X.shape:
            raise ValueError(
                f"X has shape {tuple(X.shape)}, expected at least one row, step and "
                "channel"
            )
        if reset:
            self.window_ = self.run_column_ = None
            validate_data(self, X, reset=True, skip_check_array=True)
        check_finite("X", X.rows if isinstance(X, Windows) else X, self)
        return X

    def _windows_of_rows(self, X: Any, *, reset: bool) -> Any:
        owns = self.window_length is not None
        if not reset and not owns and self.window_shape_[0] > 1:
            raise ValueError(
                f"X has shape {np.shape(X)}, expected windows of shape "
                f"{('n', *self.window_shape_)} as SlidingWindow makes them"
            )
        X = validate_data(
            self,
            X,
            reset=reset,
            dtype=(np.float64, np.float32),
            ensure_all_finite=False,
        )
        check_finite("X", X, self)
        if not owns:
            if reset:
                self.window_ = self.run_column_ = None
            return X[:, None]
        if reset:
            names = getattr(self, "feature_names_in_", None)
            self.run_column_ = find_column(self.run_column, X.shape[1], names)
            window = SlidingWindow(self.window_length, run_column=self.run_column_)
            self.window_ = window.fit(X)
        assert self.window_ is not None
        return self.window_.transform(X)

    def _check_y(self, y: Any, n_rows: int, *, some: bool = True) -> Array:
        """Check targets, `some` of which must be observed."""
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
        check_finite("y", y, self)
        if y.ndim not in (1, 2):
            raise ValueError(f"y has {y.ndim} dimensions, expected 1 or 2")
        if len(y) != n_rows:
            raise ValueError(
                f"X and y have inconsistent numbers of samples: {n_rows} and {len(y)}"
            )
        parts = row_parts(n_rows, y[:1].size)
        if some and all(np.isnan(y[rows]).all() for rows in parts):
            raise ValueError(
                "y is NaN throughout, expected at least one observed entry"
            )
        return y

    def _check_outcome(self, y: Any, n_rows: int) -> Array:
        """Return what followed n rows as (n, d); NaN where missing."""
        y = self._check_y(y, n_rows, some=False).reshape(n_rows, -1)
        if y.shape[1] != self.n_outputs_:
            raise ValueError(f"y has {y.shape[1]} columns, expected {self.n_outputs_}")
        return y

    def _find_lags(self, windows: Any, targets: Array) -> None:
        """Tell whether X holds the lagged targets, and in which units."""
        d, asked = targets.shape[1], self.autoregressive
        if not isinstance(asked, str):
            asked = bool(asked)
        found = None
        if windows.shape[2] >= d:
            last = windows[-MAX_COMPARED_ROWS:]
            newest = np.asarray(last[:, -1], float)[:, :d]
            recent = targets[-MAX_COMPARED_ROWS:]
            if windows.shape[1] > 1 or d > 1:  # a single column may be anything
                _refuse_own_targets(newest, recent)
            if asked is not False:
                found = find_lag_map(newest, recent, follows(last))
        self.lag_scale_, self.lag_offset_ = found or (np.ones(d), np.zeros(d))
        if asked is True and windows.shape[2] < d:
            raise ValueError(
                f"autoregressive=True needs at least {d} channels in X, got "
                f"{windows.shape[2]}"
            )
        self.autoregressive_ = asked is True or found is not None
        self._why_not = (
            "autoregressive=False"
            if asked is False
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
            ensure_all_finite=False,
            ensure_min_samples=0,
            input_name="stimulus",
        )
        check_finite("stimulus", stimulus, self)
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
        return stimulus if s else None


def without_artefacts(windows: Any, targets: Array) -> tuple[Windows, Array]:
    """Take wild cells of windows (n, L, c) and targets (n, d) for missing.

    Warns of them by name. The windows hold no steps but their own.
    """
    windows = Windows.from_array(windows).compact()
    rows, columns = wild_cells(windows.rows)
    if len(rows):
        holder, step = _position(windows, rows)
        _warn_of_cells("X", [holder, step, columns], windows.rows[rows, columns])
        steps = windows.rows.copy()
        steps[rows, columns] = np.nan
        windows = Windows(steps, windows.starts, windows.length)
    rows, columns = wild_cells(targets)
    if len(rows):
        _warn_of_cells("y", [rows, columns], targets[rows, columns])
        targets = targets.copy()
        targets[rows, columns] = np.nan
    return windows, targets


def _position(windows: Windows, rows: Array) -> tuple[Array, Array]:
    """Find a window that holds each row, as its newest step where there is one."""
    order = np.argsort(windows.starts, kind="stable")
    first = windows.starts[order]
    at = np.searchsorted(first, rows - windows.length + 1)
    at = np.minimum(at, len(first) - 1)
    return order[at], rows - first[at]


def _warn_of_cells(name: str, position: list[Array], values: Array) -> None:
    index = np.column_stack(position)[:N_NAMED].tolist()
    cells = ", ".join(
        f"{name}{at} = {value:g}" for at, value in zip(index, values, strict=False)
    )
    more = f" and {len(values) - N_NAMED} more" if len(values) > N_NAMED else ""
    warnings.warn(
        f"{cells}{more}: more than 100 times farther from the median of the channel "
        "than all other values, taken for missing",
        UserWarning,
        stacklevel=outer_level(),
    )


def _refuse_own_targets(newest: Array, targets: Array) -> None:
    """Refuse rows that hold what they are to forecast."""
    seen = np.isfinite(newest) & np.isfinite(targets)
    # What never changes equals itself one step back: it tells nothing.
    least, most = (np.where(seen, targets, bound) for bound in (np.inf, -np.inf))
    varies = most.max(0) > least.min(0)
    if seen.all(1).sum() < MIN_COMPARED_ROWS or not varies.any():
        return
    if (newest == targets)[seen].all():
        raise ValueError(
            "X holds its own targets: its newest channels equal y row by row. Pass "
            "the rows of design_matrix(activity, ...), where activity lies one step "
            "back, with y = activity"
        )
