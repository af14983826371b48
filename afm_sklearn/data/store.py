"""Standardised windows, from the time steps that they share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..compute import row_parts
from .scaled import ScaledRows
from .windows import Windows

if TYPE_CHECKING:
    from ..law.gaps import Gaps

Array = NDArray[Any]


class WindowStore:
    """Windows (n, L, c) as the steps they share and the step where each one starts.

    Parameters
    ----------
    steps : ScaledRows of shape (T, c)
    starts : Tensor of shape (n,)
        Window i holds the steps ``starts[i]`` to ``starts[i] + length - 1``.
    length : int
        Steps in a window, L.

    Examples
    --------
    >>> windows = Windows.from_rows(np.array([[1.0], [2.0], [3.0]]), 2)
    >>> store = WindowStore.from_windows(windows, np.zeros(1), np.ones(1))
    >>> store[torch.tensor([2])].tolist()
    [[[2.0], [3.0]]]
    """

    def __init__(self, steps: ScaledRows, starts: Tensor, length: int):
        self.steps, self.starts, self.length = steps, starts, length
        self._offsets = torch.arange(length, device=steps.device)

    @classmethod
    def from_windows(
        cls,
        windows: Windows,
        mean: Array,
        scale: Array,
        device: torch.device | str = "cpu",
    ) -> WindowStore:
        """Take windows as they are, with the scale of their channels."""
        starts = torch.as_tensor(windows.starts, device=device)
        steps = ScaledRows(windows.rows, mean, scale, device)
        return cls(steps, starts, windows.shape[1])

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: Tensor) -> Tensor:
        """Gather the windows (k, L, c) of the given rows."""
        return self.steps[self.starts[index][:, None] + self._offsets]

    def newest(self, n_steps: int) -> WindowStore:
        """Return the newest steps of each window."""
        return WindowStore(self.steps, self.starts + self.length - n_steps, n_steps)

    def complete(self) -> NDArray[np.bool_]:
        """Tell which windows hold no gap: (n,)."""
        return ~self._has_gap.cpu().numpy()

    def filled(
        self, index: Tensor, gaps: Gaps, n_steps: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Gather windows, or their newest steps, and fill them; see `Gaps.fill`."""
        seen = self if n_steps is None else self.newest(n_steps)
        windows = seen[index]
        # To look through many windows takes as long as to gather them.
        rows = self._has_gap[index].nonzero()[:, 0]
        if not len(rows):
            return windows, None
        if n_steps is None:
            return gaps.fill(windows)
        # What lies before the newest steps tells what is expected in these.
        missing = torch.isnan(windows)
        if not bool(missing.any()):
            return windows, None
        whole = gaps.fill(self[index[rows]])[0]
        return windows.index_copy(0, rows, whole[:, -n_steps:]), missing.to(windows)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of windows, steps and channels: (n, L, c)."""
        return len(self), self.length, self.steps.shape[1]

    @cached_property
    def _has_gap(self) -> Tensor:
        broken = [torch.isnan(self.steps[part]).any(1) for part in self._parts()]
        total = torch.cat(broken).long().cumsum(0)
        holes = torch.cat([total.new_zeros(1), total])
        return holes[self.starts + self.length] > holes[self.starts]

    def _parts(self) -> Iterator[slice]:
        return row_parts(*self.steps.shape)

    @property
    def n_together(self) -> int:
        """Windows that take little memory together."""
        rows = next(row_parts(len(self) + 1, self.length * self.steps.shape[1]))
        return rows.stop

    def chunks(self, index: Tensor, gaps: Gaps) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (index, filled windows) in bounded memory."""
        for part in index.split(self.n_together):
            yield part, self.filled(part, gaps)[0]
