"""The law of the next step whose quantiles a callable states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch.special import ndtr

from .foreign import ForeignLaw, check_answer, has_past, name_of
from .quantile_function import QuantileFunction
from .rank_paths import RankPaths

Array = NDArray[Any]


class QuantileLaw(ForeignLaw):
    """A law known by quantiles of every lead time and channel.

    Parameters
    ----------
    call, lag_scale, lag_offset, targets
        As for `ForeignLaw`; the callable is the ``quantiles`` of `QuantileForecaster`.
    alpha : ndarray of shape (m,)
        Levels of the quantiles, increasing.

    Attributes
    ----------
    paths : RankPaths
        Dependence of the lead times and channels; independent at first.
    """

    def __init__(
        self,
        call: Callable[..., Any],
        lag_scale: Array,
        lag_offset: Array,
        targets: Array,
        alpha: Array,
    ) -> None:
        super().__init__(call, lag_scale, lag_offset, targets)
        self.alpha, self.paths = alpha, RankPaths(None)

    def distribution(self, windows: torch.Tensor) -> QuantileDistribution:
        """Return the distribution of the step that windows (n, L, c) lead to."""
        return QuantileDistribution(self.stated(windows, 1), self.paths)

    def stated(
        self, windows: torch.Tensor, horizon: int, future: Array | None = None
    ) -> QuantileFunction:
        """Ask for the quantiles of all lead times.

        Parameters
        ----------
        windows : Tensor of shape (n, L, c)
        horizon : int
        future : ndarray of shape (n, horizon, s) or None
            None takes the stimulus of the next step from the window.

        Returns
        -------
        QuantileFunction
            Of horizon * d numbers a window, lead by lead.
        """
        history, stimulus = self.inputs(windows.numpy(), horizon, future)
        known = has_past(history)
        usual = np.quantile(self.targets, self.alpha, axis=0)
        shape = (len(self.alpha), horizon, self.d)
        out = np.empty((len(history), *shape))
        out[:] = usual[:, None]
        if known.any():
            shown = None if stimulus is None else stimulus[known]
            answer = self.call(history[known], horizon, shown)
            names = ("n", "n_alpha", "horizon", "d")
            axes = dict(zip(names, (int(known.sum()), *shape), strict=True))
            out[known] = check_answer(self.call, "quantiles", answer, axes)
            _check_order(self.call, out[known])
        values = torch.from_numpy(np.sort(out, axis=1)).flatten(2)
        return QuantileFunction(values, torch.from_numpy(ndtri(self.alpha)))


@dataclass(frozen=True)
class QuantileDistribution:
    """The next step, known by quantiles of each channel and ranks that go together."""

    stated: QuantileFunction
    paths: RankPaths

    def __len__(self) -> int:
        return len(self.stated.values)

    @property
    def mean(self) -> torch.Tensor:
        """Mean (n, d)."""
        return self.stated.mean

    def rsample(
        self,
        n_samples: int = 1,
        *,
        generator: torch.Generator | None = None,
        noise: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Draws (n, n_samples, d), from standard normal noise of that shape."""
        n, _, d = self.stated.values.shape
        if noise is None:
            noise = self.stated.values.new_empty(n, n_samples, d)
            noise = noise.normal_(generator=generator)
        return self.stated.at(self.paths.scores(noise))

    def quantile(self, levels: torch.Tensor) -> torch.Tensor:
        """Quantiles (n, m, d)."""
        n, _, d = self.stated.values.shape
        z = torch.special.ndtri(levels.to(self.stated.values))
        return self.stated.at(z[None, :, None].repeat(n, 1, d))

    def cdf(self, y: torch.Tensor) -> torch.Tensor:
        """Distribution function of each channel at y (n, d)."""
        return ndtr(self.stated.score(y.to(self.stated.values)))


def _check_order(call: Callable[..., Any], values: Array) -> None:
    """Refuse quantiles (n, m, horizon, d) that do not grow with the level."""
    falls = values[:, -1] < values[:, 0]
    if falls.mean() > 0.5:
        raise ValueError(
            f"quantiles={name_of(call)} returned quantiles of the highest level below "
            f"those of the lowest in {falls.sum()} of {falls.size} entries: they must "
            "grow along axis 1, in the order of alpha"
        )
