"""The rollout engine: draw a step, advance, draw the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .mixture import choose_parts
from .past import Pasts
from .pool import PoolLaw


def rollout(
    law: Any,
    windows: Tensor,
    horizon: int,
    n_samples: int,
    *,
    stimulus: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw joint trajectories; each drawn step conditions the next.

    Parameters
    ----------
    law : object with ``start``
        Its states have ``predict``, ``advance`` and ``branch``. Of a pool, a member is
        drawn for the first step of each trajectory, and one for all that follow.
    windows : Tensor of shape (n, L, c)
        Windows that end just before the first step, in the units of X.
    horizon, n_samples : int
        Steps, and trajectories a window.
    stimulus : Tensor of shape (n, horizon, s), optional
        The stimulus during each step, in the units of X. Without it the first step
        has that of the window.
    generator : torch.Generator, optional
        Source of the noise.

    Returns
    -------
    Tensor of shape (n, n_samples, horizon, d)
        In the units of y.
    """
    n = len(windows)
    shown = [None] * horizon if stimulus is None else list(stimulus.unbind(1))
    if not isinstance(law, PoolLaw):
        counts = torch.full((n,), n_samples, device=windows.device)
        paths = draw_histories(law.start(windows), shown, counts, generator)
        return paths.unflatten(0, (n, n_samples))
    firsts, aheads, weights = zip(*law.courses(), strict=True)
    log_weights = torch.tensor(weights, device=windows.device).log()
    course = choose_parts(log_weights, n, n_samples, generator)
    pasts, later = Pasts(windows, shown[0]), [None, *shown[1:]]
    shape = n * n_samples, horizon, law.frame.n_outputs
    out = torch.empty(shape, dtype=torch.float64, device=windows.device)
    first = torch.tensor(firsts, device=windows.device)[course]
    for share in _shares(first, law.members):
        out[share.places, 0] = share.draw(pasts, later[:1], generator)[:, 0]
    if horizon > 1:
        ahead = torch.tensor(aheads, device=windows.device)[course]
        for share in _shares(ahead, law.members):
            y = out[share.places, 0]
            out[share.places] = share.draw(pasts, later, generator, y)
    return out.unflatten(0, (n, n_samples))


@dataclass(frozen=True)
class _Share:
    """Trajectories that a member of a pool draws.

    Attributes
    ----------
    member : StepLaw or ResidualLaw
    counts : Tensor of int, shape (n,)
        How many from each window.
    is_whole : bool
        Whether some from every window.
    places : Tensor of int, shape (sum of counts,)
        Where they belong among all of all windows.
    """

    member: Any
    counts: Tensor
    is_whole: bool
    places: Tensor

    def draw(
        self,
        pasts: Pasts,
        shown: Sequence[Tensor | None],
        generator: torch.Generator | None,
        y: Tensor | None = None,
    ) -> Tensor:
        """Draw them all (sum of counts, horizon, d), the first step if it is None."""
        counts = self.counts
        if self.is_whole:
            state = pasts.start(self.member)
        else:
            rows = counts.nonzero()[:, 0]
            state, counts = pasts.start_some(self.member, rows), counts[rows]
            shown = [step if step is None else step[rows] for step in shown]
        if y is None:
            y = draw_first(state, shown[0], counts, generator)
        return draw_ahead(state, y, shown, counts, generator)


def _shares(choice: Tensor, members: Sequence[Any]) -> Iterator[_Share]:
    """Part trajectories (n, n_samples) by the member that draws them."""
    each = torch.arange(len(members), device=choice.device)
    counts = (choice == each[:, None, None]).sum(2)
    sizes, least = counts.sum(1).tolist(), counts.amin(1).tolist()
    places = choice.flatten().argsort(stable=True).split(sizes)
    for k, member in enumerate(members):
        if sizes[k]:
            yield _Share(member, counts[k], least[k] > 0, places[k])


