"""Rows at rest: those given, brought to unit scale whenever they are asked for."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..compute import row_parts

Array = NDArray[Any]

MAX_READY = 1 << 21  # numbers


class ScaledRows:
    """Rows (T, c) of unit scale; NaN where not observed.

    Few of them, and those on other devices, are held ready; many are standardised
    whenever they are asked for, and take no memory of their own.

    Parameters
    ----------
    rows : ndarray of shape (T, c)
        The rows as they are.
    mean, scale : arrays of shape (c,)
        What is subtracted, and what the rest is divided by.
    device : torch.device or str

    Examples
    --------
    >>> ScaledRows(np.array([[1.0], [3.0]]), np.array([1.0]), np.array([2.0]))[:]
    tensor([[0.],
            [1.]])
    """

    def __init__(
        self, rows: Array, mean: Array, scale: Array, device: torch.device | str = "cpu"
    ):
        self.shape, self.device = rows.shape, torch.device(device)
        self._given = _as_tensor(rows)
        self._mean, self._scale = torch.from_numpy(mean), torch.from_numpy(scale)
        self._nearest = self._mean.float()
        self._rest = (self._mean - self._nearest).float()
        self._ready = None
        if self.device.type != "cpu" or rows.size <= MAX_READY:
            parts = [self[part] for part in row_parts(*rows.shape)]
            self._ready = torch.cat(parts).to(device)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Tensor:
        """Return the given rows (..., c), float32."""
        if self._ready is not None:
            return self._ready[index]
        given = self._taken(index)
        # A mean far from zero must not cost digits. Of single numbers the difference
        # from a number near them is exact, so that two steps are as good as doubles.
        if given.dtype == torch.float32:
            apart = (given - self._nearest).sub_(self._rest)
            return apart.div_(self._scale.float())
        return (given.double() - self._mean).div_(self._scale).float()

    def _taken(self, index: Any) -> Tensor:
        """Return rows as they were given."""
        if not isinstance(index, Tensor) or index.dtype != torch.int64:
            return self._given[index]
        rows = self._given.index_select(0, index.flatten())  # much faster
        return rows.view(*index.shape, *self.shape[1:])


def _as_tensor(array: Array) -> Tensor:
    """Return a tensor that shares the memory of an array, and is only read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(array))
