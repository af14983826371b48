"""Values that a channel takes again and again: exact zeros, counts in any unit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]
Channels = slice | Tensor
Part = Callable[[Tensor, Channels], Tensor]

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
            moved = self._by_kind(self._settle_to_table, self._settle_to_lattice, y) - y
        return y + moved

    def edge(self, y: Tensor) -> Tensor:
        """Return up to where draws become at most y (n, ..., d).

        If F is the distribution function of draws, F(edge(y)) is that of what they
        settle to.
        """
        if not len(self):
            return y
        return self._by_kind(self._edge_in_table, self._edge_on_lattice, y)

    def _by_kind(self, of_table: Part, of_lattice: Part, y: Tensor) -> Tensor:
        """Call a function for the channels of each kind: (y, channels) -> like y."""
        y = y.to(self.value)
        is_even, has_some = self.step > 0, torch.isfinite(self.value[:, 0])
        if bool(is_even.all()):
            return of_lattice(y, slice(None))
        out = y.clone()
        for of_kind, chosen in (
            (of_table, has_some & ~is_even),
            (of_lattice, has_some & is_even),
        ):
            channels = chosen.nonzero()[:, 0]
            if len(channels):
                out[..., channels] = of_kind(y[..., channels], channels)
        return out

    def _settle_to_table(self, y: Tensor, channels: Channels) -> Tensor:
        value, low, high = self._in_table(y, channels)
        return torch.where((y >= low) & (y <= high), value, y)

    def _edge_in_table(self, y: Tensor, channels: Channels) -> Tensor:
        value, low, high = self._in_table(y, channels)
        is_inside = (y >= low) & (y <= high)
        return torch.where(is_inside, torch.where(y >= value, high, low), y)

    def _in_table(self, y: Tensor, channels: Channels) -> list[Tensor]:
        """Value, low and high of the atom next below y."""
        tables = [t[channels] for t in (self.value, self.low, self.high)]
        flat = y.reshape(-1, y.shape[-1]).T.contiguous()
        at = (torch.searchsorted(tables[1], flat, right=True) - 1).clamp(min=0)
        return [table.gather(1, at).T.reshape(y.shape) for table in tables]

    def _settle_to_lattice(self, y: Tensor, channels: Channels) -> Tensor:
        return self._on_lattice(y, channels)[0]

    def _edge_on_lattice(self, y: Tensor, channels: Channels) -> Tensor:
        value, is_first, is_last = self._on_lattice(y, channels)
        half = 0.5 * self.step[channels]
        high = torch.where(is_last, torch.inf, value + half)
        low = torch.where(is_first, -torch.inf, value - half)
        return torch.where(y >= value, high, low)

    def _on_lattice(
        self, y: Tensor, channels: Channels
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Nearest value on the lattices, and whether it is their first or last one."""
        table, step = self.value[channels], self.step[channels]
        last = torch.isfinite(table).sum(1) - 1
        ends = self.low[channels][:, 0], self.high[channels].gather(1, last[:, None])
        first_place = torch.where(ends[0].isinf(), 0.0, -torch.inf)
        last_place = torch.where(ends[1][:, 0].isinf(), last, torch.inf)
        place = ((y - table[:, 0]) / step).round_().clamp_(first_place, last_place)
        # What was seen is returned to the last digit.
        seen = torch.minimum(place.clamp(min=0.0), last.to(place))
        start = torch.arange(len(table), device=y.device) * table.shape[1]
        value = table.take(seen.long() + start) + (place - seen) * step
        return value, place == first_place, place == last_place


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