def draw_histories(
    state: Any,
    shown: Sequence[Tensor | None],
    counts: Tensor,
    generator: torch.Generator | None,
) -> Tensor:
    """Draw trajectories from each history of a state, with gradients if it has them.

    Parameters
    ----------
    state : State
        Of n histories.
    shown : sequence of (Tensor of shape (n, s) or None)
        The stimulus during each step.
    counts : Tensor of int, shape (n,)
        Trajectories of each history.
    generator : torch.Generator or None
        Source of the noise.

    Returns
    -------
    Tensor of shape (sum of counts, horizon, d)
        In the units of y.
    """
    y = draw_first(state, shown[0], counts, generator)
    return draw_ahead(state, y, shown, counts, generator)


def draw_first(
    state: Any,
    shown: Tensor | None,
    counts: Tensor,
    generator: torch.Generator | None,
) -> Tensor:
    """Draw the next step alone: (sum of counts, d); see `draw_histories`."""
    y: Tensor = state.predict(shown).rsample(int(counts.max()), generator=generator)
    if len(y) == 1:
        return y[0]
    is_asked = torch.arange(y.shape[1], device=y.device) < counts[:, None]
    return y[is_asked]


def draw_ahead(
    state: Any,
    y: Tensor,
    shown: Sequence[Tensor | None],
    counts: Tensor,
    generator: torch.Generator | None,
) -> Tensor:
    """Draw the steps after a first one y (sum of counts, d); see `draw_histories`."""
    if len(shown) == 1:
        return y[:, None]
    steps = [y]
    rows = torch.arange(len(counts), device=y.device).repeat_interleave(counts)
    state = state.branch(rows)
    for before, now in pairwise(shown):
        state = state.advance(steps[-1], before)
        steps.append(state.predict(now).rsample(1, generator=generator)[:, 0])
    return torch.stack(steps, 1)


def common_rollout(
    law: Any,
    windows: Tensor,
    horizon: int,
    n_samples: int,
    *,
    stimulus: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw trajectories whose noise is the same for every window, and antithetic.

    To compare windows or stimuli with one another: what differs between them is not
    chance. Courses of a pool draw trajectories in proportion to their weights.

    Parameters
    ----------
    law, windows, horizon, n_samples, stimulus, generator
        As for `rollout`.

    Returns
    -------
    Tensor of shape (n, n_samples, horizon, d)
        In the units of y. Their mean estimates the mean of the law; their spread over
        repetitions is not that of independent draws.
    """
    shown = [None] * horizon if stimulus is None else list(stimulus.unbind(1))
    if not isinstance(law, PoolLaw):
        return _common_histories(law, law, windows, shown, n_samples, generator)
    courses = law.courses()
    edges = np.cumsum([0.0, *(weight for _, _, weight in courses)])
    counts = np.diff((edges / edges[-1] * n_samples).round()).astype(int)
    parts = [
        _common_histories(
            law.members[first], law.members[ahead], windows, shown, m, generator
        )
        for (first, ahead, _), m in zip(courses, counts.tolist(), strict=True)
        if m
    ]
    return torch.cat(parts, 1)


def _common_histories(
    first: Any,
    ahead: Any,
    windows: Tensor,
    shown: Sequence[Tensor | None],
    m: int,
    generator: torch.Generator | None,
) -> Tensor:
    """Draw m trajectories of each window with the same noise: (n, m, h, d).

    The first step is one law's, those after it another's.
    """
    n = len(windows)
    p = first.start(windows).predict(shown[0])
    like = p.mean
    half = like.new_empty(len(shown), -(-m // 2), like.shape[1])
    half = half.normal_(generator=generator)
    noise = torch.cat([half, -half], 1)[:, :m]
    steps = [p.rsample(m, noise=noise[0].expand(n, -1, -1)).flatten(0, 1)]
    if len(shown) > 1:
        rows = torch.arange(n, device=like.device).repeat_interleave(m)
        state = ahead.start(windows).branch(rows)
    for h in range(1, len(shown)):
        state = state.advance(steps[-1], shown[h - 1])
        p = state.predict(shown[h])
        steps.append(p.rsample(1, noise=noise[h].repeat(n, 1)[:, None])[:, 0])
    return torch.stack(steps, 1).unflatten(0, (n, m))
