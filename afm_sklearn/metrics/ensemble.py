"""What all sample scores share: validation, and chunks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from ..compute import row_parts
from .arguments import Array, as_numbers


def check_observations(y: ArrayLike) -> Array:
    """Return `y` as a float64 array of 1 to 3 axes without infinities."""
    observed = as_numbers("y", y).astype(np.float64, copy=False)
    if observed.ndim not in (1, 2, 3):
        raise ValueError(
            "y must have shape (n,), (n, d) or (n, horizon, d), "
            f"got an array of shape {observed.shape}"
        )
    if np.isinf(observed).any():
        raise ValueError("y must be finite or NaN (missing), got infinity")
    return observed


def check_ensemble(y: ArrayLike, samples: ArrayLike) -> tuple[Array, Array]:
    """Return `y` and `samples` as arrays whose shapes fit together.

    The values of `samples` are checked later, chunk by chunk: see `chunks`.
    """
    observed = check_observations(y)
    drawn = as_numbers("samples", samples)
    fits = drawn.ndim == observed.ndim + 1 and (
        drawn.shape[:1] + drawn.shape[2:] == observed.shape
    )
    if not fits or drawn.shape[1] < 1:
        expected = (*observed.shape[:1], "n_samples", *observed.shape[1:])
        raise ValueError(
            f"samples must have shape ({', '.join(map(str, expected))}) to go with y "
            f"of shape {observed.shape}, got {drawn.shape}"
        )
    return observed, drawn


def check_estimator(estimator: str, n_samples: int) -> bool:
    """Return whether the fair estimator is wanted, and refuse what cannot be had."""
    if estimator not in ("fair", "nrg"):
        raise ValueError(f"estimator must be 'fair' or 'nrg', got {estimator!r}")
    if estimator == "fair" and n_samples < 2:
        raise ValueError(
            "samples must hold at least 2 samples for estimator='fair', "
            f"got {n_samples}"
        )
    return estimator == "fair"


def chunks(
    samples: Array, *, joint: bool, entries_per_row: int | None = None
) -> Iterator[tuple[slice, Array]]:
    """Yield row slices and the samples in them, as fresh float64 arrays.

    Parameters
    ----------
    samples : ndarray of shape (n, n_samples, ...)
        The samples, of any real dtype; never copied as a whole.
    joint : bool
        Layout of what is yielded: (rows, n_samples, variables), all trailing
        axes flattened, for scores of the joint law; otherwise
        (rows, ..., n_samples), for scores of each variable.
    entries_per_row : int, optional
        Entries of the largest working array a row needs.

    Yields
    ------
    slice, ndarray
        Rows of the chunk; its samples, contiguous and safe to overwrite.

    Raises
    ------
    ValueError
        If samples hold infinities, or are NaN for a part of one forecast.
    """
    per_row = max(entries_per_row or 0, samples[:1].size)
    for rows in row_parts(len(samples), per_row):
        block = samples[rows]
        if joint:
            block = block.reshape(*block.shape[:2], -1)
        else:
            block = np.moveaxis(block, 1, -1)
        block = np.array(block, dtype=np.float64, order="C")
        _check_values(block, axis=(1, 2) if joint else -1)
        yield rows, block


def _check_values(block: Array, axis: int | tuple[int, ...]) -> None:
    """Refuse infinities, and NaN unless the whole forecast along `axis` is NaN."""
    if np.isfinite(block).all():
        return
    if np.isinf(block).any():
        raise ValueError("samples must be finite, got infinity")
    missing = np.isnan(block)
    if (missing.any(axis) & ~missing.all(axis)).any():
        raise ValueError(
            "samples must be free of NaN, or NaN throughout where there is no "
            "forecast; got a forecast of which a part is NaN"
        )
