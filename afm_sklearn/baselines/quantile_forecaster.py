"""Quantiles of a foreign forecaster, such as a foundation model."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions

from ..answers import Draw
from ..base import BaseForecaster
from ..evaluation.origins import Rows
from .errors import complete_rows
from .history import rows_with_past
from .lags import require_lags
from .quantile_law import QuantileLaw
from .rank_paths import RankPaths, rank_paths

Array = NDArray[Any]


class QuantileForecaster(BaseForecaster):
    """Make a forecaster of a callable that states quantiles of every lead time.

    The shape of Chronos-2's ``predict_quantiles`` and TiRex's ``forecast``: all steps
    of a horizon at once, each channel and lead time alone. How they go together in a
    trajectory the callable does not say; it is learnt from what followed its forecasts
    of training rows. Its quantiles are judged as they are.

    Parameters
    ----------
    quantiles : callable
        ``quantiles(history, horizon, stimulus)`` returns quantiles of shape
        (n, n_alpha, horizon, d), finite and in units of y. It gets

        - history (n, L, d), the last steps in units of y, oldest first, NaN where not
          observed and before the start of a run;
        - stimulus (n, L + horizon, s), of the steps of the history and of those to
          forecast, in the units of X, NaN where not known, as it is for the first
          step; None if there is none.
    alpha : sequence of float, default=(.1, .2, .3, .4, .5, .6, .7, .8, .9)
        Levels that the callable answers for: two or more, increasing, strictly between
        0 and 1.
    horizon : int, default=16
        Lead times whose dependence is learnt, the longest trajectory that can be asked
        for. Any length can with ``dependence="independent"``.
    dependence : {"paths", "independent"}, default="paths"
        "paths" draws whole trajectories of ranks that outcomes took in the forecasts
        of training rows. "independent" draws each lead time and channel alone, which
        calls nothing in `fit`; energy scores and sums over steps are then worse than
        the quantiles deserve.
    n_paths : int, default=500
        Training rows, evenly spaced, of which "paths" asks.
    window_length : int or None, default=None
        Steps in a window. With it X is rows of `design_matrix`, else windows.
    run_column : int, str or None, default=None
        With `window_length`, the column of X that marks runs.
    autoregressive : {"auto", True}, default="auto"
        Whether to find out at fit that the first channels of X are the lagged targets,
        or to take it for granted. Without them there is no history.
    random_state : int, RandomState or None, default=None
        Seed of ranks that outcomes share, such as those of counts.

    Attributes
    ----------
    rank_paths_ : ndarray of shape (m, horizon, d) or None
        Normal scores of the ranks that outcomes took, with "paths".
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
    DrawForecaster : For a callable that draws.

    Notes
    -----
    Between the levels a quantile is linear in the normal score of its level, and
    beyond them goes on so, which is exact for Gaussians; tails that are heavier are
    not known from quantiles. Quantiles that cross are sorted, which never takes them
    farther from the true ones [1]_. Rows without a past, the first of a run, are not
    asked of the callable: they get the quantiles of `targets_`. There is no `log_prob`.

    Ranks of past outcomes as the template of dependence are the Schaake shuffle [2]_.
    They carry the dependence of an average row, not that of the present state. With
    the quantiles of simulated laws, energy scores over 8 steps were .999 (a linear
    VAR), 1.043 (Lorenz), 1.024 (calcium) and 1.009 (spike counts) of those of the true
    law; with independent draws they were 1.009, 1.068, 1.026 and 1.010, with a Gaussian
    copula of the same ranks 1.002, 1.047, 1.020 and 1.009.

    `clone` copies what `quantiles` is by ``copy.deepcopy``, and `compare` clones: give
    a function that looks up the model, which is not copied, rather than an object that
    holds its weights. A forecaster with a foreign callable cannot be saved without
    pickle.

    References
    ----------
    .. [1] V. Chernozhukov, I. Fernández-Val and A. Galichon (2010), Quantile and
       probability curves without crossing, Econometrica 78, 1093-1125.
    .. [2] M. Clark, S. Gangopadhyay, L. Hay, B. Rajagopalan and R. Wilby (2004), The
       Schaake shuffle: a method for reconstructing space-time variability in
       forecasted precipitation and temperature fields, Journal of Hydrometeorology 5,
       243-262.

    Examples
    --------
    A random walk as someone else might have written it:

    >>> import numpy as np
    >>> from scipy.stats import norm
    >>> from afm_sklearn import design_matrix
    >>> from afm_sklearn.baselines.quantile_forecaster import QuantileForecaster
    >>> alpha = (0.1, 0.5, 0.9)
    >>> def walk(history, horizon, stimulus):
    ...     spread = np.sqrt(np.arange(1, horizon + 1))
    ...     steps = norm.ppf(alpha)[:, None, None] * spread[:, None]
    ...     return history[:, -1][:, None, None] + steps
    >>> y = np.random.default_rng(0).normal(size=(200, 2)).cumsum(axis=0)
    >>> X = design_matrix(y)
    >>> model = QuantileForecaster(walk, alpha=alpha, horizon=4, window_length=3)
    >>> model.fit(X, y).sample_trajectories(X[-1:], horizon=4, n_samples=10).shape
    (1, 10, 4, 2)
    """

    _rolls_out = False
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseForecaster._parameter_constraints,
        "quantiles": [callable],
        "alpha": ["array-like"],
        "horizon": [Interval(Integral, 1, None, closed="left")],
        "dependence": [StrOptions({"paths", "independent"})],
        "n_paths": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(
        self,
        quantiles: Callable[..., Any],
        *,
        alpha: Any = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        horizon: int = 16,
        dependence: str = "paths",
        n_paths: int = 500,
        window_length: Any = None,
        run_column: Any = None,
        autoregressive: Any = "auto",
        random_state: Any = None,
    ) -> None:
        self.quantiles = quantiles
        self.alpha = alpha
        self.horizon = horizon
        self.dependence = dependence
        self.n_paths = n_paths
        self.window_length = window_length
        self.run_column = run_column
        self.autoregressive = autoregressive
        self.random_state = random_state

    def _check_horizon(self, horizon: int) -> None:
        if self.rank_paths_ is not None and horizon > self.rank_paths_.shape[1]:
            raise ValueError(
                f"horizon is {horizon}, but the forecaster was fitted for "
                f"horizon={self.rank_paths_.shape[1]}"
            )

    def _trajectories(self, windows: Any, future: Array | None, horizon: int) -> Draw:
        law = self.law_

        def draw(
            at: torch.Tensor, k: int, rows: Array, generator: torch.Generator
        ) -> torch.Tensor:
            stated = law.stated(at, horizon, None if future is None else future[rows])
            noise = at.new_empty(len(at), k, horizon * law.d)
            scores = law.paths.scores(noise.normal_(generator=generator))
            return stated.at(scores).unflatten(2, (horizon, law.d))

        return draw

    @property
    def _has_density(self) -> bool:
        return False

    def _width(self) -> int:
        return max(super()._width(), self.n_outputs_ * self.horizon)

    def _fit(self, windows: Any, targets: Array, seed: int) -> None:
        require_lags(self, "QuantileForecaster")
        self.targets_ = complete_rows(targets, "the targets")
        law = QuantileLaw(
            self.quantiles,
            self.lag_scale_,
            self.lag_offset_,
            self.targets_,
            _check_levels(self.alpha),
        )
        self.rank_paths_ = None
        if self.dependence == "paths":
            paths = self._past_ranks(law, windows, targets, seed)
            self.rank_paths_ = paths.reshape(-1, self.horizon, self.n_outputs_)
            law.paths = RankPaths(paths)
        self.law_ = law

    def _past_ranks(
        self, law: QuantileLaw, windows: Any, targets: Array, seed: int
    ) -> Array:
        """Ranks (m, horizon * d) that outcomes took in forecasts of training rows."""
        rows = Rows(self, windows, targets)
        origins = rows.origins(self.horizon, complete=True)
        origins = origins[rows_with_past(windows, self.n_outputs_)[origins]]
        if len(origins) < 2:
            raise ValueError(
                f"horizon={self.horizon} needs at least 2 rows with a past that are "
                f"followed by {self.horizon} wholly observed steps of their run, got "
                f"{len(origins)} among n_samples={len(windows)}; "
                "dependence='independent' needs none"
            )
        at = np.linspace(0, len(origins) - 1, min(self.n_paths, len(origins)))
        origins = origins[at.astype(int)]
        steps = origins[:, None] + np.arange(self.horizon)
        future = rows.stimulus[steps] if rows.stimulus.shape[1] else None
        stated = law.stated(self._tensor(windows[origins]), self.horizon, future)
        outcome = np.float64(targets[steps]).reshape(len(origins), -1)
        return rank_paths(stated, outcome, np.random.default_rng(seed))


def _check_levels(alpha: Any) -> Array:
    levels = np.asarray(alpha)
    is_list = levels.dtype.kind in "fiu" and levels.ndim == 1 and len(levels) > 1
    if not (
        is_list and ((levels > 0) & (levels < 1)).all() and (np.diff(levels) > 0).all()
    ):
        raise ValueError(
            "alpha must hold at least two increasing numbers strictly between 0 and 1, "
            f"got {alpha!r}"
        )
    return levels.astype(np.float64)
