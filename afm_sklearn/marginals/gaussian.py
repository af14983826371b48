r"""Mixtures of Gaussians, for channels of real values.

A marginal law F is used as a transport: ``y = F^{-1}(Phi(z))`` is a draw of F where
z is standard normal, and ``z = Phi^{-1}(F(y))`` is the normal score of y. Dependence
between channels and everything else the flow learns lives on the scale of z.

Parameters of a law are a triple of tensors (..., d, K): location, log scale and log
weight of each component.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.special import log_ndtr, ndtri

Params = tuple[Tensor, Tensor, Tensor]

MAX_SCORE = 5.0  # of float32: beyond it 1 - Phi(z) has no digits left
N_HALVINGS = 12
N_NEWTON = 3
PART = 1 << 17  # numbers in an array that stays in cache


class GaussianMixture:
    """A mixture of Gaussians a channel."""

    @staticmethod
    def from_normal(z: Tensor, params: Params) -> Tensor:
        """Map standard normal z (n, k, d) to draws, given params (n, d, K)."""
        loc, log_scale, log_weight = (p[:, None] for p in params)
        if loc.shape[-1] == 1:
            return loc[..., 0] + log_scale[..., 0].exp() * z
        return _invert_in_parts(z, loc, log_scale.exp(), log_weight.exp())

    @staticmethod
    def normal_scores(y: Tensor, params: Params) -> tuple[Tensor, Tensor]:
        """Return the normal score of y (n, d), as a lower and an equal upper end."""
        loc, log_scale, log_weight = params
        z = (y[..., None] - loc) * torch.exp(-log_scale)
        if loc.shape[-1] == 1:
            return z[..., 0], z[..., 0]
        # From both tails, so that neither loses its digits.
        below = torch.logsumexp(log_weight + log_ndtr(z), -1)
        above = torch.logsumexp(log_weight + log_ndtr(-z), -1)
        score = torch.where(below < above, ndtri(below.exp()), -ndtri(above.exp()))
        score = score.clamp(-MAX_SCORE, MAX_SCORE)
        return score, score

    @staticmethod
    def log_density(y: Tensor, params: Params) -> Tensor:
        """Log density of each entry of y (n, d)."""
        loc, log_scale, log_weight = params
        z = (y[..., None] - loc) * torch.exp(-log_scale)
        log_normal = -0.5 * z.square() - log_scale - 0.5 * math.log(2 * math.pi)
        return torch.logsumexp(log_weight + log_normal, -1)

    @staticmethod
    def mean(params: Params) -> Tensor:
        """Mean of each channel, (n, d)."""
        loc, _, log_weight = params
        return (log_weight.exp() * loc).sum(-1)


def _invert_in_parts(z: Tensor, loc: Tensor, scale: Tensor, weight: Tensor) -> Tensor:
    """Invert a few rows, or draws of one row, at a time: small arrays stay in cache."""
    n, k, d = z.shape
    width = d * loc.shape[-1]
    if z.device.type != "cpu" or n * k * width <= PART:
        return _invert(z, loc, scale, weight)
    if k * width > PART:
        draws = z.split(max(1, PART // (n * width)), 1)
        return torch.cat([_invert(part, loc, scale, weight) for part in draws], 1)
    size = max(1, PART // (k * width))
    rows = zip(*(values.split(size) for values in (z, loc, scale, weight)), strict=True)
    return torch.cat([_invert(*part) for part in rows])


def _invert(z: Tensor, loc: Tensor, scale: Tensor, weight: Tensor) -> Tensor:
    """Solve F(y) = Phi(z): halvings of a bracket, then safeguarded Newton steps.

    y lies between the smallest and the largest of the components' own quantiles.
    """
    quantiles = loc + scale * z[..., None]
    low, high = quantiles.amin(-1), quantiles.amax(-1)
    # In the upper tail 1 - F keeps the digits that F loses.
    flip = torch.where(z > 0, -1.0, 1.0)
    target = torch.erfc(-flip * z / math.sqrt(2))
    precision = -flip[..., None] / (scale * math.sqrt(2))

    def excess(y: Tensor) -> Tensor:
        mass = torch.erfc((y[..., None] - loc) * precision)
        return flip * (
            torch.einsum("...k,...k->...", mass, weight.expand_as(mass)) - target
        )

    for _ in range(N_HALVINGS):
        middle = 0.5 * (low + high)
        too_low = excess(middle) < 0
        low = torch.where(too_low, middle, low)
        high = torch.where(too_low, high, middle)
    y = 0.5 * (low + high)
    height = weight / scale * math.sqrt(2 / math.pi)
    for _ in range(N_NEWTON):
        u = (y[..., None] - loc) / scale
        slope = (height * torch.exp(-0.5 * u * u)).sum(-1)
        step = excess(y) / slope.clamp(min=1e-12)
        y = torch.minimum(torch.maximum(y - step, low), high)
    return y
