"""A pool of laws: one of them is drawn for the next step, one for all after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from .frame import Frame
from .gaps import Gaps
from .law import in_double
from .mixture import Mixture
from .past import Pasts
from .residual import ResidualLaw
from .step import StepLaw

ROUNDING = 1e-7  # of weights
PARTS = "frame", "gaps", "linear", "drift"  # that members may share
KEPT = 4  # of the numbers that a member's answer needs, one stays for the others


class PoolLaw(nn.Module):
    """A mixture of laws over whole trajectories.

    Proper scores are convex in the law: the score of a pool is at most the weighted
    mean of its members' (Hall & Mitchell 2007, for one step). What is best for the next
    step need not be best far ahead, where errors have added up. So the step from a
    window has weights of its own, and a trajectory may go on with another member.

    Parameters
    ----------
    members : sequence of StepLaw or ResidualLaw
        All of one frame.
    log_weights, log_weights_ahead : Tensor of shape (m,)
        Of the step from a window, and of the steps after it. The weights sum to one.
    """

    log_weights: Tensor
    log_weights_ahead: Tensor
    members: Any  # of laws: lists of modules forget what they hold

    def __init__(
        self,
        members: Sequence[StepLaw | ResidualLaw],
        log_weights: Tensor,
        log_weights_ahead: Tensor,
    ):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("log_weights", log_weights)
        self.register_buffer("log_weights_ahead", log_weights_ahead)

    def start(self, windows: Tensor) -> PoolState:
        """Return the state before the step that windows (n, L, c) lead to."""
        pasts = Pasts(windows)
        states = tuple(pasts.start(member) for member in self.members)
        return PoolState(states, self.log_weights, self.log_weights_ahead)

    def of_pasts(self, n_pasts: int) -> PoolLaw:
        """Return the same; see `StepLaw.of_pasts`."""
        members = [
            member.of_pasts(n_pasts) if isinstance(member, StepLaw) else member
            for member in self.members
        ]
        return PoolLaw(members, self.log_weights, self.log_weights_ahead)

    def courses(self) -> list[tuple[int, int, float]]:
        """Return the first member, the one after it and the weight of each course.

        A trajectory stays with its member as far as the weights allow. What is left of
        them is matched in the order of the members.
        """
        first, ahead = (
            logs.exp().double().cpu().numpy()
            for logs in (self.log_weights, self.log_weights_ahead)
        )
        stays = np.minimum(first, ahead)
        courses = [(k, k, float(w)) for k, w in enumerate(stays) if w > 0]
        first, ahead = first - stays, ahead - stays
        i = j = 0
        while i < len(first) and j < len(ahead):
            weight = min(first[i], ahead[j])
            if weight > ROUNDING:
                courses.append((i, j, float(weight)))
            first[i], ahead[j] = first[i] - weight, ahead[j] - weight
            i, j = i + int(first[i] <= ROUNDING), j + int(ahead[j] <= ROUNDING)
        return courses

    def complete(
        self, windows: Tensor, n_pasts: int, generator: torch.Generator | None
    ) -> Tensor:
        """Draw what was not observed in windows; see `Law.complete`."""
        pasts: Tensor = self.members[0].complete(windows, n_pasts, generator)
        return pasts

    def config(self) -> dict[str, Any]:
        """Return all but the tensors, as plain JSON types."""
        shared = {part: _first_with_same(self.members, part) for part in PARTS}
        members = [member.config() for member in self.members]
        return {"kind": "pool", "members": members, "shared": shared}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build a law whose tensors `load_state_dict` then fills."""
        kinds: dict[str, Any] = {"step": StepLaw, "residual": ResidualLaw}
        members = [kinds[m["kind"]].from_config(m) for m in config["members"]]
        # Files of older versions do not say what members share.
        for part, firsts in config.get("shared", {}).items():
            for member, first in zip(members, firsts, strict=True):
                if first is not None:
                    setattr(member, part, getattr(members[first], part))
        return cls(members, *torch.zeros(2, len(members), dtype=torch.float32))

    def in_double(self) -> Self:
        """Return the same law in double precision; this one stays as it is."""
        twin: Self = in_double(self)
        return twin

    def with_solver(self, solver: str, n_steps: int | None) -> Self:
        """Return the same law, flows in it integrated in another way."""
        members = [member.with_solver(solver, n_steps) for member in self.members]
        if all(new is old for new, old in zip(members, self.members, strict=True)):
            return self
        return type(self)(members, self.log_weights, self.log_weights_ahead)

    @property
    def frame(self) -> Frame:
        """Units of windows and targets."""
        frame: Frame = self.members[0].frame
        return frame

    @property
    def gaps(self) -> Gaps:
        """What is expected where nothing was observed."""
        gaps: Gaps = self.members[0].gaps
        return gaps

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.log_weights.device

    @property
    def width(self) -> int:
        """Numbers that a draw needs in memory, about."""
        return max(member.width for member in self.members)

    @property
    def mean_width(self) -> int:
        """Draws that a mean needs, about."""
        return max(len(self.members), *(m.mean_width for m in self.members))

    @property
    def answer_width(self) -> int:
        """Draws that a quantile or a density needs, about."""
        each = [m.answer_width for m in self.members]
        return max(*each, sum(each) // KEPT)


def _first_with_same(members: Sequence[Any], part: str) -> list[int | None]:
    """Return the first member with the very part of each; None where it has none."""
    parts = [getattr(member, part, None) for member in members]
    first: dict[Any, int] = {}
    for k, own in enumerate(parts):
        first.setdefault(own, k)
    return [None if own is None else first[own] for own in parts]


def joined(
    first: Any, second: Any, weight: float, weight_ahead: float | None = None
) -> Any:
    """Return a pool of two laws, or pools.

    Parameters
    ----------
    first, second : StepLaw, ResidualLaw or PoolLaw
    weight, weight_ahead : float
        Of the second, for the next step and for those after it; between 0 and 1. By
        default they are equal. Where both are 0 or both 1 it is the one law or the
        other.
    """
    weight_ahead = weight if weight_ahead is None else weight_ahead
    if weight == weight_ahead and weight in (0.0, 1.0):
        return second if weight else first
    members: list[Any] = []
    logs: list[Tensor] = []
    for law, shares in (
        (first, (1 - weight, 1 - weight_ahead)),
        (second, (weight, weight_ahead)),
    ):
        is_pool = isinstance(law, PoolLaw)
        members += law.members if is_pool else [law]
        within = torch.zeros(2, 1, dtype=torch.float32)
        if is_pool:
            within = torch.stack([law.log_weights, law.log_weights_ahead])
        added = torch.tensor(shares, dtype=torch.float32).log()[:, None]
        logs.append(within.to(first.device) + added.to(first.device))
    return PoolLaw(members, *torch.cat(logs, 1)).eval()


@dataclass(frozen=True)
class PoolState:
    """Histories of a pool, whose member is not known.

    Attributes
    ----------
    states : tuple of State
        Of each member, for all histories.
    log_weights, log_weights_ahead : Tensor of shape (m,)
        Of the next step, and of those after it.
    """

    states: tuple[Any, ...]
    log_weights: Tensor
    log_weights_ahead: Tensor

    def __len__(self) -> int:
        return len(self.states[0])

    def predict(self, stimulus: Tensor | None = None) -> Mixture:
        """Return the distribution of the next step; see `State.predict`."""
        kept = torch.isfinite(self.log_weights).nonzero()[:, 0]
        parts = [self.states[k].predict(stimulus) for k in kept.tolist()]
        return Mixture(parts, self.log_weights[kept])

    def advance(self, y: Tensor, stimulus: Tensor | None = None) -> Self:
        """Return the state after an observed step (n, d).

        What was observed does not weigh the members anew: weights are those of
        training, whatever the present.
        """
        states = tuple(state.advance(y, stimulus) for state in self.states)
        return replace(self, states=states, log_weights=self.log_weights_ahead)

    def branch(self, rows: Tensor) -> Self:
        """Return the histories `rows`; those repeated go on as branches."""
        return replace(self, states=tuple(state.branch(rows) for state in self.states))
