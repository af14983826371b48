"""What is known just before a step: the state of a law between two steps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from .widening import Widened

if TYPE_CHECKING:
    from .law import Law


class MissingStep(ValueError):
    """A step that is not known cannot be advanced by."""


@dataclass(frozen=True)
class State:
    """Histories, some of which may share the window that they started from.

    Made by ``law.start``. The first layers of a law are affine in the activity. What
    they make of the known past and of the stimulus is computed once a window, and
    each history adds what its own later steps make of them.

    Attributes
    ----------
    law : Law
    known : Tensor of shape (w, L, c)
        Standardised windows without gaps; later steps of the activity are zero.
    missing : Tensor of shape (w, L, c) or None
        1 where something was filled.
    shift : Tensor of shape (w, d) or None
        How far the windows have left the training range.
    added : Tensor of shape (w, L) or None
        Variance that the stimulus of each step adds; see `Widening`.
    rows : Tensor of shape (n,) or None
        The window of each history; None where each has its own.
    later : Tensor of shape (n, h, d)
        Standardised lagged activity of the steps since.
    awaits_stimulus : bool
        Whether the stimulus of the next step is unknown yet.
    clocks : dict
        What the time does to the velocity of the flow, the same for all steps.
    """

    law: Law
    known: Tensor
    missing: Tensor | None
    shift: Tensor | None
    added: Tensor | None
    rows: Tensor | None
    later: Tensor
    awaits_stimulus: bool = False
    clocks: dict[Any, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.later)

    def predict(self, stimulus: Tensor | None = None) -> Any:
        """Return the distribution of the next step.

        Parameters
        ----------
        stimulus : Tensor of shape (w, s), optional
            The stimulus of the step, of each window, in the units of X. Without it
            the one that is known serves.

        Returns
        -------
        distribution
            Of n histories, with ``rsample``, ``mean``, ``quantile``, ``cdf``,
            ``log_prob`` and ``log_prob_by_channel``.
        """
        known = self._at(stimulus)
        parts = self.law.embed(known, self.missing)
        if self.rows is not None:
            parts = [part[self.rows] for part in parts]
        if self.later.shape[1]:
            later = self.law.embed_later(self.later)
            parts = [a + b for a, b in zip(parts, later, strict=True)]
        p = self.law.distribution(parts, self._own_shift(), self.clocks)
        added = self._added(stimulus)
        if added is None:
            return p
        scale = (1 + added.amax(1, keepdim=True)).sqrt()
        return Widened(p, scale if self.rows is None else scale[self.rows])

    def advance(self, y: Tensor, stimulus: Tensor | None = None) -> Self:
        """Return the state one step later.

        Parameters
        ----------
        y : Tensor of shape (n, d)
            What the step was, drawn or observed, in its units.
        stimulus : Tensor of shape (w, s), optional
            The stimulus of that step, of each window, as in `predict`. That of the
            step after it is for the next `predict` to say.

        Returns
        -------
        State
        """
        law, d = self.law, self.law.frame.n_outputs
        law.check_autoregressive()
        if y.shape != (len(self), d):
            raise ValueError(f"y has shape {tuple(y.shape)}, expected {(len(self), d)}")
        if bool(torch.isnan(y).any()):
            raise MissingStep(
                "y has missing entries: start again from a window that holds them"
            )
        u = law.frame.bounded(law.frame.to_u(y, self._own_shift()))
        lag = law.frame.lag(u).to(self.later)
        known, missing = self._at(stimulus), self.missing
        added = self._added(stimulus)
        blank = torch.zeros_like(known[:, -1:])
        if added is not None:
            added = torch.cat([added[:, 1:], torch.zeros_like(added[:, :1])], 1)
        if missing is not None:
            missing = torch.cat([missing[:, 1:], blank], 1)
        return replace(
            self,
            known=torch.cat([known[:, 1:], blank], 1),
            missing=missing,
            added=added,
            later=torch.cat([self.later, lag[:, None]], 1)[:, -law.reach :],
            awaits_stimulus=law.n_stimuli > 0,
        )

    def branch(self, rows: Tensor) -> Self:
        """Return the histories `rows` (m,); those repeated go on as branches."""
        own = rows if self.rows is None else self.rows[rows]
        return replace(self, rows=own, later=self.later[rows])

    def _at(self, stimulus: Tensor | None) -> Tensor:
        """Return the known windows with the stimulus of the next step in place."""
        s = self.law.n_stimuli
        if stimulus is None:
            if self.awaits_stimulus:
                raise ValueError(
                    f"stimulus is None, but the law has {s} stimulus channels"
                )
            return self.known
        expected = (len(self.known), s)
        if stimulus.shape != expected:
            raise ValueError(
                f"stimulus has shape {tuple(stimulus.shape)}, expected {expected}"
            )
        if not s:
            return self.known
        at = self.law.frame.standardize_stimulus(stimulus).to(self.known)
        newest = torch.cat([self.known[:, -1, :-s], torch.nan_to_num(at)], 1)
        return torch.cat([self.known[:, :-1], newest[:, None]], 1)

    def _added(self, stimulus: Tensor | None) -> Tensor | None:
        """Variance that the stimulus of each step adds, with that of the next step."""
        if stimulus is None:
            return self.added
        newest = self.law.frame.widen(stimulus)
        if self.added is None and newest is None:
            return None
        like = self.law.frame.x_mean
        added = (
            like.new_zeros(self.known.shape[:2]) if self.added is None else self.added
        )
        newest = like.new_zeros(len(added)) if newest is None else newest
        return torch.cat([added[:, :-1], newest[:, None]], 1)

    def _own_shift(self) -> Tensor | None:
        if self.shift is None or self.rows is None:
            return self.shift
        return self.shift[self.rows]
