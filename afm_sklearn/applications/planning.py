"""Which stimulus to show next: the one under which forecasts do best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_integer, seed_from
from ..evaluation.unwrap import unwrap
from .search import ascend, cross_entropy, has_gradient
from .value import Value

Array = NDArray[Any]

METHODS = ("auto", "gradient", "cross-entropy")


@dataclass(frozen=True)
class StimulusPlan:
    """A stimulus, and what is expected under it.

    Attributes
    ----------
    stimulus : ndarray of shape (horizon, s)
    objective : float
        Mean of the objective over draws that had no part in the search, without the
        regulariser and the constraint.
    standard_error : float
        Of that mean, from the draws.
    trajectories : ndarray of shape (n_samples, horizon, d)
        Those draws.
    violation : float
        Share of them that violate the constraint; 0 without one.
    method : str
        "gradient" or "cross-entropy".
    """

    stimulus: Array
    objective: float
    standard_error: float
    trajectories: Array
    violation: float
    method: str

    def shifted(self) -> Array:
        """Return the stimulus a step on, its last step repeated: the next `start`."""
        return np.concatenate([self.stimulus[1:], self.stimulus[-1:]])


def optimize_stimulus(
    forecaster: Any,
    X: Any,
    objective: Callable[[Any], Any],
    *,
    horizon: int,
    bounds: Any,
    method: str = "auto",
    regularizer: Callable[[Any], Any] | None = None,
    constraint: Callable[[Any], Any] | None = None,
    constraint_weight: float = 100.0,
    start: Any = None,
    n_samples: int = 200,
    random_state: Any = None,
) -> StimulusPlan:
    """Find the stimulus under which an objective is expected to be largest.

    Parameters
    ----------
    forecaster : estimator
        A fitted forecaster, or a Pipeline or search that ends in one.
    X : array-like
        What it takes; the plan starts from the last row or window.
    objective : callable
        Maps draws (n_samples, horizon, d) to (n_samples,) values, larger is better;
        see `afm_sklearn.applications.objectives`. For gradients it is given tensors.
    horizon : int
        Steps to plan.
    bounds : pair of floats or of array-likes
        Lowest and highest stimulus: of all, of each column (s,), or of each step and
        column (horizon, s).
    method : {"auto", "gradient", "cross-entropy"}, default="auto"
        "gradient" follows the derivative of the mean over draws with the same noise
        (L-BFGS-B), where draws and objective have one; "cross-entropy" narrows a
        Gaussian over stimuli down to its best ones. "auto" takes the first that can
        be had.
    regularizer : callable, optional
        Maps a stimulus (horizon, s) to a cost, in the units of the objective.
    constraint : callable, optional
        Maps draws to (n_samples,) amounts by which they violate it, at most 0 where
        they do not.
    constraint_weight : float, default=100.0
        What a unit of the mean violation costs.
    start : array-like of shape (horizon, s), optional
        Where to begin, as ``plan.shifted()`` of the step before; by default the middle
        of the bounds.
    n_samples : int, default=200
        Draws for each value, and of the trajectories returned.
    random_state : int, RandomState or None, default=None
        Seed of search and draws.

    Returns
    -------
    StimulusPlan

    Raises
    ------
    TypeError
        If the forecaster draws no trajectories.
    ValueError
        If bounds are reversed or of the wrong shape, there is no stimulus, the
        objective returns the wrong shape, or "gradient" is asked for and there is none.

    References
    ----------
    R. Y. Rubinstein (1999), The cross-entropy method for combinatorial and continuous
    optimization, Methodology and Computing in Applied Probability 1.

    Examples
    --------
    >>> from afm_sklearn import ResidualForecaster, design_matrix
    >>> from afm_sklearn.applications.objectives import ReachTarget
    >>> from afm_sklearn.datasets import make_linear_var
    >>> from sklearn.linear_model import Ridge
    >>> data = make_linear_var(n_times=400, n_channels=2, n_stimuli=1, random_state=0)
    >>> X = design_matrix(data.activity, data.stimulus)
    >>> model = ResidualForecaster(Ridge(), window_length=2).fit(X, data.activity)
    >>> plan = optimize_stimulus(
    ...     model, X, ReachTarget([1.0, 0.0]), horizon=3, bounds=(-1, 1), random_state=0
    ... )
    >>> plan.stimulus.shape, plan.trajectories.shape
    ((3, 1), (200, 3, 2))
    """
    check_integer("horizon", horizon)
    check_integer("n_samples", n_samples, at_least=2)
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}")
    rows = unwrap(forecaster, X, np.zeros(len(X)), needs="sample_trajectories")
    model, window = rows.forecaster, rows.X[-1:]
    value = Value(
        model,
        window,
        objective,
        regularizer,
        constraint,
        constraint_weight,
        horizon,
        n_samples,
        seed_from(random_state),
    )
    low, high = _bounds(bounds, horizon, value.n_stimuli)
    begin = _start(start, low, high)
    can = method != "cross-entropy" and has_gradient(value, begin)
    if method == "gradient" and not can:
        raise ValueError(
            "method='gradient' needs draws and an objective with gradients: a law of "
            "real values with base='linear' or 'learned', and an objective of tensors"
        )
    search = ascend if can else cross_entropy
    best = search(value, begin, low, high)
    return _plan(value, best, "gradient" if can else "cross-entropy")


def _plan(value: Value, stimulus: Array, method: str) -> StimulusPlan:
    draws = value.draws(stimulus[None])[0]
    gains = value.objective_of(draws)
    violation = 0.0
    if value.constraint is not None:
        violation = float((value.violation_of(draws) > 0).mean())
    error = float(gains.std(ddof=1) / np.sqrt(len(gains)))
    return StimulusPlan(stimulus, float(gains.mean()), error, draws, violation, method)


def _bounds(bounds: Any, horizon: int, s: int) -> tuple[Array, Array]:
    try:
        low, high = (np.asarray(end, np.float64) for end in bounds)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"bounds must be a pair (low, high) of numbers or arrays, got {bounds!r}"
        ) from error
    out = []
    for name, end in (("low", low), ("high", high)):
        if end.shape not in ((), (s,), (horizon, s)) or not np.isfinite(end).all():
            raise ValueError(
                f"the {name} end of bounds has shape {end.shape}, expected finite "
                f"numbers of shape (), {(s,)} or {(horizon, s)}"
            )
        out.append(np.broadcast_to(end, (horizon, s)).copy())
    if (out[0] > out[1]).any():
        raise ValueError(f"bounds are reversed: low is {low}, high is {high}")
    return out[0], out[1]


def _start(start: Any, low: Array, high: Array) -> Array:
    if start is None:
        return 0.5 * (low + high)
    begin = np.asarray(start, np.float64)
    if begin.shape != low.shape or not np.isfinite(begin).all():
        raise ValueError(
            f"start has shape {begin.shape}, expected finite numbers of shape "
            f"{low.shape}, (horizon, stimulus columns)"
        )
    return np.clip(begin, low, high)
