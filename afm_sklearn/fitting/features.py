"""Features of the linear forecast: the newest standardised steps of a window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.store import WindowStore
from ..law.gaps import Gaps

Array = NDArray[np.float64]

MAX_OWN_STIMULI = 64
MAX_FEATURES = 600  # only the newest steps beyond it, and always the newest one
MAX_OWN = 64  # steps back that a channel's own past is looked at


class Inputs(NamedTuple):
    """What linear forecasts of some rows are made of, on the CPU.

    Attributes
    ----------
    rows : ndarray of int, shape (k,)
    features : Tensor of shape (k, p)
    earlier : Tensor of shape (k, n_own, d)
        The activity of the steps before those of the features, oldest first.
    """

    rows: NDArray[np.intp]
    features: Tensor
    earlier: Tensor


class LagFeatures:
    """The newest `n_lags` steps of each window, filled, flattened, oldest first.

    Where there are too many channels for all steps of a window, a channel's own past
    is still seen: its `n_own` steps before those.

    Parameters
    ----------
    store : WindowStore
        The standardised windows.
    gaps : Gaps
        What fills them.
    n_lagged : int
        Channels, the first ones, that are lagged activity.
    sees_own : bool
        Whether they are the targets.
    """

    def __init__(
        self, store: WindowStore, gaps: Gaps, n_lagged: int, sees_own: bool = False
    ):
        self.n_channels, self.n_lagged = store.steps.shape[1], n_lagged
        self.n_lags = max(1, min(store.length, MAX_FEATURES // self.n_channels))
        self.n_own = max(0, min(store.length, MAX_OWN) - self.n_lags) * sees_own
        self.store, self.gaps = store.newest(self.n_lags + self.n_own), gaps

    @property
    def n_features(self) -> int:
        """Number of features, p."""
        return self.n_lags * self.n_channels

    def lags(self) -> Array:
        """Lag of each feature in steps, 1 for the newest: (p,)."""
        return np.repeat(np.arange(self.n_lags, 0, -1.0), self.n_channels)

    def past(self, channel: int) -> NDArray[np.intp]:
        """Features of a channel's own past, oldest first."""
        return np.arange(channel, self.n_features, self.n_channels)

    def shown(self) -> NDArray[np.intp]:
        """Features of the stimulus that an autoregression of each channel looks at.

        Of the whole stimulus where there is little of it, else of the newest one or
        none.
        """
        stimulus = np.arange(self.n_lagged, self.n_channels)
        starts = self.n_channels * np.arange(self.n_lags)
        shown = (starts[:, None] + stimulus).ravel()
        if len(shown) > MAX_OWN_STIMULI:
            shown = starts[-1] + stimulus
        return shown[: len(shown) if len(shown) <= MAX_OWN_STIMULI else 0]

    def couplings(self, n_outputs: int) -> NDArray[np.bool_]:
        """Tell which weights (p, d) are of what other channels did."""
        channel = np.arange(self.n_features) % self.n_channels
        is_other = channel[:, None] != np.arange(n_outputs)
        both: NDArray[np.bool_] = (channel < self.n_lagged)[:, None] & is_other
        return both

    def newest(self, channel: int) -> int:
        """Feature that holds a channel's newest step."""
        return (self.n_lags - 1) * self.n_channels + channel

    def chunks(self, rows: slice | NDArray[np.intp]) -> Iterator[Inputs]:
        """Yield what forecasts of the rows are made of, in bounded memory."""
        index, k = np.arange(len(self.store))[rows], self.n_own
        for part, windows in self.store.chunks(self._index(index)):
            x = self.gaps.fill(windows)[0].cpu()
            earlier = x[:, :k, : self.n_lagged]
            yield Inputs(part.cpu().numpy(), x[:, k:].flatten(1), earlier)

    def _index(self, rows: NDArray[np.intp]) -> Tensor:
        return torch.as_tensor(rows, device=self.store.steps.device)
