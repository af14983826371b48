"""Windows at rest: every time step is kept once, however many windows hold it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[Any]

CHUNK = 1 << 19  # numbers that are looked at together


class WindowStore:
    """Windows (n, L, c) as the rows they share and the row where each one starts.

    Parameters
    ----------
    rows : Tensor of shape (T, c)
        Time steps; NaN where not observed.
    starts : Tensor of shape (n,)
        Window i holds the rows ``starts[i]`` to ``starts[i] + length - 1``.
    length : int
        Steps in a window, L.

    Examples
    --------
    >>> import numpy as np
    >>> windows = np.array([[[1.0], [2.0]], [[2.0], [3.0]], [[7.0], [8.0]]])
    >>> store = WindowStore.from_windows(windows)
    >>> store.rows.flatten().tolist()
    [1.0, 2.0, 3.0, 7.0, 8.0]
    >>> store[torch.tensor([1])].tolist()
    [[[2.0], [3.0]]]
    """

    def __init__(self, rows: Tensor, starts: Tensor, length: int):
        self.rows, self.starts, self.length = rows, starts, length
        self._offsets = torch.arange(length, device=rows.device)
        parts = row_parts(*rows.shape)
        broken = torch.cat([torch.isnan(rows[part]).any(1) for part in parts])
        broken = broken.cpu().long()
        holes = torch.cat([torch.zeros(1, dtype=torch.long), broken.cumsum(0)])
        first = starts.cpu()
        self.has_missing = holes[first + length] > holes[first]

    @classmethod
    def from_windows(
        cls, windows: Array, device: torch.device | str = "cpu"
    ) -> WindowStore:
        """Find the time steps that successive windows share; float32."""
        n, length, c = windows.shape
        shared = shared_rows(windows)
        if shared is not None:
            rows, starts = shared, np.arange(n)
        else:
            fresh = _unlike_shifted(windows)
            # A window that does not continue the last one brings all its steps.
            starts = np.cumsum(np.where(fresh, length, 1)) - length
            starts -= starts[0]
            rows = np.empty((starts[-1] + length, c), windows.dtype)
            rows[starts + length - 1] = windows[:, -1]
            for i in np.flatnonzero(fresh):
                rows[starts[i] : starts[i] + length] = windows[i]
        kept = tensor_view(np.asarray(rows, np.float32)).to(device)
        return cls(kept, torch.as_tensor(starts, device=device), length)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: Tensor) -> Tensor:
        """Gather the windows (k, L, c) of the given rows."""
        steps = self.starts[index][:, None] + self._offsets
        return self.rows[steps]

    def newest(self, n_steps: int) -> WindowStore:
        """Return the newest steps of each window."""
        return WindowStore(self.rows, self.starts + self.length - n_steps, n_steps)

    @property
    def n_together(self) -> int:
        """Windows that take little memory together."""
        return max(1, CHUNK // (self.length * self.rows.shape[1]))

    def chunks(self, index: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (index, windows) in bounded memory."""
        if index is None:
            index = torch.arange(len(self), device=self.rows.device)
        for part in index.split(self.n_together):
            yield part, self[part]


def tensor_view(array: Array) -> Tensor:
    """Return a tensor that shares the memory of an array, and is only read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(array))


def row_parts(n: int, width: int) -> Iterator[slice]:
    """Cut n rows of so many numbers into parts that take little memory."""
    size = max(1, CHUNK // max(1, width))
    return (slice(start, start + size) for start in range(0, n, size))


def all_missing(values: Array) -> NDArray[np.bool_]:
    """Tell which rows of values (n, d) hold nothing but NaN."""
    parts = [values[rows] for rows in row_parts(*values.shape)]
    return np.concatenate([np.isnan(part).all(1) for part in parts])


def shared_rows(windows: Array) -> Array | None:
    """Time steps (n + L - 1, c) that windows which are a strided view share."""
    n, length, c = windows.shape
    if length == 1 or windows.strides[0] != windows.strides[1]:
        return None
    # The memory of the view already holds every step once.
    return np.lib.stride_tricks.as_strided(
        windows, (n + length - 1, c), windows.strides[1:], writeable=False
    )


def _unlike_shifted(windows: Array) -> NDArray[np.bool_]:
    """Which windows are not the one before, moved on by a step."""
    fresh = np.ones(len(windows), dtype=bool)
    for part in row_parts(len(windows) - 1, windows[0].size):
        before, now = windows[:-1][part, 1:], windows[1:][part, :-1]
        same = (before == now) | (np.isnan(before) & np.isnan(now))
        fresh[1:][part] = ~same.all((1, 2))
    return fresh


class Standardizer(nn.Module):
    """Bring windows to unit scale, fill what is missing and flag it."""

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    def forward(
        self, windows: Tensor, has_missing: bool | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return filled windows and missing flags (n, L, c), None if none is missing.

        `has_missing`, where it is known, saves looking.
        """
        x = (windows.to(self.mean) - self.mean) / self.scale
        if has_missing is None:
            has_missing = bool(torch.isnan(x).any())
        if not has_missing:
            return x, None
        missing = torch.isnan(x)
        rows = missing.flatten(1).any(1).nonzero()[:, 0]  # few: the starts of runs
        x[rows] = fill_missing(x[rows])
        return x, missing.to(x)


def fill_missing(x: Tensor) -> Tensor:
    """Fill (n, L, c) with the last value observed, else the next, else 0."""
    for order in (1, -1):
        x = x if order == 1 else x.flip(1)
        gap = torch.isnan(x)
        steps = torch.arange(x.shape[1], device=x.device)[None, :, None]
        latest = torch.where(gap, 0, steps).cummax(1).values
        x = x.gather(1, latest)
        x = x if order == 1 else x.flip(1)
    return torch.nan_to_num(x)


def moments(values: Array) -> tuple[Array, Array]:
    """Mean and scale by column; 0 and 1 where nothing was observed or varies."""
    parts = [values[part] for part in row_parts(*values.shape)]
    count = np.maximum(np.sum([np.isfinite(part).sum(0) for part in parts], 0), 1)
    mean = np.sum([np.nansum(part, 0, dtype=np.float64) for part in parts], 0) / count
    square = np.sum([np.nansum((part - mean) ** 2, 0) for part in parts], 0)
    scale = np.sqrt(square / count)
    flat = scale <= 1e-7 * np.abs(mean) + 1e-12
    return mean, np.where(flat, 1.0, scale)
