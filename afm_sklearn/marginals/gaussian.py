r"""Mixtures of Gaussians, for channels of real values.

A marginal law F is used as a transport: ``y = F^{-1}(Phi(z))`` is a draw of F where
z is standard normal, and ``z = Phi^{-1}(F(y))`` is the normal score of y. Dependence
between channels and everything else the flow learns lives on the scale of z.

Parameters of a law are a triple of tensors (..., K, d): location, log scale and log
weight of each component.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.special import log_ndtr, ndtri

Params = tuple[Tensor, Tensor, Tensor]

MAX_SCORE = 5.0  # of float32: beyond it 1 - Phi(z) has no digits left
MAX_DRAWN_SCORE = 12.0  # beyond it 1 - Phi(z) is no number of float32
PART = 1 << 17  # numbers in an array that stays in cache
MAX_ROUNDS = 20  # of three steps, the last of which halves
SHORT_STEP = 0.06  # in units of the narrowest scale: what is left is of its cube
NARROW = 1e-4  # bracket, in the same units


class GaussianMixture:
    """A mixture of Gaussians a channel."""

    @staticmethod
    def from_normal(z: Tensor, params: Params) -> Tensor:
        """Map standard normal z (n, k, d) to draws, given params (n, K, d)."""
        loc, log_scale, log_weight = params
        if loc.shape[1] == 1:
            return torch.addcmul(loc, log_scale.exp(), z)
        laws = loc, torch.exp(-log_scale), log_weight.exp()
        parts = [_solve_quickly(at, law) for at, law in _parts(z, laws)]
        y, solved = (
            torch.cat(values).view(z.shape) for values in zip(*parts, strict=True)
        )
        n, k, d = torch.logical_not(solved).nonzero(as_tuple=True)
        if len(n):
            loc, precision, weight = (values[n, :, d].T for values in laws)
            y[n, k, d] = _solve_safely(z[n, k, d], (loc, precision, weight))
        return y

    @staticmethod
    def normal_scores(y: Tensor, params: Params) -> tuple[Tensor, Tensor]:
        """Return the normal score of y (n, d), as a lower and an equal upper end."""
        loc, log_scale, log_weight = params
        z = (y[:, None] - loc) * torch.exp(-log_scale)
        if loc.shape[1] == 1:
            return z[:, 0], z[:, 0]
        # From both tails, so that neither loses its digits.
        below = torch.logsumexp(log_weight + log_ndtr(z), 1)
        above = torch.logsumexp(log_weight + log_ndtr(-z), 1)
        score = torch.where(below < above, ndtri(below.exp()), -ndtri(above.exp()))
        score = score.clamp(-MAX_SCORE, MAX_SCORE)
        return score, score

    @staticmethod
    def log_density(y: Tensor, params: Params) -> Tensor:
        """Log density of each entry of y (n, d)."""
        loc, log_scale, log_weight = params
        z = (y[:, None] - loc) * torch.exp(-log_scale)
        log_normal = -0.5 * z.square() - log_scale - 0.5 * math.log(2 * math.pi)
        return torch.logsumexp(log_weight + log_normal, 1)

    @staticmethod
    def mean(params: Params) -> Tensor:
        """Mean of each channel, (n, d)."""
        loc, _, log_weight = params
        return (log_weight.exp() * loc).sum(1)


def _parts(z: Tensor, laws: Params) -> Iterator[tuple[Tensor, Params]]:
    """Yield scores (m,) and laws (K, m), few enough to stay in cache, in order."""
    n, k = z.shape[:2]
    n_draws = max(1, PART // laws[0][0].numel()) if z.device.type == "cpu" else n * k
    rows, draws = max(1, n_draws // k), min(k, n_draws)
    for row in range(0, n, rows):
        here = slice(row, row + rows)
        for part in z[here].split(draws, 1):
            loc, precision, weight = (
                values[here, :, None]
                .expand(-1, -1, part.shape[1], -1)
                .transpose(0, 1)
                .reshape(values.shape[1], -1)
                for values in laws
            )
            yield part.reshape(-1), (loc, precision, weight)


def _solve_quickly(z: Tensor, law: Params) -> tuple[Tensor, Tensor]:
    """Solve F(y) = Phi(z) for z (m,), given location, 1 / scale and weight (K, m).

    Two steps of Halley's method on the log of the tail's mass, where a Gaussian is
    nearly straight, from the mean of the components' own quantiles.

    Returns
    -------
    y : Tensor of shape (m,)
    solved : Tensor of bool, shape (m,)
        Where the last step was short.
    """
    loc, precision, weight = law
    tail = _Tail(z, law)
    y = _dot(weight, loc) + _dot(weight, precision.reciprocal()) * z
    for _ in range(2):
        step = tail.step(y)[1]
        y = y + step
    return y, step.abs_().mul_(precision.amax(0)) < SHORT_STEP


def _solve_safely(z: Tensor, law: Params) -> Tensor:
    """Solve the same with a bracket: a step that leaves it becomes a halving of it.

    So does every third one. The components' own quantiles are the first bracket.
    """
    loc, precision, _ = law
    quantiles = torch.addcdiv(loc, z, precision)
    low, high = quantiles.amin(0), quantiles.amax(0)
    y, finest = 0.5 * (low + high), precision.amax(0)
    out, left = torch.empty_like(z), torch.arange(len(z), device=z.device)
    for _ in range(MAX_ROUNDS):
        tail = _Tail(z, law)
        for halving in (False, False, True):
            too_low, step = tail.step(y)
            low, high = torch.where(too_low, y, low), torch.where(too_low, high, y)
            move = y + step
            inside = (move >= low) & (move <= high)
            solved = inside & (step.abs() * finest < SHORT_STEP)
            solved |= (high - low) * finest < NARROW
            y = torch.where(~solved if halving else ~inside, 0.5 * (low + high), move)
        out[left] = y
        rest = solved.logical_not().nonzero()[:, 0]
        if not len(rest):
            break
        z, y, low, high, finest, left = (
            values[rest] for values in (z, y, low, high, finest, left)
        )
        loc, precision, weight = (values[:, rest] for values in law)
        law = loc, precision, weight
    return out


class _Tail:
    """Mass of mixtures beyond y, on the side of each score, where it keeps its digits.

    All is twice what the names say, and in units of sqrt(2) scales, as erfc has it.
    """

    def __init__(self, z: Tensor, law: Params):
        loc, precision, self.weight = law
        self.side = torch.ones_like(z).copysign_(z)
        self.target = torch.erfc(z.abs().clamp_(max=MAX_DRAWN_SCORE) * math.sqrt(0.5))
        self.slope = precision * (math.sqrt(0.5) * self.side)
        self.offset = (loc * self.slope).neg_()
        self.height = precision * self.weight
        self.fall = self.height * self.slope

    def step(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return where y is too low, and the step of Halley's method."""
        v = torch.addcmul(self.offset, self.slope, y)
        mass = _dot(torch.erfc(v), self.weight)
        bells = v.square().neg_().exp_()
        density = _dot(bells, self.height).mul_(math.sqrt(2 / math.pi))
        fall = _dot(bells.mul_(v), self.fall).mul_(math.sqrt(8 / math.pi))
        excess = torch.log(mass / self.target).mul_(self.side)
        newton = excess * mass / density
        bend = newton * (self.side * density / mass - fall / density)
        return excess > 0, newton / (1 + 0.5 * bend.clamp_(-1, 1))


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Sum of products over the components (K, m), faster than product and sum."""
    total = a[0] * b[0]
    for one, other in zip(a[1:], b[1:], strict=True):
        total.addcmul_(one, other)
    return total
