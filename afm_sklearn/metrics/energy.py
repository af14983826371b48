"""Energy score: the continuous ranked probability score of vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .arguments import Array
from .ensemble import check_ensemble, check_estimator, chunks


def energy_score(y: ArrayLike, samples: ArrayLike, *, estimator: str = "fair") -> Array:
    r"""Energy score of each row, or of each whole trajectory; lower is better.

    The score of the forecast distribution F for the observed vector y is

    .. math:: \mathrm{E}\|X - y\| - \tfrac12 \mathrm{E}\|X - X'\|,

    with X and X' independent draws from F and Euclidean norms [1]_. It judges all
    variables jointly, where `crps` judges each alone. Give all variables a similar
    scale: the norm weighs them by it.

    Parameters
    ----------
    y : array-like of shape (n, d), (n, horizon, d) or (n,)
        Observations. A trajectory counts as one vector of horizon * d entries.
    samples : array-like of shape (n, n_samples, d), (n, n_samples, horizon, d) or \
            (n, n_samples)
        Independent draws from the joint forecast of each row.
    estimator : {"fair", "nrg"}, default="fair"
        "fair" is unbiased whatever the number of draws [2]_, "nrg" scores the
        draws as if they were the whole distribution. See `crps`.

    Returns
    -------
    ndarray of shape (n,)
        Scores in the units of y; NaN for a row of which any observation is NaN, or
        without a forecast.

    Raises
    ------
    ValueError
        If the shapes do not fit; if y or samples hold infinities; if a part of the
        draws of one row is NaN; if there is one draw and the estimator is "fair".

    References
    ----------
    .. [1] T. Gneiting and A. E. Raftery, "Strictly proper scoring rules, prediction,
       and estimation", Journal of the American Statistical Association, 2007.
    .. [2] C. A. T. Ferro, "Fair scores for ensemble forecasts", Quarterly Journal of
       the Royal Meteorological Society, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.metrics import energy_score
    >>> samples = np.random.default_rng(0).normal(size=(2, 1000, 3))
    >>> energy_score([[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]], samples).round(1)
    array([0.5, 2.6])
    """
    observed, drawn = check_ensemble(y, samples)
    n, m = drawn.shape[:2]
    n_partners = m - 1 if check_estimator(estimator, m) else m
    vectors = observed.reshape(n, 1, -1)
    scores = np.empty(n)
    for rows, points in chunks(drawn, joint=True, entries_per_row=m * m):
        points -= vectors[rows]
        error = np.sqrt(np.einsum("nmv,nmv->nm", points, points)).mean(axis=1)
        spread = _pairwise_distances(points).sum(axis=(1, 2)) / (2 * m * n_partners)
        scores[rows] = error - spread
    return scores


def _pairwise_distances(points: Array) -> Array:
    """Distances (n, m, m) between the points (n, m, v), which are overwritten.

    They come from inner products, which are one matrix product, where the
    differences would need n * m * m * v entries.
    """
    # The squared distances are differences of squared norms: about their centre
    # these are no larger than the distances, and no digits are lost.
    points -= points.mean(axis=1, keepdims=True)
    gram = points @ points.transpose(0, 2, 1)
    norms = np.einsum("nii->ni", gram).copy()
    gram *= -2.0
    gram += norms[:, :, None]
    gram += norms[:, None, :]
    # Equal points may come out a rounding error below zero.
    np.maximum(gram, 0.0, out=gram)
    return np.sqrt(gram, out=gram)
