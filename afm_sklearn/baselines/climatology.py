"""Draws from the past, whatever the present."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray

from ..base import BaseForecaster
from ..checks import check_integer
from ..law.additive import AdditiveLaw
from .errors import complete_rows, learn_errors

Array = NDArray[Any]


class Climatology(BaseForecaster):
    """Forecast that anything seen before may come next: rows of y drawn at random.

    Whole rows are drawn with replacement, so that channels keep their dependence on
    one another; X is ignored. A forecaster that does not beat it has learnt nothing
    from X.

    Parameters
    ----------
    window_length : int or None, default=None
        Steps in a window. With it X is rows of `design_matrix`, else windows.
    run_column : int, str or None, default=None
        With `window_length`, the column of X that marks runs.
    random_state : int, RandomState or None, default=None
        Taken like every forecaster does; there is no chance in fitting this one.

    Attributes
    ----------
    targets_ : ndarray of shape (m, d)
        The rows of y in `fit` in which every channel was observed.
    means_ : ndarray of shape (d,)
        Their means.
    autoregressive_ : bool
        Whether the first channels of X are the lagged targets; not needed here.
    lag_scale_, lag_offset_ : ndarray of shape (d,)
        Where they are, they are ``(y - lag_offset_) / lag_scale_``.
    n_outputs_ : int
        Number of target channels d.

    See Also
    --------
    Persistence : Nothing but memory, where this one has none.

    References
    ----------
    D. S. Wilks (2019), Statistical Methods in the Atmospheric Sciences, 4th edition,
    Elsevier, chapter 9, on climatology as the reference of forecast skill.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.baselines import Climatology
    >>> counts = np.random.default_rng(0).poisson(0.5, size=(100, 3))
    >>> model = Climatology().fit(np.zeros((100, 1)), counts)
    >>> model.sample(np.zeros((2, 1)), n_samples=20).shape
    (2, 20, 3)
    >>> model.predict_quantiles(np.zeros((1, 1)), 0.5)
    array([[[0., 0., 0.]]])
    """

    _rolls_out = False

    def __init__(
        self,
        *,
        window_length: Any = None,
        run_column: Any = None,
        random_state: Any = None,
    ) -> None:
        self.window_length = window_length
        self.run_column = run_column
        self.random_state = random_state

    def sample_trajectories(
        self,
        X: Any,
        horizon: int,
        *,
        stimulus: Any = None,
        n_samples: int = 100,
        random_state: Any = None,
    ) -> Array:
        """Draw each of the next `horizon` steps independently.

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c)
            Windows as in `fit`; only their number matters.
        horizon : int
            Steps to draw.
        stimulus : array-like, optional
            Ignored, as X is.
        n_samples : int
            Trajectories a window.
        random_state : int, RandomState or None
            Seed of the draws.

        Returns
        -------
        ndarray of shape (n, n_samples, horizon, d) or (n, n_samples, horizon)
        """
        check_integer("n_samples", n_samples)
        check_integer("horizon", horizon)
        steps = self.sample(X, n_samples * horizon, random_state)
        return steps.reshape(len(steps), n_samples, horizon, *steps.shape[2:])

    @property
    def _has_density(self) -> bool:
        return False

    def _fit(self, windows: Any, targets: Array, seed: int) -> None:
        self.targets_ = complete_rows(targets, "the targets")
        self.means_ = self.targets_.mean(axis=0)
        rows, _ = learn_errors(self.targets_, "bootstrap")
        self.law_ = AdditiveLaw(
            _Nothing(self.n_outputs_),
            rows,
            torch.from_numpy(self.lag_scale_),
            torch.from_numpy(self.lag_offset_),
        )


class _Nothing:
    """A mean of zero, whatever the window."""

    def __init__(self, n_outputs: int) -> None:
        self.n_outputs = n_outputs

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        return windows.new_zeros(len(windows), self.n_outputs)
