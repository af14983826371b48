"""A recording as `design_matrix` takes it."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..data.numbers import Array


class Recording(NamedTuple):
    """Activity, stimulus and run of every time step.

    Attributes
    ----------
    activity : DataFrame of shape (T, d)
        Indexed by the times; columns are named as they came.
    stimulus : DataFrame of shape (T, s) or None
        Of the same rows.
    runs : ndarray of shape (T,)
        Number of the epoch, 0, 1, ...
    times : ndarray of shape (T,)
        Seconds; of a bin, its centre.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from afm_sklearn import design_matrix
    >>> activity = pd.DataFrame({"v1": [1.0, 2.0]}, index=[0.0, 0.1])
    >>> recording = Recording(activity, None, np.zeros(2, int), np.array([0.0, 0.1]))
    >>> list(design_matrix(*recording[:3]).columns)
    ['v1_lag1', 'run']
    """

    activity: Any
    stimulus: Any
    runs: Array
    times: Array
