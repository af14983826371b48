"""What a stimulus can be chosen for: values of drawn trajectories.

An objective maps draws (n_samples, horizon, d), an array or a tensor, to (n_samples,)
values of which larger ones are better. Those that compute with the operators and
methods that arrays and tensors share have gradients where they are given tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class ReachTarget:
    """Minus the squared distance to a pattern of activity.

    Parameters
    ----------
    target : array-like of shape (d,) or (horizon, d)
        The pattern, in the units of the activity.
    last : int or None, default=1
        Steps, the last ones, in which it is wanted; None for all.
    weights : array-like of shape (d,), optional
        What a squared deviation of each channel costs; 1 by default.

    Examples
    --------
    >>> draws = np.array([[[0.0, 0.0], [1.0, 2.0]]])
    >>> ReachTarget([1.0, 0.0])(draws)
    array([-4.])
    """

    target: ArrayLike
    last: int | None = 1
    weights: ArrayLike | None = None

    def __call__(self, draws: Any) -> Any:
        """Return the value (n_samples,) of draws (n_samples, horizon, d)."""
        start = 0 if self.last is None else max(0, draws.shape[1] - self.last)
        target = np.asarray(self.target, np.float64)
        if target.ndim == 2:
            target = target[start:]
        apart = draws[:, start:] - _like(target, draws)
        cost = apart * apart
        if self.weights is not None:
            cost = cost * _like(np.asarray(self.weights, np.float64), draws)
        return -cost.sum(2).sum(1)


@dataclass(frozen=True)
class RaiseChannel:
    """The mean of one channel, less what the others are moved.

    Parameters
    ----------
    channel : int
    rest : array-like of shape (d,)
        Where the other channels are to stay, as their mean activity.
    price : float, default=1.0
        Cost of a mean squared deviation of the others from `rest`.

    Examples
    --------
    >>> draws = np.array([[[3.0, 1.0]], [[3.0, 0.0]]])
    >>> RaiseChannel(0, rest=[0.0, 0.0])(draws)
    array([2., 3.])
    """

    channel: int
    rest: ArrayLike
    price: float = 1.0

    def __call__(self, draws: Any) -> Any:
        """Return the value (n_samples,) of draws (n_samples, horizon, d)."""
        d = draws.shape[2]
        others = np.arange(d) != self.channel
        apart = draws - _like(np.asarray(self.rest, np.float64), draws)
        share = _like(others / max(1, others.sum()), draws)
        moved = (apart * apart * share).sum(2).mean(1)
        return draws[:, :, self.channel].mean(1) - self.price * moved


@dataclass(frozen=True)
class EventProbability:
    """One where an event happens, so that its mean is a probability.

    Parameters
    ----------
    event : callable
        Maps draws (n_samples, horizon, d), an array, to bool (n_samples,).

    Examples
    --------
    >>> silent = EventProbability(lambda draws: (draws == 0).all(axis=(1, 2)))
    >>> silent(np.array([[[0.0]], [[2.0]]]))
    array([1., 0.])
    """

    event: Callable[[Array], Array]

    def __call__(self, draws: Array) -> Array:
        """Return the value (n_samples,) of draws (n_samples, horizon, d)."""
        if isinstance(draws, torch.Tensor):
            raise TypeError("the probability of an event has no gradient")
        return np.asarray(self.event(draws), np.float64)


def _like(values: Array, draws: Any) -> Any:
    if isinstance(draws, torch.Tensor):
        return torch.as_tensor(values, dtype=draws.dtype, device=draws.device)
    return values
