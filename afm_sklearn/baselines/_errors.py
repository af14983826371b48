"""Laws of forecast errors: joint over channels, the same in every row."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import ndtri

from ..correlation import correlation_root, shrunk_correlation

Array = NDArray[Any]


class ErrorLaw(Protocol):
    """A law of errors e (d,), to be added to a location."""

    covariance: Array

    def draw(
        self, location: torch.Tensor, n_samples: int, generator: torch.Generator
    ) -> torch.Tensor:
        """Independent draws around each location (n, d): (n, n_samples, d)."""

    def quantiles(self, location: Array, levels: Array) -> Array:
        """Quantiles of each channel around each location: (n, n_levels, d)."""


class GaussianErrors:
    """e ~ N(0, S), with the Ledoit-Wolf estimate of S from errors (n, d).

    The errors are standardised first, so that the units of a channel do not decide how
    much it is shrunk. The variances are then those of the errors around zero, and only
    the correlations shrink. A channel that never errs gets no noise.
    """

    def __init__(self, errors: Array) -> None:
        self.scale = np.sqrt((errors**2).mean(axis=0))
        correlation = shrunk_correlation(errors)
        self.covariance = correlation * np.outer(self.scale, self.scale)
        self.root = correlation_root(correlation)

    def draw(
        self, location: torch.Tensor, n_samples: int, generator: torch.Generator
    ) -> torch.Tensor:
        """Draw around each location."""
        n, d = location.shape
        noise = torch.randn(
            (n, n_samples, d), generator=generator, dtype=location.dtype
        )
        root = torch.from_numpy(self.scale[:, None] * self.root).to(location)
        return location[:, None] + noise @ root.T

    def quantiles(self, location: Array, levels: Array) -> Array:
        """Quantiles in closed form."""
        return location[:, None] + ndtri(levels)[:, None] * self.scale

    def log_prob(self, errors: Array) -> Array:
        """Log density of each error (n, d), in nats: (n,)."""
        if not self.scale.all():
            raise ValueError(
                f"channels {np.flatnonzero(self.scale == 0).tolist()} had no error in "
                "fit: a Gaussian without variance has no density"
            )
        white = solve_triangular(self.root, (errors / self.scale).T, lower=True)
        log_scale = np.log(self.scale * np.diag(self.root)).sum()
        log_unit = 0.5 * len(self.scale) * np.log(2 * np.pi)
        return -0.5 * (white**2).sum(axis=0) - log_scale - log_unit


class EmpiricalErrors:
    """e is one of the rows (m, d), each as likely as any other."""

    def __init__(self, rows: Array) -> None:
        self.rows = rows
        self.covariance = rows.T @ rows / len(rows)

    def draw(
        self, location: torch.Tensor, n_samples: int, generator: torch.Generator
    ) -> torch.Tensor:
        """Draw whole rows with replacement around each location."""
        shape = (len(location), n_samples)
        picked = torch.randint(len(self.rows), shape, generator=generator)
        return location[:, None] + torch.from_numpy(self.rows).to(location)[picked]

    def quantiles(self, location: Array, levels: Array) -> Array:
        """Quantiles of the rows: values that a row holds, not points between them."""
        at_zero = np.quantile(self.rows, levels, axis=0, method="inverted_cdf")
        return location[:, None] + at_zero


def complete_rows(values: Array, name: str) -> Array:
    """Return the rows of `values` (n, d) without a NaN, at least two of them."""
    complete = values[~np.isnan(values).any(axis=1)]
    if len(complete) < 2:
        raise ValueError(
            f"the joint law of {name} needs at least 2 rows in which all "
            f"{values.shape[1]} channels are known, got {len(complete)} among "
            f"n_samples={len(values)}"
        )
    return complete
