r"""Mixtures of Gaussians, for channels of real values.

A marginal law F is used as a transport: ``y = F^{-1}(Phi(z))`` is a draw of F where
z is standard normal, and ``z = Phi^{-1}(F(y))`` is the normal score of y. Dependence
between channels and everything else the flow learns lives on the scale of z.

Parameters of a law are a triple of tensors (..., K, d): location, log scale and log
weight of each component.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.special import log_ndtr, ndtri

from .inversion import mixture_quantiles

Params = tuple[Tensor, Tensor, Tensor]

MAX_SCORE = 5.0  # of float32: beyond it 1 - Phi(z) has no digits left


class GaussianMixture:
    """A mixture of Gaussians a channel."""

    @staticmethod
    def from_normal(z: Tensor, params: Params) -> Tensor:
        """Map standard normal z (n, k, d) to draws, given params (n, K, d)."""
        loc, log_scale, log_weight = params
        if loc.shape[1] == 1:
            return torch.addcmul(loc, log_scale.exp(), z)
        return mixture_quantiles(z, loc, log_scale, log_weight)

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
