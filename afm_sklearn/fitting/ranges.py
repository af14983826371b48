"""The range of training: of targets, and of what is given."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..compute import row_parts
from ..data.scaled import ScaledRows

Array = NDArray[np.float64]


def range_of_targets(target: ScaledRows, device: torch.device) -> tuple[Array, Array]:
    """Lower and upper end by channel, in units of the targets.

    Infinite for what was never observed: nothing is outside.
    """
    n, d = target.shape
    low = torch.full((d,), torch.inf, device=device)
    high = -low
    for rows in row_parts(n, d):
        part = target[rows]
        low = torch.minimum(low, part.nan_to_num(nan=torch.inf).amin(0))
        high = torch.maximum(high, part.nan_to_num(nan=-torch.inf).amax(0))
    is_free = low > high  # never observed
    low = torch.where(is_free, -torch.inf, low)
    high = torch.where(is_free, torch.inf, high)
    return low.double().cpu().numpy(), high.double().cpu().numpy()


def range_of_given(steps: ScaledRows, n_lagged: int) -> tuple[Array, Array]:
    """Range of each channel (T, c), of unit scale.

    Infinite for the first ones, the lagged targets, and for what was never observed.
    """
    low = torch.full((steps.shape[1],), torch.inf)
    high = -low
    for rows in row_parts(*steps.shape):
        part = steps[rows].cpu()
        low = torch.minimum(low, part.nan_to_num(nan=torch.inf).amin(0))
        high = torch.maximum(high, part.nan_to_num(nan=-torch.inf).amax(0))
    is_free = low > high  # never observed
    is_free[:n_lagged] = True
    low = torch.where(is_free, -torch.inf, low)
    high = torch.where(is_free, torch.inf, high)
    return low.double().numpy(), high.double().numpy()
