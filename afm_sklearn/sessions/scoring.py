"""Scores of stacked sessions: of each by its own forecaster."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .stacked import StackedSessions


def mean_over_sessions(
    forecaster: Any,
    X: StackedSessions,
    y: Any,
    score: Callable[[Any, Any, Any], float],
) -> float:
    """Return the mean of a score of each session, weighed by its rows."""
    if not isinstance(y, StackedSessions):
        raise ValueError(
            f"y is a {type(y).__name__}, expected the y of `stack_sessions`"
        )
    targets = y.sessions()
    scores, sizes = [], []
    for label, (rows, block) in X.sessions().items():
        one = session_of(forecaster, label)
        scores.append(score(one, block.values, targets[label][1].values))
        sizes.append(len(rows))
    return float(np.average(scores, weights=sizes))


def session_of(forecaster: Any, label: Hashable) -> Any:
    """Return the fitted forecaster of a session."""
    check_is_fitted(forecaster)
    known = getattr(forecaster, "sessions_", None)
    if known is None:
        raise ValueError("X has stacked sessions, but the forecaster was fitted to one")
    if label not in known:
        raise ValueError(
            f"X has session {label!r}, fitted were {list(known)}: `adapt` to a new one"
        )
    return known[label]
