"""Draws of a foreign forecaster."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any, ClassVar

import torch
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval

from ..answers import Draw
from ..base import BaseForecaster
from .draw_law import DrawnLaw, next_seed
from .errors import complete_rows
from .lags import require_lags

Array = NDArray[Any]


class DrawForecaster(BaseForecaster):
    """Make a forecaster of a callable that draws trajectories.

    The callable has learnt elsewhere, or needs no training: `fit` never calls it. It
    draws all steps of a horizon at once, and is judged as it is.

    Parameters
    ----------
    draw : callable
        ``draw(history, horizon, n_samples, stimulus, seed)`` returns draws of shape
        (n, n_samples, horizon, d), finite and in units of y. It gets

        - history (n, L, d), the last steps in units of y, oldest first, NaN where not
          observed and before the start of a run;
        - stimulus (n, L + horizon, s), of the steps of the history and of those to
          draw, in the units of X, NaN where not known, as it is for the first step;
          None if there is none;
        - seed, an integer: the same one must give the same draws.
    n_draws : int, default=200
        Draws behind `predict` and quantiles.
    window_length : int or None, default=None
        Steps in a window. With it X is rows of `design_matrix`, else windows.
    run_column : int, str or None, default=None
        With `window_length`, the column of X that marks runs.
    autoregressive : {"auto", True}, default="auto"
        Whether to find out at fit that the first channels of X are the lagged targets,
        or to take it for granted. Without them there is no history.
    random_state : int, RandomState or None, default=None
        Taken like every forecaster does; there is no chance in fitting this one.

    Attributes
    ----------
    targets_ : ndarray of shape (m, d)
        The rows of y in `fit` in which every channel was observed.
    autoregressive_ : bool
        True.
    lag_scale_, lag_offset_ : ndarray of shape (d,)
        The lagged channels of X are ``(y - lag_offset_) / lag_scale_``.
    n_outputs_ : int
        Number of target channels d.

    See Also
    --------
    QuantileForecaster : For a callable that states quantiles.
    ResidualForecaster : For a regressor that states a mean.

    Notes
    -----
    Rows without a past, the first of a run, are not asked of the callable: whole rows
    of `targets_` are drawn, as `Climatology` does.

    Means and quantiles are those of `n_draws` draws with a fixed seed, asked row by row
    so that a batch does not show in them: one call a row. There is no `log_prob`.

    `clone` copies what `draw` is by ``copy.deepcopy``, and `compare` clones: give a
    function that looks up the model, which is not copied, rather than an object that
    holds its weights. A forecaster with a foreign callable cannot be saved without
    pickle.

    Examples
    --------
    A random walk as someone else might have written it:

    >>> import numpy as np
    >>> from afm_sklearn import design_matrix
    >>> from afm_sklearn.baselines.draw_forecaster import DrawForecaster
    >>> def walk(history, horizon, n_samples, stimulus, seed):
    ...     n, _, d = history.shape
    ...     rng = np.random.default_rng(seed)
    ...     steps = rng.normal(size=(n, n_samples, horizon, d))
    ...     return history[:, -1][:, None, None] + steps.cumsum(axis=2)
    >>> y = np.random.default_rng(0).normal(size=(200, 2)).cumsum(axis=0)
    >>> X = design_matrix(y)
    >>> model = DrawForecaster(walk, window_length=3).fit(X, y)
    >>> model.sample_trajectories(X[-1:], horizon=4, n_samples=10).shape
    (1, 10, 4, 2)
    """

    _rolls_out = False
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseForecaster._parameter_constraints,
        "draw": [callable],
        "n_draws": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(
        self,
        draw: Callable[..., Any],
        *,
        n_draws: int = 200,
        window_length: Any = None,
        run_column: Any = None,
        autoregressive: Any = "auto",
        random_state: Any = None,
    ) -> None:
        self.draw = draw
        self.n_draws = n_draws
        self.window_length = window_length
        self.run_column = run_column
        self.autoregressive = autoregressive
        self.random_state = random_state

    def _trajectories(self, windows: Any, future: Array | None, horizon: int) -> Draw:
        law = self.law_

        def draw(
            at: torch.Tensor, k: int, rows: Array, generator: torch.Generator
        ) -> torch.Tensor:
            ahead = None if future is None else future[rows]
            return law.draws(at, horizon, k, next_seed(generator), ahead)

        return draw

    @property
    def _has_density(self) -> bool:
        return False

    def _mean_width(self) -> int:
        return self.n_draws * super()._mean_width()

    def _answer_width(self) -> int:
        return self.n_draws * super()._answer_width()

    def _fit(self, windows: Any, targets: Array, seed: int) -> None:
        require_lags(self, "DrawForecaster")
        self.targets_ = complete_rows(targets, "the targets")
        self.law_ = DrawnLaw(
            self.draw, self.lag_scale_, self.lag_offset_, self.targets_, self.n_draws
        )
