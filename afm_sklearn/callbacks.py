"""Callbacks of scikit-learn, from version 1.9 on, in the fit of a forecaster.

The fit is a task; its stages ("linear", "newest", "window", "flow", "pool",
"trajectories", "choice") are subtasks; epochs are subtasks of those that train.
Below version 1.9 there is no ``set_callbacks``, and nothing changes.

A callback that returns True at the end of an epoch ends that training, which keeps its
best epoch. At the end of a stage it ends the fit: no training follows, no pool is
fitted, and what was trained is weighed. Callbacks that score are handed the forecaster
as it stands: after an epoch, the network in training alone, with its averaged weights
and the noise that goes with it; after "linear" and "pool", what these found; after
"choice", what is kept. Its ``history_`` holds the losses so far. Windows, made of X,
are passed as X.

A forecaster as it stands is made when a callback asks for it. After an epoch that
takes about as long as a third of the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .callback_support import CallbackSupportMixin
from .fitting.fitted import Fitted
from .fitting.watch import STAGES, Draft, Records, Watch, Watches
from .progress import FitLines
from .summary import reason


class CallbackWatch(Watch):
    """Tells the callbacks of an estimator what its fit does.

    Parameters
    ----------
    estimator : CallbackSupportMixin
        With all that its fit learns, apart from what `Fitted.attributes` holds.
    X, y : array-like
        What it is fitted to.
    """

    def __init__(self, estimator: Any, X: Any, y: Any):
        self.given = {"estimator": estimator, "X": X, "y": y}
        self.task = estimator._init_callback_context(max_subtasks=len(STAGES))
        self.task.call_on_fit_task_begin(**self.given)

    def begin(self, stage: str, n_epochs: int = 0) -> None:
        """Begin a subtask."""
        self.stage = self._begin(self.task, stage, n_epochs)
        self.last = self._begin(self.stage, "epoch") if n_epochs else None

    def epoch(self, records: Records, draft: Draft, goes_on: bool = True) -> bool:
        """End an epoch, and begin the next one where there is one."""
        is_enough = self._end(self.last, draft)
        goes_on = goes_on and not is_enough and len(records) < self.stage.max_subtasks
        self.last = self._begin(self.stage, "epoch") if goes_on else None
        return is_enough

    def end(self, draft: Draft, note: str = "") -> None:
        """End a subtask, with the epoch in which a training has diverged."""
        if self.last is not None:
            self._end(self.last, lambda: None)
        self.is_over = self._end(self.stage, draft) or self.is_over

    def finish(self, draft: Draft) -> None:
        """End the task."""
        self._end(self.task, draft)

    def _begin(self, task: Any, name: str, n_subtasks: int = 0) -> Any:
        subtask = task.subcontext(name, max_subtasks=n_subtasks)
        return subtask.call_on_fit_task_begin(**self.given)

    def _end(self, task: Any, draft: Draft) -> bool:
        def attributes() -> dict[str, Any] | None:
            fitted = draft()
            return None if fitted is None else fitted.attributes()

        ends: bool = task.call_on_fit_task_end(
            **self.given, reconstruction_attributes=attributes
        )
        return ends


def held_out_score(estimator: Any, X: Any = None, y: Any = None) -> float:
    """Score a forecaster by the held-out loss of its last training, negated.

    It is what early stopping looks at; with
    ``ScoringMonitor(scoring={"held": held_out_score})`` it makes a learning curve
    without further forecasts. scikit-learn wants the dict: it takes a function alone
    for one that returns several scores.

    Parameters
    ----------
    estimator : AFMForecaster
        Fitted, or as it stands in a fit.
    X, y : ignored

    Returns
    -------
    float
        NaN where nothing was trained, or nothing held back.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn import AFMForecaster, design_matrix
    >>> walk = np.random.default_rng(0).normal(size=(120, 2)).cumsum(0)
    >>> X = design_matrix(walk)
    >>> model = AFMForecaster(window_length=3, max_epochs=2, random_state=0)
    >>> if hasattr(model, "set_callbacks"):  # scikit-learn 1.9
    ...     from sklearn.callback import ScoringMonitor
    ...
    ...     monitor = ScoringMonitor(scoring={"held": held_out_score})
    ...     model = model.set_callbacks(monitor)
    >>> model = model.fit(X, walk)
    >>> np.isfinite(held_out_score(model)).item()
    True
    >>> if hasattr(model, "set_callbacks"):
    ...     rows = monitor.get_logs().data
    ...     curve = [row["held"] for row in rows if row["task_name"] == "epoch"]
    ...     first = next(iter(model.history_.values()))
    ...     assert curve[:2] == [-record["valid_loss"] for record in first]
    """
    trainings = [records for records in estimator.history_.values() if records]
    if not trainings:
        return math.nan
    return -float(trainings[-1][-1].get("valid_loss", math.nan))


class Watched(CallbackSupportMixin):
    """A forecaster whose fit tells how far it is: callbacks, and with ``verbose`` you.

    Attributes
    ----------
    base_, family_, history_, selection_, rows_
        See `AFMForecaster`.
    """

    verbose: Any
    base_: str
    family_: str
    history_: dict[str, Any]
    selection_: list[dict[str, Any]]
    rows_: dict[str, int]

    def _learn(self, fit: Callable[[Watch], Fitted], X: Any, y: Any) -> None:
        """Fit under watch, and set what was learnt."""
        watches: list[Watch] = [FitLines()] if self.verbose else []
        callbacks = None
        if hasattr(self, "_init_callback_context"):
            callbacks = CallbackWatch(self, X, y)
            watches.append(callbacks)
        watch = Watches(watches)
        try:
            fitted = fit(watch)
        finally:
            watch.close()
        for name, value in fitted.attributes().items():
            setattr(self, name, value)
        if self.verbose:
            print(reason(self), flush=True)
        if callbacks is not None:
            callbacks.finish(lambda: fitted)
