"""Laws of forecast errors from errors that were made."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..law.correlation import correlation_root, shrunk_correlation
from ..law.errors import Errors, GaussianErrors
from ..law.resampling import EmpiricalErrors

Array = NDArray[Any]

LAWS = ("gaussian", "bootstrap")


def learn_errors(errors: Array, kind: str) -> tuple[Errors, Array]:
    """Learn the joint law of errors, the same in every row.

    Parameters
    ----------
    errors : ndarray of shape (m, d)
        Complete rows.
    kind : {"gaussian", "bootstrap"}
        Gaussian around zero, or whole rows drawn with replacement.

    Returns
    -------
    law : GaussianErrors or EmpiricalErrors
    covariance : ndarray of shape (d, d)
        Of the errors around zero.

    Notes
    -----
    Errors are standardised before their correlations are shrunk, so that the units of a
    channel do not decide how much. The variances are those of the errors around zero.
    A channel that never errs gets no noise.
    """
    correlation = shrunk_correlation(errors)
    root = torch.from_numpy(correlation_root(correlation))
    if kind == "bootstrap":
        law = EmpiricalErrors(torch.from_numpy(errors), root)
        return law, errors.T @ errors / len(errors)
    scale = np.sqrt((errors**2).mean(axis=0))
    covariance = correlation * np.outer(scale, scale)
    return GaussianErrors(torch.from_numpy(scale), root), covariance


def first_channels(errors: Errors, n: int) -> Errors:
    """Return the law of the first n channels alone.

    Parameters
    ----------
    errors : GaussianErrors or EmpiricalErrors
        As `learn_errors` returns them.
    n : int
        Channels.

    Returns
    -------
    GaussianErrors or EmpiricalErrors
    """
    if isinstance(errors, GaussianErrors):
        return GaussianErrors(errors.scale[:n], errors.root[:n, :n])
    assert isinstance(errors, EmpiricalErrors)
    return EmpiricalErrors(errors.rows[:, :n], errors.root[:n, :n])


def complete_rows(values: Array, name: str) -> Array:
    """Return the rows of `values` (n, d) without a NaN, at least two of them."""
    complete = values[~np.isnan(values).any(axis=1)].astype(np.float64)
    if len(complete) < 2:
        raise ValueError(
            f"the joint law of {name} needs at least 2 rows in which all "
            f"{values.shape[1]} channels are known, got {len(complete)} among "
            f"n_samples={len(values)}"
        )
    return complete
