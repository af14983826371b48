"""Windows of recent history as a scikit-learn transformer."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from .callback_support import CallbackSupportMixin, one_task
from .checks import check_finite, check_integer
from .data.labels import check_labels, check_stretches, find_column, find_labels
from .data.runs import label_starts
from .data.windows import Windows

__all__ = ["SlidingWindow", "sliding_windows"]


def sliding_windows(
    X: NDArray[Any], length: int, starts: NDArray[np.intp] | None = None
) -> NDArray[Any] | Windows:
    """Stack each row of `X` with the ``length - 1`` rows before it.

    Parameters
    ----------
    X : ndarray of shape (T, c)
        A floating-point array, one row a time step.
    length : int
        Number of time steps in a window.
    starts : ndarray of shape (n_runs,), default=None
        Rows at which a run begins; the first is 0. ``None`` means one run.

    Returns
    -------
    windows : ndarray or Windows of shape (T, length, c)
        ``windows[t]`` holds rows ``t - length + 1`` to ``t``, oldest first, and NaN
        where these lie before the start of the run. For one run this is a read-only
        view in which overlapping windows share their memory; for several an array-like
        in which they do so as well.

    Examples
    --------
    >>> X = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> sliding_windows(X, 2, starts=np.array([0, 2]))[..., 0]
    array([[nan,  1.],
           [ 1.,  2.],
           [nan,  3.],
           [ 3.,  4.]])
    """
    windows = Windows.from_rows(X, length, starts)
    return np.asarray(windows) if windows.consecutive else windows


class SlidingWindow(CallbackSupportMixin, TransformerMixin, BaseEstimator):
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
    their length. With several runs they are an array-like,
    `afm_sklearn.data.windows.Windows`, which also holds each row of X once:
    `numpy.asarray` writes them out. Flat windows of several runs are written out.

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

    @one_task
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
            X or names the only one, X holds infinities, or the run column NaN or a new
            value in most rows.

        Warns
        -----
        UserWarning
            If `run_column` is None, yet a column changes exactly where runs start in
            the rows of `design_matrix`.
        """
        check_integer("length", self.length)
        X = self._validate(X, reset=True)
        names = getattr(self, "feature_names_in_", None)
        self.run_column_ = find_column(self.run_column, X.shape[1], names)
        if self.run_column_ is None:
            _warn_of_labels(X, names)
        else:
            labels, name = X[:, self.run_column_], self._run_name()
            check_labels(labels, name)
            check_stretches(labels, name)
        return self

    def transform(self, X: Any) -> NDArray[Any] | Windows:
        """Stack each row with the rows before it.

        Parameters
        ----------
        X : array-like of shape (T, n_features)
            One row a time step, in order; NaN where not observed.

        Returns
        -------
        windows : ndarray or Windows of shape (T, length, c), or ndarray (T, length * c)
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
            labels = X[:, self.run_column_]
            check_labels(labels, self._run_name())
            starts = label_starts(labels)
            X = _drop_column(X, self.run_column_)
        windows = sliding_windows(X, self.length, starts)
        # The rows of one run lie behind one another: this reshape copies nothing.
        return np.asarray(windows).reshape(len(X), -1) if self.flatten else windows

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

    def _run_name(self) -> str:
        return f"column {self.run_column_} of X (run_column)"

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _warn_of_labels(X: NDArray[Any], names: NDArray[np.object_] | None) -> None:
    """Warn where labels of runs are about to be taken for a stimulus."""
    column = find_labels(X)
    if column is None:
        return
    of_last = -1 if column == X.shape[1] - 1 else column
    column, name = (column, of_last) if names is None else (names[column],) * 2
    warnings.warn(
        f"column {column!r} of X looks like run labels: it changes where the rows of a "
        "run start. Without run_column windows reach across runs, and the labels count "
        f"as a stimulus: pass run_column={name!r}",
        UserWarning,
        stacklevel=3,
    )


def _drop_column(X: NDArray[Any], index: int) -> NDArray[Any]:
    """Drop a column: a view where it is the first or the last."""
    if index == X.shape[1] - 1:
        return X[:, :-1]
    return X[:, 1:] if index == 0 else np.delete(X, index, axis=1)
