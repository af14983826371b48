"""A fitted forecaster, brought to a new session."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from ..compute import threads_for
from ..fitting.core import fit_to_core
from ..fitting.data import TrainingData
from ..fitting.pool import N_HELD, cases_among, draws_of, scores_of
from ..fitting.weights import weight_of_second
from ..law.pool import joined
from .fit import can_share, own_forecaster, training_data

CAUTION = 4.0  # standard errors: few rows of a new session tell, and close together
MIN_PROBED = 20  # rows that a model of the session alone is judged by


def adapt(forecaster: Any, X: Any, y: Any) -> Any:
    """Fit a new session, with what the forecaster knows of others where that helps.

    A model of the session alone is fitted, and a second law that draws on the
    forecaster: its core with a read-in and a read-out of the session, or, of the same
    neurons, the forecaster's law as it is. Both are judged by rows at the end of the
    session that neither was fitted to, and pooled as far as the gain is beyond chance.

    Parameters
    ----------
    forecaster : AFMForecaster
        Fitted.
    X, y : array-like of shape (n, c) and (n, d)
        The session, as for a fit of it alone.

    Returns
    -------
    AFMForecaster
        Of the new session, with `adapted_`: the ``weight`` of what was shared, its
        ``source`` ("core", "law" or None) and the ``gain``, the mean part by which the
        scores of held-out rows are lower than those of the session alone.
    """
    core = getattr(forecaster, "core_", None)
    alone = _unfitted(forecaster, X, y).fit(X, y)
    data = training_data(alone, X, y)
    second, source = None, None
    if core is not None and can_share(data):
        _check_stimulus(core, data)
        with (
            threads_for(1, blas=True),
            torch.inference_mode(False),
            torch.enable_grad(),
        ):
            second = fit_to_core(data, core.to(data.device)).law()
            source = "core"
    elif _law_of(forecaster, alone) is not None:
        second, source = _law_of(forecaster, alone), "law"
    first = int(data.held[0]) if len(data.held) else 0
    alone.adapted_ = {"weight": 0.0, "source": source, "gain": np.nan}
    if second is None or first < MIN_PROBED or len(data.held) < MIN_PROBED:
        return alone
    probe = clone(alone).fit(X[:first], y[:first])
    weight, gain = _judge(data, probe.law_, second)
    alone.adapted_ = {"weight": weight, "source": source, "gain": gain}
    if weight:
        alone.law_ = joined(alone.law_, second, weight)
        alone.base_ = f"{alone.base_}+shared" if weight < 1 else "shared"
    return alone


def _unfitted(forecaster: Any, X: Any, y: Any) -> Any:
    """Return a forecaster for the new session, whatever runs its rows tell of."""
    core = getattr(forecaster, "core_", None)
    if core is None and not hasattr(forecaster, "sessions_"):
        return clone(forecaster)
    some = next(iter(forecaster.sessions_.values()))
    n_stimuli = some.window_shape_[1] - some.n_outputs_
    d = 1 if np.ndim(y) == 1 else np.shape(y)[1]
    rest = np.shape(X)[-1] - d - n_stimuli
    if rest not in (0, 1):
        raise ValueError(
            f"X has {np.shape(X)[-1]} columns, expected {d} lagged neurons, "
            f"{n_stimuli} stimulus columns and at most one of runs"
        )
    return own_forecaster(forecaster, np.shape(X)[-1] - 1 if rest else None)


def _check_stimulus(core: Any, data: TrainingData) -> None:
    s = data.store.steps.shape[1] - data.n_outputs
    if s != core.n_stimuli:
        raise ValueError(
            f"X has {s} stimulus channels, the sessions of the core have "
            f"{core.n_stimuli}"
        )


def _law_of(forecaster: Any, alone: Any) -> Any:
    """Return the law of the forecaster if it is of as many neurons and stimuli."""
    for known in (forecaster, *getattr(forecaster, "sessions_", {}).values()):
        if getattr(known, "window_shape_", None) == alone.window_shape_:
            is_alike = known.n_outputs_ == alone.n_outputs_ and known.autoregressive_
            return copy.deepcopy(known.law_) if is_alike else None
    return None


def _judge(data: TrainingData, first: Any, second: Any) -> tuple[float, float]:
    """Weight of the second law, and what the pool of both gains over the first."""
    cases = cases_among(data, data.held, N_HELD)
    draws = [draws_of(data, law, cases, data.settings.seed) for law in (first, second)]
    scores = [s for s in scores_of(data, cases, draws).values() if s.to_y.size]
    weight = weight_of_second(scores, CAUTION)
    shares = np.array([1 - weight, weight])
    gains = []
    for score in scores:
        linear, quadratic = score.terms()
        pooled = linear @ shares - 0.5 * shares @ quadratic @ shares
        gains.append(1 - pooled / (linear[0] - 0.5 * quadratic[0, 0]))
    return weight, float(np.mean(gains))
