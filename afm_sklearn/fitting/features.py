"""Features of the linear forecast: the newest standardised steps of a window."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.store import WindowStore
from ..law.gaps import Gaps

Array = NDArray[np.float64]

MAX_OWN_STIMULI = 64
MAX_FEATURES = 600  # only the newest steps beyond it, and always the newest one


class LagFeatures:
    """The newest `n_lags` steps of each window, filled, flattened, oldest first.

    Parameters
    ----------
    store : WindowStore
        The standardised windows.
    gaps : Gaps
        What fills them.
    n_lagged : int
        Channels, the first ones, that are lagged activity.
    """

    def __init__(self, store: WindowStore, gaps: Gaps, n_lagged: int):
        self.n_channels, self.n_lagged = store.steps.shape[1], n_lagged
        self.n_lags = max(1, min(store.length, MAX_FEATURES // self.n_channels))
        self.store, self.gaps = store.newest(self.n_lags), gaps

    @property
    def n_features(self) -> int:
        """Number of features, p."""
        return self.n_lags * self.n_channels

    def lags(self) -> Array:
        """Lag of each feature in steps, 1 for the newest: (p,)."""
        return np.repeat(np.arange(self.n_lags, 0, -1.0), self.n_channels)

    def own(self, channel: int) -> NDArray[np.intp]:
        """Features of a channel's own past and of the stimulus.

        Of the whole stimulus where there is little of it, else of the newest one or
        none.
        """
        past = np.arange(channel, self.n_features, self.n_channels)
        stimulus = np.arange(self.n_lagged, self.n_channels)
        starts = self.n_channels * np.arange(self.n_lags)
        shown = (starts[:, None] + stimulus).ravel()
        if len(shown) > MAX_OWN_STIMULI:
            shown = starts[-1] + stimulus
        return np.append(past, shown) if len(shown) <= MAX_OWN_STIMULI else past

    def couplings(self, n_outputs: int) -> NDArray[np.bool_]:
        """Tell which weights (p, d) are of what other channels did."""
        channel = np.arange(self.n_features) % self.n_channels
        is_other = channel[:, None] != np.arange(n_outputs)
        both: NDArray[np.bool_] = (channel < self.n_lagged)[:, None] & is_other
        return both

    def newest(self, channel: int) -> int:
        """Feature that holds a channel's newest step."""
        return (self.n_lags - 1) * self.n_channels + channel

    def chunks(
        self, rows: slice | NDArray[np.intp]
    ) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """Yield (rows, features (k, p)) in bounded memory, on the CPU."""
        index = np.arange(len(self.store))[rows]
        for part, windows in self.store.chunks(self._index(index)):
            x, _ = self.gaps.fill(windows)
            yield part.cpu().numpy(), x.flatten(1).cpu()

    def _index(self, rows: NDArray[np.intp]) -> Tensor:
        return torch.as_tensor(rows, device=self.store.steps.device)
