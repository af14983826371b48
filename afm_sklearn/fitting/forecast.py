"""Coefficients of a linear forecast, and those of the fits that left a block out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..law.linear import LinearLaw
from .features import Inputs

if TYPE_CHECKING:
    from .drift import Drifts

Array = NDArray[np.float64]


class LinearMap(NamedTuple):
    """From what is known to the location of each channel.

    Attributes
    ----------
    coef : array of shape (p, d)
        Of the features, in single precision where it is large.
    intercept : array of shape (d,)
    own : array of shape (n_own, d)
        Of each channel's own steps before those of the features, oldest first.
    basis : array of shape (d, rank)
        Directions in which the first features see these steps.
    """

    coef: NDArray[Any]
    intercept: Array
    own: Array
    basis: Array

    def __call__(self, inputs: Inputs) -> Array:
        """Return the locations (k, d)."""
        ahead = inputs.features.double().numpy() @ self.coef + self.intercept
        if len(self.own):
            ahead += (inputs.earlier.double().numpy() * self.own).sum(1)
        return ahead

    def parts(self) -> tuple[Array, Array]:
        """Return coefficients of projections (n_own, rank, d), and of the steps."""
        shape = len(self.own), self.basis.shape[1], len(self.intercept)
        n_projected = shape[0] * shape[1]
        return self.coef[:n_projected].reshape(shape), self.coef[n_projected:]


@dataclass
class LinearForecast:
    """A linear map, with and without each block of rows.

    Attributes
    ----------
    whole : LinearMap
        Fitted on all rows.
    blocks : list of slice
        Consecutive blocks of rows that cover the rows fitted on.
    others : list of LinearMap
        The same, fitted without the rows of each block.
    drifts : Drifts or None
        What moves it where it is iterated.
    """

    whole: LinearMap
    blocks: list[slice]
    others: list[LinearMap]
    drifts: Drifts | None = None

    def without(self, block: int | None) -> LinearMap:
        """Return the map of a fit without a block, or of all."""
        return self.whole if block is None else self.others[block]

    def put_into(self, linear: LinearLaw, block: int | None = None) -> None:
        """Give a law the map of a fit without a block, or of all."""
        for name, values in self.without(block)._asdict().items():
            getattr(linear, name).copy_(torch.as_tensor(values))
