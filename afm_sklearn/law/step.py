"""The conditional law of one step: everything that a fitted model is."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor

from .channels import ChannelLaws
from .distribution import N_FIXED, StepDistribution
from .flow.margins import Margins
from .flow.matching import Flow
from .flow.solvers import Velocity, integrate
from .frame import Frame
from .gaps import Gaps
from .initial import build_blank
from .law import Law
from .linear import LinearLaw
from .networks.architecture import Architecture
from .networks.encoders import HistoryEncoder
from .past import Past

MIN_SHARE = 64  # points of fixed noise that one of several pasts takes


class StepLaw(Law):
    """p(activity of the next step | window): start, predict, advance.

    Parameters
    ----------
    frame : Frame
        Units of windows and targets.
    gaps : Gaps
        What is expected where nothing was observed.
    channels : ChannelLaws
        The law of each channel.
    flow : Flow or None
        From correlated noise to the dependence between the normal scores.
    solver : str
        Solver of the flow.
    n_steps : int
        Its steps.
    architecture : Architecture, optional
        Of the networks, where there are any.
    is_correlated : bool
        Whether the noise of the channels is correlated.

    Attributes
    ----------
    factor : Tensor of shape (d, d)
        Lower triangular root of the correlation of the noise.
    margins : Margins or None
        What the flow makes of each channel alone, where that is known.
    n_points : int
        Points of fixed noise that are carried along the flow for a mean where not.
    n_pasts : int
        Successive histories that are possible pasts of one: they share its points.

    Examples
    --------
    >>> import torch
    >>> from afm_sklearn.law import StepLaw
    >>> from afm_sklearn.law.linear import LinearLaw
    >>> from afm_sklearn.law.channels import ChannelLaws
    >>> from afm_sklearn.law.frame import Frame
    >>> from afm_sklearn.law.gaps import Gaps
    >>> frame = Frame(2, 2, is_autoregressive=True, is_shifted=False)
    >>> channels = ChannelLaws(LinearLaw(1, 2, 2), [], "gaussian")
    >>> law = StepLaw(frame, Gaps(2), channels, None, "midpoint", 2)
    >>> state = law.start(torch.zeros(3, 1, 2))
    >>> y = state.predict().rsample(1)[:, 0]
    >>> state.advance(y).predict().mean.shape
    torch.Size([3, 2])
    >>> twin = StepLaw.from_config(law.config())
    >>> twin.load_state_dict(law.state_dict())
    <All keys matched successfully>
    """

    factor: Tensor

    def __init__(
        self,
        frame: Frame,
        gaps: Gaps,
        channels: ChannelLaws,
        flow: Flow | None,
        solver: str,
        n_steps: int,
        architecture: Architecture | None = None,
        is_correlated: bool = False,
    ):
        super().__init__(frame, gaps)
        self.channels, self.flow = channels, flow
        self.margins: Margins | None = None
        self.solver, self.n_steps = solver, n_steps
        self.n_points, self.n_pasts = N_FIXED, 1
        self.architecture, self.is_correlated = architecture, is_correlated
        self.register_buffer("factor", torch.eye(frame.n_outputs, dtype=torch.float32))
        lengths = [encoder.length for encoder in self.encoders()]
        self.reach = max([channels.linear.reach, *lengths])

    def config(self) -> dict[str, Any]:
        """Return all but the tensors, as plain JSON types."""
        members = [
            {**member.config(), "keeps_mean": keeps_mean}
            for member, keeps_mean in zip(
                self.channels.members, self.channels.keeps_mean, strict=True
            )
        ]
        return {
            "kind": "step",
            "frame": self.frame.config(),
            "family": self.channels.family,
            **self.channels.linear.config(),
            "members": members,
            "path": None if self.flow is None else self.flow.path,
            "solver": self.solver,
            "n_steps": self.n_steps,
            "n_points": self.n_points,
            "n_features": None if self.margins is None else len(self.margins.coef),
            "is_correlated": self.is_correlated,
            "architecture": self.architecture and self.architecture.config(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> StepLaw:
        """Build a law whose tensors `load_state_dict` then fills.

        Parameters
        ----------
        config : dict
            As `config` returns it.

        Returns
        -------
        StepLaw
        """
        frame = Frame(**config["frame"])
        c, d = frame.n_channels, frame.n_outputs
        # No weight is drawn: all come from the state.
        networks, flow, architecture = [], None, None
        if config["architecture"] is not None:
            architecture = Architecture(**config["architecture"])
            networks = [
                build_blank(partial(architecture.member, member))
                for member in config["members"]
            ]
            if config["path"] is not None:
                flow = build_blank(partial(architecture.flow, config["path"]))
        channels = ChannelLaws(
            LinearLaw.from_config(config, c, d),
            networks,
            config["family"],
            [member["keeps_mean"] for member in config["members"]],
        )
        law = cls(
            frame,
            Gaps(c),
            channels,
            flow,
            config["solver"],
            config["n_steps"],
            architecture,
            config["is_correlated"],
        )
        law.n_points = config["n_points"]
        if config.get("n_features") is not None:
            law.margins = Margins(config["n_features"], d)
        return law.requires_grad_(False).eval()

    def with_solver(self, solver: str, n_steps: int | None) -> StepLaw:
        """Return the same law, its flow integrated in another way."""
        n_steps = self.n_steps if n_steps is None else n_steps
        if (solver, n_steps) == (self.solver, self.n_steps):
            return self
        law = copy.copy(self)
        law.solver, law.n_steps = solver, n_steps
        # What is known of each channel is that of the other solver.
        law._modules = {**self._modules, "margins": None}
        return law

    def distribution(
        self, embedded: Sequence[Tensor], shift: Tensor | None, clocks: dict[Any, Any]
    ) -> StepDistribution:
        """Return the distribution of the next step of histories; see `State`."""
        return StepDistribution(self, embedded, shift, clocks)

    # -- what distributions ask for ---------------------------------------------

    @property
    def width(self) -> int:
        """Numbers that a draw needs in memory, about."""
        n_components = 1 + sum(m.n_components for m in self.channels.members)
        hidden = 0 if self.architecture is None else self.architecture.hidden_dim
        return max(self.frame.n_outputs * n_components, hidden)

    @property
    def mean_width(self) -> int:
        """Draws that a mean needs, about."""
        return 1 if self._is_known else self.share_of(self.n_points)

    @property
    def answer_width(self) -> int:
        """Draws that a quantile or a density needs, about."""
        return 1 if self._is_known else self.share_of(N_FIXED)

    def of_pasts(self, n_pasts: int) -> Self:
        """Return the law of so many successive histories as are pasts of one."""
        law = copy.copy(self)
        law.n_pasts = n_pasts
        return law

    def share_of(self, n_points: int) -> int:
        """Return how many of the points each of the pasts takes."""
        return min(n_points, max(MIN_SHARE, n_points // self.n_pasts))

    @property
    def _is_known(self) -> bool:
        """Whether the law of each channel needs no draws."""
        return self.flow is None or self.margins is not None

    def encoders(self) -> list[HistoryEncoder]:
        """Return the encoders of the networks, that of the flow last."""
        networks = [*self.channels.members, *([] if self.flow is None else [self.flow])]
        return [network.encoder for network in networks]

    def embed(self, past: Past) -> list[Tensor]:
        """Return all that is affine in the activity of windows."""
        embedded = [past.location(self.channels.linear)]
        for encoder in self.encoders():
            embedded += encoder.embed(past.known, past.missing)
        return embedded

    def embed_later(self, steps: Tensor) -> list[Tensor]:
        """Return what the newest steps (n, h, d) add to it, where they were zero."""
        embedded = [self.channels.linear.embed_drawn(steps)]
        for encoder in self.encoders():
            embedded += encoder.embed_drawn(steps)
        return embedded

    def integrate(self, field: Velocity, z: Tensor) -> Tensor:
        """Carry noise z along the flow."""
        return integrate(field, z, solver=self.solver, n_steps=self.n_steps)
