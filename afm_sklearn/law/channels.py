"""The law of every channel: a pool of the linear law and networks that correct it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .families import FAMILIES, Family
from .linear import LinearLaw
from .networks.marginal import MarginalNetwork
from .networks.shared import SharedNetwork


class ChannelLaws(nn.Module):
    """A weighted pool of laws of each channel, all of one family.

    Parameters
    ----------
    linear : LinearLaw
        The linear forecast.
    members : sequence of MarginalNetwork or SharedNetwork
        Networks, which see it.
    family : str
        Name of the family, a key of `FAMILIES`.
    keeps_mean : sequence of bool, optional
        Which networks keep the mean of the linear forecast; by default none does.

    Attributes
    ----------
    log_weights : Tensor of shape (1 + n_members,)
        Of the linear law, then of the networks; minus infinity where left out.
    """

    log_weights: Tensor
    members: Any  # of MarginalNetwork: lists of modules forget what they hold

    def __init__(
        self,
        linear: LinearLaw,
        members: Sequence[MarginalNetwork | SharedNetwork],
        family: str,
        keeps_mean: Sequence[bool] | None = None,
    ):
        super().__init__()
        self.linear, self.members = linear, nn.ModuleList(members)
        self.family = family
        self.keeps_mean = tuple(keeps_mean or [False] * len(members))
        weights = torch.full((1 + len(members),), -torch.inf, dtype=torch.float32)
        weights[0] = 0.0
        self.register_buffer("log_weights", weights)

    def with_weights(self, log_weights: Tensor) -> ChannelLaws:
        """Return a pool of the same laws with other weights."""
        pool = ChannelLaws(self.linear, self.members, self.family, self.keeps_mean)
        pool.log_weights.copy_(log_weights)
        return pool.to(log_weights.device)

    def encode(self, x: Tensor, missing: Tensor | None) -> list[Tensor]:
        """Return what the members' encoders make of standardised windows."""
        return [member.encoder(x, missing) for member in self.members]

    def forward(self, forecast: Tensor, codes: Sequence[Tensor]) -> Family:
        """Return the laws, given the linear forecast (n, d) and the members' codes."""
        kind, laws, weights = FAMILIES[self.family], [], []
        if torch.isfinite(self.log_weights[0]):
            at = forecast[:, None]
            log_scale = self.linear.log_scale.expand_as(at)
            laws.append(kind(at, log_scale, torch.zeros_like(at)))
            weights.append(self.log_weights[0])
        for k, member in enumerate(self.members):
            if torch.isfinite(self.log_weights[1 + k]):
                params = member(codes[k], forecast, self.keeps_mean[k])
                laws.append(kind(*params))
                weights.append(self.log_weights[1 + k])
        laws = [law.within(self.linear.low, self.linear.high) for law in laws]
        if len(laws) == 1:
            return laws[0]
        return kind.pool(laws, torch.stack(weights))
