"""Overlapping windows as an array-like that keeps every time step once."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from .indexing import complete, is_basic, keeps_windows
from .overlap import held_rows, joined_rows, shared_rows

Array = NDArray[Any]

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


class Windows(NDArrayOperatorsMixin):
    """Windows (n, L, c) as the rows they share and the row where each one starts.

    Parameters
    ----------
    rows : ndarray of shape (T', c)
        Time steps, float32 or float64; NaN where not observed. They are shared, not
        copied, and only read.
    starts : ndarray of int, shape (n,)
        Window i holds ``rows[starts[i] : starts[i] + length]``.
    length : int
        Steps in a window, L.

    Raises
    ------
    ValueError
        If `rows` is no matrix of float32 or float64, `length` no positive number of
        steps, or a window reaches beyond the rows.

    Notes
    -----
    Indexing gives what it gives for the array of shape (n, L, c). A selection of
    windows, of successive steps and of a slice of channels shares the rows and copies
    nothing; all else is an ndarray. Arithmetic and NumPy functions see the array, which
    is written out for them; functions of one argument, as `numpy.isnan`, look at each
    time step once.

    Examples
    --------
    >>> windows = Windows(np.array([[1.0], [2.0], [3.0], [4.0]]), np.array([0, 2]), 2)
    >>> windows
    Windows(shape=(2, 2, 1), dtype=float64)
    >>> windows[:, -1]
    array([[2.],
           [4.]])
    >>> windows[[1]]
    Windows(shape=(1, 2, 1), dtype=float64)
    >>> np.asarray(windows[[1]])
    array([[[3.],
            [4.]]])
    """

    ndim = 3

    def __init__(self, rows: Array, starts: NDArray[np.integer], length: int):
        if rows.ndim != 2 or rows.dtype not in DTYPES:
            raise ValueError(
                "rows must be a float32 or float64 array of shape (T, c), got "
                f"{rows.dtype} of shape {rows.shape}"
            )
        if not 1 <= length <= len(rows):
            raise ValueError(
                f"length must be from 1 to the {len(rows)} steps in rows, got {length}"
            )
        last = len(rows) - length
        if starts.ndim != 1 or starts.dtype.kind not in "iu":
            raise ValueError(
                "starts must be a vector of row numbers, got "
                f"{starts.dtype} of shape {starts.shape}"
            )
        if len(starts) and not 0 <= starts.min() <= starts.max() <= last:
            raise ValueError(
                f"starts must lie between 0 and {last}, where a window of {length} "
                f"steps ends with the rows, got {starts.min()} to {starts.max()}"
            )
        self.rows = rows.view()
        self.rows.flags.writeable = False
        self.starts = starts
        self.length = int(length)
        self._at_every_row = _at_every_row(self.rows, self.length)

    @classmethod
    def from_rows(
        cls, X: Array, length: int, starts: NDArray[np.integer] | None = None
    ) -> Windows:
        """Stack each row with the rows before it in its run.

        Parameters
        ----------
        X : ndarray of shape (T, c)
            A floating-point array, one row a time step.
        length : int
            Steps in a window, L.
        starts : ndarray of shape (n_runs,), default=None
            Rows at which a run begins; the first is 0. ``None`` means one run.

        Returns
        -------
        Windows of shape (T, L, c)
            Window t holds rows ``t - L + 1`` to ``t``, oldest first, and NaN where
            these lie before the start of the run: T + n_runs (L - 1) rows are kept.

        Examples
        --------
        >>> X = np.array([[1.0], [2.0], [3.0], [4.0]])
        >>> windows = Windows.from_rows(X, 2, starts=np.array([0, 2]))
        >>> np.asarray(windows)[..., 0]
        array([[nan,  1.],
               [ 1.,  2.],
               [nan,  3.],
               [ 3.,  4.]])
        """
        n_rows, n_channels = X.shape
        runs = np.zeros(1, dtype=np.intp) if starts is None else starts
        sizes = np.diff(runs, append=n_rows)
        first = np.arange(n_rows)
        if length == 1:
            return cls(X, first, 1)
        padding = length - 1
        first += np.repeat(padding * np.arange(len(runs)), sizes)
        rows = np.full((n_rows + padding * len(runs), n_channels), np.nan, X.dtype)
        rows[padding:][first] = X
        return cls(rows, first, length)

    @classmethod
    def from_array(cls, windows: Any) -> Windows:
        """Find the time steps that successive windows share.

        Parameters
        ----------
        windows : array-like of shape (n, L, c)
            A view in which successive windows overlap, as `sliding_window_view` gives
            it, is taken without a copy. In any other array a window that does not
            continue the one before brings all its steps. float32 stays float32, all
            else becomes float64.

        Returns
        -------
        Windows of shape (n, L, c)

        Raises
        ------
        ValueError
            If `windows` has not three dimensions or no steps.

        Examples
        --------
        >>> windows = np.array([[[1.0], [2.0]], [[2.0], [3.0]], [[7.0], [8.0]]])
        >>> Windows.from_array(windows).rows.ravel()
        array([1., 2., 3., 7., 8.])
        """
        if isinstance(windows, Windows):
            return windows
        array = np.asarray(windows)
        if array.ndim != 3 or array.shape[1] == 0:
            raise ValueError(
                "windows must have shape (n, L, c) and at least one step, got shape "
                f"{array.shape}"
            )
        if array.dtype not in DTYPES:
            array = array.astype(np.float64)
        n, length, _ = array.shape
        rows = shared_rows(array)
        if rows is not None:
            return cls(rows, np.arange(n), length)
        return cls(*joined_rows(array), length)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of windows, steps and channels: (n, L, c)."""
        return len(self.starts), self.length, self.rows.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers: float32 or float64."""
        return self.rows.dtype

    @property
    def size(self) -> int:
        """Numbers in the array of shape (n, L, c), not those kept."""
        return len(self.starts) * self.length * self.rows.shape[1]

    @property
    def consecutive(self) -> bool:
        """Whether each window is the one before, moved on by a step.

        `numpy.asarray` is then a read-only view of the rows.
        """
        if not len(self):
            return True
        grows = np.all(self.starts[1:] > self.starts[:-1])
        return bool(grows and self.starts[-1] - self.starts[0] == len(self) - 1)

    def compact(self) -> Windows:
        """Keep only the rows that these windows hold.

        Selections share all rows, also those of windows that were left out, from which
        nothing may be learnt.

        Returns
        -------
        Windows of shape (n, L, c)
            `self` where all rows are held.

        Examples
        --------
        >>> windows = Windows.from_rows(np.arange(6.0)[:, None], length=2)
        >>> windows[1:3].compact().rows.ravel()
        array([0., 1., 2.])
        """
        held = held_rows(self.starts, self.length, len(self.rows))
        if held.all():
            return self
        return Windows(self.rows[held], (np.cumsum(held) - 1)[self.starts], self.length)

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[Array]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"Windows(shape={self.shape}, dtype={self.dtype})"

    def __reduce__(self) -> tuple[Any, ...]:
        own = self.compact()
        return Windows, (own.rows, own.starts, own.length)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        same_dtype = dtype is None or np.dtype(dtype) == self.dtype
        if copy is False and not (self.consecutive and same_dtype):
            raise ValueError(
                "windows can only be written out as an array by a copy, got copy=False"
            )
        rows = self.rows if same_dtype else self.rows.astype(dtype)
        every = _at_every_row(rows, self.length)
        if not self.consecutive:
            return every[self.starts]
        first = self.starts[0] if len(self) else 0
        view = every[first : first + len(self)]
        return view.copy() if copy else view

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any
    ) -> Any:
        outputs = kwargs.get("out", ())
        if method == "at" or any(isinstance(out, Windows) for out in outputs):
            return NotImplemented  # windows are only read
        if method == "__call__" and ufunc.nin == ufunc.nout == 1 and not kwargs:
            return _at_every_row(ufunc(self.rows), self.length)[self.starts]
        arrays = [np.asarray(x) if isinstance(x, Windows) else x for x in inputs]
        return getattr(ufunc, method)(*arrays, **kwargs)

    def __getitem__(self, index: Any) -> Any:
        first, *rest = complete(index)
        if first is None or isinstance(first, bool | np.bool_):
            return np.asarray(self)[index]  # a new axis in front
        picked = self.starts[first]
        if keeps_windows(picked, rest, self.length):
            begin, stop, _ = rest[0].indices(self.length)
            return Windows(self.rows[:, rest[1]], picked + begin, stop - begin)
        if not isinstance(first, slice):
            return self._at_every_row[picked, *rest]
        if all(is_basic(part) for part in rest):
            return self._at_every_row[:, *rest][picked]
        # An array after a slice: what NumPy makes of it is left to NumPy.
        step, *others = rest
        if isinstance(step, Integral) and is_basic(step):
            one = range(self.length)[step]
            newest = np.asarray(self[first, one : one + 1])
            return newest[:, 0, *others]
        return np.asarray(self[first])[:, *rest]


def _at_every_row(rows: Array, length: int) -> Array:
    """View rows as the windows (T' - L + 1, L, c) that start at each of them."""
    return sliding_window_view(rows, length, axis=0).transpose(0, 2, 1)
