r"""What a flow makes of each channel alone, without integrating it.

A flow is trained to keep the law of each channel's normal score, and nearly does: after
it a score is :math:`a + b z`, with z standard normal and a, b close to 0 and 1. How
far they and the mean of the channel move is linear in what the networks see of the
history, nearly enough; the map is fitted to what the flow does to draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

LEAST = 0.1  # stretch of a score


@dataclass(frozen=True)
class Moved:
    """What a flow does to the channels of n histories: each (n, d).

    Attributes
    ----------
    gain : Tensor
        What it adds to the mean, in standard units.
    shift, stretch : Tensor
        A score z becomes ``shift + stretch * z``.
    """

    gain: Tensor
    shift: Tensor
    stretch: Tensor

    def carry(self, z: Tensor) -> Tensor:
        """Carry scores (n, m, d), those of each channel alone."""
        return self.shift[:, None] + self.stretch[:, None] * z

    def back(self, z: Tensor) -> Tensor:
        """Return where scores (n, m, d) come from."""
        return (z - self.shift[:, None]) / self.stretch[:, None]


class Margins(nn.Module):
    """An affine map from features of the history to what the flow does.

    Parameters
    ----------
    n_features : int
        f, those of a history.
    d : int
        Channels.

    Attributes
    ----------
    coef : Tensor of shape (f, 3 d)
    intercept : Tensor of shape (3 d,)
        Of the gain of the mean, the shift and the stretch of the scores.

    Examples
    --------
    >>> moved = Margins(4, 2)(torch.ones(3, 4))
    >>> moved.carry(torch.ones(3, 1, 2)).shape
    torch.Size([3, 1, 2])
    """

    coef: Tensor
    intercept: Tensor

    def __init__(self, n_features: int, d: int):
        super().__init__()
        coef = torch.zeros(n_features, 3 * d, dtype=torch.float32)
        still = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float32).repeat_interleave(d)
        self.register_buffer("coef", coef)
        self.register_buffer("intercept", still)

    def forward(self, features: Tensor) -> Moved:
        """Map features (n, f) to what the flow does."""
        moved = torch.addmm(self.intercept, features, self.coef)
        gain, shift, stretch = moved.tensor_split(3, 1)
        return Moved(gain, shift, stretch.clamp(min=LEAST))
