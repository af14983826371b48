"""Errors that resample what happened in training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .errors import (
    Resampled,
    picked_rows,
    refuse_gradient,
    share_below,
    values_at,
)

MAX_ATOMS = 256  # values of a channel that stand for all
FEW = 20_000  # numbers, among which torch finds the smallest as fast


class EmpiricalErrors(Resampled):
    """One of the rows, each as likely as any other, around the location or as it is.

    Parameters
    ----------
    rows : Tensor of shape (m, d)
    root : Tensor of shape (d, d)
        Root of their correlation.
    is_relative : bool
        Whether the rows are errors around the location.
    is_counts : bool
        Whether the rows are counts.
    """

    rows: Tensor

    def __init__(
        self,
        rows: Tensor,
        root: Tensor,
        is_relative: bool = True,
        is_counts: bool = False,
    ):
        super().__init__()
        self.is_counts = is_counts
        self.is_relative, self.gives_y = is_relative, not is_relative
        self.n_values = min(len(rows), 2 * MAX_ATOMS)
        self.register_buffer("rows", rows)
        self.register_buffer("root", root)

    def draw(self, location: Tensor, noise: Tensor) -> Tensor:
        """Map standard normal noise (n, k, d) to draws (n, k, d)."""
        if not self.is_relative:
            refuse_gradient(location)
        values = self.rows[picked_rows(noise, len(self.rows))]
        return values + location[:, None] if self.is_relative else values

    def mean(self, location: Tensor) -> Tensor:
        """Mean of each channel (n, d)."""
        return self._origin(location) + self.rows.mean(0)

    def quantile(self, location: Tensor, levels: Tensor, known: Any) -> Tensor:
        """Quantiles (n, m, d): values that are taken, not points between them."""
        values = values_at(known, levels.to(self.rows)).T
        return self._origin(location)[:, None] + values

    def cdf(self, location: Tensor, y: Tensor, known: Any) -> Tensor:
        """Distribution function of each channel at y (n, k, d), of the shape of y."""
        return share_below(known, y - self._origin(location)[:, None])

    def known(self, location: Tensor) -> Tensor:
        """Return the values (d, m) of all rows, ascending."""
        return self.rows.T.contiguous().sort(1).values

    def atoms(self, location: Tensor) -> Tensor:
        """Return values (n, s, d), evenly spaced among all where there are many."""
        return self._origin(location)[:, None] + self._some(location).T

    def _some(self, location: Tensor) -> Tensor:
        ordered = self.known(location)
        step = max(1, ordered.shape[1] // MAX_ATOMS)
        return ordered[:, step // 2 :: step]

    def _about(self, location: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self._some(location)[None], y - self._origin(location)

    def spread(self) -> Tensor:
        """Return the spread (d,) of all values."""
        return self.rows.std(0, correction=0)

    def _origin(self, location: Tensor) -> Tensor:
        return (
            location if self.is_relative else torch.zeros_like(location).to(self.rows)
        )

    def config(self) -> dict[str, Any]:
        """Return the kind and its sizes."""
        m, d = self.rows.shape
        return {
            "kind": "empirical",
            "m": m,
            "d": d,
            "is_relative": self.is_relative,
            "is_counts": self.is_counts,
        }


class BinnedErrors(Resampled):
    """A channel takes one of the values it took where forecasts were alike.

    Training rows are sorted by their forecast, channel by channel, into bins of as
    many rows. A draw picks a training row, and each channel takes the value of that
    row's rank from the bin of the present forecast: with the dependence of whole
    rows, and with whatever zeros, skew and spread the forecast brings.

    Parameters
    ----------
    edges : Tensor of shape (d, n_bins - 1)
        Forecasts between bins.
    table : Tensor of shape (d, n_bins, s)
        Values in each bin, in order.
    ranks : Tensor of int, shape (m, d)
        Rank of each training row in its bin, from 0 to s - 1.
    root : Tensor of shape (d, d)
        Root of the correlation of the ranks' normal scores.
    is_relative : bool
        Whether the values are errors around the location.
    is_counts : bool
        Whether the values are counts.
    """

    edges: Tensor
    table: Tensor
    ranks: Tensor

    def __init__(
        self,
        edges: Tensor,
        table: Tensor,
        ranks: Tensor,
        root: Tensor,
        is_relative: bool,
        is_counts: bool = False,
    ):
        super().__init__()
        self.is_counts = is_counts
        self.is_relative, self.gives_y = is_relative, not is_relative
        self.n_values = table.shape[2]
        self.register_buffer("edges", edges)
        self.register_buffer("table", table)
        self.register_buffer("ranks", ranks)
        self.register_buffer("root", root)

    def draw(self, location: Tensor, noise: Tensor) -> Tensor:
        """Map standard normal noise (n, k, d) to draws (n, k, d)."""
        refuse_gradient(location)
        ranks = self.ranks[picked_rows(noise, len(self.ranks))].long()
        size = self.table.shape[2]
        first = self._bins(location)[:, None] * size
        values = self.table.flatten()[first + ranks]
        return values + location[:, None] if self.is_relative else values

    def mean(self, location: Tensor) -> Tensor:
        """Mean of each channel (n, d)."""
        mean = self.table.mean(2).flatten()[self._bins(location)]
        return mean + location if self.is_relative else mean

    def atoms(self, location: Tensor) -> Tensor:
        """Return the values (n, s, d) in the bins of the locations."""
        return self.known(location).transpose(1, 2)

    def known(self, location: Tensor) -> Tensor:
        """Return these values (n, d, s), which are in order."""
        values = self.table.flatten(0, 1)[self._bins(location)]
        values = values + location[..., None] if self.is_relative else values
        return values.contiguous()

    def spread(self) -> Tensor:
        """Return the spread (d,) of all values."""
        return self.table.flatten(1).std(1, correction=0)

    def _bins(self, location: Tensor) -> Tensor:
        """Return the bin of each location (n, d), counted over all channels."""
        at = torch.searchsorted(self.edges, location.T.contiguous()).T
        d, n_bins, _ = self.table.shape
        return at + n_bins * torch.arange(d, device=at.device)

    def config(self) -> dict[str, Any]:
        """Return the kind and its sizes."""
        d, n_bins, size = self.table.shape
        return {
            "kind": "binned",
            "m": len(self.ranks),
            "d": d,
            "n_bins": n_bins,
            "size": size,
            "is_relative": self.is_relative,
            "is_counts": self.is_counts,
        }


class AnalogErrors(Resampled):
    """What followed when the forecast of all channels was most like the present one.

    Parameters
    ----------
    forecasts : Tensor of shape (m, d)
        Forecasts of training rows.
    values : Tensor of shape (m, d)
        What followed, or the errors.
    root : Tensor of shape (d, d)
        Root of the correlation of the errors.
    n_neighbors : int
        Rows among which one is picked.
    is_relative : bool
        Whether the values are errors around the location.
    is_counts : bool
        Whether the values are counts.
    """

    forecasts: Tensor
    values: Tensor

    def __init__(
        self,
        forecasts: Tensor,
        values: Tensor,
        root: Tensor,
        n_neighbors: int,
        is_relative: bool,
        is_counts: bool = False,
    ):
        super().__init__()
        self.is_counts = is_counts
        self.n_neighbors = self.n_values = n_neighbors
        self.is_relative, self.gives_y = is_relative, not is_relative
        self.register_buffer("forecasts", forecasts)
        self.register_buffer("values", values)
        self.register_buffer("root", root)

    def draw(self, location: Tensor, noise: Tensor) -> Tensor:
        """Map standard normal noise (n, k, d) to draws (n, k, d)."""
        refuse_gradient(location)
        near = self._nearest(location)
        values = self.values[near.gather(1, picked_rows(noise, self.n_neighbors))]
        return values + location[:, None] if self.is_relative else values

    def atoms(self, location: Tensor) -> Tensor:
        """Return the values (n, s, d) of the nearest rows."""
        values = self.values[self._nearest(location)]
        return values + location[:, None] if self.is_relative else values

    def spread(self) -> Tensor:
        """Return the spread (d,) of all values."""
        return self.values.std(0, correction=0)

    def _nearest(self, location: Tensor) -> Tensor:
        return smallest(torch.cdist(location, self.forecasts), self.n_neighbors)

    def config(self) -> dict[str, Any]:
        """Return the kind and its sizes."""
        m, d = self.values.shape
        return {
            "kind": "analog",
            "m": m,
            "d": d,
            "n_neighbors": self.n_neighbors,
            "is_relative": self.is_relative,
            "is_counts": self.is_counts,
        }


def smallest(values: Tensor, k: int) -> Tensor:
    """Return where the k smallest of each row (n, m) lie: (n, k), in any order.

    Examples
    --------
    >>> smallest(torch.tensor([[3.0, 1.0, 2.0]]), 2)
    tensor([[1, 2]])
    """
    n, m = values.shape
    if values.device.type != "cpu" or n * m < FEW or values.requires_grad:
        return values.topk(k, largest=False).indices
    # numpy finds the k-th value in a fifth of the time of torch.
    known = values.numpy()
    is_among = known <= np.partition(known, k - 1, axis=1)[:, k - 1 : k]
    is_clear = np.count_nonzero(is_among, axis=1) == k  # others have equal values
    at = torch.empty(n, k, dtype=torch.int64)
    clear, tied = (torch.from_numpy(rows) for rows in (is_clear, ~is_clear))
    found = np.flatnonzero(is_among[is_clear]).reshape(-1, k) % m
    at[clear] = torch.from_numpy(found)
    at[tied] = values[tied].topk(k, largest=False).indices
    return at
