"""Quantile functions through a few given quantiles."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.special import ndtr


class QuantileFunction:
    """Piecewise linear in the normal score of the level.

    Exact for Gaussians. Beyond the outermost levels the first and the last piece go
    on, so that tails are as light as those of a Gaussian; quantiles that are equal,
    such as the zeros of counts, stay so.

    Parameters
    ----------
    values : Tensor of shape (n, m, d)
        Quantiles, non-decreasing over the m >= 2 levels.
    scores : Tensor of shape (m,)
        Normal scores of the levels, increasing.

    Examples
    --------
    >>> scores = torch.tensor([-1.0, 0.0, 1.0])
    >>> function = QuantileFunction(5 + 2 * scores[None, :, None], scores)
    >>> function.at(torch.tensor([[[3.0]]])).item()
    11.0
    >>> function.mean.item()
    5.0
    """

    def __init__(self, values: Tensor, scores: Tensor):
        self.values, self.scores = values, scores
        self.slopes = values.diff(dim=1) / scores.diff()[:, None]

    def at(self, z: Tensor) -> Tensor:
        """Values at normal scores (n, k, d): (n, k, d)."""
        piece = torch.bucketize(z, self.scores[1:-1])
        left, slope = (part.gather(1, piece) for part in (self.values, self.slopes))
        return left + slope * (z - self.scores[piece])

    def score(self, y: Tensor, *, below: bool = False) -> Tensor:
        """Return normal scores (n, d) of P(Y <= y), or of P(Y < y) with `below`."""
        values, inner = self.values, self.values[:, 1:-1]
        at = y[:, None]
        piece = ((inner < at) if below else (inner <= at)).sum(1, keepdim=True)
        left, slope = (part.gather(1, piece)[:, 0] for part in (values, self.slopes))
        # A piece without a slope is an atom: all of it lies below y, or none.
        gap = y - left
        is_past = (gap > 0) if below else (gap >= 0)
        flat = torch.where(is_past, torch.inf, -torch.inf).to(y)
        z = self.scores[piece[:, 0]] + gap / slope
        return torch.where(slope > 0, z, flat)

    @property
    def mean(self) -> Tensor:
        """Mean (n, d), in closed form."""
        edge = self.scores.new_full((1,), torch.inf)
        ends = torch.cat([-edge, self.scores[1:-1], edge])
        mass = ndtr(ends).diff()[:, None]
        # Of a standard normal, the integral of z over a piece.
        moment = -torch.exp(-0.5 * ends**2).diff()[:, None] / math.sqrt(2 * math.pi)
        intercept = self.values[:, :-1] - self.slopes * self.scores[:-1, None]
        return (intercept * mass + self.slopes * moment).sum(1)
