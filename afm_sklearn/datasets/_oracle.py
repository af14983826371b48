"""The true conditional law of a simulated system, used like a forecaster."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_array, check_scalar
from sklearn.utils.metaestimators import available_if

from ..law.rollout import rollout
from ._law import Array, Law, Seed, make_generator
from ._windowed import Rollable, draw_windows, finite, spread, unpack


def _law_has(name: str) -> Callable[[Any], bool]:
    return lambda oracle: hasattr(oracle.law, name)


class Oracle(RegressorMixin, BaseEstimator):
    """The true conditional law of a simulated system, used like a forecaster.

    It is fitted from birth and no forecaster can beat it on average: its scores
    are the bound to measure others against. X are rows of `design_matrix`,
    ``[activity[t-1] | stimulus[t]]``, or windows of them; only the last
    ``law.order`` rows of a window are read.

    A row whose needed entries are NaN (the start of a run) has no known law:
    every method returns NaN there.

    Parameters
    ----------
    law : object
        The law of one step, as built by the ``make_*`` functions.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.datasets import make_linear_var
    >>> data = make_linear_var(n_times=100, n_channels=3, random_state=0)
    >>> X = np.c_[data.activity[:-1], data.stimulus[1:]]
    >>> data.oracle.sample(X, n_samples=20, random_state=0).shape
    (99, 20, 3)
    """

    def __init__(self, law: Law) -> None:
        self.law = law

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        tags.requires_fit = False
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Oracle:
        """Do nothing: the law is known.

        Parameters
        ----------
        X : array-like
            Ignored.
        y : array-like, optional
            Ignored.

        Returns
        -------
        Oracle
            This object.
        """
        return self

    def predict(self, X: ArrayLike) -> Array:
        """Conditional mean.

        Exact, but for the two diffusions (Lorenz and double wells). There it is
        the mean of a fixed, seeded set of paths, the same for every row:
        deterministic, with a standard error of at most 2.3 % of the law's spread.

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c)
            Windows of `design_matrix` rows; (n, c) means L = 1.

        Returns
        -------
        ndarray of shape (n, d)
            The mean, NaN where the needed lags are NaN.
        """
        lags, stimulus, known = unpack(self.law, self._windows(X))
        return spread(self.law.mean(lags[known], stimulus[known]), known)

    def sample(
        self, X: ArrayLike, n_samples: int = 100, random_state: Seed = None
    ) -> Array:
        """Draw the next step, independently for every row.

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c)
            Windows of `design_matrix` rows.
        n_samples : int, default=100
            Draws a row.
        random_state : int, Generator, RandomState or None
            Seed or source of the draws.

        Returns
        -------
        ndarray of shape (n, n_samples, d)
            The draws, NaN where the needed lags are NaN.
        """
        check_scalar(n_samples, "n_samples", Integral, min_val=1)
        rng = make_generator(random_state)
        return draw_windows(self.law, self._windows(X), n_samples, rng)

    def sample_trajectories(
        self,
        X: ArrayLike,
        horizon: int,
        *,
        stimulus: ArrayLike | None = None,
        n_samples: int = 100,
        random_state: Seed = None,
    ) -> Array:
        """Draw joint trajectories of the next steps.

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c)
            Windows of `design_matrix` rows.
        horizon : int
            Steps to draw.
        stimulus : array-like of shape (n, horizon, s), optional
            Stimulus during each forecast step; the first replaces the one in
            the last row of X. Needed by a driven system when horizon > 1.
        n_samples : int, default=100
            Trajectories a row.
        random_state : int, Generator, RandomState or None
            Seed or source of the draws.

        Returns
        -------
        ndarray of shape (n, n_samples, horizon, d)
            The trajectories, NaN where what they need is NaN.
        """
        check_scalar(n_samples, "n_samples", Integral, min_val=1)
        check_scalar(horizon, "horizon", Integral, min_val=1)
        windows = self._windows(X)[:, -self.law.order :]
        future = self._check_stimulus(stimulus, len(windows), horizon)
        rng = make_generator(random_state)

        trajectories = rollout(
            Rollable(self.law, rng),
            torch.tensor(windows),
            horizon,
            n_samples,
            stimulus=future,
        )
        return trajectories.numpy()

    @available_if(_law_has("covariance"))
    def mean(self, X: ArrayLike) -> Array:
        """Exact mean of a Gaussian law, which ``covariance`` completes.

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c)
            Windows of `design_matrix` rows.

        Returns
        -------
        ndarray of shape (n, d)
            The mean, NaN where the needed lags are NaN.
        """
        return self.predict(X)

    @property
    def covariance(self) -> Array:
        """Exact covariance (d, d) of a Gaussian law, the same for every row."""
        return self.law.covariance  # type: ignore[attr-defined]

    @available_if(_law_has("log_prob"))
    def log_prob(self, X: ArrayLike, y: ArrayLike) -> Array:
        """Exact log density (log probability of counts) of y given X.

        Amplitudes that are exactly zero have a probability, others a density.

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c)
            Windows of `design_matrix` rows.
        y : array-like of shape (n, d)
            The step that followed.

        Returns
        -------
        ndarray of shape (n,)
            In nats, NaN where the needed lags or y are NaN.
        """
        lags, stimulus, known = unpack(self.law, self._windows(X))
        target = check_array(y, dtype=np.float64, ensure_all_finite="allow-nan")
        if target.shape != (len(lags), self.law.n_outputs):
            raise ValueError(
                f"y must have shape {(len(lags), self.law.n_outputs)}, "
                f"got {target.shape}"
            )
        known = known & finite(target)
        values = self.law.log_prob(lags[known], stimulus[known], target[known])  # type: ignore[attr-defined]
        return spread(values, known)

    def _windows(self, X: ArrayLike) -> Array:
        windows = check_array(
            X, dtype=np.float64, allow_nd=True, ensure_all_finite="allow-nan"
        )
        if windows.ndim == 2:
            windows = windows[:, None]
        law = self.law
        if windows.ndim != 3 or windows.shape[2] != law.n_outputs + law.n_stimuli:
            raise ValueError(
                f"X must have {law.n_outputs} lagged channels and {law.n_stimuli} "
                f"stimulus columns on its last axis (and no run column), got shape "
                f"{np.shape(X)}"
            )
        if windows.shape[1] < law.order:
            raise ValueError(
                f"X must hold windows of at least {law.order} rows, the order of "
                f"this system, got {windows.shape[1]}"
            )
        return windows

    def _check_stimulus(
        self, stimulus: ArrayLike | None, n: int, horizon: int
    ) -> torch.Tensor | None:
        if stimulus is None:
            if self.law.n_stimuli and horizon > 1:
                raise ValueError(
                    f"stimulus is None, but the system has {self.law.n_stimuli} "
                    f"stimulus columns and horizon is {horizon}"
                )
            return None
        future = np.array(stimulus, dtype=np.float64)
        expected = (n, horizon, self.law.n_stimuli)
        if future.shape != expected:
            raise ValueError(
                f"stimulus must have shape {expected}, (rows of X, horizon, stimulus "
                f"columns), got {future.shape}"
            )
        return torch.from_numpy(future)
