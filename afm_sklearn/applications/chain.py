"""A fitted estimator taken apart, for rows that arrive one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from ..evaluation.unwrap import as_fitted, require, take_apart
from ..inputs import InputChecks
from ..windows import SlidingWindow, sliding_windows

Array = NDArray[Any]


@dataclass(frozen=True)
class Chain:
    """A forecaster and the steps of a Pipeline in front of it.

    Attributes
    ----------
    forecaster : estimator
        The last step, with ``sample_trajectories``.
    transformers : tuple of transformers
        What rows pass through on their way to it.
    length : int
        Rows that a window reaches back over, its own included.
    n_outputs, n_stimuli : int
        Columns of the activity and of the stimulus in a row.
    has_runs : bool
        Whether the last column of a row is a run label.
    """

    forecaster: Any
    transformers: tuple[Any, ...]
    length: int
    n_outputs: int
    n_stimuli: int
    has_runs: bool

    @classmethod
    def of(cls, estimator: Any) -> Chain:
        """Walk through fitted searches and Pipelines.

        Raises
        ------
        TypeError
            If there is no forecaster in the end.
        ValueError
            If rows do not begin with the lagged targets, or the run labels are not
            in the last column.
        """
        forecaster, transformers = take_apart(estimator)
        require(forecaster, "sample_trajectories", "forecaster")
        check_is_fitted(forecaster)
        if not getattr(forecaster, "autoregressive_", True):
            raise ValueError(
                "forecaster must be fitted on rows whose first channels are the "
                "lagged targets, as design_matrix lays them out"
            )
        n_outputs, n_channels = _columns(forecaster)
        makers = [step for step in transformers if isinstance(step, SlidingWindow)]
        length = 1 + sum(step.length - 1 for step in makers)
        if _owns_windows(forecaster):
            makers, length = [*makers, forecaster], length + forecaster.window_length
            length -= 1
        elif not makers:
            length = _steps(forecaster)
        first = transformers[0] if transformers else forecaster
        if transformers or _owns_windows(forecaster):
            n_channels = first.n_features_in_
        has_runs = False
        for maker in makers:
            if maker.run_column_ is not None:
                has_runs = True
                _check_last(maker)
        n_stimuli = n_channels - n_outputs - has_runs
        return cls(forecaster, transformers, length, n_outputs, n_stimuli, has_runs)

    def windows(self, rows: Array) -> Any:
        """Return the windows (n, L, c) that end with each of the rows of one run.

        Parameters
        ----------
        rows : ndarray of shape (n, n_outputs + n_stimuli)
        """
        X: Any = np.c_[rows, np.zeros(len(rows))] if self.has_runs else rows
        if self.transformers:
            X = as_fitted(self.transformers[0], X)
        for step in self.transformers:
            X = step.transform(X)
        if np.ndim(X) == 3:
            return X
        if not _owns_windows(self.forecaster):
            has_windows = any(isinstance(s, SlidingWindow) for s in self.transformers)
            length = 1 if has_windows else self.length
            return sliding_windows(np.asarray(X, np.float64), length)
        if not isinstance(self.forecaster, InputChecks):
            return self.forecaster.make_windows(as_fitted(self.forecaster, X))
        # What it makes of the rows of one run; it checks windows when it draws.
        length, n_channels = self.forecaster.window_shape_
        return sliding_windows(np.asarray(X, np.float64)[:, :n_channels], length)


def _owns_windows(forecaster: Any) -> bool:
    return getattr(forecaster, "window_length", None) is not None


def _columns(forecaster: Any) -> tuple[int, int]:
    """Count the targets, and the channels of a window."""
    law = getattr(forecaster, "law", None)  # of an oracle, which is not fitted
    if law is not None:
        return law.n_outputs, law.n_outputs + law.n_stimuli
    return forecaster.n_outputs_, forecaster.window_shape_[1]


def _steps(forecaster: Any) -> int:
    """Count the steps of a window."""
    law = getattr(forecaster, "law", None)
    return int(forecaster.window_shape_[0] if law is None else law.order)


def _check_last(maker: Any) -> None:
    last = maker.n_features_in_ - 1
    if maker.run_column_ != last:
        raise ValueError(
            "forecaster must have its run column last, as design_matrix lays it out, "
            f"got run_column {maker.run_column_} of {last + 1} columns"
        )
