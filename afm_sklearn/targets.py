"""Targets at rest: those given, brought to unit scale whenever rows are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from .history import row_parts, tensor_view

Array = NDArray[Any]


MAX_READY = 1 << 21  # numbers


class Targets:
    """Standardised targets that take little memory of their own on the CPU.

    Few of them, and those on other devices, are held ready.

    Parameters
    ----------
    y : array of shape (n, d)
        Targets; NaN where missing.
    mean, scale : arrays of shape (d,)
        What is subtracted, and what the rest is divided by.
    device : torch.device or str

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array([[1.0], [2.0], [np.nan]])
    >>> Targets(y, np.array([1.0]), np.array([2.0]))[1:]
    tensor([[0.5000],
            [   nan]])
    """

    def __init__(
        self, y: Array, mean: Array, scale: Array, device: torch.device | str = "cpu"
    ):
        self.shape, self.device = y.shape, torch.device(device)
        self._given = tensor_view(y)
        self._mean, self._scale = torch.from_numpy(mean), torch.from_numpy(scale)
        self._ready = None
        if self.device.type != "cpu" or y.size <= MAX_READY:
            self._ready = torch.cat([self[rows].to(device) for rows in self.parts()])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Tensor:
        """Return the given rows (k, d), float32."""
        if self._ready is not None:
            return self._ready[rows]
        # In double precision: a mean far from zero must not cost digits.
        return ((self._given[rows].double() - self._mean) / self._scale).float()

    def parts(self) -> Iterator[slice]:
        """Cut the rows into parts that take little memory."""
        return row_parts(*self.shape)
