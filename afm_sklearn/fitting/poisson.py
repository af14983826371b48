r"""Penalised Poisson regression of counts on the window.

The log rate is linear in the features, the weight of a feature k steps back
penalised by lambda k^(2 decay) as in the ridge stack. What other channels did has a
penalty of its own, as in the Minnesota prior (Litterman 1986): there are many of them,
and most have no part in a channel. Decay and penalties are chosen by the deviance of
the last block of rows and of that in the middle, by steps along one of them at a time;
then the model is fitted on all rows and without each block in turn (Truccolo et al.
2005; McCullagh & Nelder 1989).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.scaled import ScaledRows
from .features import LagFeatures
from .forecast import LinearForecast, LinearMap
from .log_rate import Parts, cap_of, chained, kept, loss_of, parts_of, solve
from .origins import spread_rows

Array = NDArray[np.float64]

DECAYS = (0.5, 1.5, 3.0)
# The search begins in the middle of each.
PENALTIES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
COUPLING_PENALTIES = (300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03)
MAX_SELECTION_ROWS = 4000
FEW_ITERATIONS = 20  # of a fit that is compared with others: they start near its end
MAX_TWICE = 60_000  # weights that two blocks choose for; for more the last one does
MAX_KEPT = 1 << 24  # numbers; more features are computed again in each iteration


@dataclass(frozen=True)
class Prior:
    """What the weights of a regression are penalised by.

    Attributes
    ----------
    decay : float
        Power of the lag that their spread falls with.
    penalty, coupling_penalty : float
        Of the weights of a channel's own past and of stimuli, and of those of other
        channels.
    """

    decay: float
    penalty: float
    coupling_penalty: float

    def scales(self, lags: Tensor, is_coupling: Tensor | None) -> Tensor:
        """Scales of the weights (p, d), or (p, 1), beside which they have `penalty`."""
        own = (lags**-self.decay)[:, None]
        if is_coupling is None:
            return own
        return torch.where(
            is_coupling, own * (self.penalty / self.coupling_penalty) ** 0.5, own
        )


def fit_poisson(
    features: LagFeatures,
    y: ScaledRows | Tensor,
    usable: NDArray[np.bool_],
    blocks: list[slice],
    *,
    is_autoregressive: bool,
) -> LinearForecast:
    """Fit log rates of counts.

    Parameters
    ----------
    features : LagFeatures
        Features of all rows.
    y : ScaledRows or Tensor of shape (n, d)
        Counts; NaN where missing.
    usable : array of shape (n,)
        Rows to fit on.
    blocks : list of slice
        Blocks of consecutive rows.
    is_autoregressive : bool
        Whether the first features are the lagged targets.

    Returns
    -------
    LinearForecast
        Of the log rate.
    """
    lags = torch.from_numpy(features.lags()).float()
    d, is_coupling = y.shape[1], None
    if is_autoregressive and d > 1:
        is_coupling = torch.from_numpy(features.couplings(d))
    rows = [np.arange(len(usable))[block] for block in blocks]
    rows = [each[usable[each]] for each in rows]
    prior = _select(features, y, rows, lags, is_coupling)
    penalty, shrink = prior.penalty, prior.scales(lags, is_coupling)
    parts = [parts_of(features, y, each) for each in rows]
    if features.n_features * usable.sum() <= MAX_KEPT:
        parts = [kept(part) for part in parts]
    weights = solve(chained(parts), shrink, penalty, None)
    without = []
    for k in range(len(blocks)):
        rest = parts[:k] + parts[k + 1 :]
        if not sum(map(len, rows[:k] + rows[k + 1 :])):
            rest = parts
        without.append(solve(chained(rest), shrink, penalty, weights))
    others = [_map(w, shrink) for w in without]
    return LinearForecast(_map(weights, shrink), blocks, others)


def _map(weights: Tensor, shrink: Tensor) -> LinearMap:
    """Coefficients of the features as they are, and intercepts."""
    both = weights.double()
    coef, nothing = (shrink * both[:-1]).numpy(), both[:0].numpy()
    return LinearMap(coef, both[-1].numpy(), nothing, nothing[:, :0])


def _select(
    features: LagFeatures,
    y: ScaledRows | Tensor,
    rows: list[NDArray[np.intp]],
    lags: Tensor,
    is_coupling: Tensor | None,
) -> Prior:
    """Return the prior of the least deviance on the last block and the middle one."""
    folds: list[tuple[Parts, Parts]] = []
    middle, last = len(rows) // 2, len(rows) - 1
    is_large = features.n_features * y.shape[1] > MAX_TWICE
    for k in {last} if is_large else sorted({middle, last}):
        others = np.concatenate([rows[0][:0], *rows[:k], *rows[k + 1 :]])
        others = spread_rows(others, MAX_SELECTION_ROWS)
        test = spread_rows(rows[k], MAX_SELECTION_ROWS)
        if len(others) and len(test):
            train, held = (kept(parts_of(features, y, at)) for at in (others, test))
            folds.append((train, held))
    here = Prior(*(g[len(g) // 2] for g in (DECAYS, PENALTIES, COUPLING_PENALTIES)))
    if not folds:
        return here
    search = _Search(folds, lags, is_coupling, here)
    grids = {
        "penalty": PENALTIES,
        "coupling_penalty": COUPLING_PENALTIES if is_coupling is not None else (),
        "decay": DECAYS if lags.max() > 1 else (),
    }
    ways = [(axis, grid[::way]) for axis, grid in grids.items() for way in (1, -1)]
    while any([search.went(axis, grid) for axis, grid in ways]):
        pass
    return search.here


class _Search:
    """A prior that moves to where the loss of held rows falls.

    Parameters
    ----------
    folds : list of (Parts, Parts)
        Rows to fit on, and those to be judged by.
    lags : Tensor of shape (p,)
    is_coupling : Tensor of shape (p, d) or None
    here : Prior
        Where it starts.
    """

    def __init__(
        self,
        folds: list[tuple[Parts, Parts]],
        lags: Tensor,
        is_coupling: Tensor | None,
        here: Prior,
    ):
        self.folds, self.lags, self.is_coupling = folds, lags, is_coupling
        self.here, self.tried = here, {here}
        self.loss, self.fits = self._judged(here, None)

    def went(self, axis: str, grid: Sequence[float]) -> bool:
        """Go along a grid from where the prior is on it; return whether it moved."""
        start = self.here
        for value in grid[grid.index(getattr(start, axis)) + 1 :] if grid else ():
            there = replace(start, **{axis: value})
            if there in self.tried:  # no better than what was better than here
                break
            self.tried.add(there)
            loss, fits = self._judged(there, self.fits)
            if not loss < self.loss:
                break
            self.here, self.loss, self.fits = there, loss, fits
        return self.here != start

    def _judged(
        self, prior: Prior, near: list[Tensor] | None
    ) -> tuple[float, list[Tensor]]:
        """Negative log likelihood of a held row, and the weights of the folds.

        Each fit starts from where a near one led.
        """
        shrink = prior.scales(self.lags, self.is_coupling)
        losses, fits = [], []
        for k, (train, test) in enumerate(self.folds):
            start = None
            if near is not None:
                start = near[k].clone()
                start[:-1] /= shrink
            weights = solve(train, shrink, prior.penalty, start, FEW_ITERATIONS)
            losses.append(float(loss_of(test, shrink, weights, cap_of(train))[0]))
            weights[:-1] *= shrink
            fits.append(weights)
        return sum(losses) / len(losses), fits
