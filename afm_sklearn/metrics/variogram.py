"""Variogram score, which judges the dependences between variables."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .arguments import Array, check_positive
from .ensemble import check_ensemble, check_estimator, chunks


def variogram_score(
    y: ArrayLike, samples: ArrayLike, p: float = 0.5, *, estimator: str = "fair"
) -> Array:
    r"""Variogram score of each row, or of each whole trajectory; lower is better.

    .. math:: \sum_{i,j} \left(|y_i - y_j|^p - \mathrm{E}|X_i - X_j|^p\right)^2

    It compares how far apart pairs of variables are, and notices wrong correlations
    that the energy score hardly sees [1]_. It is proper but not strictly so: adding
    a constant to all variables changes nothing. Use it beside `crps`.

    Parameters
    ----------
    y : array-like of shape (n, d) or (n, horizon, d)
        Observations. A trajectory counts as one vector of horizon * d entries.
    samples : array-like of shape (n, n_samples, d) or (n, n_samples, horizon, d)
        Independent draws from the joint forecast of each row.
    p : float, default=0.5
        Order of the variogram.
    estimator : {"fair", "nrg"}, default="fair"
        "fair" takes off the variance of the mean over draws, so that the score is
        unbiased whatever their number [2]_; "nrg" does not. See `crps`.

    Returns
    -------
    ndarray of shape (n,)
        Scores in the units of y to the power 2 p; NaN for a row of which any
        observation is NaN, or without a forecast.

    Raises
    ------
    ValueError
        If p is not positive; if the shapes do not fit; if y or samples hold
        infinities; if a part of the draws of one row is NaN; if there is one draw
        and the estimator is "fair".

    References
    ----------
    .. [1] M. Scheuerer and T. M. Hamill, "Variogram-based proper scoring rules for
       probabilistic forecasts of multivariate quantities", Monthly Weather Review,
       2015.
    .. [2] C. A. T. Ferro, "Fair scores for ensemble forecasts", Quarterly Journal of
       the Royal Meteorological Society, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.metrics import variogram_score
    >>> samples = np.random.default_rng(0).normal(size=(2, 1000, 3))
    >>> variogram_score([[0.0, 1.0, 2.0], [0.0, 0.0, 9.0]], samples).round(1)
    array([ 0.4, 18.4])
    """
    check_positive("p", p)
    observed, drawn = check_ensemble(y, samples)
    n, m = drawn.shape[:2]
    fair = check_estimator(estimator, m)
    vectors = observed.reshape(n, 1, -1)
    scores = np.zeros(n)
    for rows, points in chunks(drawn, joint=True):
        target = vectors[rows]
        # One variable against all later ones: all pairs at once would need
        # n_samples * d * d entries a row.
        for i in range(points.shape[2] - 1):
            drawn_gap = _gaps(points, i, p)
            mean_gap = drawn_gap.mean(axis=1)
            square = (_gaps(target, i, p)[:, 0] - mean_gap) ** 2
            if fair:
                drawn_gap -= mean_gap[:, None]
                square -= np.einsum("nmv,nmv->nv", drawn_gap, drawn_gap) / (m * (m - 1))
            scores[rows] += 2.0 * square.sum(axis=1)
    # A missing value meets no later variable when there is only one.
    scores[np.isnan(vectors).any(axis=(1, 2))] = np.nan
    return scores


def _gaps(points: Array, i: int, p: float) -> Array:
    gaps = np.abs(points[:, :, i + 1 :] - points[:, :, i : i + 1])
    return np.sqrt(gaps, out=gaps) if p == 0.5 else np.power(gaps, p, out=gaps)
