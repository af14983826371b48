"""The conditional law of one step: everything that a fitted model is."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .channels import ChannelLaws
from .distribution import N_FIXED
from .flow.matching import Flow
from .flow.solvers import Velocity, integrate
from .frame import Frame
from .gaps import Gaps
from .initial import build_blank
from .linear import LinearLaw
from .networks.architecture import Architecture
from .networks.encoders import HistoryEncoder
from .state import State


class StepLaw(nn.Module):
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

    Notes
    -----
    A law computes in the precision of its parameters; `double` gives the same law in
    double precision.

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
        super().__init__()
        self.frame, self.gaps, self.channels, self.flow = frame, gaps, channels, flow
        self.solver, self.n_steps = solver, n_steps
        self.architecture, self.is_correlated = architecture, is_correlated
        self.register_buffer(
            "factor", torch.eye(frame.n_outputs, dtype=torch.float32)
        )
        lengths = [encoder.length for encoder in self.encoders()]
        self.reach = max([channels.linear.n_lags, *lengths])

    # -- the four lines --------------------------------------------------------

    def start(self, windows: Tensor) -> State:
        """Encode what is known.

        Parameters
        ----------
        windows : Tensor of shape (n, L, c)
            In the units of X, each ending just before the step to predict; what was
            not observed (NaN) is taken for what is expected there.

        Returns
        -------
        State
        """
        frame = self.frame
        if windows.ndim != 3 or windows.shape[2] != frame.n_channels:
            raise ValueError(
                f"windows have shape {tuple(windows.shape)}, expected "
                f"(n, L, {frame.n_channels})"
            )
        shift = frame.shift(windows)
        x = frame.standardize(windows[:, -self.reach :], shift).to(self.factor)
        if x.shape[1] < self.reach:
            pad = x.new_full((len(x), self.reach - x.shape[1], x.shape[2]), torch.nan)
            x = torch.cat([pad, x], 1)
        known, missing = self.gaps.fill(x)
        later = known.new_empty(len(known), 0, frame.n_outputs)
        return State(self, known, missing, shift, None, later)

    def complete(
        self, windows: Tensor, n_pasts: int, generator: torch.Generator | None
    ) -> Tensor:
        """Draw what was not observed in windows.

        A forecast from windows with gaps is the mixture of those from their possible
        pasts, so that its spread grows with what is missing.

        Parameters
        ----------
        windows : Tensor of shape (n, L, c)
            In the units of X; NaN where not observed.
        n_pasts : int
            Draws a window.
        generator : torch.Generator or None
            Source of the noise. None takes fixed antithetic noise, the same for each
            window.

        Returns
        -------
        Tensor of shape (n * n_pasts, L, c)
            Without gaps, the pasts of a window one after the other.
        """
        frame, (n, length, c) = self.frame, windows.shape
        shift = frame.shift(windows)
        x = frame.standardize(windows, shift).repeat_interleave(n_pasts, 0)
        if generator is None:
            fixed = torch.Generator().manual_seed(0)
            half = torch.randn(
                -(-n_pasts // 2), length, c, generator=fixed, dtype=torch.float64
            )
            noise = torch.cat([half, -half])[:n_pasts].repeat(n, 1, 1)
        else:
            noise = x.new_empty(x.shape).normal_(generator=generator)
        raw = self.gaps.draw(x, noise.to(x)) * frame.x_scale + frame.x_mean
        if shift is not None:
            rest = shift.new_zeros(n, c - frame.n_outputs)
            moved = torch.cat([shift, rest], 1).repeat_interleave(n_pasts, 0)
            raw = raw + moved[:, None]
        given = windows.repeat_interleave(n_pasts, 0).to(raw)
        return torch.where(torch.isnan(given), raw, given)

    def config(self) -> dict[str, Any]:
        """Return all but the tensors, as plain JSON types."""
        members = [
            {
                "sees": "newest" if member.reach == 1 else "window",
                "n_components": member.n_components,
                "is_centered": member.is_centered,
                "keeps_mean": keeps_mean,
            }
            for member, keeps_mean in zip(
                self.channels.members, self.channels.keeps_mean, strict=True
            )
        ]
        return {
            "frame": self.frame.config(),
            "family": self.channels.family,
            "n_lags": self.channels.linear.n_lags,
            "members": members,
            "path": None if self.flow is None else self.flow.path,
            "solver": self.solver,
            "n_steps": self.n_steps,
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
                build_blank(
                    partial(
                        architecture.marginal_network,
                        member["sees"],
                        member["n_components"],
                        member["is_centered"],
                    )
                )
                for member in config["members"]
            ]
            if config["path"] is not None:
                flow = build_blank(partial(architecture.flow, config["path"]))
        channels = ChannelLaws(
            LinearLaw(config["n_lags"], c, d),
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
        return law.requires_grad_(False).eval()

    def with_solver(self, solver: str, n_steps: int) -> StepLaw:
        """Return the same law, its flow integrated in another way."""
        law = copy.copy(self)
        law.solver, law.n_steps = solver, n_steps
        return law

    def in_double(self) -> StepLaw:
        """Return the same law in double precision; this one stays as it is."""
        twin = StepLaw.from_config(self.config())
        state = {name: values.double() for name, values in self.state_dict().items()}
        twin.load_state_dict(state, assign=True)
        return twin

    # -- what states and distributions ask for ----------------------------------

    @property
    def n_stimuli(self) -> int:
        """Stimulus channels; 0 where the channels of X are not lagged targets."""
        frame = self.frame
        return frame.n_channels - frame.n_outputs if frame.is_autoregressive else 0

    @property
    def width(self) -> int:
        """Numbers that a draw needs in memory, about."""
        n_components = 1 + sum(m.n_components for m in self.channels.members)
        hidden = 0 if self.architecture is None else self.architecture.hidden_dim
        return max(self.frame.n_outputs * n_components, hidden)

    @property
    def answer_width(self) -> int:
        """Draws that a mean or a quantile needs, about."""
        return 1 if self.flow is None else N_FIXED

    def check_autoregressive(self) -> None:
        """Refuse to advance where the channels of X are not the lagged targets."""
        if not self.frame.is_autoregressive:
            raise ValueError(
                "the channels of the windows are not the lagged targets: the law "
                "cannot advance"
            )

    def encoders(self) -> list[HistoryEncoder]:
        """Return the encoders of the networks, that of the flow last."""
        networks = [*self.channels.members, *([] if self.flow is None else [self.flow])]
        return [network.encoder for network in networks]

    def embed(self, x: Tensor, missing: Tensor | None) -> list[Tensor]:
        """Return all that is affine in the activity of standardised windows."""
        embedded = [self.channels.linear.embed(x)]
        for encoder in self.encoders():
            embedded += encoder.embed(x, missing)
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
