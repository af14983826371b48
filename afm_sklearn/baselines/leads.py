"""What follows a row, at every lead time: lead h is h - 1 rows later in its run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .history import fill_history
from .prediction import predict_rows
from .regressor import fit_regressor

Array = NDArray[Any]


def reach(linked: Array, kept: Array) -> NDArray[np.intp]:
    """Count the rows that follow each one without a break.

    Parameters
    ----------
    linked : ndarray of bool, shape (n - 1,)
        Whether row t + 1 is the next step of the run of row t.
    kept : ndarray of bool, shape (n,)
        Rows that may be looked at.

    Returns
    -------
    ndarray of int, shape (n,)

    Examples
    --------
    >>> reach(np.array([True, False, True]), np.array([True, True, True, False]))
    array([1, 0, 0, 0])
    """
    is_last = np.append(~(linked & kept[1:] & kept[:-1]), True)
    last = np.flatnonzero(is_last)
    rows = np.arange(len(kept))
    return last[np.searchsorted(last, rows)] - rows


def later(values: Array, steps: int, reached: Array) -> Array:
    """Return the values (n, k) some steps later, NaN where rows reach less far.

    Examples
    --------
    >>> later(np.array([[1.0], [2.0], [3.0]]), 1, np.array([1, 0, 0])).ravel()
    array([ 2., nan, nan])
    """
    out = np.full(values.shape, np.nan)
    rows = np.flatnonzero(reached >= steps)
    out[rows] = values[rows + steps]
    return out


def lead_features(windows: Array, future: Array, channel_means: Array) -> Array:
    """Lay out all that a regressor of any lead time sees.

    Parameters
    ----------
    windows : ndarray of shape (n, L, c)
        Windows at the origins; NaN where not observed.
    future : ndarray of shape (n, h - 1, s)
        Stimulus of the steps after the first one, the last s channels of windows.
    channel_means : ndarray of shape (c,)
        Values of channels that were not observed in a whole window.

    Returns
    -------
    ndarray of shape (n, L * c + (h - 1) * s)
        Flat windows, then the later stimulus. A lead sees the first of them.
    """
    n, length, c = windows.shape
    windows = windows.astype(np.float64, copy=False)
    d = c - future.shape[2]
    shown = np.concatenate([windows[:, :, d:], future], axis=1)
    shown = fill_history(shown, channel_means[d:])[:, length:]
    flat = fill_history(windows, channel_means).reshape(n, -1)
    return np.concatenate([flat, shown.reshape(n, -1)], axis=1)


@dataclass(frozen=True)
class Leads:
    """Features and targets of all lead times, and regressors fitted to them.

    Parameters
    ----------
    features : ndarray of shape (n, p)
        As `lead_features` lays them out.
    targets : ndarray of shape (n, d)
        Of lead 1; NaN where missing.
    linked : ndarray of bool, shape (n - 1,)
        Whether row t + 1 is the next step of the run of row t.
    is_origin : ndarray of bool, shape (n,)
        Rows to forecast from.
    widths : list of int
        Number of features, the first ones, that each lead sees.
    """

    features: Array
    targets: Array
    linked: Array
    is_origin: Array
    widths: list[int]

    def ahead(self, rows: Array) -> Array:
        """Targets of all leads (k, horizon, d), NaN beyond these rows or a run."""
        kept = np.zeros(len(self.targets), bool)
        kept[rows] = True
        reached = reach(self.linked, kept)
        leads = range(len(self.widths))
        out = [later(self.targets, lead, reached)[rows] for lead in leads]
        ahead = np.stack(out, axis=1)
        ahead[~self.is_origin[rows]] = np.nan
        return ahead

    def fit(self, regressor: Any, rows: Array) -> list[Any]:
        """Fit a clone of a regressor a lead, to rows whose targets are among them."""
        ahead = self.ahead(rows)
        return [
            fit_regressor(regressor, self.features[rows, :width], ahead[:, lead])
            for lead, width in enumerate(self.widths)
        ]


def predict_leads(regressors: list[Any], features: Array, widths: list[int]) -> Array:
    """Forecast (k, horizon, d) from features (k, p)."""
    leads = [
        predict_rows(regressor, features[:, :width])
        for regressor, width in zip(regressors, widths, strict=True)
    ]
    return np.stack(leads, axis=1)
