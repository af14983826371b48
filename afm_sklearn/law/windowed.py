"""The state of a law that looks at windows as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class WindowedState:
    """Histories as windows in the units of X.

    Attributes
    ----------
    distribution : callable
        Maps windows (n, L, c) to the distribution of the step that follows.
    windows : Tensor of shape (n, L, c)
    lag_scale, lag_offset : Tensor of shape (d,)
        The newest lagged channels are ``(y - lag_offset) / lag_scale``.
    rows : Tensor of shape (n,) or None
        The window each history started from; None where each has its own.
    """

    distribution: Callable[[Tensor], Any]
    windows: Tensor
    lag_scale: Tensor
    lag_offset: Tensor
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.windows)

    def predict(self, stimulus: Tensor | None = None) -> Any:
        """Return the distribution of the next step.

        Parameters
        ----------
        stimulus : Tensor of shape (w, s), optional
            The stimulus of the step, of each window that histories started from.
        """
        return self.distribution(self._at(stimulus))

    def advance(self, y: Tensor, stimulus: Tensor | None = None) -> Self:
        """Return the state after y (n, d), which followed under a stimulus (w, s)."""
        d = len(self.lag_scale)
        lag = (y.to(self.windows) - self.lag_offset) / self.lag_scale
        unknown = torch.full_like(self.windows[:, -1, d:], torch.nan)
        newest = torch.cat([lag, unknown], 1)
        windows = torch.cat([self._at(stimulus)[:, 1:], newest[:, None]], 1)
        return replace(self, windows=windows)

    def branch(self, rows: Tensor) -> Self:
        """Return the histories `rows`; those repeated go on as branches."""
        own = rows if self.rows is None else self.rows[rows]
        return replace(self, windows=self.windows[rows], rows=own)

    def _at(self, stimulus: Tensor | None) -> Tensor:
        if stimulus is None or not stimulus.shape[1]:
            return self.windows
        own = stimulus if self.rows is None else stimulus[self.rows]
        d = len(self.lag_scale)
        newest = torch.cat([self.windows[:, -1, :d], own.to(self.windows)], 1)
        return torch.cat([self.windows[:, :-1], newest[:, None]], 1)
