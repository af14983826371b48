"""What every forecaster of the package does, once it can draw a step."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils import Tags, check_random_state

from .checks import InputChecks, check_integer
from .rollout import rollout

Array = NDArray[Any]

MAX_DRAWS = 1 << 20  # numbers drawn at a time: bounds the memory of sampling
MAX_STEPS = 1 << 22  # numbers in the windows and steps of trajectories, likewise
N_QUANTILE_DRAWS = 400


class BaseForecaster(RegressorMixin, InputChecks, metaclass=ABCMeta):
    """A regressor that draws: input checks, chunks, intervals and trajectories.

    A subclass defines its constructor, with ``autoregressive`` and ``random_state``
    among the arguments, and the three abstract methods. Shapes: windows are
    (n, L, c), targets (n, d); with 1-D y the last axis of every result is dropped.
    """

    random_state: Any = None

    @abstractmethod
    def _fit(self, windows: Array, targets: Array, seed: int) -> None:
        """Learn from windows (n, L, c) and targets (n, d); NaN is missing."""

    @abstractmethod
    def _mean(self, windows: Array) -> Array:
        """Conditional mean (n, d), the same for a row in any batch."""

    @abstractmethod
    def _draw(
        self, windows: torch.Tensor, n_samples: int, generator: torch.Generator
    ) -> torch.Tensor:
        """Independent draws of the next step, (n, n_samples, d)."""

    # -- the public methods ----------------------------------------------------

    def fit(self, X: Any, y: Any) -> Self:
        """Learn p(y | X).

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c)
            Windows as `SlidingWindow` makes them; (n, c) means L = 1. NaN means not
            observed.
        y : array-like of shape (n, d) or (n,)
            Targets; entries that are NaN are left out.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an argument of the constructor is out of range, X or y hold infinities,
            or their shapes do not fit.
        """
        self._check_parameters()
        windows = self._check_X(X, reset=True)
        targets = self._check_y(y, len(windows))
        self._one_dim = targets.ndim == 1
        targets = targets.reshape(len(windows), -1)
        self.n_outputs_ = targets.shape[1]
        self._find_lags(windows, targets)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._fit(windows, targets, seed)
        self.seed_ = seed
        return self

    def predict(self, X: Any) -> Array:
        """Conditional mean; deterministic, the same for a row in any batch.

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c)
            Windows as in `fit`.

        Returns
        -------
        ndarray of shape (n, d) or (n,)
        """
        return self._shape(self._mean(self._windows(X)))

    def predict_quantiles(self, X: Any, alpha: Any = (0.1, 0.5, 0.9)) -> Array:
        """Quantiles of each channel; deterministic.

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c)
            Windows as in `fit`.
        alpha : float or sequence of float
            Levels, strictly between 0 and 1.

        Returns
        -------
        ndarray of shape (n, n_alpha, d) or (n, n_alpha)
        """
        levels = np.atleast_1d(np.asarray(alpha, dtype=float))
        if levels.ndim != 1 or not ((levels > 0) & (levels < 1)).all():
            raise ValueError(f"alpha must lie strictly between 0 and 1, got {alpha}")
        return self._shape(self._quantiles(self._windows(X), levels))

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        """Central interval of each channel.

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c)
            Windows as in `fit`.
        coverage : float
            Probability that the interval is to hold, strictly between 0 and 1.

        Returns
        -------
        ndarray of shape (n, 2, d) or (n, 2)
            Lower and upper ends.
        """
        if not 0 < coverage < 1:
            raise ValueError(f"coverage must lie between 0 and 1, got {coverage}")
        return self.predict_quantiles(X, ((1 - coverage) / 2, (1 + coverage) / 2))

    def sample(self, X: Any, n_samples: int = 100, random_state: Any = None) -> Array:
        """Independent draws of the next step.

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c)
            Windows as in `fit`.
        n_samples : int
            Draws a window.
        random_state : int, RandomState or None
            Seed of the draws.

        Returns
        -------
        ndarray of shape (n, n_samples, d) or (n, n_samples)
        """
        check_integer("n_samples", n_samples)
        windows = self._windows(X)
        generator = self._generator(random_state)

        def draw(rows: slice) -> torch.Tensor:
            return self._draw(self._tensor(windows[rows]), n_samples, generator)

        chunks = self._chunks(windows, n_samples)
        return self._shape(_filled(len(windows), draw, chunks))

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
            Windows that end just before the first forecast step.
        horizon : int
            Steps to draw.
        stimulus : array-like of shape (n, horizon, s), optional
            The stimulus during each forecast step, in the units of X. Its first
            step replaces the last one of the window. Needed when the model has a
            stimulus and ``horizon > 1``.
        n_samples : int
            Trajectories a window.
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
        windows = self._windows(X)
        if not self.autoregressive_:
            raise ValueError(
                "sample_trajectories needs the first channels of X to be the lagged "
                f"targets, but {self._why_not}"
            )
        future = self._check_stimulus(stimulus, len(windows), horizon)
        generator = self._generator(random_state)

        def draw(rows: slice) -> torch.Tensor:
            ahead = None if future is None else self._tensor(future[rows])
            at = self._tensor(windows[rows])
            return self._rollout(at, horizon, n_samples, ahead, generator)

        n_steps = n_samples * (windows.shape[1] + horizon)
        chunks = self._chunks(windows, n_steps, MAX_STEPS)
        return self._shape(_filled(len(windows), draw, chunks))

    # -- what a subclass may refine --------------------------------------------

    def _check_parameters(self) -> None:
        if self.autoregressive not in ("auto", True, False):
            raise ValueError(
                f"autoregressive={self.autoregressive!r} is unknown, expected one of "
                "('auto', True, False)"
            )

    def _rollout(
        self,
        windows: torch.Tensor,
        horizon: int,
        n_samples: int,
        stimulus: torch.Tensor | None,
        generator: torch.Generator,
    ) -> torch.Tensor:
        """Trajectories (n, n_samples, horizon, d) from windows in the units of X."""
        return rollout(
            lambda at, k: self._draw(at, k, generator),
            windows,
            horizon,
            n_samples,
            n_outputs=self.n_outputs_,
            stimulus=stimulus,
            lag_scale=self._tensor(self.lag_scale_),
            lag_offset=self._tensor(self.lag_offset_),
        )

    def _quantiles(self, windows: Array, levels: Array) -> Array:
        parts = []
        for rows in self._chunks(windows, N_QUANTILE_DRAWS):
            # The same seed for every chunk, so that chunks do not show.
            generator = torch.Generator(self._device).manual_seed(self.seed_)
            at = self._tensor(windows[rows])
            draws = self._draw(at, N_QUANTILE_DRAWS, generator).cpu().numpy()
            parts.append(np.quantile(draws, levels, axis=1).swapaxes(0, 1))
        return np.concatenate(parts)

    @property
    def _device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def _dtype(self) -> torch.dtype:
        return torch.float64

    def _row_width(self) -> int:
        """Numbers that one draw of one row needs in memory, about."""
        return max(self.n_outputs_, self.window_shape_[1])

    # -- tensors ---------------------------------------------------------------

    def _tensor(self, array: Array) -> torch.Tensor:
        array = np.ascontiguousarray(array)
        return torch.tensor(array, dtype=self._dtype).to(self._device)

    def _chunks(
        self, windows: Array, draws_per_row: int, at_most: int = MAX_DRAWS
    ) -> Iterator[slice]:
        """Slices of rows whose draws, and whose windows, fit in memory."""
        load = max(draws_per_row, windows.shape[1]) * self._row_width()
        step = max(1, at_most // load)
        for start in range(0, len(windows), step):
            yield slice(start, start + step)

    def _generator(self, random_state: Any) -> torch.Generator:
        seed = check_random_state(random_state).randint(2**31 - 1)
        return torch.Generator(self._device).manual_seed(int(seed))

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


def _filled(
    n_rows: int, draw: Callable[[slice], torch.Tensor], chunks: Iterable[slice]
) -> Array:
    """Draw a chunk of rows after the other, each into its place in the result."""
    out = None
    for rows in chunks:
        draws = draw(rows).cpu().numpy()
        if out is None:
            out = np.empty((n_rows, *draws.shape[1:]), draws.dtype)
        out[rows] = draws
    assert out is not None  # there is at least one row
    return out
