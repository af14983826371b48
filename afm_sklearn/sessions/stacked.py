"""Rows of sessions with different neurons, in the memory of what was recorded."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Block:
    """Successive rows of one session.

    Attributes
    ----------
    label : hashable
        The session.
    columns : ndarray of int, shape (k,)
        The columns of the whole that it has.
    values : ndarray of shape (n, k)
    """

    label: Hashable
    columns: Array
    values: Array


class StackedSessions:
    """An array (n, c) whose rows hold numbers in the columns of their session alone.

    It behaves as the array in ``len``, ``shape``, ``ndim``, ``dtype``, in indexing of
    rows and in ``numpy.asarray``, where all else is NaN.

    Parameters
    ----------
    blocks : sequence of Block
    n_columns : int

    Examples
    --------
    >>> import numpy as np
    >>> blocks = [Block("a", np.array([0]), np.ones((2, 1))),
    ...           Block("b", np.array([1]), np.zeros((1, 1)))]
    >>> stacked = StackedSessions(blocks, 2)
    >>> np.asarray(stacked[1:])
    array([[ 1., nan],
           [nan,  0.]])
    """

    def __init__(self, blocks: Sequence[Block], n_columns: int):
        self.blocks = [block for block in blocks if len(block.values)]
        self.shape = sum(len(block.values) for block in self.blocks), n_columns
        self.ndim, self.dtype = 2, np.dtype(np.float64)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def labels(self) -> Array:
        """The session of each row (n,)."""
        return np.concatenate(
            [np.repeat(as_label(b.label), len(b.values)) for b in self.blocks]
        )

    def sessions(self) -> dict[Hashable, tuple[Array, Block]]:
        """Return the rows of each session, and all of its blocks as one."""
        at = 0
        rows: dict[Hashable, list[Array]] = {}
        parts: dict[Hashable, list[Block]] = {}
        for block in self.blocks:
            own = np.arange(at, at := at + len(block.values))
            rows.setdefault(block.label, []).append(own)
            parts.setdefault(block.label, []).append(block)
        return {
            label: (
                np.concatenate(rows[label]),
                Block(label, some[0].columns, np.concatenate([b.values for b in some])),
            )
            for label, some in parts.items()
        }

    def __getitem__(self, index: Any) -> Any:
        """Return the rows of an index; numbers where it names columns, too."""
        parts = index if isinstance(index, tuple) else (index,)
        first, *rest = [part for part in parts if part is not ...] or [slice(None)]
        if rest:
            return np.asarray(self)[index]
        rows = np.arange(len(self))[first]
        if rows.ndim == 0:
            return np.asarray(self[[int(rows)]])[0]
        ends = np.cumsum([len(block.values) for block in self.blocks])
        owner = np.searchsorted(ends, rows, side="right")
        cuts = np.flatnonzero(np.diff(owner)) + 1
        blocks = []
        for part in np.split(rows, cuts) if len(rows) else []:
            k = int(np.searchsorted(ends, part[0], side="right"))
            block = self.blocks[k]
            start = ends[k] - len(block.values)
            blocks.append(Block(block.label, block.columns, block.values[part - start]))
        return StackedSessions(blocks, self.shape[1])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        out = np.full(self.shape, np.nan)
        at = 0
        for block in self.blocks:
            rows = slice(at, at := at + len(block.values))
            out[rows, block.columns] = block.values
        return out if dtype is None else out.astype(dtype)


def as_label(label: Hashable) -> Array:
    """Return a label as an array without axes, whatever it is."""
    out: Array = np.asarray(label)
    if out.ndim:
        out = np.empty((), object)
        out[()] = label
    return out
