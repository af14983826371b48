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
from ..law.linear import LinearLaw

Array = NDArray[np.float64]

MAX_OWN_STIMULI = 64
MAX_FEATURES = 600  # only the newest steps beyond it, and always the newest one
MAX_EARLIER = 64  # steps back that are looked at, where features do not hold them
MIN_RANK = 10  # directions that the steps before those of the features are seen in
MAX_BASIS_ROWS = 4000


class Inputs(NamedTuple):
    """What linear forecasts of some rows are made of, on the CPU.

    Attributes
    ----------
    rows : ndarray of int, shape (k,)
    features : Tensor of shape (k, p)
    earlier : Tensor of shape (k, n_own, d)
        The activity of the steps of which they hold a few directions, oldest first.
    """

    rows: NDArray[np.intp]
    features: Tensor
    earlier: Tensor


class LagFeatures:
    """The newest `n_lags` steps of each window, filled, flattened, oldest first.

    Where there are too many channels for all steps of a window, the `n_own` steps
    before those are seen in a few directions of the activity, which come first, and by
    each channel alone.

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

    Attributes
    ----------
    basis : array of shape (n_lagged, rank)
        The directions: principal components. (0, 0) without earlier steps.
    n_projected : int
        Features that are projections of earlier steps.
    """

    def __init__(
        self, store: WindowStore, gaps: Gaps, n_lagged: int, sees_own: bool = False
    ):
        self.n_channels, self.n_lagged = store.steps.shape[1], n_lagged
        self.n_lags = max(1, min(store.length, MAX_FEATURES // self.n_channels))
        self.n_own = max(0, min(store.length, MAX_EARLIER) - self.n_lags) * sees_own
        self.gaps = gaps
        self.basis = np.zeros((0, 0))
        if self.n_own:
            room = MAX_FEATURES - self.n_lags * self.n_channels
            rank = min(n_lagged, max(MIN_RANK, room // self.n_own))
            self.basis = self._principal(store.newest(1), rank)
        self.n_projected = self.n_own * self.basis.shape[1]
        self.store = store.newest(self.n_lags + self.n_own)

    @property
    def n_features(self) -> int:
        """Number of features, p."""
        return self.n_projected + self.n_lags * self.n_channels

    def lags(self) -> Array:
        """Lag of each feature in steps, 1 for the newest: (p,)."""
        steps = np.arange(self.n_lags + self.n_own, 0, -1.0)
        widths = [self.basis.shape[1], self.n_channels]
        return np.repeat(steps, np.repeat(widths, [self.n_own, self.n_lags]))

    def past(self, channel: int) -> NDArray[np.intp]:
        """Features of a channel's own past, oldest first."""
        return np.arange(self.n_projected + channel, self.n_features, self.n_channels)

    def shown(self) -> NDArray[np.intp]:
        """Features of the stimulus that an autoregression of each channel looks at.

        Of the whole stimulus where there is little of it, else of the newest one or
        none.
        """
        stimulus = np.arange(self.n_lagged, self.n_channels)
        starts = self.n_projected + self.n_channels * np.arange(self.n_lags)
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
        return self.n_features - self.n_channels + channel

    def law(self, n_outputs: int) -> LinearLaw:
        """Return a linear law of the same inputs, that knows nothing yet."""
        shape = self.n_lags, self.n_channels, n_outputs
        return LinearLaw(*shape, self.n_own, self.basis.shape[1])

    def chunks(self, rows: slice | NDArray[np.intp]) -> Iterator[Inputs]:
        """Yield what forecasts of the rows are made of, in bounded memory."""
        index, k = np.arange(len(self.store))[rows], self.n_own
        basis = torch.from_numpy(self.basis).float()
        parts = self.store.chunks(self._index(index, self.store), self.gaps)
        for part, windows in parts:
            x = windows.cpu()
            earlier = x[:, :k, : self.n_lagged]
            f = x[:, k:].flatten(1)
            if k:
                f = torch.cat([(earlier @ basis).flatten(1), f], 1)
            yield Inputs(part.cpu().numpy(), f, earlier)

    def _principal(self, newest: WindowStore, rank: int) -> Array:
        rows = np.unique(np.linspace(0, len(newest) - 1, MAX_BASIS_ROWS).astype(int))
        seen = newest[self._index(rows, newest)][:, 0, : self.n_lagged]
        x = seen.nan_to_num().cpu().double().numpy()
        directions: Array = np.linalg.eigh(x.T @ x)[1][:, ::-1][:, :rank]
        return np.ascontiguousarray(directions)

    def _index(self, rows: NDArray[np.intp], store: WindowStore) -> Tensor:
        return torch.as_tensor(rows, device=store.steps.device)
