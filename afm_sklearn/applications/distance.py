"""How far points lie from the middle of many, in the metric of their correlation."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]

ROUNDING = 1e-12
MIN_SHRINKAGE = 1e-6
FARTHEST = 1e6  # spreads from the mean: beyond it there is nothing to tell apart


def pooled_distances(points: Array) -> Array:
    """Squared distances of points from their own mean, by their own covariance.

    All points of a set are treated alike: none is told from the others.

    Parameters
    ----------
    points : ndarray of shape (n, m, d)
        n sets of m points. A channel with NaN in a set is left out of it.

    Returns
    -------
    ndarray of shape (n, m)

    Notes
    -----
    Written in inner products between points, of which there may be fewer than
    channels.

    Examples
    --------
    >>> points = np.array([[[0.0, 1.0], [0.0, -1.0], [9.0, 0.0], [1.0, 0.0]]])
    >>> int(pooled_distances(points).argmax())
    2
    """
    x = torch.from_numpy(points)
    seen = torch.isfinite(x).all(1, keepdim=True)
    x = torch.where(seen, x, 0.0)
    rounding = ROUNDING * x.abs().amax(1, keepdim=True)
    x = x - x.mean(1, keepdim=True)
    spread = x.square().mean(1, keepdim=True).sqrt()
    varies = spread > rounding
    unit = torch.where(varies, x / torch.where(varies, spread, 1.0), 0.0)
    m = unit.shape[1]
    gram = unit @ unit.mT / m
    weight = shrinkage(gram, varies.sum((1, 2)))[:, None, None]
    metric = (1 - weight) * gram + weight * torch.eye(m, dtype=gram.dtype)
    # x' S^-1 x for S = (1 - w) X'X / m + w I, by the identity X S^-1 = metric^-1 X.
    product = torch.cholesky_solve(gram, torch.linalg.cholesky(metric))
    distances: Array = m * product.diagonal(dim1=1, dim2=2).numpy()
    return distances


def shrinkage(gram: Tensor, n_channels: Tensor) -> Tensor:
    """Weight that Ledoit and Wolf (2004) give to no correlation.

    Parameters
    ----------
    gram : Tensor of shape (n, m, m)
        Inner products of m standardised points, divided by m.
    n_channels : Tensor of shape (n,)
        Channels that vary.

    Returns
    -------
    Tensor of shape (n,)
    """
    m = gram.shape[1]
    size = gram.square().sum((1, 2))
    fourth = m * gram.diagonal(dim1=1, dim2=2).square().sum(1)
    noise = (fourth - size) / m
    distance = (size - n_channels).clamp(min=ROUNDING)
    return (noise / distance).clamp(MIN_SHRINKAGE, 1.0)


class Metric:
    """Squared distances from the mean of a sample, by its shrunk correlation.

    Parameters
    ----------
    sample : ndarray of shape (m, c)
        What is not known (NaN) counts as the mean.

    Examples
    --------
    >>> sample = np.random.default_rng(0).normal(size=(500, 3))
    >>> Metric(sample)(np.array([[0.0, 0.0, 0.0], [5.0, 0.0, 0.0]])).round()
    array([ 0., 27.])
    """

    def __init__(self, sample: Array):
        seen = ~np.isnan(sample)
        count = np.maximum(seen.sum(0), 1)
        self.mean = np.where(seen, sample, 0.0).sum(0) / count
        apart = np.where(seen, sample - self.mean, 0.0)
        spread = np.sqrt(np.square(apart).sum(0) / count)
        # Where nothing ever varied, whatever varies is far away.
        still = 1e-6 * (1 + np.abs(self.mean))
        self.spread = np.maximum(spread, still)
        unit = self._unit(sample)
        m, n_live = len(unit), int((spread > still).sum())
        gram = torch.from_numpy(unit @ unit.T / m)[None]
        self.weight = float(shrinkage(gram, torch.tensor([n_live])))
        _, size, self.axes = np.linalg.svd(unit, full_matrices=False)
        self.variance = (1 - self.weight) * size**2 / m + self.weight

    def __call__(self, points: Array) -> Array:
        """Return squared distances (n,) of points (n, c)."""
        unit = self._unit(points)
        along = unit @ self.axes.T
        rest = np.square(unit).sum(1) - np.square(along).sum(1)
        inside = (np.square(along) / self.variance).sum(1)
        distances: Array = inside + np.maximum(rest, 0.0) / self.weight
        return distances

    def _unit(self, points: Array) -> Array:
        unit = np.nan_to_num((points - self.mean) / self.spread)
        return np.clip(unit, -FARTHEST, FARTHEST)
