"""Fit every session of a stack, and a core that they share."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone

from ..compute import one_thread
from ..data.windows import Windows
from ..fitting import Settings
from ..fitting.core import train_core
from ..fitting.data import TrainingData
from ..inputs import without_artefacts
from ..law.networks.shared import Core
from .stacked import Block, StackedSessions

Array = NDArray[Any]


def fit_sessions(
    forecaster: Any, X: StackedSessions, y: StackedSessions
) -> tuple[dict[Hashable, Any], Core | None]:
    """Fit each session alone, and a core on all of them.

    Sessions that have all their neurons in common are fitted as one.

    Parameters
    ----------
    forecaster : AFMForecaster
        Not fitted itself.
    X, y : StackedSessions
        As `stack_sessions` returns them, or the same rows of both.

    Returns
    -------
    forecasters : dict
        A fitted forecaster a session.
    core : Core or None
        None where there is nothing to share, or all is shared already.
    """
    inputs, outputs = X.sessions(), y.sessions()
    blocks = {label: (inputs[label][1], outputs[label][1]) for label in inputs}
    neurons = {tuple(target.columns) for _, target in blocks.values()}
    if len(neurons) == 1:
        rows = np.concatenate([x.values for x, _ in blocks.values()])
        targets = np.concatenate([target.values for _, target in blocks.values()])
        together = own_forecaster(forecaster, rows.shape[1] - 1).fit(rows, targets)
        return dict.fromkeys(blocks, together), None
    forecasters = {
        label: own_forecaster(forecaster, x.values.shape[1] - 1).fit(
            x.values, target.values
        )
        for label, (x, target) in blocks.items()
    }
    datas = [
        training_data(forecasters[label], *_values(pair))
        for label, pair in blocks.items()
    ]
    datas = [data for data in datas if can_share(data)]
    if len(datas) < 2:
        return forecasters, None
    with one_thread(blas=True), torch.inference_mode(False), torch.enable_grad():
        return forecasters, train_core(datas).cpu()


def own_forecaster(forecaster: Any, run_column: int | None) -> Any:
    """Return an unfitted forecaster of one session, whose runs a column tells."""
    return clone(forecaster).set_params(run_column=run_column)


def training_data(fitted: Any, X: Any, y: Any) -> TrainingData:
    """Return the training data of a forecaster of one session once more."""
    windows, targets = windows_and_targets(fitted, X, y)
    return TrainingData(windows, targets, Settings.of(fitted, seed=0))


def windows_and_targets(fitted: Any, X: Any, y: Any) -> tuple[Windows, Array]:
    """Return what a forecaster of one session is fitted to."""
    return without_artefacts(
        fitted.make_windows(X), np.asarray(y, np.float64).reshape(len(y), -1)
    )


def can_share(data: TrainingData) -> bool:
    """Tell whether a session can be read into a core: lags, and rows to judge by."""
    is_forecast = data.settings.is_autoregressive
    return is_forecast and len(data.held) > 1 and len(data.fit_rows) > 1


def _values(pair: tuple[Block, Block]) -> tuple[Any, Any]:
    return pair[0].values, pair[1].values
