"""How surprising what happened is to a forecaster, as p-values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import check_integer, seed_from
from ..evaluation.draws import draw_steps
from ..evaluation.scores import check_choice
from ..evaluation.unwrap import unwrap
from ..metrics.calibration import pit
from ..metrics.ensemble import check_ensemble, chunks
from .distance import pooled_distances

Array = NDArray[Any]

WAYS = ("joint", "channel")
N_ARRAYS = 6  # of (n_samples, n_samples) that a row needs


def surprise(
    forecaster: Any,
    X: Any,
    y: Any,
    *,
    by: str = "joint",
    n_samples: int = 200,
    random_state: Any = None,
) -> Array:
    """Rank what happened among draws of what was forecast.

    Parameters
    ----------
    forecaster : estimator
        A fitted forecaster, or a Pipeline or search that ends in one.
    X : array-like of shape (n, c) or (n, L, c)
        What it takes: rows of `design_matrix`, or windows.
    y : array-like of shape (n, d) or (n,)
        What happened; NaN where not observed.
    by : {"joint", "channel"}, default="joint"
        A p-value for the channels together, or one for each; see `p_values`.
    n_samples : int, default=200
        Draws a row. No p-value is much below 1 / n_samples.
    random_state : int, RandomState or None, default=None
        Seed of the draws, and of the place of y among its neighbours.

    Returns
    -------
    ndarray of shape (n,), or (n, d) by channel (of shape (n,) with 1-D y)
        Small is surprising. NaN where nothing was observed.

    Raises
    ------
    TypeError
        If `forecaster` cannot draw.
    ValueError
        If y and X do not fit together, or `by` is neither of these.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn import Persistence, design_matrix
    >>> from afm_sklearn.applications.surprise import surprise
    >>> walk = np.random.default_rng(0).normal(size=(300, 2)).cumsum(0)
    >>> model = Persistence().fit(design_matrix(walk)[:200], walk[:200])
    >>> walk[250:] += 20.0
    >>> p = surprise(model, design_matrix(walk), walk, random_state=0)
    >>> bool(p[250] < 0.01), bool(0.4 < p[:200].mean() < 0.6)
    (True, True)
    """
    check_choice("by", by, WAYS)
    check_integer("n_samples", n_samples, at_least=2)
    rows = unwrap(forecaster, X, y, needs="sample")
    n, seed = len(rows.y), seed_from(random_state)
    out = np.empty(n if by == "joint" else rows.y.shape)
    at, place = 0, np.random.RandomState(seed)
    for target, samples in draw_steps(rows, np.arange(n), n_samples, seed):
        part = slice(at, at + len(target))
        out[part] = p_values(target, samples, by=by, random_state=place)
        at = part.stop
    return out


def p_values(
    y: ArrayLike,
    samples: ArrayLike,
    *,
    by: str = "joint",
    random_state: Any = None,
) -> Array:
    r"""Rank observations among draws of their forecasts.

    Parameters
    ----------
    y : array-like of shape (n, d) or (n,)
        What happened; NaN where not observed.
    samples : array-like of shape (n, n_samples, d) or (n, n_samples)
        Independent draws of the forecast of each row.
    by : {"joint", "channel"}, default="joint"
        "channel" asks in which tail of the draws a value lies, however near its end.
        "joint" asks how far a row lies from all others, in the metric of them all.
    random_state : int, RandomState or None, default=None
        Places an observation among its equals, and between its neighbours.

    Returns
    -------
    ndarray of shape (n,), or of the shape of y by channel
        Exactly uniform on (0, 1) where the observations have the law of the draws, of
        counts too. NaN where nothing was observed or forecast.

    Raises
    ------
    ValueError
        If the shapes do not fit together, or `by` is neither of these.

    Notes
    -----
    By channel it is :math:`2 \min(u, 1 - u)` of the randomised probability integral
    transform u, see `pit`. The joint one is the rank of a distance that treats the
    observation and the draws alike, so that it is uniform whatever the law [1]_:
    Mahalanobis' under mean and covariance of all of them together, the correlation
    shrunk as Ledoit and Wolf do [2]_. Channels that were not observed are left out.

    References
    ----------
    .. [1] J. Besag and P. Clifford (1989), Generalized Monte Carlo significance
       tests, Biometrika 76, 633-642.
    .. [2] O. Ledoit and M. Wolf (2004), A well-conditioned estimator for
       large-dimensional covariance matrices, Journal of Multivariate Analysis 88,
       365-411.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.applications.surprise import p_values
    >>> samples = np.random.default_rng(0).normal(size=(2, 999, 2))
    >>> p = p_values([[0.1, -0.1], [3.0, -3.0]], samples, random_state=0)
    >>> bool(p[0] > 0.9), bool(p[1] < 0.01)
    (True, True)
    """
    check_choice("by", by, WAYS)
    if by == "channel":
        u = pit(y, samples, random_state=random_state)
        return 2 * np.minimum(u, 1 - u)
    observed, drawn = check_ensemble(y, samples)
    observed = observed.reshape(len(observed), -1)
    share = np.random.RandomState(seed_from(random_state)).uniform(size=len(observed))
    out = np.full(len(observed), np.nan)
    n_samples = drawn.shape[1]
    width = max(drawn[:1].size, N_ARRAYS * (n_samples + 1) ** 2)
    for rows, block in chunks(drawn, joint=True, entries_per_row=width):
        points = np.concatenate([observed[rows][:, None], block], 1)
        distance = pooled_distances(points)
        own, others = distance[:, :1], distance[:, 1:]
        tie = 1e-9 * (1 + np.abs(own))
        farther = (others > own + tie).sum(1)
        equal = (np.abs(others - own) <= tie).sum(1)
        rank = farther + share[rows] * (equal + 1)
        seen = ~np.isnan(observed[rows]).all(1) & ~np.isnan(block[:, 0, 0])
        out[rows] = np.where(seen, rank / (n_samples + 1), np.nan)
    return out
