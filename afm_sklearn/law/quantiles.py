"""Quantiles of mixtures, where their distribution function reaches a level."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

N_HALVINGS = 40


def quantiles_between(
    cdf: Callable[[Tensor], Tensor],
    low: Tensor,
    high: Tensor,
    levels: Tensor,
    tolerance: tuple[Tensor, Tensor],
) -> Tensor:
    """Find the smallest values at which a distribution function reaches the levels.

    Parameters
    ----------
    cdf : callable
        Distribution function of each channel at (n, m, d).
    low, high : Tensor of shape (n, m, d)
        Values between which they lie.
    levels : Tensor of shape (m,)
    tolerance : pair of Tensor of shape (d,)
        How much too large they may be, the larger of two: in their units, and as a
        part of ``high - low``.

    Returns
    -------
    Tensor of shape (n, m, d)
        At most a little larger than they are.

    Examples
    --------
    >>> ends = torch.tensor([[[-3.0]], [[3.0]]]).double()
    >>> half = torch.tensor([0.5])
    >>> found = quantiles_between(
    ...     torch.special.ndtr, *ends.split(1), half, (torch.zeros(1), 1e-7 * half)
    ... )
    >>> bool(0 <= found < 1e-6)
    True
    """
    wanted = levels[:, None]
    # Where the lower end is a value that is taken, it may be the quantile itself.
    high = torch.where(cdf(low) >= wanted, low, high)
    enough = torch.maximum(tolerance[0], tolerance[1] * (high - low))
    for _ in range(N_HALVINGS):
        if bool((high - low <= enough).all()):
            break
        middle = 0.5 * (low + high)
        reaches = cdf(middle) >= wanted
        low, high = (
            torch.where(reaches, low, middle),
            torch.where(reaches, middle, high),
        )
    return high
