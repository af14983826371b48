"""Probabilities of counts from counts that were seen."""

from __future__ import annotations

import torch
from torch import Tensor


def smoothed_counts(atoms: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Probability of counts, where each count seen lends a little to its neighbours.

    A count seen, one of s, lends q^k / 2 or so to the counts k beside it, with
    q = 1 / (s + 1): a count that was not seen is improbable, not impossible.

    Parameters
    ----------
    atoms : Tensor of shape (n, s, d)
        Counts that were seen.
    y : Tensor of shape (n, d)
        Counts; others have no probability.

    Returns
    -------
    mass, below, above : Tensor of shape (n, d)
        P(Y = y), P(Y < y) and P(Y > y).

    Examples
    --------
    >>> atoms = torch.tensor([0.0, 1.0, 1.0])[None, :, None]
    >>> y = torch.arange(4.0)[:, None]
    >>> mass, below, above = smoothed_counts(atoms.expand(4, -1, -1), y)
    >>> [round(float(p), 3) for p in mass[:, 0]]
    [0.355, 0.484, 0.121, 0.03]
    """
    atoms, y = atoms.double(), y.double()[:, None]
    q = 1.0 / (atoms.shape[1] + 1)
    total = (1 + q - q ** (atoms + 1)) / (1 - q)
    apart = y - atoms
    mass = q ** apart.abs() / total
    right = q ** (apart.clamp(min=0) + 1) / (1 - q) / total  # beyond y, if right of it
    left = q ** ((-apart).clamp(min=0) + 1) * (1 - q**y) / (1 - q) / total
    below = torch.where(apart <= 0, left, 1 - right - mass)
    above = torch.where(apart >= 0, right, 1 - left - mass)
    is_count = (y[:, 0] >= 0) & (y[:, 0] == y[:, 0].round())
    out = [part.clamp(0.0, 1.0).mean(1) for part in (mass, below, above)]
    return torch.where(is_count, out[0], 0.0), out[1], out[2]
