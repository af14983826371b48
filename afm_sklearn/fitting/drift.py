r"""What iterated linear forecasts miss ahead, by regression on what they started from.

The forecast of lead h is the iterated one plus a ridge regression of its errors on the
window it started from and the stimulus since. Where iterating is right nothing is
added; where a regression of each lead alone is better (Marcellino et al. 2006), it
comes as close to it as held-out blocks say. What is added to the mean of lead h, K_h,
is turned into what moves the location of its step,

.. math:: D_h = K_h - \sum_j A_j K_{h-j},

as the weights A_j of the forecast carry on what was added to the steps before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from .data import TrainingData
from .features import LagFeatures
from .forecast import LinearForecast, LinearMap
from .iterated import Iterated, Starts
from .origins import origins

Array = NDArray[Any]

HORIZON = 16
MAX_FEATURES = 450  # of the last lead: regressions of more are seldom better
MAX_ROWS = 6000
MIN_ROWS = 100  # outside of each block
PENALTIES = 1e-3, 1e-2, 1e-1, 1.0, 10.0  # by the number of rows; none beside them


@dataclass(frozen=True)
class Drifts:
    """What moves iterated forecasts, with and without each block of rows.

    Each is an array of shape (H - 1, 1 + p + (H - 1) s, d) for leads 2 to H: first
    intercepts, then weights of the window, then those of the stimulus of the second
    step and of those after it, which are zero after the lead.
    """

    whole: Array
    blocks: list[Array]

    def without(self, block: int | None) -> Array:
        """Return the weights of a fit without a block, or of all."""
        return self.whole if block is None else self.blocks[block]


def fit_drifts(
    data: TrainingData, features: LagFeatures, mean: LinearForecast
) -> Drifts | None:
    """Fit what is added to a linear forecast that is iterated.

    Returns
    -------
    Drifts
    None
        Where nothing is to be added, the features are many or the rows are few.
    """
    p, s = features.n_lags * features.n_channels, features.n_channels - data.n_outputs
    if p + s * (HORIZON - 1) > MAX_FEATURES or len(mean.blocks) < 2:
        return None
    iterated = Iterated(data, features)
    rows = [_rows(data, block, len(mean.blocks)) for block in mean.blocks]
    sizes = [len(part) for part in rows]
    if sum(sizes) - max(sizes) < MIN_ROWS:
        return None
    parts = [iterated.starts(part, HORIZON) for part in rows]
    inputs = [_inputs(part) for part in parts]
    grams = [z.T @ z for z in inputs]
    left_out = [*range(len(parts)), None]
    fits = [_Fit(iterated, parts, inputs, grams, mean.without(k), k) for k in left_out]
    if not all(fit.is_finite for fit in fits):
        return None
    added: Array = np.zeros((len(fits), HORIZON, inputs[0].shape[1], data.n_outputs))
    for h in range(1, HORIZON):
        n_inputs = 1 + p + h * s
        solved = [fit.solve(h, n_inputs) for fit in fits]
        judged = zip(fits[:-1], solved[:-1], strict=True)
        losses: Array = np.sum([fit.losses(h, ws) for fit, ws in judged], 0)
        best = int(losses.argmin())
        if best < len(PENALTIES):
            added[:, h, :n_inputs] = [ws[best] for ws in solved]
    if not added.any():
        return None
    *blocks, whole = (
        _moves(maps, mean.without(k), iterated)
        for maps, k in zip(added, left_out, strict=True)
    )
    return Drifts(whole, blocks)


def _rows(data: TrainingData, block: slice, n_blocks: int) -> NDArray[np.intp]:
    """Return rows that start observed trajectories inside a block."""
    rows = np.arange(block.start, block.stop)
    rows = origins(data, rows, HORIZON, MAX_ROWS // n_blocks)
    is_whole = np.isfinite(data.y[rows[:, None] + np.arange(HORIZON)]).all((1, 2))
    return rows[is_whole]


def _inputs(starts: Starts) -> Array:
    """Return ones, the window and the stimulus of the second step and later ones."""
    n, h, s = starts.stimulus.shape
    window = starts.x.reshape(n, starts.x.shape[1] * starts.x.shape[2])
    later = starts.stimulus[:, 1:].reshape(n, (h - 1) * s)
    return np.concatenate([np.ones((n, 1)), window, later], 1)


class _Fit:
    """Regressions of the errors of an iterated forecast, outside of a part."""

    @np.errstate(over="ignore", invalid="ignore")  # forecasts may diverge
    def __init__(
        self,
        iterated: Iterated,
        parts: list[Starts],
        inputs: list[Array],
        grams: list[Array],
        mean: LinearMap,
        left_out: int | None,
    ):
        self.n = 0
        self.gram: Any = 0.0
        self.cross: Any = 0.0
        for k, (part, z, gram) in enumerate(zip(parts, inputs, grams, strict=True)):
            means = np.stack(list(iterated.means(part, mean)), 1)
            errors = part.y - means
            if k == left_out:
                self.held, self.errors = z, errors
                continue
            self.n += len(z)
            self.gram = self.gram + gram
            self.cross = self.cross + np.tensordot(z, errors, (0, 0))  # (q, H, d)

    @property
    def is_finite(self) -> bool:
        """Whether the forecast does not diverge."""
        return bool(np.isfinite(self.cross).all())

    def solve(self, h: int, n_inputs: int) -> list[Array]:
        """Return weights (n_inputs, d) of the first inputs for each penalty."""
        gram, cross = self.gram[:n_inputs, :n_inputs], self.cross[:n_inputs, h]
        shrink = np.diag(np.append(0.0, np.ones(n_inputs - 1)))
        return [
            cho_solve(cho_factor(gram + penalty * self.n * shrink), cross)
            for penalty in PENALTIES
        ]

    def losses(self, h: int, weights: list[Array]) -> Array:
        """Root of the squares on the part, for each penalty and with nothing added."""
        z, errors = self.held[:, : len(weights[0])], self.errors[:, h]
        apart = [errors - z @ w for w in weights]
        return np.array([np.linalg.norm(e) for e in [*apart, errors]])


def _moves(added: Array, mean: LinearMap, iterated: Iterated) -> Array:
    """Turn what is added to the means (H, q, d) into what moves the steps after one."""
    h, _, d = added.shape
    of_projections, coef = mean.parts()
    steps = [*coef.reshape(iterated.n_lags, -1, d)[::-1, :d]]  # the newest first
    for own, projected in zip(mean.own[::-1], of_projections[::-1], strict=True):
        steps.append(np.diag(own) + mean.basis @ projected)
    moves = added.copy()
    for lead in range(h):
        for j, weights in enumerate(steps[:lead]):
            moves[lead] -= (added[lead - 1 - j] * iterated.gain) @ weights
    return moves[1:]
