"""What every forecaster of the package does, once its law is fitted."""

from __future__ import annotations

import copy
from abc import ABCMeta, abstractmethod
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.metaestimators import available_if

from .answers import Answers, Draw
from .checks import LEVELS, check_integer, check_levels, seed_from
from .data.reference import reference_rows
from .inputs import without_artefacts
from .law.rollout import rollout
from .saving.mixin import Savable

Array = NDArray[Any]


class BaseForecaster(Savable, RegressorMixin, Answers, metaclass=ABCMeta):
    """A regressor that draws: input checks, chunks, intervals and trajectories.

    A subclass defines its constructor, with ``window_length``, ``run_column``,
    ``autoregressive`` and ``random_state`` among the arguments, declares
    ``_parameter_constraints``, and learns ``law_`` in ``_fit``. Shapes: windows are
    (n, L, c), targets (n, d); with 1-D y the last axis of every result is dropped.

    Attributes
    ----------
    input_sample_ : ndarray of shape (m, c)
        Newest rows of windows of training, at most 1000: what `novelty` compares with.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "window_length": [Interval(Integral, 1, None, closed="left"), None],
        "run_column": [Integral, str, None],
        "autoregressive": [StrOptions({"auto"}), "boolean", Options(Integral, {0, 1})],
        "random_state": ["random_state"],
    }

    random_state: Any = None

    @abstractmethod
    def _fit(self, windows: Any, targets: Array, seed: int) -> None:
        """Learn ``law_`` from windows (n, L, c) and targets (n, d); NaN is missing."""

    # -- the public methods ----------------------------------------------------

    def fit(self, X: Any, y: Any) -> Self:
        """Learn p(y | X).

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c)
            Windows as `SlidingWindow` makes them; (n, c) means L = 1, or rows of
            `design_matrix` with `window_length`. NaN means not observed.
        y : array-like of shape (n, d) or (n,)
            Targets; entries that are NaN are left out.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an argument of the constructor is out of range, X or y hold infinities,
            or their shapes do not fit. The forecaster then is what it was before.
        """
        # All that is learnt is set at once, in the end.
        fitted = copy.copy(self)
        fitted._validate_params()
        fitted._check_parameters()
        windows = fitted._check_X(X, reset=True)
        targets = fitted._check_y(y, len(windows))
        fitted._one_dim = targets.ndim == 1
        targets = targets.reshape(len(windows), -1)
        fitted.n_outputs_ = targets.shape[1]
        windows, targets = without_artefacts(windows, targets)
        fitted._find_lags(windows, targets)
        fitted.input_sample_ = reference_rows(windows)
        seed = seed_from(self.random_state)
        fitted._fit(windows, targets, seed)
        self.__dict__.clear()
        self.__dict__.update(fitted.__dict__)
        return self

    def predict(self, X: Any) -> Array:
        """Conditional mean; deterministic, the same for a row in any batch.

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c)
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, d) or (n,)
        """
        return self._shape(self._expected(X))

    def predict_quantiles(
        self, X: Any, alpha: Any = LEVELS, *, quantiles: Any = None
    ) -> Array:
        """Quantiles of each channel; deterministic, the same for a row in any batch.

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c)
            As in `fit`.
        alpha : float or sequence of float
            Levels, strictly between 0 and 1.
        quantiles : float or sequence of float, optional
            Another name of `alpha`, as scikit-learn's own ensembles have it.

        Returns
        -------
        ndarray of shape (n, n_alpha, d) or (n, n_alpha)

        Raises
        ------
        ValueError
            If a level is not strictly between 0 and 1, or both names are given.
        """
        levels = check_levels(alpha, quantiles)
        at = torch.from_numpy(levels).to(self._device)
        return self._shape(self._answer(X, len(levels), lambda p: p.quantile(at)))

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        """Central interval of each channel.

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c)
            As in `fit`.
        coverage : float
            Probability that the interval is to hold, strictly between 0 and 1.

        Returns
        -------
        ndarray of shape (n, 2, d) or (n, 2)
            Lower and upper ends.
        """
        if not isinstance(coverage, float | Integral) or not 0 < coverage < 1:
            raise ValueError(f"coverage must lie between 0 and 1, got {coverage!r}")
        return self.predict_quantiles(X, ((1 - coverage) / 2, (1 + coverage) / 2))

    def sample(self, X: Any, n_samples: int = 100, random_state: Any = None) -> Array:
        """Independent draws of the next step.

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c)
            As in `fit`.
        n_samples : int
            Draws a row.
        random_state : int, RandomState or None
            Seed of the draws.

        Returns
        -------
        ndarray of shape (n, n_samples, d) or (n, n_samples)
        """
        check_integer("n_samples", n_samples)
        windows = self._windows(X)
        law = self._law()

        def draw(
            at: torch.Tensor, k: int, rows: Array, generator: torch.Generator
        ) -> torch.Tensor:
            return rollout(law, at, 1, k, generator=generator)[:, :, 0]

        shape = (len(windows), n_samples, self.n_outputs_)
        noise = self._generator(random_state)
        return self._shape(self._draws(windows, shape, draw, noise))

    def sample_trajectories(
        self,
        X: Any,
        horizon: int,
        *,
        stimulus: Any = None,
        n_samples: int = 100,
        random_state: Any = None,
    ) -> Array:
        """Joint draws of the next `horizon` steps.

        Each drawn step is pushed into its window and conditions the next.

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c)
            Windows that end just before the first forecast step, as in `fit`.
        horizon : int
            Steps to draw.
        stimulus : array-like of shape (n, horizon, s), optional
            The stimulus during each forecast step, in the units of X. Its first
            step replaces the last one of the window. Needed when the model has a
            stimulus and ``horizon > 1``.
        n_samples : int
            Trajectories a row.
        random_state : int, RandomState or None
            Seed of the draws.

        Returns
        -------
        ndarray of shape (n, n_samples, horizon, d) or (n, n_samples, horizon)

        Raises
        ------
        ValueError
            If the first channels of X are not the lagged targets, or the stimulus is
            missing or of the wrong shape.
        """
        check_integer("n_samples", n_samples)
        check_integer("horizon", horizon)
        windows = self.make_windows(X)
        self._check_horizon(horizon)
        future = self._check_stimulus(stimulus, len(windows), horizon)
        self._warn_of_others(windows, future)
        draw = self._trajectories(windows, future, horizon)
        shape = (len(windows), n_samples, horizon, self.n_outputs_)
        noise = self._generator(random_state)
        return self._shape(self._draws(windows, shape, draw, noise))

    @available_if(lambda self: self._has_density)
    def log_prob(self, X: Any, y: Any) -> Array:
        """Log density of y given X; what is missing in y (NaN) is marginalised.

        Of counts it is a log probability, minus infinity where y is no count.

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c)
            As in `fit`.
        y : array-like of shape (n, d) or (n,)
            Targets.

        Returns
        -------
        ndarray of shape (n,)
            In nats.
        """
        windows = self._windows(X)
        y = self._check_outcome(y, len(windows))
        return self._answer_with(windows, y, lambda p, at: p.log_prob(at))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R2 of the mean, averaged over channels; missing targets are left out.

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c)
            As in `fit`.
        y : array-like of shape (n, d) or (n,)
            Targets; NaN where missing.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows.

        Returns
        -------
        float
        """
        targets = np.asarray(y)
        if targets.dtype.kind != "f" or not np.isnan(targets).any():
            return float(super().score(X, y, sample_weight))
        ahead = self.predict(X).reshape(len(targets), -1)
        targets = self._check_outcome(targets, len(ahead))
        weight = np.ones(len(targets)) if sample_weight is None else sample_weight
        scores = []
        for one, mean in zip(targets.T, ahead.T, strict=True):
            seen = np.isfinite(one)
            if seen.sum() > 1:
                kept = np.asarray(weight)[seen]
                scores.append(r2_score(one[seen], mean[seen], sample_weight=kept))
        return float(np.mean(scores)) if scores else np.nan

    # -- what a subclass may refine --------------------------------------------

    _rolls_out: ClassVar[bool] = True  # trajectories are rollouts of `law_`

    @property
    def _has_density(self) -> bool:
        return True

    def _check_horizon(self, horizon: int) -> None:
        """Refuse trajectories that cannot be drawn."""
        if not self.autoregressive_:
            raise ValueError(
                "sample_trajectories needs the first channels of X to be the lagged "
                f"targets, but {self._why_not}"
            )

    def _trajectories(self, windows: Any, future: Array | None, horizon: int) -> Draw:
        """Return what draws trajectories of some windows; see `Answers._draws`."""
        law = self._law()

        def draw(
            at: torch.Tensor, k: int, rows: Array, generator: torch.Generator
        ) -> torch.Tensor:
            ahead = None
            if future is not None:
                ahead = self._tensor(future[rows])
                ahead = ahead.repeat_interleave(len(at) // len(ahead), 0)
            return rollout(law, at, horizon, k, stimulus=ahead, generator=generator)

        return draw

    def _check_parameters(self) -> None:
        """Refuse arguments that their constraints alone cannot tell."""

    def _shape(self, values: Array) -> Array:
        return values[..., 0] if self._one_dim else values

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        tags.regressor_tags.poor_score = True
        return tags
