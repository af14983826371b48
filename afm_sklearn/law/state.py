"""What is known just before a step: the state of a law between two steps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from .past import Past
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
    past : Past
        The windows, with the stimulus since.
    rows : Tensor of shape (n,) or None
        The window of each history; None where each has its own.
    later : Tensor of shape (n, h, d)
        Standardised lagged activity of the steps since.
    clocks : dict
        What the time does to the velocity of the flow, the same for all steps.
    """

    law: Law
    past: Past
    rows: Tensor | None
    later: Tensor
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
        past = self.past.under(stimulus)
        parts = self.law.embed(past)
        if self.rows is not None:
            parts = [part[self.rows] for part in parts]
        if self.later.shape[1]:
            later = self.law.embed_later(self.later)
            parts = [a + b for a, b in zip(parts, later, strict=True)]
        p = self.law.distribution(parts, self._own_shift(), self.clocks)
        if past.added is None:
            return p
        scale = (1 + past.added.amax(1, keepdim=True)).sqrt()
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
        return replace(
            self,
            past=self.past.under(stimulus).moved_on(),
            later=torch.cat([self.later, lag[:, None]], 1)[:, -law.reach :],
        )

    def branch(self, rows: Tensor) -> Self:
        """Return the histories `rows` (m,); those repeated go on as branches."""
        own = rows if self.rows is None else self.rows[rows]
        return replace(self, rows=own, later=self.later[rows])

    def _own_shift(self) -> Tensor | None:
        if self.past.shift is None or self.rows is None:
            return self.past.shift
        return self.past.shift[self.rows]
