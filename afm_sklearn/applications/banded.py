r"""Normal equations of errors that reach few steps back, factorised.

What is missing in steps of time enters only the errors of the next few steps: in the
order of time the matrix of the normal equations is a band.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky_banded

Array = NDArray[Any]
Mask = NDArray[np.bool_]


def band_width(missing: Mask, n_lags: int) -> int:
    """Count the missing entries that meet in the error of a step, at most."""
    until = np.concatenate([np.zeros(n_lags + 1, int), missing.sum(1).cumsum()])
    return int((until[n_lags + 1 :] - until[: -n_lags - 1]).max())


def band_root(missing: Mask, follows: Mask, scale: Array, effects: Array) -> Array:
    """Cholesky root of the precision of the missing entries.

    Parameters
    ----------
    missing : ndarray of bool, shape (T, d)
    follows : ndarray of bool, shape (T,)
        Steps whose errors involve those before them.
    scale : ndarray of shape (d,)
        Standard deviation of an entry at the other steps.
    effects : ndarray of shape (L + 1, d, d)
        ``effects[k][i]``: what channel i does to the white errors k steps later.

    Returns
    -------
    ndarray of shape (width, n)
        Lower, as ``scipy.linalg.cho_solve_banded`` takes it; the entries in the order
        of time.
    """
    step, channel = np.nonzero(missing)
    n_lags = len(effects) - 1
    band = np.zeros((len(step), max(1, band_width(missing, n_lags))))
    alone = ~follows[step]
    band[alone, 0] = scale[channel[alone]] ** -2.0
    first = np.searchsorted(step, np.arange(len(missing) + 1))
    for t in np.flatnonzero(follows).tolist():
        some = slice(first[max(0, t - n_lags)], first[t + 1])
        met = effects[t - step[some], channel[some]]
        product = met @ met.T
        for row, place in enumerate(range(some.start, some.stop)):
            band[place, : len(met) - row] += product[row:, row]
    root: Array = cholesky_banded(band.T, lower=True, overwrite_ab=True)
    return root
