"""Mixtures of distributions: of several laws, or of several pasts of one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .quantiles import quantiles_between


class Mixture:
    """A mixture of distributions of the same n histories.

    Parameters
    ----------
    parts : sequence of distributions
    log_weights : Tensor of shape (m,)
        Log weight of each; the weights sum to one.
    """

    def __init__(self, parts: Sequence[Any], log_weights: Tensor):
        self.parts, self.log_weights = parts, log_weights

    def __len__(self) -> int:
        return len(self.parts[0])

    @property
    def mean(self) -> Tensor:
        """Mean (n, d)."""
        return self._average([part.mean for part in self.parts])

    def cdf(self, y: Tensor) -> Tensor:
        """Distribution function of each channel at y (n, d) or (n, k, d)."""
        return self._average([part.cdf(y) for part in self.parts])

    def quantile(self, levels: Tensor) -> Tensor:
        """Quantiles (n, m, d) of each channel at the levels (m,)."""
        found = quantiles_between(
            self.cdf, *self.bracket(levels), levels, self.tolerance
        )
        return self.settle(found)

    def bracket(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Return values (n, m, d) between which the quantiles lie: those of parts."""
        ends = [bracket(part, levels) for part in self.parts]
        low, high = (torch.stack(end) for end in zip(*ends, strict=True))
        return low.amin(0), high.amax(0)

    @property
    def tolerance(self) -> tuple[Tensor, Tensor]:
        """How exact quantiles are; see `Frame.tolerance`."""
        tolerance: tuple[Tensor, Tensor] = self.parts[0].tolerance
        return tolerance

    def settle(self, y: Tensor) -> Tensor:
        """Return y (n, k, d) settled to the atoms."""
        settled: Tensor = self.parts[0].settle(y)
        return settled

    def log_prob(self, y: Tensor) -> Tensor:
        """Joint log density (n,)."""
        return self._log_average([part.log_prob(y) for part in self.parts])

    def log_prob_by_channel(self, y: Tensor) -> Tensor:
        """Log density of each channel alone (n, d)."""
        return self._log_average([part.log_prob_by_channel(y) for part in self.parts])

    def rsample(
        self,
        n_samples: int = 1,
        *,
        generator: torch.Generator | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Draws (n, n_samples, d), each from a part that is drawn first.

        Noise cannot be given: the parts take different amounts of it.
        """
        if noise is not None:
            raise ValueError("noise was given, but a mixture draws its own")
        chosen = choose_parts(self.log_weights, len(self), n_samples, generator)
        out: Tensor | None = None
        for k, part in enumerate(self.parts):
            count = (chosen == k).sum(1)
            most = int(count.max()) if len(count) else 0
            if not most:
                continue
            draws = part.rsample(most, generator=generator)
            if out is None:
                out = draws.new_zeros(len(self), n_samples, draws.shape[-1])
            place = torch.arange(most, device=draws.device) < count[:, None]
            out = out.masked_scatter((chosen == k)[..., None], draws[place])
        assert out is not None  # some part was chosen
        return out

    def _average(self, values: Sequence[Tensor]) -> Tensor:
        weights = self.log_weights.exp().to(values[0])
        return torch.einsum("m,m...->...", weights, torch.stack(tuple(values)))

    def _log_average(self, values: Sequence[Tensor]) -> Tensor:
        weighted = [
            value + weight
            for value, weight in zip(
                values, self.log_weights.to(values[0]), strict=True
            )
        ]
        return torch.logsumexp(torch.stack(weighted), 0)


class Merged:
    """The mixture over groups of m successive histories, which are equally likely.

    Parameters
    ----------
    whole : distribution
        Of n * m histories.
    m : int
        Histories in a group.
    """

    def __init__(self, whole: Any, m: int):
        self.whole, self.m = whole, m

    def __len__(self) -> int:
        return len(self.whole) // self.m

    @property
    def mean(self) -> Tensor:
        """Mean (n, d)."""
        return self._groups(self.whole.mean).mean(1)

    def cdf(self, y: Tensor) -> Tensor:
        """Distribution function of each channel at y (n, d) or (n, k, d)."""
        return self._groups(self.whole.cdf(self._repeated(y))).mean(1)

    def quantile(self, levels: Tensor) -> Tensor:
        """Quantiles (n, m, d) of each channel at the levels (m,)."""
        low, high = (self._groups(end) for end in bracket(self.whole, levels))
        ends = low.amin(1), high.amax(1)
        found = quantiles_between(self.cdf, *ends, levels.to(low), self.whole.tolerance)
        settled: Tensor = self.whole.settle(self._repeated(found))
        return self._groups(settled)[:, 0]

    def log_prob(self, y: Tensor) -> Tensor:
        """Joint log density (n,)."""
        return self._log_mean(lambda at: self.whole.log_prob(at), y)

    def log_prob_by_channel(self, y: Tensor) -> Tensor:
        """Log density of each channel alone (n, d)."""
        return self._log_mean(lambda at: self.whole.log_prob_by_channel(at), y)

    def _log_mean(self, density: Callable[[Tensor], Tensor], y: Tensor) -> Tensor:
        groups = self._groups(density(self._repeated(y)))
        return torch.logsumexp(groups, 1) - math.log(self.m)

    def _repeated(self, y: Tensor) -> Tensor:
        return y.repeat_interleave(self.m, 0)

    def _groups(self, values: Tensor) -> Tensor:
        return values.unflatten(0, (-1, self.m))


def bracket(p: Any, levels: Tensor) -> tuple[Tensor, Tensor]:
    """Return values (n, m, d) between which the quantiles of a distribution lie."""
    if isinstance(p, Mixture):
        return p.bracket(levels)
    quantile = p.quantile(levels)
    return quantile, quantile


def choose_parts(
    log_weights: Tensor, n: int, n_samples: int, generator: torch.Generator | None
) -> Tensor:
    """Draw which part each of (n, n_samples) draws comes from."""
    edges = log_weights.exp().cumsum(0)
    share = torch.empty(n, n_samples, dtype=edges.dtype, device=edges.device)
    share = share.uniform_(generator=generator) * edges[-1]
    return torch.searchsorted(edges, share, right=True).clamp(max=len(edges) - 1)
