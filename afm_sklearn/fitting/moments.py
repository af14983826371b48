"""Cross-products of features and targets: all that linear regressions need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..data.scaled import ScaledRows
from .features import LagFeatures
from .sums import Sums

Array = NDArray[np.float64]

ROWS_TOGETHER = 256


@dataclass
class Moments(Sums):
    """Sums over rows of 1, f, y, f f', f y' and y^2."""

    n: float
    f: Array
    y: Array
    ff: Array
    fy: Array
    yy: Array

    def about(self, f: Array, y: Array) -> Moments:
        """Return the same about other origins of f and y."""
        half = self.f - 0.5 * self.n * f
        ff = self.ff - np.outer(half, f)
        ff -= np.outer(f, half)
        fy = self.fy - np.outer(self.f - self.n * f, y)
        fy -= np.outer(f, self.y)
        yy = self.yy - 2 * y * self.y + self.n * y**2
        return Moments(self.n, self.f - self.n * f, self.y - self.n * y, ff, fy, yy)


def moments_of(
    features: LagFeatures,
    y: ScaledRows | Tensor,
    usable: NDArray[np.bool_],
    block: slice,
) -> Moments:
    """Sum over the usable rows of a block."""
    p, d = features.n_features, y.shape[1]
    sums = Moments(
        0.0, np.zeros(p), np.zeros(d), np.zeros((p, p)), np.zeros((p, d)), np.zeros(d)
    )

    def parts() -> Iterator[list[Array]]:
        for rows, F, _ in features.chunks(block):
            kept = usable[rows]
            yield [_double(values, kept) for values in (F, y[rows])]

    for f, target in _joined(parts()):
        sums.n += len(f)
        sums.f += f.sum(0)
        sums.y += target.sum(0)
        sums.ff += f.T @ f
        sums.fy += f.T @ target
        sums.yy += (target**2).sum(0)
    return sums


def _double(values: Tensor, kept: NDArray[np.bool_]) -> Array:
    """Return the rows that are kept, in double precision."""
    double: Array = values.cpu().numpy()[kept].astype(np.float64)
    return double


def _joined(parts: Iterable[list[Array]]) -> Iterator[list[Array]]:
    """Join successive arrays to rows enough for a product.

    To add a product of few rows to large sums takes as long as one of many.
    """
    waiting: list[list[Array]] = []
    for part in parts:
        waiting.append(part)
        if sum(len(arrays[0]) for arrays in waiting) >= ROWS_TOGETHER:
            yield [np.concatenate(arrays) for arrays in zip(*waiting, strict=True)]
            waiting = []
    if waiting:
        yield [np.concatenate(arrays) for arrays in zip(*waiting, strict=True)]


@dataclass
class Beside(Sums):
    """What a forecast adds beside the features, t: sums of t, f t', y t and t^2."""

    n: float
    t: Array
    ft: Array
    yt: Array
    tt: Array

    def about(self, moments: Moments, f: Array, y: Array, t: Array) -> Beside:
        """Return the same about other origins, given the moments of the same rows."""
        ft = self.ft - np.outer(f, self.t) - np.outer(moments.f - self.n * f, t)
        yt = self.yt - y * self.t - t * (moments.y - self.n * y)
        tt = self.tt - 2 * t * self.t + self.n * t**2
        return Beside(self.n, self.t - self.n * t, ft, yt, tt)


def moments_beside(
    features: LagFeatures,
    y: ScaledRows | Tensor,
    usable: NDArray[np.bool_],
    block: slice,
    weights: Sequence[Array],
) -> list[Beside]:
    """Sum over the usable rows of a block, for each of several weights (n_own, d)."""
    p, d = features.n_features, y.shape[1]
    sums = [
        Beside(0.0, np.zeros(d), np.zeros((p, d)), np.zeros(d), np.zeros(d))
        for _ in weights
    ]

    def parts() -> Iterator[list[Array]]:
        for rows, F, E in features.chunks(block):
            kept = usable[rows]
            f, earlier, target = (_double(part, kept) for part in (F, E, y[rows]))
            yield [f, target, *(np.einsum("kld,ld->kd", earlier, w) for w in weights)]

    for f, target, *added in _joined(parts()):
        for t, out in zip(added, sums, strict=True):
            out.n += len(f)
            out.t += t.sum(0)
            out.ft += f.T @ t
            out.yt += (t * target).sum(0)
            out.tt += (t**2).sum(0)
    return sums
