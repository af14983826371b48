"""Mixtures of Gaussians, for channels of real values."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...compute import row_parts
from ..normal import MAX_SCORE, ndtr, score_of
from .family import Family
from .inversion import mixture_quantiles

LOG_ROOT = 0.5 * math.log(2 * math.pi)
# A slope beyond it belongs to a draw between components so far apart that none falls
# there; without a bound it would be infinite.
MAX_LOG_SLOPE = 30.0
MIN_SCALE = 1e-6  # of a channel that never changed


class GaussianMixture(Family):
    """A mixture of Gaussians a channel.

    Draws have gradients, by the implicit function theorem (Figurnov et al., arXiv
    1805.08498). `mixture_quantiles` says how draws are made.

    Parameters
    ----------
    loc, log_scale, log_weight : Tensor of shape (n, K, d)
        Mean and log standard deviation of each component, and its log weight; the
        weights of a channel sum to one.

    Examples
    --------
    >>> law = GaussianMixture(torch.zeros(1, 1, 1), *torch.zeros(2, 1, 1, 1))
    >>> law.from_normal(torch.tensor([[[1.5]]]))
    tensor([[[1.5000]]])
    """

    name: ClassVar[str] = "gaussian"
    is_differentiable: ClassVar[bool] = True
    is_discrete: ClassVar[bool] = False

    def __init__(self, loc: Tensor, log_scale: Tensor, log_weight: Tensor):
        super().__init__(loc, log_scale, log_weight)
        self.loc, self.log_scale, self.log_weight = loc, log_scale, log_weight

    @property
    def mean(self) -> Tensor:
        """Mean of each channel, (n, d)."""
        return (self.log_weight.exp() * self.loc).sum(1)

    @property
    def variance(self) -> Tensor:
        """Variance of each channel, (n, d)."""
        spread = (self.loc - self.mean[:, None]).square()
        square = spread + torch.exp(2 * self.log_scale)
        return (self.log_weight.exp() * square).sum(1)

    def cdf(self, y: Tensor) -> Tensor:
        """Distribution function at y (n, d) or (n, k, d), of the shape of y."""
        return self._mass(y, 1.0).clamp(max=1.0)  # weights sum to one but for rounding

    def log_density(self, y: Tensor) -> Tensor:
        """Log density of y (n, d)."""
        log_density: Tensor = _LogDensity.apply(y, *self.parameters)
        return log_density

    def normal_scores(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the normal score of y (n, d), as a lower and an equal upper end.

        Scores of several components end at 12.
        """
        if self.loc.shape[1] == 1:
            score = (y - self.loc[:, 0]) * torch.exp(-self.log_scale[:, 0])
        else:
            score = score_of(self._mass(y, 1.0), self._mass(y, -1.0))
        return score, score

    def from_normal(self, z: Tensor) -> Tensor:
        """Map standard normal z (n, k, d) to draws (n, k, d), with gradients."""
        if self.loc.shape[1] == 1:
            return torch.addcmul(self.loc, self.log_scale.exp(), z)
        inputs = z, *self.parameters
        if torch.is_grad_enabled() and any(t.requires_grad for t in inputs):
            y: Tensor = _Quantiles.apply(*inputs)
            return y
        return mixture_quantiles(*inputs)

    def within(self, low: Tensor, high: Tensor) -> GaussianMixture:
        """Return laws whose components lie within one range of the training range.

        None is wider than anything that stays in the range can be (Popoviciu 1935).
        """
        span = high - low
        return GaussianMixture(
            self.loc.clamp(low - span, high + span),
            self.log_scale.clamp(max=(0.5 * span).clamp(min=MIN_SCALE).log()),
            self.log_weight,
        )

    def _mass(self, y: Tensor, side: float) -> Tensor:
        """Return the mass below y (side 1) or above (side -1)."""
        total = torch.zeros_like(y)
        for loc, log_scale, log_weight in zip(
            *(p.unbind(1) for p in self.parameters), strict=True
        ):
            if y.ndim == 3:
                loc, log_scale, log_weight = (
                    p[:, None] for p in (loc, log_scale, log_weight)
                )
            u = (y - loc) * torch.exp(-log_scale)
            total = total + log_weight.exp() * ndtr(side * u)
        return total


class _LogDensity(torch.autograd.Function):
    """Log density, with the derivatives that follow from the shares of components.

    Training passes through it at every step; a graph of its operations takes a quarter
    longer for a thousand channels.
    """

    @staticmethod
    def forward(
        ctx: Any, y: Tensor, loc: Tensor, log_scale: Tensor, log_weight: Tensor
    ) -> Tensor:
        rate = torch.exp(-log_scale)
        u = (y[:, None] - loc).mul_(rate)
        log_each = torch.addcmul(log_weight - log_scale, u, u, value=-0.5)
        total = torch.logsumexp(log_each, 1)
        ctx.save_for_backward(rate, u, log_each, total)
        return total - LOG_ROOT

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        rate, u, log_each, total = ctx.saved_tensors
        share = (log_each - total[:, None]).exp_().mul_(grads[0][:, None])
        moved = share * u
        by_loc = moved * rate
        return -by_loc.sum(1), by_loc, moved.mul_(u).sub_(share), share


class _Quantiles(torch.autograd.Function):
    """Quantiles, with the derivatives that follow from F(y) = Phi(z)."""

    @staticmethod
    def forward(
        ctx: Any, z: Tensor, loc: Tensor, log_scale: Tensor, log_weight: Tensor
    ) -> Tensor:
        y = mixture_quantiles(z, loc, log_scale, log_weight)
        ctx.save_for_backward(z, y, loc, log_scale, log_weight)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        tensors = grads[0], *ctx.saved_tensors
        n, k, d = tensors[0].shape
        parts = row_parts(max(n, 1), k * d * tensors[3].shape[1])
        each = [_pull_back(*(t[rows] for t in tensors)) for rows in parts]
        return tuple(torch.cat(gradients) for gradients in zip(*each, strict=True))


def _pull_back(
    grad: Tensor,
    z: Tensor,
    y: Tensor,
    loc: Tensor,
    log_scale: Tensor,
    log_weight: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients by z (n, k, d) and the parameters, given that by y."""
    away = y[:, None] - loc[:, :, None]
    u = away * torch.exp(-log_scale)[:, :, None]
    log_each = (log_weight - log_scale)[:, :, None] - 0.5 * u.square()
    log_density = torch.logsumexp(log_each, 1)  # without the root, as that of z
    log_normal = -0.5 * z.clamp(-MAX_SCORE, MAX_SCORE).square()
    log_slope = (log_normal - log_density).clamp(max=MAX_LOG_SLOPE)
    moved = grad[:, None] * torch.softmax(log_each, 1)
    # The equation holds on the side of z: see `mixture_quantiles`.
    side = torch.ones_like(z).copysign(z)[:, None]
    mass = log_weight.exp()[:, :, None] * ndtr(-side * u)
    rate = grad * torch.exp(log_slope - log_normal + LOG_ROOT)
    return (
        grad * log_slope.exp(),
        moved.sum(2),
        (moved * away).sum(2),
        (side * mass * rate[:, None]).sum(2),
    )
