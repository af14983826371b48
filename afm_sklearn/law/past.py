"""What is known of windows, before a law makes anything of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from .frame import Frame
from .gaps import Gaps
from .linear import LinearLaw

if TYPE_CHECKING:
    from .law import Law
    from .state import State


@dataclass(frozen=True)
class Past:
    """Windows of unit scale, without gaps: the same for laws of one frame and reach.

    Attributes
    ----------
    frame : Frame
    known : Tensor of shape (w, L, c)
        Standardised windows without gaps; later steps of the activity are zero.
    missing : Tensor of shape (w, L, c) or None
        1 where something was filled.
    shift : Tensor of shape (w, d) or None
        How far the windows have left the training range.
    added : Tensor of shape (w, L) or None
        Variance that the stimulus of each step adds; see `Widening`.
    awaits_stimulus : bool
        Whether the stimulus of the next step is unknown yet.
    n_later : int
        Steps that it has moved on since the windows.
    room : int
        Steps that it may move on before its oldest steps are dropped.
    """

    frame: Frame
    known: Tensor
    missing: Tensor | None
    shift: Tensor | None = None
    added: Tensor | None = None
    awaits_stimulus: bool = False
    n_later: int = 0
    room: int = 0
    _locations: dict[LinearLaw, Tensor] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def of(
        cls, windows: Tensor, frame: Frame, gaps: Gaps, reach: int, room: int = 0
    ) -> Self:
        """Return the newest steps, as many as a law looks at.

        Parameters
        ----------
        windows : Tensor of shape (n, L, c)
            In the units of X; what was not observed (NaN) is taken for what is
            expected there.
        frame : Frame
        gaps : Gaps
        reach : int
            Steps that are looked at; those before the window are missing.
        room : int
            Steps that it may move on before its oldest steps are dropped.
        """
        shift = frame.shift(windows)
        newest = windows[:, -reach:]
        x = frame.standardize(newest, shift).to(gaps.root)
        if x.shape[1] < reach:
            pad = x.new_full((len(x), reach - x.shape[1], x.shape[2]), torch.nan)
            x = torch.cat([pad, x], 1)
            newest = torch.cat([pad.to(newest), newest], 1)
        n_lagged = frame.n_outputs if frame.is_autoregressive else 0
        added = frame.widen(newest[..., n_lagged:])
        return cls(frame, *gaps.fill(x), shift, added, room=room)

    def under(self, stimulus: Tensor | None) -> Self:
        """Return the same with the stimulus (w, s) of the next step, in units of X.

        Without it the one that is known serves.
        """
        s = self.frame.n_stimuli
        if stimulus is None:
            if self.awaits_stimulus:
                raise ValueError(
                    f"stimulus is None, but the law has {s} stimulus channels"
                )
            return self
        expected = (len(self.known), s)
        if stimulus.shape != expected:
            raise ValueError(
                f"stimulus has shape {tuple(stimulus.shape)}, expected {expected}"
            )
        if not s:
            return self
        at = self.frame.standardize_stimulus(stimulus).to(self.known)
        newest = torch.cat([self.known[:, -1, :-s], torch.nan_to_num(at)], 1)
        return replace(
            self,
            known=torch.cat([self.known[:, :-1], newest[:, None]], 1),
            added=self._added_under(stimulus),
            awaits_stimulus=False,
        )

    def moved_on(self) -> Self:
        """Return the same one step later, that step's activity being zero."""
        added, missing = self.added, self.missing
        blank = torch.zeros_like(self.known[:, -1:])
        first = 0 if self.n_later < self.room else 1
        if added is not None:
            added = torch.cat([added[:, first:], torch.zeros_like(added[:, :1])], 1)
        if missing is not None:
            missing = torch.cat([missing[:, first:], blank], 1)
        return replace(
            self,
            known=torch.cat([self.known[:, first:], blank], 1),
            missing=missing,
            added=added,
            awaits_stimulus=self.frame.n_stimuli > 0,
            n_later=self.n_later + 1,
        )

    def location(self, linear: LinearLaw) -> Tensor:
        """Return the locations (w, d) by a linear law.

        They are kept for other laws that ask for the same ones, where no gradient can
        be asked for.
        """
        if torch.is_grad_enabled():
            return linear.embed(self.known)
        found = self._locations.get(linear)
        if found is None:
            found = self._locations[linear] = linear.embed(self.known)
        return found

    def _added_under(self, stimulus: Tensor) -> Tensor | None:
        """Variance that the stimulus of each step adds, with that of the next step."""
        newest = self.frame.widen(stimulus)
        if self.added is None and newest is None:
            return None
        like = self.frame.x_mean
        added = self.added
        if added is None:
            added = like.new_zeros(self.known.shape[:2])
        newest = like.new_zeros(len(added)) if newest is None else newest
        return torch.cat([added[:, :-1], newest[:, None]], 1)


class Pasts:
    """The past of some windows for each of several laws, one for all that share it.

    Parameters
    ----------
    windows : Tensor of shape (n, L, c)
        In the units of X.
    stimulus : Tensor of shape (n, s), optional
        The stimulus of the next step; that of the window by default.
    """

    def __init__(self, windows: Tensor, stimulus: Tensor | None = None):
        self.windows, self.stimulus = windows, stimulus
        self._made: dict[tuple[Frame, Gaps, int], Past] = {}

    def start(self, law: Law) -> State:
        """Return the state of a law before the next step of all windows."""
        key = law.frame, law.gaps, law.reach
        past = self._made.get(key)
        if past is None:
            past = self._made[key] = law.past(self.windows).under(self.stimulus)
        if past.room != law.room:
            past = replace(past, room=law.room)
        return law.start_from(past)

    def start_some(self, law: Law, rows: Tensor) -> State:
        """Return the same for the windows `rows`: products differ from those of all."""
        stimulus = None if self.stimulus is None else self.stimulus[rows]
        return law.start_from(law.past(self.windows[rows]).under(stimulus))
