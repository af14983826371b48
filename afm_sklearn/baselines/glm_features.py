"""Features of a Poisson GLM: filtered histories and smooth functions of covariates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import SplineTransformer

from .history import channel_means, fill_history

Array = NDArray[Any]

DEGREE = 3
LINEAR, SPLINE = -1, -2  # who owns a feature that is no history


def history_basis(length: int, n_basis: int) -> Array:
    """Lay out the newest lag alone, and raised cosines over the log of the others.

    Parameters
    ----------
    length : int
        Lags, 1 to length.
    n_basis : int
        Functions; as many as there are lags where these are fewer.

    Returns
    -------
    ndarray of shape (length, min(n_basis, length))
        The newest lag last, as in a window. The bumps are wider the older.

    References
    ----------
    J. W. Pillow et al. (2008), Spatio-temporal correlations and visual signalling in
    a complete neuronal population, Nature 454, 995-999: with a function of its own
    for the refractory period.

    Examples
    --------
    >>> history_basis(5, 3).round(2)
    array([[0.  , 0.  , 1.  ],
           [0.  , 0.14, 0.86],
           [0.  , 0.59, 0.41],
           [0.  , 1.  , 0.  ],
           [1.  , 0.  , 0.  ]])
    """
    n_basis = min(n_basis, length)
    basis = np.zeros((length, n_basis))
    basis[-1, 0] = 1.0
    if n_basis == 2:
        basis[:-1, 1] = 1.0
    if n_basis > 2:
        position = np.log(np.arange(length, 1, -1) / 2)
        centres = np.linspace(0, position[0], n_basis - 1)
        apart = (position[:, None] - centres) / (centres[1] - centres[0])
        basis[:-1, 1:] = (1 + np.cos(np.clip(apart, -1, 1) * np.pi)) / 2
    return basis


class GLMFeatures:
    """Learn the features of windows: histories, then splines of the covariates.

    Parameters
    ----------
    windows : ndarray of shape (n, L, c)
        Of the rows to fit on; NaN where not observed.
    n_lagged : int
        Channels, the first ones, that are lagged counts. The others are covariates,
        of which the newest step counts.
    n_basis, n_knots : int
        Functions that make up a history filter, and knots of the spline of a
        covariate, at its quantiles.

    Attributes
    ----------
    owner : ndarray of int, shape (p,)
        The neuron that a feature is the history of, -1 for a covariate as it is, -2
        for a piece of its spline.
    """

    def __init__(self, windows: Array, n_lagged: int, n_basis: int, n_knots: int):
        self.n_lagged = n_lagged
        self.means = channel_means(windows)
        self.basis = history_basis(windows.shape[1], n_basis)
        newest = fill_history(windows, self.means)[:, -1, n_lagged:]
        self.splines = [_fit_spline(column, n_knots) for column in newest.T]
        raw = self._raw(windows)
        self.centre, spread = raw.mean(0), raw.std(0)
        self.spread = np.where(spread > 0, spread, 1.0)
        history = np.tile(np.arange(n_lagged), self.basis.shape[1])
        linear = np.full(newest.shape[1], LINEAR)
        pieces = np.full(raw.shape[1] - len(history) - len(linear), SPLINE)
        self.owner = np.concatenate([history, linear, pieces])

    def __call__(self, windows: Array) -> Array:
        """Return standardised features (n, p) of windows (n, L, c)."""
        return (self._raw(windows) - self.centre) / self.spread

    def _raw(self, windows: Array) -> Array:
        filled = fill_history(windows.astype(np.float64, copy=False), self.means)
        past = filled[:, :, : self.n_lagged]
        history = np.einsum("nld,lb->nbd", past, self.basis).reshape(len(windows), -1)
        newest = filled[:, -1, self.n_lagged :]
        pieces = [
            spline.transform(column[:, None])
            for spline, column in zip(self.splines, newest.T, strict=True)
            if spline is not None
        ]
        return np.concatenate([history, newest, *pieces], axis=1)


def _fit_spline(values: Array, n_knots: int) -> SplineTransformer | None:
    """Fit a cubic spline that is constant beyond the range; None for a constant."""
    knots = np.unique(np.quantile(values, np.linspace(0, 1, n_knots)))
    if len(knots) < 2:
        return None
    spline = SplineTransformer(
        degree=DEGREE, knots=knots[:, None], extrapolation="constant"
    )
    return spline.fit(values[:, None])
