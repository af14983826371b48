"""What all laws of a step share: they start from windows, predict, and advance."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from .frame import Frame
from .gaps import Gaps
from .past import Past
from .state import State


class Law(nn.Module, ABC):
    """p(activity of the next step | window).

    A law is its `config` and its tensors. It computes in the precision of its
    parameters; `in_double` gives the same law in double precision.

    Parameters
    ----------
    frame : Frame
        Units of windows and targets.
    gaps : Gaps
        What is expected where nothing was observed.

    Attributes
    ----------
    reach : int
        Newest steps of a window that it looks at.
    room : int
        Steps since a window with which it still looks at that window.
    """

    reach: int
    room = 0

    def __init__(self, frame: Frame, gaps: Gaps):
        super().__init__()
        self.frame, self.gaps = frame, gaps

    @abstractmethod
    def embed(self, past: Past) -> list[Tensor]:
        """Return all that is affine in the activity of windows."""

    @abstractmethod
    def embed_later(self, steps: Tensor) -> list[Tensor]:
        """Return what the newest steps (n, h, d) add to it, where they were zero."""

    @abstractmethod
    def distribution(
        self, embedded: Sequence[Tensor], shift: Tensor | None, clocks: dict[Any, Any]
    ) -> Any:
        """Return the distribution of the next step of histories; see `State`."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Return all but the tensors, as plain JSON types."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build a law whose tensors `load_state_dict` then fills."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers that a draw needs in memory, about."""

    @property
    def mean_width(self) -> int:
        """Draws that a mean needs, about."""
        return 1

    @property
    def answer_width(self) -> int:
        """Draws that a quantile or a density needs, about."""
        return 1

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
        return self.start_from(self.past(windows))

    def past(self, windows: Tensor) -> Past:
        """Return what it sees of windows (n, L, c); see `start`."""
        frame = self.frame
        if windows.ndim != 3 or windows.shape[2] != frame.n_channels:
            raise ValueError(
                f"windows have shape {tuple(windows.shape)}, expected "
                f"(n, L, {frame.n_channels})"
            )
        return Past.of(windows, frame, self.gaps, self.reach, self.room)

    def start_from(self, past: Past) -> State:
        """Return the state before the step that follows a past; see `past`."""
        later = past.known.new_empty(len(past.known), 0, self.frame.n_outputs)
        return State(self, past, None, later)

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

    def in_double(self) -> Self:
        """Return the same law in double precision; this one stays as it is."""
        twin: Self = in_double(self)
        return twin

    def with_solver(self, solver: str, n_steps: int | None) -> Self:
        """Return the same law, a flow in it integrated in another way."""
        return self

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.gaps.root.device

    @property
    def n_stimuli(self) -> int:
        """Stimulus channels; 0 where the channels of X are not lagged targets."""
        return self.frame.n_stimuli

    def check_autoregressive(self) -> None:
        """Refuse to advance where the channels of X are not the lagged targets."""
        if not self.frame.is_autoregressive:
            raise ValueError(
                "the channels of the windows are not the lagged targets: the law "
                "cannot advance"
            )


def in_double(law: Any) -> Any:
    """Return the same law, or pool of laws, in double precision; `law` stays."""
    twin = type(law).from_config(law.config())
    state = {
        name: values.double() if values.is_floating_point() else values
        for name, values in law.state_dict().items()
    }
    twin.load_state_dict(state, assign=True)
    return twin
