"""Two ways to the best stimulus: its gradient, and the cross-entropy method."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from .value import Value

Array = NDArray[Any]

MAX_STEPS = 100  # of the gradient
N_DRAWS = 60  # of a candidate
N_ROUNDS, N_CANDIDATES, N_ELITE = 60, 64, 16
KEPT = 0.2  # of the mean and spread of the round before
NARROW = 1e-3  # of the bounds: when the candidates lie closer, the search ends


def has_gradient(value: Value, stimulus: Array) -> bool:
    """Whether draws and objective have a gradient at a stimulus (horizon, s)."""
    try:
        _, gradient = value.with_gradient(stimulus)
    except (RuntimeError, TypeError, AttributeError):
        return False
    return bool(np.isfinite(gradient).all())


def ascend(value: Value, begin: Array, low: Array, high: Array) -> Array:
    """Follow the gradient of the value under fixed noise, inside the bounds."""

    def loss(flat: Array) -> tuple[float, Array]:
        worth, gradient = value.with_gradient(flat.reshape(begin.shape))
        return -worth, -gradient.ravel()

    found = minimize(
        loss,
        begin.ravel(),
        jac=True,
        method="L-BFGS-B",
        bounds=np.stack([low.ravel(), high.ravel()], axis=1),
        options={"maxiter": MAX_STEPS, "ftol": 1e-12, "gtol": 1e-8},
    )
    best: Array = np.clip(found.x.reshape(begin.shape), low, high)
    return best


def cross_entropy(value: Value, begin: Array, low: Array, high: Array) -> Array:
    """Narrow a Gaussian over stimuli down to its best ones.

    The mean of the last round is weighed against the best candidates on as many draws
    as were asked for.
    """
    few = replace(value, n_samples=min(N_DRAWS, value.n_samples))
    rng = np.random.default_rng(value.seed)
    mean, spread = begin.copy(), 0.5 * (high - low)
    best, best_worth = begin, -np.inf
    for _ in range(N_ROUNDS):
        noise = rng.normal(size=(N_CANDIDATES - 2, *mean.shape))
        candidates = np.concatenate([[mean, best], mean + spread * noise])
        candidates = np.clip(candidates, low, high)
        worth = few.of(candidates)
        elite = candidates[np.argsort(-worth)[:N_ELITE]]
        if worth.max() > best_worth:
            best, best_worth = candidates[worth.argmax()], worth.max()
        else:  # luck of the draws fades
            best_worth = worth[1]
        mean = KEPT * mean + (1 - KEPT) * elite.mean(0)
        spread = KEPT * spread + (1 - KEPT) * elite.std(0)
        if (spread <= NARROW * np.maximum(high - low, 1e-12)).all():
            break
    last = np.stack([mean, best, begin])
    chosen: Array = last[value.of(last).argmax()]
    return chosen
