"""The law of the next step that a callable draws from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .foreign import ForeignLaw, check_answer, has_past

Array = NDArray[Any]

SEED = 0  # of the draws behind means and quantiles


class DrawnLaw(ForeignLaw):
    """A law known by draws alone.

    Parameters
    ----------
    call, lag_scale, lag_offset, targets
        As for `ForeignLaw`; the callable is the ``draw`` of `DrawForecaster`.
    n_draws : int
        Draws behind means and quantiles.
    """

    def __init__(
        self,
        call: Callable[..., Any],
        lag_scale: Array,
        lag_offset: Array,
        targets: Array,
        n_draws: int,
    ) -> None:
        super().__init__(call, lag_scale, lag_offset, targets)
        self.n_draws = n_draws

    def distribution(self, windows: torch.Tensor) -> DrawnDistribution:
        """Return the distribution of the step that windows (n, L, c) lead to."""
        return DrawnDistribution(self, windows)

    def draws(
        self,
        windows: torch.Tensor,
        horizon: int,
        n_samples: int,
        seed: int,
        future: Array | None = None,
    ) -> torch.Tensor:
        """Draw trajectories (n, n_samples, horizon, d).

        Parameters
        ----------
        windows : Tensor of shape (n, L, c)
        horizon, n_samples, seed : int
        future : ndarray of shape (n, horizon, s) or None
            None takes the stimulus of the next step from the window.
        """
        history, stimulus = self.inputs(windows.numpy(), horizon, future)
        known = has_past(history)
        shape = (n_samples, horizon, self.d)
        out = np.empty((len(history), *shape))
        if known.any():
            shown = None if stimulus is None else stimulus[known]
            answer = self.call(history[known], horizon, n_samples, shown, seed)
            names = ("n", "n_samples", "horizon", "d")
            axes = dict(zip(names, (int(known.sum()), *shape), strict=True))
            out[known] = check_answer(self.call, "draw", answer, axes)
        rng = np.random.default_rng(seed)
        size = (int((~known).sum()), n_samples, horizon)
        out[~known] = self.targets[rng.integers(len(self.targets), size=size)]
        return torch.from_numpy(out)


@dataclass(frozen=True)
class DrawnDistribution:
    """The next step of windows (n, L, c), known by draws alone."""

    law: DrawnLaw
    windows: torch.Tensor

    def __len__(self) -> int:
        return len(self.windows)

    def rsample(
        self,
        n_samples: int = 1,
        *,
        generator: torch.Generator | None = None,
        noise: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Draws (n, n_samples, d); the callable makes its own noise."""
        if noise is not None:
            raise ValueError("noise was given, but the callable makes its own")
        return self._drawn(self.windows, n_samples, next_seed(generator))

    @property
    def mean(self) -> torch.Tensor:
        """Mean (n, d) of draws with a fixed seed."""
        return self._fixed().mean(1)

    def quantile(self, levels: torch.Tensor) -> torch.Tensor:
        """Quantiles (n, m, d) of draws with a fixed seed."""
        return torch.quantile(self._fixed(), levels.double(), dim=1).movedim(0, 1)

    def cdf(self, y: torch.Tensor) -> torch.Tensor:
        """Share (n, d) of draws with a fixed seed that are at most y."""
        return (self._fixed() <= y[:, None]).double().mean(1)

    def _fixed(self) -> torch.Tensor:
        # Row by row, so that the draws of a row do not depend on the others.
        parts = self.windows.split(1)
        return torch.cat([self._drawn(one, self.law.n_draws, SEED) for one in parts])

    def _drawn(self, windows: torch.Tensor, k: int, seed: int) -> torch.Tensor:
        return self.law.draws(windows, 1, k, seed)[:, :, 0]


def next_seed(generator: torch.Generator | None) -> int:
    """Draw a seed for a callable."""
    return int(torch.randint(2**31 - 1, (), generator=generator))
