"""Coefficients of a linear forecast, and those of the fits that left a block out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ..law.linear import LinearLaw

if TYPE_CHECKING:
    from .drift import Drifts

Array = NDArray[np.float64]


@dataclass
class LinearForecast:
    """Features times coefficients, with and without each block of rows.

    Attributes
    ----------
    coef, intercept : arrays of shape (p, d) and (d,)
        Fitted on all rows.
    blocks : list of slice
        Consecutive blocks of rows that cover the rows fitted on.
    block_coefs, block_intercepts : lists of arrays
        The same, fitted without the rows of each block.
    drifts : Drifts or None
        What moves it where it is iterated.
    """

    coef: Array
    intercept: Array
    blocks: list[slice]
    block_coefs: list[Array]
    block_intercepts: list[Array]
    drifts: Drifts | None = None

    def without(self, block: int | None) -> tuple[Array, Array]:
        """Return coefficients and intercepts of a fit without a block, or of all."""
        if block is None:
            return self.coef, self.intercept
        return self.block_coefs[block], self.block_intercepts[block]

    def put_into(self, linear: LinearLaw, block: int | None = None) -> None:
        """Give a law the coefficients of a fit without a block, or of all."""
        coef, intercept = self.without(block)
        linear.coef.copy_(torch.as_tensor(coef))
        linear.intercept.copy_(torch.as_tensor(intercept))
