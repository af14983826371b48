"""A fitted forecaster, brought to a new session."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone

from ..compute import one_thread
from ..data.blocks import time_folds
from ..data.windows import Windows
from ..fitting.cases import by_lead, cases_among, draws_of, scores_of
from ..fitting.core import fit_to_core
from ..fitting.data import TrainingData
from ..fitting.pool import N_HELD
from ..fitting.weights import Score, best_newcomer, surest_weight
from ..law.pool import joined
from .fit import can_share, own_forecaster, training_data, windows_and_targets

Array = NDArray[Any]

MIN_PROBED = 20  # rows that a model of the session alone is judged by
MIN_HELD = 200  # rows at the end that tell enough; otherwise ..
N_FOLDS = 5  # .. blocks all over the session are held out in turn


def adapt(forecaster: Any, X: Any, y: Any) -> Any:
    """Fit a new session, with what the forecaster knows of others where that helps.

    A model of the session alone is fitted, and laws that draw on the forecaster: its
    core with a read-in and a read-out of the session, and the laws of known sessions of
    as many neurons, as they are. All are judged by rows of the session that none was
    fitted to. The best is pooled with the model of the session alone, as far as every
    score gains beyond chance.

    Parameters
    ----------
    forecaster : AFMForecaster
        Fitted.
    X, y : array-like of shape (n, c) and (n, d)
        The session, as for a fit of it alone.

    Returns
    -------
    AFMForecaster
        Of the new session, with `adapted_`: the ``source`` of what was best to share
        ("core", "law", "law of NAME" or None), its ``weight`` in the next step and its
        ``weight ahead`` in those after it, and the ``gain``, the mean part by which the
        scores of held-out rows are lower than those of the session alone.
    """
    alone = _unfitted(forecaster, X, y).fit(X, y)
    windows, targets = windows_and_targets(alone, X, y)
    data = training_data(alone, windows, targets)
    laws, core = _known_laws(forecaster, alone), getattr(forecaster, "core_", None)
    core = core if can_share(data) else None
    if core is not None:
        _check_stimulus(core, data)
    names = [*laws] if core is None else [*laws, "core"]
    if not names or len(data.held) < MIN_PROBED or data.held[0] < MIN_PROBED:
        return _with_shared(alone, None, None, (0.0, 0.0), np.nan)
    scores = _judge(alone, windows, targets, data, [*laws.values()], core)
    if not scores:
        return _with_shared(alone, None, None, (0.0, 0.0), np.nan)
    step, every = by_lead(scores)
    best = best_newcomer(every)
    pairs = [[score.of_laws([0, best]) for score in each] for each in (step, every)]
    weight, ahead = map(surest_weight, pairs)
    gains = [
        score.gain_of_pool(share)[0]
        for each, share in zip(pairs, (weight, ahead), strict=True)
        for score in each
    ]
    source, shared = names[best - 1], None
    if weight or ahead:
        shared = _read_in(data, core) if source == "core" else laws[source]
    return _with_shared(alone, source, shared, (weight, ahead), float(np.mean(gains)))


def _with_shared(
    alone: Any,
    source: str | None,
    shared: Any,
    weights: tuple[float, float],
    gain: float,
) -> Any:
    """Return the forecaster with what it shares, and the report of that."""
    alone.adapted_ = {
        "source": source,
        "weight": weights[0],
        "weight ahead": weights[1],
        "gain": gain,
    }
    if shared is not None:
        alone.law_ = joined(alone.law_, shared, *weights)
        alone.base_ = "shared" if min(weights) == 1 else f"{alone.base_}+shared"
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


def _known_laws(forecaster: Any, alone: Any) -> dict[str, Any]:
    """Return the laws that the forecaster has of as many neurons and stimuli."""
    sessions = getattr(forecaster, "sessions_", {})
    known = {f"law of {name}": one for name, one in sessions.items()}
    if len({id(one) for one in sessions.values()}) < 2:
        known = {"law": next(iter(sessions.values()), forecaster)}
    shape = alone.window_shape_, alone.n_outputs_, True
    return {
        name: copy.deepcopy(one.law_)
        for name, one in known.items()
        if (one.window_shape_, one.n_outputs_, one.autoregressive_) == shape
    }


def _read_in(data: TrainingData, core: Any) -> Any:
    """Return the law of a session that is read into a core."""
    with one_thread(blas=True), torch.inference_mode(False), torch.enable_grad():
        return fit_to_core(data, core.to(data.device)).law()


def _judge(
    alone: Any,
    windows: Windows,
    targets: Array,
    data: TrainingData,
    laws: Sequence[Any],
    core: Any,
) -> dict[str, Score]:
    """Score the session alone, known laws and the core on rows that none has seen."""
    last = np.arange(data.held[0]), data.held
    folds = [last]
    if len(data.held) < MIN_HELD:
        folds = list(time_folds(windows, N_FOLDS, data.n_outputs))
    parts: dict[str, list[Score]] = {}
    for k, (train, held) in enumerate(folds):
        probe = clone(alone).set_params(window_length=None, run_column=None)
        probe.fit(windows[train], targets[train])
        if not probe.autoregressive_:  # too few rows tell that lags are lags
            continue
        judged = [probe.law_, *laws]
        if core is not None:
            judged.append(
                _read_in(training_data(probe, windows[train], targets[train]), core)
            )
        cases = cases_among(data, held, N_HELD)
        draws = [draws_of(data, law, cases, k) for law in judged]
        for name, score in scores_of(data, cases, draws).items():
            parts.setdefault(name, []).append(score)
    return {name: Score.joined(each) for name, each in parts.items()}
