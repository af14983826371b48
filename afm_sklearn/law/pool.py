"""A pool of laws: one of them is drawn for each trajectory, and drawn to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from .frame import Frame
from .gaps import Gaps
from .mixture import N_POINTS, Mixture
from .residual import ResidualLaw
from .step import StepLaw


class PoolLaw(nn.Module):
    """A mixture of laws over whole trajectories.

    Proper scores are convex in the law: the score of a pool is at most the weighted
    mean of its members' (Hall & Mitchell 2007, for one step).

    Parameters
    ----------
    members : sequence of StepLaw or ResidualLaw
        All of one frame.
    log_weights : Tensor of shape (m,)
        The weights sum to one.
    """

    log_weights: Tensor
    members: Any  # of laws: lists of modules forget what they hold

    def __init__(self, members: Sequence[StepLaw | ResidualLaw], log_weights: Tensor):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("log_weights", log_weights)

    def start(self, windows: Tensor) -> PoolState:
        """Return the state before the step that windows (n, L, c) lead to."""
        states = tuple(member.start(windows) for member in self.members)
        return PoolState(states, self.log_weights)

    def complete(
        self, windows: Tensor, n_pasts: int, generator: torch.Generator | None
    ) -> Tensor:
        """Draw what was not observed in windows; see `Law.complete`."""
        pasts: Tensor = self.members[0].complete(windows, n_pasts, generator)
        return pasts

    def config(self) -> dict[str, Any]:
        """Return all but the tensors, as plain JSON types."""
        return {"kind": "pool", "members": [m.config() for m in self.members]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build a law whose tensors `load_state_dict` then fills."""
        kinds: dict[str, Any] = {"step": StepLaw, "residual": ResidualLaw}
        members = [kinds[m["kind"]].from_config(m) for m in config["members"]]
        return cls(members, torch.zeros(len(members), dtype=torch.float32))

    def in_double(self) -> Self:
        """Return the same law in double precision; this one stays as it is."""
        members = [member.in_double() for member in self.members]
        return type(self)(members, self.log_weights.double())

    def with_solver(self, solver: str, n_steps: int | None) -> Self:
        """Return the same law, flows in it integrated in another way."""
        members = [member.with_solver(solver, n_steps) for member in self.members]
        return type(self)(members, self.log_weights)

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
        return max(N_POINTS, *(m.answer_width for m in self.members))


def joined(first: Any, second: Any, weight: float) -> Any:
    """Return a pool of two laws, or pools, of which the second has the weight.

    Parameters
    ----------
    first, second : StepLaw, ResidualLaw or PoolLaw
    weight : float
        Between 0 and 1; at the ends it is the one law or the other.
    """
    if weight in (0.0, 1.0):
        return second if weight else first
    members: list[Any] = []
    logs = []
    for law, log_share in ((first, np.log1p(-weight)), (second, np.log(weight))):
        is_pool = isinstance(law, PoolLaw)
        members += law.members if is_pool else [law]
        within = law.log_weights if is_pool else torch.zeros(1, dtype=torch.float32)
        logs.append(within.to(first.device) + log_share)
    return PoolLaw(members, torch.cat(logs)).eval()


@dataclass(frozen=True)
class PoolState:
    """Histories of a pool, whose member is not known.

    Attributes
    ----------
    states : tuple of State
        Of each member, for all histories.
    log_weights : Tensor of shape (m,)
    """

    states: tuple[Any, ...]
    log_weights: Tensor

    def __len__(self) -> int:
        return len(self.states[0])

    def predict(self, stimulus: Tensor | None = None) -> Mixture:
        """Return the distribution of the next step; see `State.predict`."""
        parts = [state.predict(stimulus) for state in self.states]
        return Mixture(parts, self.log_weights)

    def advance(self, y: Tensor, stimulus: Tensor | None = None) -> Self:
        """Return the state after an observed step (n, d).

        What was observed does not weigh the members anew: weights are those of
        training, whatever the present.
        """
        states = tuple(state.advance(y, stimulus) for state in self.states)
        return replace(self, states=states)

    def branch(self, rows: Tensor) -> Self:
        """Return the histories `rows`; those repeated go on as branches."""
        return replace(self, states=tuple(state.branch(rows) for state in self.states))
