"""Gaussian mixtures as their quantiles need them: components, and mass in a tail."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

MAX_SCORE = 12.0  # beyond it 1 - Phi(z) is no number of float32
FAR = 9.1  # sqrt(2) of it is beyond any score; beyond it exp(-v^2) is denormal, slow
# A step so short, in units of the narrowest scale, leaves an error of its cube.
SHORT_STEP = {torch.float32: 0.06, torch.float64: 1e-4}


class Components(NamedTuple):
    """Components of mixtures, along the first axis; the others are those of scores."""

    loc: Tensor
    scale: Tensor
    sharpness: Tensor  # 1 / (sqrt(2) scale), as erfc has it
    weight: Tensor

    @classmethod
    def of(cls, loc: Tensor, log_scale: Tensor, log_weight: Tensor) -> Components:
        """Build them from the parameters of a family."""
        scale = log_scale.exp()
        sharpness = scale.reciprocal().mul_(math.sqrt(0.5))
        return cls(loc, scale, sharpness, log_weight.exp())

    def finest(self) -> Tensor:
        """Return 1 / scale of the narrowest component."""
        return self.sharpness.amax(0) * math.sqrt(2)

    def knots(self, reaches: tuple[float, ...]) -> Tensor:
        """Return points so many scales from each component."""
        return torch.cat([self.loc + reach * self.scale for reach in reaches])

    def mass(self, points: Tensor) -> Tensor:
        """Return 2 F - 1 at points along the first axis."""
        mass = torch.zeros_like(points)
        for loc, sharpness, weight in zip(
            self.loc, self.sharpness, self.weight, strict=True
        ):
            mass.addcmul_(points.sub(loc).mul_(sharpness).erf_(), weight)
        return mass


class Tail:
    """Mass of mixtures beyond y, on the side of each score. All masses are doubled.

    There its log is nearly straight, and the mass keeps its digits.
    """

    def __init__(self, z: Tensor, components: Components):
        self.components = components
        self.side = torch.ones_like(z).copysign_(z)
        self.other_side = self.side.neg()
        score = z.abs().clamp_(max=MAX_SCORE).mul_(math.sqrt(0.5))
        self.target = score.erfc_()
        self.height = components.sharpness * components.weight
        self.buffers = z.new_empty(2, len(components.loc), *z.shape)

    def step(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the step of Halley's method from y, infinite where all is flat.

        And by how much the log of the mass beyond y is too large.
        """
        v, bell = self.buffers
        loc, _, sharpness, weight = self.components
        torch.addcmul(y * self.side, self.other_side, loc, out=v)
        v.mul_(sharpness).clamp_(-FAR, FAR)
        mass = torch.erfc(v, out=bell).mul_(weight).sum(0)
        torch.mul(v, v, out=bell).neg_().exp_().mul_(self.height)
        density = bell.sum(0)
        fall = bell.mul_(v).mul_(sharpness).sum(0)
        excess = torch.div(mass, self.target).log_()
        bend = fall.div_(density).mul_(-2.0)
        rate = density.mul_(2 / math.sqrt(math.pi)).div_(mass).nan_to_num_(1.0)
        newton = excess / rate
        bend = bend.add_(rate).mul_(newton).nan_to_num_(0.0).clamp_(-1, 1)
        return newton.mul_(self.side) / bend.mul_(0.5).add_(1.0), excess


def scores_of(mass: Tensor) -> Tensor:
    """Return the normal scores of 2 F - 1, in place."""
    limit = 1.0 - 1e-7
    return mass.clamp_(-limit, limit).erfinv_().mul_(math.sqrt(2))
