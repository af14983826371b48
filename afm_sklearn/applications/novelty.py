"""How unlike its training data a forecaster's input is, as p-values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from ..compute import row_parts
from ..evaluation.unwrap import take_apart
from .distance import Metric

Array = NDArray[Any]

N_FOLDS = 5
MIN_ROWS = 20  # of training, to tell what is usual


def novelty(forecaster: Any, X: Any) -> Array:
    r"""Rank the newest input row among those of training.

    Parameters
    ----------
    forecaster : estimator
        A fitted forecaster, or a Pipeline or search that ends in one.
    X : array-like of shape (n, c) or (n, L, c)
        What it takes: rows of `design_matrix`, or windows.

    Returns
    -------
    ndarray of shape (n,)
        Small is unlike the training data; about uniform for data like them. None is
        below 1 / (m + 1), for the m <= 1000 rows of training that are kept.

    Raises
    ------
    TypeError
        If the forecaster keeps none of its inputs.
    ValueError
        If X does not fit, or the forecaster was fitted on fewer than 20 rows.

    Notes
    -----
    What counts is the larger of two distances, that of the lagged activity and that of
    the stimulus, so that many channels do not hide a stimulus that was never shown:
    Mahalanobis' in the shrunk correlation of training rows, on a scale on which it is
    about normal. It is ranked among those of rows that the mean and correlation were
    not learnt from, fold by fold (a cross-conformal p-value [1]_), so that heavy tails
    of the inputs do no harm. Entries that were not observed count as the mean.

    References
    ----------
    .. [1] V. Vovk (2015), Cross-conformal predictors, Annals of Mathematics and
       Artificial Intelligence 74, 9-28.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from afm_sklearn import ResidualForecaster, design_matrix
    >>> from afm_sklearn.applications.novelty import novelty
    >>> rng = np.random.default_rng(0)
    >>> shown, activity = rng.uniform(size=(400, 1)), rng.normal(size=(400, 3))
    >>> X = design_matrix(activity, shown)
    >>> model = ResidualForecaster(Ridge()).fit(X[:300], activity[:300])
    >>> X[-1, -1] = 3.0
    >>> p = novelty(model, X[300:])
    >>> bool(p[-1] < 0.01), bool(abs(p[:-1].mean() - 0.5) < 0.1)
    (True, True)
    """
    model, steps = take_apart(forecaster)
    for step in steps:
        X = step.transform(X)
    if not hasattr(model, "make_windows"):
        raise TypeError(
            "forecaster must be one of this package that keeps rows of its training "
            f"data, got {type(model).__name__}"
        )
    check_is_fitted(model)
    sample = np.asarray(model.input_sample_, np.float64)
    if len(sample) < MIN_ROWS:
        raise ValueError(
            f"forecaster was fitted on {len(sample)} rows, novelty needs {MIN_ROWS}"
        )
    windows = model.make_windows(X)
    n_lagged = model.n_outputs_ if model.autoregressive_ else 0
    groups = [slice(n_lagged), slice(n_lagged, sample.shape[1])]
    groups = [g for g in groups if sample[:, g].shape[1]]
    folds = [_Fold(sample, held, groups) for held in _blocks(len(sample))]
    n_farther = np.zeros(len(windows))
    for rows in row_parts(len(windows), sample.shape[1]):
        newest = np.asarray(windows[rows, -1], np.float64)
        n_farther[rows] = sum(fold.n_farther(newest) for fold in folds)
    p: Array = (1 + n_farther) / (len(sample) + 1)
    return p


class _Fold:
    """Distances by all rows of a sample but some, and how far these lie."""

    def __init__(self, sample: Array, held: Array, groups: list[slice]):
        others = np.delete(sample, held, axis=0)
        self.groups = groups
        self.metrics = [Metric(others[:, g]) for g in groups]
        roots = self._roots(sample[held])
        self.mean, self.spread = roots.mean(0), np.maximum(roots.std(0), 1e-9)
        self.usual = np.sort(self._farthest(roots))

    def n_farther(self, rows: Array) -> Array:
        """Count, for each of rows (n, c), what was left out and is as far away."""
        scores = self._farthest(self._roots(rows))
        return len(self.usual) - np.searchsorted(self.usual, scores - 1e-9)

    def _roots(self, rows: Array) -> Array:
        """Cube roots of squared distances (n, n_groups), about normal for Gaussians."""
        pairs = zip(self.metrics, self.groups, strict=True)
        return np.cbrt(np.column_stack([metric(rows[:, g]) for metric, g in pairs]))

    def _farthest(self, roots: Array) -> Array:
        scores: Array = ((roots - self.mean) / self.spread).max(1)
        return scores


def _blocks(n: int) -> list[Array]:
    return np.array_split(np.arange(n), N_FOLDS)
