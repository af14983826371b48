"""Conditional flow matching on normal scores."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ...compute import budget, row_parts
from ..dependence import box_nodes, log_copula, middle_score
from .density import trace_back
from .paths import PATHS
from .solvers import Time, Velocity
from .velocity import Clock, VelocityNetwork

N_NODES = 16


class Flow(nn.Module):
    """A flow from correlated Gaussian noise to the normal scores of a step.

    The noise is ``root @ e`` with e standard normal and root (d, d) lower triangular.

    Parameters
    ----------
    encoder : nn.Module
        Maps filled windows (n, L, c) and the flags of their gaps to codes
        (n, hidden_dim).
    velocity : VelocityNetwork
        The velocity dz/dt, given the code.
    path : {"trigonometric", "linear"}
        Path between noise and data.

    Examples
    --------
    >>> flow = Flow(nn.Identity(), VelocityNetwork(2, 8, 1), "trigonometric")
    >>> flow.field(torch.zeros(1, 8))(torch.ones(1, 1, 2), 0.5)
    tensor([[[0., 0.]]], grad_fn=<AddcmulBackward0>)
    """

    def __init__(self, encoder: nn.Module, velocity: VelocityNetwork, path: str):
        super().__init__()
        self.encoder, self.velocity, self.path = encoder, velocity, path

    def field(self, code: Tensor, clocks: dict[Any, Any] | None = None) -> Velocity:
        """Return the velocity of z (n, k, d) at t, given the codes of n windows.

        Parameters
        ----------
        code : Tensor of shape (n, hidden_dim)
        clocks : dict, optional
            Owned by the caller and filled on the way: what the time does to the
            velocity, for calls with the same weights to share.

        Returns
        -------
        callable
            Of z and t, a number or a tensor (n, 1, 1).
        """
        modulation = self.velocity.modulation(code)[:, None]
        known = {} if clocks is None else clocks

        def velocity(z: Tensor, t: Time) -> Tensor:
            return self.velocity(z, self._clock(z, t, known), modulation)

        return velocity

    def _clock(self, z: Tensor, t: Time, known: dict[Any, Any]) -> Clock:
        if isinstance(t, Tensor):
            return self.velocity.clock(t)
        at = z.new_full((1, 1, 1), t)
        weights = self.velocity.time.parameters()
        if torch.is_grad_enabled() and any(w.requires_grad for w in weights):
            return self.velocity.clock(at)  # what is kept belongs to one graph
        key = t, z.dtype, z.device, torch.is_inference_mode_enabled()
        if key not in known:
            known[key] = self.velocity.clock(at)
        clock: Clock = known[key]
        return clock

    def log_copula(
        self,
        code: Tensor,
        root: Tensor,
        z: Tensor,
        clocks: dict[Any, Any] | None = None,
    ) -> Tensor:
        """Log density of scores, relative to independent standard normal ones.

        Parameters
        ----------
        code : Tensor of shape (n, hidden_dim)
        root : Tensor of shape (d, d)
            Root of the correlation of the noise.
        z : Tensor of shape (n, k, d)
            Scores, none missing.
        clocks : dict, optional
            See `field`.

        Returns
        -------
        Tensor of shape (n, k)
        """
        known = {} if clocks is None else clocks
        modulation = self.velocity.modulation(code)[:, None]

        def divergence(z: Tensor, t: Time) -> Tensor:
            return self.velocity.divergence(z, self._clock(z, t, known), modulation)

        start, gained = trace_back(self.field(code, known), divergence, z)
        base = log_copula(root, start.flatten(0, 1)).view_as(gained)
        excess = z.square().sum(-1) - start.square().sum(-1)
        return base - gained + 0.5 * excess

    def log_box_copula(
        self,
        code: Tensor,
        root: Tensor,
        low: Tensor,
        high: Tensor,
        clocks: dict[Any, Any] | None = None,
        n_nodes: int = N_NODES,
    ) -> Tensor:
        """Log probability of boxes of scores, relative to independent scores.

        Parameters
        ----------
        code : Tensor of shape (n, hidden_dim)
        root : Tensor of shape (d, d)
            Root of the correlation of the noise.
        low, high : Tensor of shape (n, d)
            Ends of the intervals of scores. Where they are equal the density serves,
            and what is missing (NaN) is marginalised.
        clocks : dict, optional
            See `field`.
        n_nodes : int
            Nodes a row, over which boxes and what is missing are averaged, as the
            noise has them.

        Returns
        -------
        Tensor of shape (n,)
        """
        if bool((low == high).all()):
            return self.log_copula(code, root, low[:, None], clocks)[:, 0]
        known, found = {} if clocks is None else clocks, [low.new_zeros(0)]
        for rows in row_parts(len(low), 4 * n_nodes * low.shape[1], budget()):
            log_ratio, z = box_nodes(root, low[rows], high[rows], n_nodes)
            noise = log_copula(root, z.flatten(0, 1)).view_as(log_ratio)
            gain = self.log_copula(code[rows], root, z, known) - noise
            found.append(torch.logsumexp(log_ratio + gain, 1) - math.log(n_nodes))
        return torch.cat(found)

    def loss(
        self,
        code: Tensor,
        root: Tensor,
        low: Tensor,
        high: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """Conditional flow-matching loss (Lipman et al., arXiv 2210.02747, eq. 9).

        Parameters
        ----------
        code : Tensor of shape (n, hidden_dim)
        root : Tensor of shape (d, d)
            Root of the correlation of the noise.
        low, high : Tensor of shape (n, d)
            Ends of the interval of normal scores of each target, equal for real
            values and NaN for missing ones.
        generator : torch.Generator
            Source of noise and times.

        Returns
        -------
        Tensor of shape ()
        """
        observed = ~torch.isnan(low)
        noise = low.new_empty(2, *low.shape).normal_(generator=generator)
        z0, stand_in = noise @ root.T
        share = torch.empty_like(low).uniform_(generator=generator)
        # A missing entry is replaced by a draw of the noise, as input only.
        z1 = torch.where(observed, middle_score(low, high, share), stand_in)
        t = low.new_empty(len(low), 1).uniform_(generator=generator)
        z, target = PATHS[self.path]().interpolate(z0, z1, t)
        clock = self.velocity.clock(t[:, None])
        modulation = self.velocity.modulation(code)[:, None]
        velocity = self.velocity(z[:, None], clock, modulation)[:, 0]
        loss = torch.where(observed, velocity - target, 0.0).square()
        return loss.sum() / observed.sum().clamp(min=1)
