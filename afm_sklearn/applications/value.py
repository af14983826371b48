"""What a stimulus is worth: an objective of the trajectories drawn under it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..law.rollout import common_rollout

Array = NDArray[Any]


@dataclass(frozen=True)
class Value:
    """Mean objective of a stimulus, less its cost and what violates a constraint.

    Parameters
    ----------
    forecaster : estimator with ``sample_trajectories``
    window : array-like of shape (1, L, c) or (1, c)
        What is known now.
    objective, regularizer, constraint : callables
        See `optimize_stimulus`.
    constraint_weight : float
    horizon, n_samples : int
    seed : int
        The same noise in every evaluation.

    Notes
    -----
    A search compares stimuli under common noise (`common_rollout`), where trajectories
    are rolled out step by step; oracles and direct forecasts are drawn as they are.
    """

    forecaster: Any
    window: Any
    objective: Callable[[Any], Any]
    regularizer: Callable[[Any], Any] | None
    constraint: Callable[[Any], Any] | None
    constraint_weight: float
    horizon: int
    n_samples: int
    seed: int

    @property
    def n_stimuli(self) -> int:
        """Stimulus columns s."""
        c = np.shape(self.window)[-1]
        d = getattr(self.forecaster, "n_outputs_", None)
        if d is None:  # an oracle: as many channels as it draws
            one = self.forecaster.sample_trajectories(self.window, 1, n_samples=1)
            d = one.shape[-1]
        if c <= d:
            raise ValueError(
                f"X has {c} channels and there are {d} targets: no stimulus to choose"
            )
        return c - int(d)

    def draws(self, stimuli: Array) -> Array:
        """Independent trajectories (k, n, horizon, d) under stimuli (k, horizon, s)."""
        paths: Array = self.forecaster.sample_trajectories(
            np.repeat(np.asarray(self.window), len(stimuli), axis=0),
            self.horizon,
            stimulus=stimuli,
            n_samples=self.n_samples,
            random_state=self.seed,
        )
        return paths

    def objective_of(self, draws: Any) -> Any:
        """Objective (n,) of draws."""
        return self._checked("objective", self.objective(draws), draws)

    def violation_of(self, draws: Any) -> Any:
        """By how much draws violate the constraint (n,), at most 0 if they do not."""
        assert self.constraint is not None
        return self._checked("constraint", self.constraint(draws), draws)

    def of(self, stimuli: Array) -> Array:
        """Values (k,) of stimuli (k, horizon, s), with common noise if that can be."""
        if self._is_rolled_out:
            with torch.inference_mode():
                paths = self._common(torch.from_numpy(stimuli)).cpu().numpy()
        else:
            paths = self.draws(stimuli)
        pairs = zip(paths, stimuli, strict=True)
        return np.array([np.mean(self._net(*pair)) for pair in pairs])

    def with_gradient(self, stimulus: Array) -> tuple[float, Array]:
        """Value of a stimulus (horizon, s) and its gradient.

        Raises
        ------
        RuntimeError, TypeError, AttributeError
            Where there is none.
        """
        if not self._is_rolled_out:
            raise TypeError("trajectories that are not rolled out have no gradient")
        with torch.inference_mode(False), torch.enable_grad():
            at = torch.tensor(stimulus, dtype=torch.float64, requires_grad=True)
            value = self._net(self._common(at[None])[0], at).mean()
            (gradient,) = torch.autograd.grad(value, at)
        return float(value.detach()), gradient.numpy()

    @property
    def _is_rolled_out(self) -> bool:
        return getattr(self.forecaster, "_rolls_out", False)

    def _common(self, stimuli: torch.Tensor) -> torch.Tensor:
        law = self.forecaster.law_
        device = getattr(law, "device", stimuli.device)
        window = np.array(self.window, np.float64)
        known = torch.from_numpy(window[:, None] if window.ndim == 2 else window)
        return common_rollout(
            law,
            known.to(device).expand(len(stimuli), -1, -1),
            self.horizon,
            self.n_samples,
            stimulus=stimuli.to(device),
            generator=torch.Generator(device).manual_seed(self.seed),
        )

    def _net(self, draws: Any, stimulus: Any) -> Any:
        net = self.objective_of(draws)
        if self.constraint is not None:
            excess = self.violation_of(draws)
            net = net - self.constraint_weight * excess * (excess > 0)
        if self.regularizer is not None:
            net = net - self.regularizer(stimulus)
        return net

    def _checked(self, name: str, values: Any, draws: Any) -> Any:
        if isinstance(draws, torch.Tensor):
            if not isinstance(values, torch.Tensor):
                raise TypeError(f"the {name} of tensors is no tensor")
        else:
            values = np.asarray(values, np.float64)
        if tuple(values.shape) != (len(draws),):
            raise ValueError(
                f"{name} returned shape {tuple(values.shape)} for draws of shape "
                f"{tuple(draws.shape)}, expected {(len(draws),)}"
            )
        return values
