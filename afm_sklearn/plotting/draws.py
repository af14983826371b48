"""Draws to show: of a fitted estimator, chunk by chunk, or given by the user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..checks import check_integer
from ..evaluation.draws import Draws, draw_ahead, method_for
from ..evaluation.origins import Rows, no_origin
from ..evaluation.scores import check_names
from ..evaluation.unwrap import unwrap
from ..metrics.arguments import Array
from ..metrics.ensemble import check_ensemble


def draws_of_estimator(
    estimator: Any, X: Any, y: ArrayLike, horizon: int, n_samples: int, seed: int
) -> Draws:
    """Draw from every origin; rows without a forecast (all NaN) are left out."""
    check_integer("n_samples", n_samples, at_least=2)
    rows = unwrap(estimator, X, y, needs=method_for(horizon))
    origins = rows.origins(horizon, complete=False)
    if not len(origins):
        raise no_origin(horizon, len(rows.y))
    n_known = 0
    for observed, samples in draw_ahead(rows, origins, horizon, n_samples, seed):
        known = ~np.isnan(samples).any(axis=(1, 2, 3))
        n_known += known.sum()
        yield observed[known], samples[known]
    if not n_known:
        raise ValueError(
            f"the estimator drew NaN from all {len(origins)} rows of X that start "
            f"{horizon} observed steps of one run: there is nothing to show"
        )


def with_lead_times(y: ArrayLike, samples: ArrayLike) -> tuple[Array, Array]:
    """Return observations (n, horizon, d) and draws (n, n_samples, horizon, d).

    Without an axis for the lead time, (n, d) or (n,), there is one step.
    """
    observed, drawn = check_ensemble(y, samples)
    if not observed.size:
        raise ValueError(f"y must hold at least one value, got shape {observed.shape}")
    n, n_samples = drawn.shape[:2]
    shape = observed.shape[1:] if observed.ndim == 3 else (1, observed[:1].size)
    return observed.reshape(n, *shape), drawn.reshape(n, n_samples, *shape)


def check_index(name: str, value: Any, size: int, *, first: int = 0) -> None:
    """Refuse what is not an integer from `first` on, below ``first + size``."""
    check_integer(name, value, at_least=first)
    if value >= first + size:
        raise ValueError(
            f"{name} must be at most {first + size - 1} for these data, got {value!r}"
        )


def find_origin(rows: Rows, horizon: int, origin: int | None, n_history: int) -> int:
    """Return the origin asked for, or the middle one of those with a history."""
    origins = rows.origins(horizon, complete=False)
    if not len(origins):
        raise no_origin(horizon, len(rows.y))
    if origin is None:
        after_history = rows.origins(n_history + horizon, complete=False) + n_history
        choice = np.intersect1d(origins, after_history)
        choice = choice if len(choice) else origins
        return int(choice[len(choice) // 2])
    check_integer("origin", origin, at_least=0)
    if origin not in origins:
        raise ValueError(
            f"origin must be a row of X that starts {horizon} consecutive observed "
            f"steps of one run, got {origin!r}; there are {len(origins)} such rows "
            f"from {origins[0]} to {origins[-1]}"
        )
    return int(origin)


def history_before(rows: Rows, origin: int, n_history: int) -> Array:
    """Return up to `n_history` steps of the same run before the origin: (k, d)."""
    k = 0
    while k < min(n_history, origin) and rows.linked[origin - 1 - k]:
        k += 1
    return rows.targets[origin - k : origin]


def named(name: str, one_or_more: Any) -> Mapping[str, Any]:
    """Return a dict as it is; give a name to a single estimator or forecast."""
    if isinstance(one_or_more, Mapping):
        if not one_or_more:
            raise ValueError(f"{name} must hold at least one model, got {{}}")
        check_names(name, one_or_more)
        return one_or_more
    is_estimator = hasattr(one_or_more, "get_params")
    return {type(one_or_more).__name__ if is_estimator else "forecast": one_or_more}
