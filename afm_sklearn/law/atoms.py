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
EVEN = 1e-3  # of the smallest step, that those of an even lattice are out at most


class Atoms(nn.Module):
    """Moves what lies nearest to an atom onto it.

    A spike rate is a count in other units, and deconvolved calcium is exactly zero most
    of the time. What a continuous law draws nearer to such a value than to any other
    that was seen becomes that value. A lattice of even steps has the values between
    those that were seen, too, and goes on beyond the last of them.

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
    step : Tensor of shape (d,)
        Of an even lattice; zero where a channel has none.
    """

    value: Tensor
    low: Tensor
    high: Tensor
    step: Tensor

    def __init__(self, d: int, n_atoms: int = 0):
        super().__init__()
        for name in ("value", "low", "high"):
            empty = torch.full((d, n_atoms), torch.inf, dtype=torch.float64)
            self.register_buffer(name, empty)
        self.register_buffer("step", torch.zeros(d, dtype=torch.float64))

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
        at = (torch.searchsorted(self.low, flat, right=True) - 1).clamp(min=0)
        value, low, high = (
            table.gather(1, at) for table in (self.value, self.low, self.high)
        )
        step = self.step[:, None]
        beyond = ((flat - high) / step).ceil().clamp(min=0)
        beyond = beyond - ((low - flat) / step).ceil().clamp(min=0)
        beyond = torch.where(step > 0, beyond, 0.0)
        value = value + beyond * step
        low = torch.where(beyond == 0, low, value - 0.5 * step)
        high = torch.where(beyond == 0, high, value + 0.5 * step)
        parts = [value, low, high]
        is_inside = (flat >= low) & (flat <= high)
        return [part.T.reshape(y.shape) for part in parts], is_inside.T.reshape(y.shape)


def find_atoms(y: Array, *, are_counts: bool = False) -> Atoms:
    """Find the atoms of observed values (n, d); NaN where missing.

    Parameters
    ----------
    y : ndarray of shape (n, d)
    are_counts : bool
        All are whole numbers from 0, and so is what is drawn.

    Examples
    --------
    >>> atoms = find_atoms(np.array([[0.0], [0.0], [0.0], [2.0], [2.5]]))
    >>> atoms.settle(torch.tensor([[-3.0], [0.9], [1.1]]).double()).ravel()
    tensor([0.0000, 0.0000, 1.1000], dtype=torch.float64)
    """
    columns = [column[~np.isnan(column)] for column in y.T]
    if are_counts:
        found = [_counts_to(column.max(initial=0.0)) for column in columns]
    else:
        found = [_atoms_of(column) for column in columns]
    atoms = Atoms(y.shape[1], max((len(v) for v, *_ in found), default=0))
    for j, (*ends, step) in enumerate(found):
        for table, values in zip(
            (atoms.value, atoms.low, atoms.high), ends, strict=True
        ):
            table[j, : len(values)] = torch.as_tensor(values)
        atoms.step[j] = step
    return atoms


Found = tuple[Array, Array, Array, float]


def _counts_to(highest: float) -> Found:
    values = np.arange(highest + 1)
    return values, np.append(-np.inf, values[1:] - 0.5), values + 0.5, 1.0


def _atoms_of(column: Array) -> Found:
    nothing = np.empty(0), np.empty(0), np.empty(0), 0.0
    seen, counts = np.unique(column, return_counts=True)
    is_atom = (counts >= max(2, MIN_SHARE * len(column))) & (len(seen) > 1)
    rest = np.delete(counts, counts.argmax()) if len(counts) else counts
    if len(seen) <= MAX_LATTICE and rest[rest > 1].sum() >= LATTICE * rest.sum() > 0:
        is_atom[:] = True  # a lattice: rare values are on it, too
    if counts[is_atom].sum() < MIN_TIED * len(column) or not is_atom.any():
        return nothing
    # Where so many values are the last one, it is a bound.
    first, last = counts[[0, -1]] >= END_SHARE * len(column)
    step = 0.0
    if is_atom.all():
        seen, step = _evenly(seen)
        is_atom = np.full(len(seen), True)
    middle = 0.5 * (seen[1:] + seen[:-1])
    # Beyond the last value that was seen there is as much room as inside of it.
    low = np.append(-np.inf if first else 2 * seen[0] - middle[0], middle)
    high = np.append(middle, np.inf if last else 2 * seen[-1] - middle[-1])
    return seen[is_atom], low[is_atom], high[is_atom], step


def _evenly(seen: Array) -> tuple[Array, float]:
    """Return an even lattice with those between the values seen, and its step.

    Where they lie on none, they alone and zero.
    """
    smallest = np.diff(seen).min()
    places = np.round((seen - seen[0]) / smallest)
    step = (seen[-1] - seen[0]) / places[-1]
    apart = np.abs(seen - seen[0] - places * step).max()
    if apart > EVEN * step or places[-1] >= MAX_LATTICE:
        return seen, 0.0
    lattice = seen[0] + step * np.arange(places[-1] + 1)
    lattice[places.astype(int)] = seen
    return lattice, step
