"""Forecasts of a recording that is still going on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_integer
from ..data.numbers import as_columns
from ..metrics.arguments import as_numbers
from .chain import Chain

Array = NDArray[Any]


class ForecastStream:
    """Observe a recording step by step, and forecast from wherever it has got to.

    Only the rows that a window reaches back over are kept, however long the recording.
    Draws are those of ``sample_trajectories`` from the same window with the same seed,
    bit for bit.

    Parameters
    ----------
    forecaster : estimator
        A fitted forecaster, or a Pipeline or search that ends in one. Steps of a
        Pipeline other than `SlidingWindow` must treat each row on its own, as a scaler
        does. Of a forecaster that was fitted on windows the stream makes the windows.
    activity : array-like of shape (T, d) or (T,), optional
        Steps observed before, the newest last, all of the run that goes on.
    stimulus : array-like of shape (T, s) or (T,), optional
        The stimulus during these steps. Needed with `activity` if the forecaster has a
        stimulus.

    Attributes
    ----------
    n_outputs, n_stimuli : int
        Channels d of the activity and s of the stimulus.

    Raises
    ------
    TypeError
        If `forecaster` cannot draw trajectories.
    ValueError
        If it was not fitted on rows that begin with the lagged targets, or `activity`
        or `stimulus` have the wrong number of columns or steps, or hold infinities.

    Notes
    -----
    Numbers are kept as float64. A row of `design_matrix` holds the activity of the
    step before and the stimulus of the step itself: the stimulus of an observed step
    comes with `observe`, that of the first step to draw with `forecast`.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn import Persistence, design_matrix
    >>> from afm_sklearn.applications.stream import ForecastStream
    >>> walk = np.random.default_rng(0).normal(size=(200, 2)).cumsum(0)
    >>> model = Persistence(window_length=3).fit(design_matrix(walk), walk)
    >>> stream = ForecastStream(model, walk[:100])
    >>> for step in walk[100:]:
    ...     stream.observe(step)
    >>> stream.forecast(horizon=4, n_samples=50).shape
    (50, 4, 2)
    """

    def __init__(self, forecaster: Any, activity: Any = None, *, stimulus: Any = None):
        self._chain = Chain.of(forecaster)
        self.n_outputs = self._chain.n_outputs
        self.n_stimuli = self._chain.n_stimuli
        width = self.n_outputs + self.n_stimuli
        # The last row is the one before the next step, whose stimulus is not known yet.
        self._rows = np.full((self._chain.length, width), np.nan)
        self._n_known = 1
        if activity is None and stimulus is not None:
            raise ValueError("activity is None, but stimulus is given")
        if activity is not None:
            self._observe_all(activity, stimulus)

    def observe(self, activity: Any, stimulus: Any = None) -> None:
        """Take in one step.

        Parameters
        ----------
        activity : array-like of shape (d,), or float if d is 1
            What was observed; NaN where not.
        stimulus : array-like of shape (s,), or float if s is 1, optional
            The stimulus during that step; NaN where not known. Needed if the
            forecaster has a stimulus.

        Raises
        ------
        ValueError
            If an argument is missing, has the wrong number of channels or holds
            infinities; the stream is then what it was before.
        """
        step = _step("activity", activity, self.n_outputs)
        self._check_given(stimulus)
        shown = np.empty(0)
        if stimulus is not None:
            shown = _step("stimulus", stimulus, self.n_stimuli)
        self._push(step, shown)

    def forecast(
        self,
        horizon: int,
        *,
        stimulus: Any = None,
        n_samples: int = 100,
        random_state: Any = None,
    ) -> Array:
        """Draw the steps after the last one observed, jointly.

        Parameters
        ----------
        horizon : int
            Steps to draw.
        stimulus : array-like of shape (horizon, s) or (horizon,), optional
            The stimulus during these steps, in the units of `observe`; NaN where not
            known. Needed if the forecaster has a stimulus.
        n_samples : int, default=100
            Trajectories.
        random_state : int, RandomState or None, default=None
            Seed of the draws.

        Returns
        -------
        ndarray of shape (n_samples, horizon, d) or (n_samples, horizon)

        Raises
        ------
        ValueError
            If the stimulus is missing or of the wrong shape, or as the forecaster's
            ``sample_trajectories`` does.
        """
        check_integer("horizon", horizon)
        check_integer("n_samples", n_samples)
        self._check_given(stimulus)
        rows = self._rows[-self._n_known :]
        if stimulus is not None:
            shown = _columns("stimulus", stimulus, self.n_stimuli)
            if len(shown) != horizon:
                raise ValueError(
                    f"stimulus has {len(shown)} steps, horizon needs {horizon}"
                )
            rows = self._rows_ahead(shown)
        windows = self._chain.windows(rows)
        n_ahead = 1 if stimulus is None else horizon
        # What reaches the forecaster, where a scaler stands in front of it.
        ahead = np.asarray(windows[-n_ahead:])[:, -1, self.n_outputs :]
        at = len(rows) - n_ahead
        paths: Array = self._chain.forecaster.sample_trajectories(
            windows[at : at + 1],
            horizon,
            stimulus=None if stimulus is None else ahead[None],
            n_samples=n_samples,
            random_state=random_state,
        )
        return paths[0]

    def reset(self) -> None:
        """Forget all steps: what is observed next begins a new run."""
        self._rows[:] = np.nan
        self._n_known = 1

    def _observe_all(self, activity: Any, stimulus: Any) -> None:
        steps = _columns("activity", activity, self.n_outputs)
        self._check_given(stimulus)
        shown = np.empty((len(steps), 0))
        if stimulus is not None:
            shown = _columns("stimulus", stimulus, self.n_stimuli)
        if len(shown) != len(steps):
            raise ValueError(
                f"stimulus has {len(shown)} steps, activity has {len(steps)}"
            )
        n = self._chain.length
        for step, at in zip(steps[-n:], shown[-n:], strict=True):
            self._push(step, at)

    def _push(self, step: Array, shown: Array) -> None:
        rows, d = self._rows, self.n_outputs
        rows[-1, d:] = shown
        rows[:-1] = rows[1:]
        rows[-1, :d], rows[-1, d:] = step, np.nan
        self._n_known = min(self._n_known + 1, len(rows))

    def _rows_ahead(self, shown: Array) -> Array:
        """Return the known rows, and a row for each step of the stimulus to come."""
        known = self._rows[-self._n_known :]
        later = np.full((len(shown) - 1, known.shape[1]), np.nan)
        rows = np.concatenate([known, later])
        rows[len(known) - 1 :, self.n_outputs :] = shown
        return rows

    def _check_given(self, stimulus: Any) -> None:
        if stimulus is None and self.n_stimuli:
            raise ValueError(
                f"stimulus is None, but the forecaster has {self.n_stimuli} stimulus "
                "channels; give NaN where it is not known"
            )
        if stimulus is not None and not self.n_stimuli:
            raise ValueError("stimulus was given, but the forecaster has none")


def _step(name: str, values: Any, n_channels: int) -> Array:
    """Return one step as (n_channels,)."""
    array = as_numbers(name, values).astype(np.float64)
    array = array[None] if array.ndim == 0 else array
    if array.shape != (n_channels,):
        given = f"{len(array)} channels" if array.ndim == 1 else f"shape {array.shape}"
        raise ValueError(f"{name} has {given}, the forecaster needs {n_channels}")
    if np.isinf(array).any():
        raise ValueError(f"{name} must be finite or NaN (missing), got infinity")
    return array


def _columns(name: str, values: Any, n_channels: int) -> Array:
    """Return steps as (T, n_channels)."""
    array = as_columns(values, name)
    if array.shape[1] != n_channels:
        raise ValueError(
            f"{name} has {array.shape[1]} channels, the forecaster needs {n_channels}"
        )
    return array.astype(np.float64)
