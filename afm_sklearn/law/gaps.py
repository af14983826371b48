"""What was not observed in a window: its expectation, and draws of it.

Each channel is taken for a stationary autoregressive process of order one, whose
value between two observations is known in closed form (the Ornstein-Uhlenbeck
bridge). What it deviates by is resampled from what was seen, as a calcium trace rests
most of the time and leaps now and then.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

MAX_MEMORY = 0.9999  # a channel with more would have no spread at all
STATES = (0.5, 0.9)  # quantiles of a channel that part its states
MAX_NOISE, N_KNOTS = 3.0, 33  # normal scores at which deviations are tabulated


class Gaps(nn.Module):
    """Fill standardised windows (n, L, c); NaN is what was not observed.

    Parameters
    ----------
    n_channels : int
        Channels c.

    Attributes
    ----------
    memory : Tensor of shape (c,)
        Autocorrelation of each channel at lag one.
    root : Tensor of shape (c, c)
        Lower triangular root of the correlation between channels, which draws share.
    edges : Tensor of shape (c, b)
        Values of the step before that part states of a channel.
    deviation : Tensor of shape (c, b + 1, N_KNOTS)
        Deviations, in units of those that the process has, at even normal scores from
        -MAX_NOISE to MAX_NOISE; by state. Those of a normal law until it is learnt.
    """

    memory: Tensor
    root: Tensor
    edges: Tensor
    deviation: Tensor

    def __init__(self, n_channels: int):
        super().__init__()
        self.register_buffer("memory", torch.zeros(n_channels, dtype=torch.float32))
        self.register_buffer("root", torch.eye(n_channels, dtype=torch.float32))
        edges = torch.full((n_channels, len(STATES)), torch.inf, dtype=torch.float32)
        self.register_buffer("edges", edges)
        scores = torch.linspace(-MAX_NOISE, MAX_NOISE, N_KNOTS, dtype=torch.float32)
        table = scores.repeat(n_channels, len(STATES) + 1, 1)
        self.register_buffer("deviation", table)

    def fill(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return windows with what is expected in their gaps, and where these are.

        The flags (n, L, c) are 1 in gaps; None where nothing is missing.
        """
        gap = torch.isnan(x)
        if not bool(gap.any()):
            return x, None
        rows = gap.flatten(1).any(1).nonzero()[:, 0]  # few: the starts of runs
        filled = x.index_copy(0, rows, self._expected(x[rows]))
        return filled, gap.to(x)

    def draw(self, x: Tensor, noise: Tensor) -> Tensor:
        """Return windows with draws in their gaps.

        Parameters
        ----------
        x : Tensor of shape (n, L, c)
        noise : Tensor of shape (n, L, c)
            Standard normal.
        """
        gap = torch.isnan(x)
        noise = noise @ self.root.T.to(noise)
        after, steps_after = _nearest(x.flip(1))
        after, steps_after = after.flip(1), steps_after.flip(1)
        memory = self.memory.to(x)
        steps, before = [], torch.zeros_like(x[:, 0])
        known = torch.zeros_like(gap[:, 0])  # nothing is, before the first step
        for t in range(x.shape[1]):
            mean, variance = _bridge(
                memory,
                before,
                known.to(x),
                torch.ones_like(before),
                after[:, t],
                torch.isfinite(steps_after[:, t]).to(x),
                steps_after[:, t].nan_to_num(posinf=0.0),
            )
            moved = self._deviate(before, noise[:, t])
            drawn = mean + variance.clamp(min=0.0).sqrt() * moved
            before = torch.where(gap[:, t], drawn, x[:, t].nan_to_num())
            known = torch.ones_like(known)
            steps.append(before)
        return torch.stack(steps, 1)

    def _deviate(self, before: Tensor, noise: Tensor) -> Tensor:
        """Map standard normal noise (n, c) to deviations, given the step before."""
        edges, table = self.edges.to(noise), self.deviation.to(noise)
        state = (before[..., None] > edges).sum(-1)  # (n, c)
        place = (noise.clamp(-MAX_NOISE, MAX_NOISE) + MAX_NOISE) / (2 * MAX_NOISE)
        place = place * (N_KNOTS - 1)
        left = place.floor().clamp(max=N_KNOTS - 2)
        channel = torch.arange(table.shape[0], device=noise.device)
        low, high = (table[channel, state, left.long() + k] for k in (0, 1))
        return torch.lerp(low, high, place - left)

    def _expected(self, x: Tensor) -> Tensor:
        before, since = _nearest(x)
        after, until = (part.flip(1) for part in _nearest(x.flip(1)))
        mean, _ = _bridge(
            self.memory.to(x),
            before,
            torch.isfinite(since).to(x),
            since.nan_to_num(posinf=0.0),
            after,
            torch.isfinite(until).to(x),
            until.nan_to_num(posinf=0.0),
        )
        return torch.where(torch.isnan(x), mean, x)


def _nearest(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the last observation (0 if none) and the steps since (inf if none)."""
    steps = torch.arange(x.shape[1], device=x.device)[None, :, None]
    gap = torch.isnan(x)
    latest = torch.where(gap, -1, steps).cummax(1).values
    value = torch.nan_to_num(x.gather(1, latest.clamp(min=0)))
    since = torch.where(latest < 0, torch.inf, (steps - latest).to(x))
    return torch.where(latest < 0, 0.0, value), since


def _bridge(
    memory: Tensor,
    before: Tensor,
    has_before: Tensor,
    since: Tensor,
    after: Tensor,
    has_after: Tensor,
    until: Tensor,
) -> tuple[Tensor, Tensor]:
    """Mean and variance between two observations, either of which may be absent."""
    a = has_before * _power(memory, since)  # correlation with the one before
    b = has_after * _power(memory, until)
    across = a * b
    rest = (1 - across**2).clamp(min=1e-12)
    left, right = a * (1 - b**2) / rest, b * (1 - a**2) / rest
    return left * before + right * after, 1 - left * a - right * b


def _power(memory: Tensor, steps: Tensor) -> Tensor:
    """Return memory ** steps for whole steps and memories of either sign."""
    size = memory.abs().clamp(1e-12, MAX_MEMORY) ** steps
    return torch.where((memory < 0) & (steps % 2 == 1), -size, size)
