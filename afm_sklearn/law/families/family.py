r"""What all families of laws of a channel share.

A law F is used as a transport: ``y = F^{-1}(Phi(z))`` is a draw of F where z is
standard normal, and ``z = Phi^{-1}(F(y))`` is the normal score of y. Dependence
between channels lives on the scale of z.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.special import ndtri


class Family(ABC):
    """Mixtures of K components: the laws of the d channels of n windows.

    Parameters
    ----------
    location, log_spread, log_weight : Tensor of shape (n, K, d)
        Two parameters of each component, which families name, and its log weight;
        the weights of a channel sum to one.

    Raises
    ------
    ValueError
        If the shapes differ, or are not of three axes.
    """

    name: ClassVar[str]
    is_differentiable: ClassVar[bool]  # draws have gradients
    is_discrete: ClassVar[bool]

    def __init__(self, location: Tensor, log_spread: Tensor, log_weight: Tensor):
        self.parameters = location, log_spread, log_weight
        shapes = [tuple(p.shape) for p in self.parameters]
        if len(set(shapes)) > 1 or len(shapes[0]) != 3:
            raise ValueError(
                f"parameters have shapes {shapes}, expected (n, K, d) each"
            )

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """Mean of each channel, (n, d)."""

    @property
    @abstractmethod
    def variance(self) -> Tensor:
        """Variance of each channel, (n, d)."""

    @abstractmethod
    def cdf(self, y: Tensor) -> Tensor:
        """Distribution function at y (n, d) or (n, k, d), of the shape of y."""

    @abstractmethod
    def log_density(self, y: Tensor) -> Tensor:
        """Log density of y (n, d), log probability where it is discrete: (n, d)."""

    @abstractmethod
    def normal_scores(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Both ends (n, d) of the interval of normal scores of y (n, d).

        They are equal for continuous families, and end at 12.
        """

    @abstractmethod
    def from_normal(self, z: Tensor) -> Tensor:
        """Map standard normal z (n, k, d) to draws (n, k, d)."""

    def quantile(self, levels: Tensor) -> Tensor:
        """Quantiles of each channel.

        Parameters
        ----------
        levels : Tensor of shape (m,)
            In (0, 1).

        Returns
        -------
        Tensor of shape (n, m, d)

        Raises
        ------
        ValueError
            If a level is outside (0, 1).
        """
        if not bool(((levels > 0) & (levels < 1)).all()):
            raise ValueError(f"levels are {levels.tolist()}, expected in (0, 1)")
        n, _, d = self.parameters[0].shape
        z = ndtri(levels.to(self.parameters[0]))
        return self.from_normal(z[None, :, None].expand(n, -1, d))

    @abstractmethod
    def within(self, low: Tensor, high: Tensor) -> Self:
        """Return laws that believe in nothing far beyond the range of training.

        What is drawn is fed back: without a bound, a rare outlier may grow without end.

        Parameters
        ----------
        low, high : Tensor of shape (d,)
            The range of the targets in training; infinite where it is not known.
        """

    def rows(self, index: Any) -> Self:
        """Return the laws of some windows, picked as rows of a tensor are."""
        return type(self)(*(p[index] for p in self.parameters))

    @classmethod
    def pool(cls, laws: Sequence[Self], log_weights: Tensor) -> Self:
        """Return the mixture of laws.

        Parameters
        ----------
        laws : sequence of M families
            Of the same windows and channels; numbers of components may differ.
        log_weights : Tensor of shape (M,)
            Log weight of each law; minus infinity leaves one out.

        Returns
        -------
        Family

        Raises
        ------
        ValueError
            If there are not as many weights as laws.
        """
        if len(laws) != len(log_weights):
            raise ValueError(
                f"log_weights has {len(log_weights)} entries, expected {len(laws)}"
            )
        location, log_spread, _ = (
            torch.cat([law.parameters[k] for law in laws], 1) for k in range(3)
        )
        weights = [
            law.parameters[2] + log_weight
            for law, log_weight in zip(laws, log_weights, strict=True)
        ]
        return cls(location, log_spread, torch.cat(weights, 1))

    def merged(self, m: int) -> Self:
        """Return equal mixtures of the laws of m successive windows each.

        Parameters
        ----------
        m : int
            The number of windows must be a multiple of it.

        Returns
        -------
        Family
            Of n / m windows, with m K components.

        Raises
        ------
        ValueError
            If it is not.
        """
        n = len(self.parameters[0])
        if m < 1 or n % m:
            raise ValueError(f"m is {m}, expected a divisor of the {n} windows")
        location, log_spread, log_weight = (
            p.unflatten(0, (-1, m)).flatten(1, 2) for p in self.parameters
        )
        return type(self)(location, log_spread, log_weight - math.log(m))
