"""Laws whose error is the same in every row: y = mean(window) + e."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.special import ndtr, ndtri

from .windowed import WindowedState

LOG_TWO_PI = 1.8378770664093453


class GaussianErrors(nn.Module):
    """e ~ N(0, S).

    Parameters
    ----------
    scale : Tensor of shape (d,)
        Standard deviations.
    root : Tensor of shape (d, d)
        Lower triangular root of the correlations.
    """

    scale: Tensor
    root: Tensor

    def __init__(self, scale: Tensor, root: Tensor):
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("root", root)

    @property
    def mean(self) -> Tensor:
        """Mean error of each channel, 0."""
        return torch.zeros_like(self.scale)

    def draw(self, noise: Tensor) -> Tensor:
        """Map standard normal noise (..., d) to errors."""
        return noise @ (self.scale[:, None] * self.root).T

    def quantile(self, levels: Tensor) -> Tensor:
        """Quantiles (m, d) at the levels (m,)."""
        return ndtri(levels)[:, None] * self.scale

    def cdf(self, errors: Tensor) -> Tensor:
        """Distribution function of each channel at errors (n, d)."""
        return ndtr(errors / self.scale)

    def log_prob(self, errors: Tensor) -> Tensor:
        """Joint log density (n,) of errors (n, d); NaN is marginalised."""
        silent = (self.scale == 0).nonzero()[:, 0].tolist()
        if silent:
            raise ValueError(
                f"channels {silent} had no error in fit: a Gaussian without variance "
                "has no density"
            )
        out = errors.new_zeros(len(errors))
        seen = torch.isfinite(errors)
        correlation = self.root @ self.root.T
        patterns, which = seen.unique(dim=0, return_inverse=True)
        for k, pattern in enumerate(patterns):
            at = (which == k).nonzero()[:, 0]
            if not bool(pattern.any()):
                continue
            root = torch.linalg.cholesky(correlation[pattern][:, pattern])
            unit = errors[at][:, pattern] / self.scale[pattern]
            white = torch.linalg.solve_triangular(root, unit.T, upper=False)
            log_scale = (self.scale[pattern] * root.diagonal()).log().sum()
            size = int(pattern.sum())
            density = -0.5 * (white.square().sum(0) + size * LOG_TWO_PI) - log_scale
            out = out.index_copy(0, at, density)
        return out

    def log_prob_by_channel(self, errors: Tensor) -> Tensor:
        """Log density (n, d) of each channel alone."""
        unit = errors / self.scale
        return -0.5 * (unit.square() + LOG_TWO_PI) - self.scale.log()


class EmpiricalErrors(nn.Module):
    """e is one of the rows (m, d), each as likely as any other.

    Parameters
    ----------
    rows : Tensor of shape (m, d)
    mean : Tensor of shape (d,), optional
        What they are taken to be on average, by default 0.
    """

    rows: Tensor
    mean: Tensor

    def __init__(self, rows: Tensor, mean: Tensor | None = None):
        super().__init__()
        self.register_buffer("rows", rows)
        self.register_buffer(
            "mean", torch.zeros_like(rows[0]) if mean is None else mean
        )

    def draw(self, noise: Tensor) -> Tensor:
        """Pick whole rows by the first entry of standard normal noise (..., d)."""
        m = len(self.rows)
        picked = (ndtr(noise[..., 0].double()) * m).long().clamp(max=m - 1)
        return self.rows[picked]

    def quantile(self, levels: Tensor) -> Tensor:
        """Quantiles (m, d): values that a row holds, not points between them."""
        ordered, n = self.rows.sort(0).values, len(self.rows)
        at = (levels * n).ceil().long().clamp(1, n) - 1
        return ordered[at]

    def cdf(self, errors: Tensor) -> Tensor:
        """Distribution function of each channel at errors (n, d)."""
        ordered = self.rows.T.contiguous().sort(1).values
        count = torch.searchsorted(ordered, errors.T.contiguous(), right=True)
        return count.T / len(self.rows)

    def log_prob(self, errors: Tensor) -> Tensor:
        """Refuse: rows have no density."""
        raise NotImplementedError("an empirical law has no density")

    def log_prob_by_channel(self, errors: Tensor) -> Tensor:
        """Refuse: rows have no density."""
        raise NotImplementedError("an empirical law has no density")


ErrorLaw = GaussianErrors | EmpiricalErrors


@dataclass(frozen=True)
class AdditiveDistribution:
    """Location (n, d) plus an error."""

    location: Tensor
    errors: ErrorLaw

    def __len__(self) -> int:
        return len(self.location)

    @property
    def mean(self) -> Tensor:
        """Location, plus what errors are on average."""
        return self.location + self.errors.mean

    def rsample(
        self,
        n_samples: int = 1,
        *,
        generator: torch.Generator | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Draws (n, n_samples, d)."""
        n, d = self.location.shape
        if noise is None:
            noise = self.location.new_empty(n, n_samples, d).normal_(
                generator=generator
            )
        return self.location[:, None] + self.errors.draw(noise)

    def quantile(self, levels: Tensor) -> Tensor:
        """Quantiles (n, m, d)."""
        return self.location[:, None] + self.errors.quantile(levels)

    def cdf(self, y: Tensor) -> Tensor:
        """Distribution function of each channel (n, d)."""
        return self.errors.cdf(y - self.location)

    def log_prob(self, y: Tensor) -> Tensor:
        """Joint log density (n,)."""
        return self.errors.log_prob(y - self.location)

    def log_prob_by_channel(self, y: Tensor) -> Tensor:
        """Log density of each channel alone (n, d)."""
        return self.errors.log_prob_by_channel(y - self.location)


class AdditiveLaw(nn.Module):
    """A law y = mean(window) + e, whatever computes the mean.

    Parameters
    ----------
    mean : callable
        Maps windows (n, L, c), NaN where not observed, to means (n, d).
    errors : GaussianErrors or EmpiricalErrors
    lag_scale, lag_offset : Tensor of shape (d,)
        The newest lagged channels are ``(y - lag_offset) / lag_scale``.
    """

    lag_scale: Tensor
    lag_offset: Tensor

    def __init__(
        self,
        mean: Callable[[Tensor], Tensor],
        errors: ErrorLaw,
        lag_scale: Tensor,
        lag_offset: Tensor,
    ):
        super().__init__()
        self.mean, self.errors = mean, errors
        self.register_buffer("lag_scale", lag_scale)
        self.register_buffer("lag_offset", lag_offset)

    def start(self, windows: Tensor) -> WindowedState:
        """Return the state before the step that windows (n, L, c) lead to."""
        return WindowedState(
            self.distribution,
            windows.to(self.lag_scale),
            self.lag_scale,
            self.lag_offset,
        )

    def distribution(self, windows: Tensor) -> AdditiveDistribution:
        """Return the distribution of the step that windows lead to."""
        return AdditiveDistribution(self.mean(windows), self.errors)
