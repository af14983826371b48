"""Windows of recent history as a scikit-learn transformer."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from .checks import check_finite, check_integer

__all__ = ["SlidingWindow", "run_starts", "sliding_windows"]


def run_starts(runs: NDArray[Any]) -> NDArray[np.intp]:
    """Find the rows at which a run begins.

    Parameters
    ----------
    runs : ndarray of shape (T,)
        Run labels. A run ends wherever the label changes.

    Returns
    -------
    starts : ndarray of shape (n_runs,)
        Increasing row indices; the first is 0.

    Examples
    --------
    >>> run_starts(np.array([7, 7, 7, 2, 2]))
    array([0, 3])
    """
    return np.flatnonzero(np.append(True, runs[1:] != runs[:-1]))


def sliding_windows(
    X: NDArray[Any], length: int, starts: NDArray[np.intp] | None = None
) -> NDArray[Any]:
    """Stack each row of `X` with the ``length - 1`` rows before it.

    Parameters
    ----------
    X : ndarray of shape (T, c)
        A floating-point array, one row a time step.
    length : int
        Number of time steps in a window.
    starts : ndarray of shape (n_runs,), default=None
        Rows at which a run begins, as `run_starts` returns them. ``None`` means one
        run.

    Returns
    -------
    windows : ndarray of shape (T, length, c)
        ``windows[t]`` holds rows ``t - length + 1`` to ``t``, oldest first, and NaN
        where these lie before the start of the run. For one run this is a read-only
        view in which overlapping windows share their memory. Several runs need NaN
        written at each of their starts and so a copy.

    Examples
    --------
    >>> X = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> sliding_windows(X, 2, starts=np.array([0, 2]))[..., 0]
    array([[nan,  1.],
           [ 1.,  2.],
           [nan,  3.],
           [ 3.,  4.]])
    """
    if length > 1:
        before = np.full((length - 1, X.shape[1]), np.nan, dtype=X.dtype)
        X = np.concatenate([before, X])
    windows = sliding_window_view(X, length, axis=0).transpose(0, 2, 1)
    if length == 1 or starts is None or len(starts) == 1:
        return windows

    n_rows = len(windows)
    elapsed = np.arange(n_rows) - np.repeat(starts, np.diff(starts, append=n_rows))
    lags = np.arange(length - 1, -1, -1)
    windows = windows.copy()
    windows[lags > elapsed[:, None]] = np.nan
    return windows


class SlidingWindow(TransformerMixin, BaseEstimator):
    """Turn rows into windows that hold the recent past of each row.

    The number of rows stays the same, so the targets need no change and the
    transformer fits in a `Pipeline`, where the length can be searched.

    Parameters
    ----------
    length : int, default=10
        Number of time steps in a window, the current row included.
    run_column : int or str, default=None
        Index or name of the column of X that marks runs, such as the last column of
        `design_matrix` with ``runs``. Windows never reach across a change of its
        value, and the column is dropped from the output. ``None`` takes all rows for
        one run.
    flatten : bool, default=False
        Return windows of shape (T, length * c), for estimators that take 2-D input.

    Attributes
    ----------
    run_column_ : int or None
        Non-negative index of the run column.
    n_features_in_ : int
        Number of columns seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns seen during `fit`, where they have any.

    Notes
    -----
    NaN means "not observed". It is allowed in X and it fills the part of a window that
    lies before the start of its run. scikit-learn cuts X before transforming, so the
    first rows of a test fold have the same incomplete history as the first rows of a
    run.

    With one run the windows are a read-only view of a single padded copy of X, whatever
    their length. With several runs each window is written out once, in the dtype of X.

    Windows of shape (T, length, c) have no form as a data frame and stay an array
    whatever `set_output` asks for; with ``flatten=True`` data frames come out.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.windows import SlidingWindow
    >>> X = np.array([[1.0, 0], [2.0, 0], [3.0, 0], [4.0, 1], [5.0, 1]])
    >>> windows = SlidingWindow(length=2, run_column=-1).fit_transform(X)
    >>> windows.shape
    (5, 2, 1)
    >>> windows[..., 0]
    array([[nan,  1.],
           [ 1.,  2.],
           [ 2.,  3.],
           [nan,  4.],
           [ 4.,  5.]])
    """

    def __init__(
        self,
        length: int = 10,
        *,
        run_column: int | str | None = None,
        flatten: bool = False,
    ) -> None:
        self.length = length
        self.run_column = run_column
        self.flatten = flatten

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters against the columns of X.

        Parameters
        ----------
        X : array-like of shape (T, n_features)
            One row a time step, in order; NaN where not observed.
        y : None
            Ignored.

        Returns
        -------
        self : SlidingWindow

        Raises
        ------
        ValueError
            If `length` is no positive integer, `run_column` does not name a column of
            X or names the only one, X holds infinities, or the run column NaN.
        """
        check_integer("length", self.length)
        X = self._validate(X, reset=True)
        names = getattr(self, "feature_names_in_", None)
        self.run_column_ = _find_column(self.run_column, X.shape[1], names)
        _check_runs(X, self.run_column_)
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Stack each row with the rows before it.

        Parameters
        ----------
        X : array-like of shape (T, n_features)
            One row a time step, in order; NaN where not observed.

        Returns
        -------
        windows : ndarray of shape (T, length, c) or (T, length * c)
            Row t holds rows ``t - length + 1`` to ``t`` of X, oldest first, without the
            run column; NaN before the start of a run. float32 stays float32, all else
            becomes float64.

        Raises
        ------
        ValueError
            If X has other columns than in `fit`, holds infinities, or its run column
            NaN.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        starts = None
        if self.run_column_ is not None:
            _check_runs(X, self.run_column_)
            starts = run_starts(X[:, self.run_column_])
            X = _drop_column(X, self.run_column_)
        windows = sliding_windows(X, self.length, starts)
        # Successive rows lie behind one another in memory: this reshape copies nothing.
        return windows.reshape(len(windows), -1) if self.flatten else windows

    @available_if(lambda self: self.flatten)
    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Name the columns of flat windows; available with ``flatten=True``.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of X; by default those seen in `fit`, or x0, x1, ...

        Returns
        -------
        names : ndarray of shape (length * c,)
            ``"<name>_t-<lag>"``, oldest first: ``x0_t-1, x1_t-1, x0_t-0, x1_t-0``.
        """
        names = OneToOneFeatureMixin.get_feature_names_out(self, input_features)
        if self.run_column_ is not None:
            names = np.delete(names, self.run_column_)
        lags = range(self.length - 1, -1, -1)
        return np.array([f"{name}_t-{lag}" for lag in lags for name in names], object)

    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose the container of flat windows.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            Container of the output. Ignored with ``flatten=False``, so that a whole
            `Pipeline` can be configured: 3-D windows are always an array.

        Returns
        -------
        self : SlidingWindow
        """
        return super().set_output(transform=transform) if self.flatten else self

    def _validate(self, X: Any, *, reset: bool) -> NDArray[Any]:
        X = validate_data(
            self,
            X,
            reset=reset,
            dtype=[np.float64, np.float32],
            ensure_all_finite=False,
        )
        check_finite("X", X, self)
        return X

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _find_column(
    column: Any, n_columns: int, names: NDArray[np.object_] | None
) -> int | None:
    """Turn an index or a name into a non-negative index."""
    if column is None:
        return None
    if isinstance(column, str):
        index = _find_name(column, names)
    elif isinstance(column, Integral) and not isinstance(column, bool):
        index = int(column)
    else:
        raise ValueError(
            f"run_column must be None, an index or a column name, got {column!r}"
        )
    if not -n_columns <= index < n_columns:
        raise ValueError(
            f"run_column={column} is out of range for X with {n_columns} columns"
        )
    if n_columns == 1:
        raise ValueError(
            f"run_column={column!r} leaves no column to window: X has n_features=1"
        )
    return index % n_columns


def _find_name(column: str, names: NDArray[np.object_] | None) -> int:
    if names is None:
        raise ValueError(
            f"run_column={column!r} is a name, but X has no column names: "
            "pass a DataFrame or give run_column as an index"
        )
    if column not in names:
        raise ValueError(
            f"run_column={column!r} is not a column of X, which has {list(names)}"
        )
    return int(np.flatnonzero(names == column)[0])


def _check_runs(X: NDArray[Any], run_column: int | None) -> None:
    if run_column is None:
        return
    missing = np.isnan(X[:, run_column])
    if missing.any():
        raise ValueError(
            f"column {run_column} of X (run_column) must label every row with its run, "
            f"got NaN in row {missing.argmax()}"
        )


def _drop_column(X: NDArray[Any], index: int) -> NDArray[Any]:
    """Drop a column: a view where it is the first or the last."""
    if index == X.shape[1] - 1:
        return X[:, :-1]
    return X[:, 1:] if index == 0 else np.delete(X, index, axis=1)
