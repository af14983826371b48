"""Values that a channel takes again and again: exact zeros, counts in any unit."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]

MIN_SHARE = 0.01  # of what was observed, that makes a value an atom
LATTICE = 0.9  # of all but the commonest that must repeat, for a lattice ..
MAX_LATTICE = 256  # .. of so many values
END_SHARE = 0.1  # .. that makes the lowest or the highest one a bound
MIN_TIED = 0.5  # of what was observed that must be atoms, or there are none


class Atoms(nn.Module):
    """Moves what lies nearest to an atom onto it.

    A spike rate is a count in other units, and deconvolved calcium is exactly zero most
    of the time. What a continuous law draws nearer to such a value than to any other
    that was seen becomes that value.

    Parameters
    ----------
    d : int
        Channels.
    n_atoms : int
        Room for atoms of a channel.

    Attributes
    ----------
    value, low, high : Tensor of shape (d, n_atoms)
        Each atom, ascending, and the ends of what becomes it; infinite where a channel
        has fewer.
    """

    value: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, d: int, n_atoms: int = 0):
        super().__init__()
        for name in ("value", "low", "high"):
            empty = torch.full((d, n_atoms), torch.inf, dtype=torch.float64)
            self.register_buffer(name, empty)

    def __len__(self) -> int:
        return self.value.shape[1]

    def settle(self, y: Tensor) -> Tensor:
        """Return y (n, ..., d) with what is nearest to an atom on it.

        Gradients are those of y: where it settles hardly depends on it.
        """
        if not len(self):
            return y
        with torch.no_grad():
            at, is_inside = self._find(y)
            moved = torch.where(is_inside, at[0], y) - y
        return y + moved

    def edge(self, y: Tensor) -> Tensor:
        """Return up to where draws become at most y (n, ..., d).

        If F is the distribution function of draws, F(edge(y)) is that of what they
        settle to.
        """
        if not len(self):
            return y
        (value, low, high), is_inside = self._find(y)
        return torch.where(is_inside, torch.where(y >= value, high, low), y)

    def _find(self, y: Tensor) -> tuple[list[Tensor], Tensor]:
        """Value, low and high of the atom next below, and whether y becomes it."""
        flat = y.reshape(-1, y.shape[-1]).T.contiguous().to(self.low)
        at = torch.searchsorted(self.low, flat, right=True) - 1
        known = at >= 0
        at = at.clamp(min=0)
        parts = [table.gather(1, at) for table in (self.value, self.low, self.high)]
        is_inside = known & (flat <= parts[2])
        return [part.T.reshape(y.shape) for part in parts], is_inside.T.reshape(y.shape)


def find_atoms(y: Array) -> Atoms:
    """Find the atoms of observed values (n, d); NaN where missing.

    Examples
    --------
    >>> atoms = find_atoms(np.array([[0.0], [0.0], [0.0], [2.0], [2.5]]))
    >>> atoms.settle(torch.tensor([[-3.0], [0.9], [1.1]]).double()).ravel()
    tensor([0.0000, 0.0000, 1.1000], dtype=torch.float64)
    """
    found = [_atoms_of(column[~np.isnan(column)]) for column in y.T]
    atoms = Atoms(y.shape[1], max((len(v) for v, _, _ in found), default=0))
    for j, ends in enumerate(found):
        for table, values in zip(
            (atoms.value, atoms.low, atoms.high), ends, strict=True
        ):
            table[j, : len(values)] = torch.as_tensor(values)
    return atoms


def _atoms_of(column: Array) -> tuple[Array, Array, Array]:
    nothing = np.empty(0), np.empty(0), np.empty(0)
    seen, counts = np.unique(column, return_counts=True)
    is_atom = (counts >= max(2, MIN_SHARE * len(column))) & (len(seen) > 1)
    rest = np.delete(counts, counts.argmax()) if len(counts) else counts
    if len(seen) <= MAX_LATTICE and rest[rest > 1].sum() >= LATTICE * rest.sum() > 0:
        is_atom[:] = True  # a lattice: rare values are on it, too
    if counts[is_atom].sum() < MIN_TIED * len(column) or not is_atom.any():
        return nothing
    middle = 0.5 * (seen[1:] + seen[:-1])
    # Beyond the last value that was seen there is as much room as inside of it, or
    # nothing, where so many values are the last one that it is a bound.
    first, last = counts[[0, -1]] >= END_SHARE * len(column)
    low = np.append(-np.inf if first else 2 * seen[0] - middle[0], middle)
    high = np.append(middle, np.inf if last else 2 * seen[-1] - middle[-1])
    return seen[is_atom], low[is_atom], high[is_atom]
