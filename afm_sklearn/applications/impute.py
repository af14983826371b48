"""Draw what was not recorded, given what was before and after it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import poisson

from ..checks import check_integer, seed_from
from ..design import design_matrix
from ..evaluation.unwrap import unwrap
from .smoother import Smoother
from .surrogate import LinearSurrogate, linear_surrogate

Array = NDArray[Any]

MIN_DRAWS = 50  # that tell how uncertain a count is


def impute(
    forecaster: Any,
    activity: Any,
    *,
    stimulus: Any = None,
    runs: Any = None,
    n_samples: int = 20,
    random_state: Any = None,
) -> Array:
    """Draw the missing entries of a recording, given its past and its future.

    Parameters
    ----------
    forecaster : estimator
        A fitted forecaster that owns its window, or a Pipeline or search that ends in
        a forecaster, whose X has the lagged targets first.
    activity : array-like of shape (T, d) or (T,)
        NaN where missing.
    stimulus : array-like of shape (T, s) or (T,), optional
        As in training; NaN where unknown.
    runs : array-like of shape (T,), optional
        Run labels. Given if they were given in training.
    n_samples : int, default=20
        Draws.
    random_state : int, RandomState or None, default=None
        Seed of the draws.

    Returns
    -------
    ndarray of shape (n_samples, T, d) or (n_samples, T)
        Observed entries are as they were in every draw.

    Raises
    ------
    ValueError
        If the channels do not fit the forecaster, or are not its lagged targets.

    Notes
    -----
    The law of the forecaster is replaced by the linear Gaussian law with the slopes of
    its mean, its means under each stimulus and the covariance of its draws. If it is
    linear and Gaussian, the draws are those of the Kalman smoother; if not, they have
    its first two moments. Draws settle to the values that a channel takes again and
    again; those of counts are counts, Poisson around the smoothed mean with the
    dependence of the smoother. Each run is taken to have begun earlier, unobserved.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from afm_sklearn import ResidualForecaster, design_matrix
    >>> from afm_sklearn.applications import impute
    >>> from afm_sklearn.datasets import make_linear_var
    >>> y = make_linear_var(n_times=300, n_channels=2, random_state=0).activity
    >>> model = ResidualForecaster(LinearRegression(), window_length=2)
    >>> _ = model.fit(design_matrix(y), y)
    >>> lost = y.copy()
    >>> lost[100:103, 0] = np.nan
    >>> draws = impute(model, lost, random_state=0)
    >>> draws.shape, bool((draws[:, 100:103, 0].std(0) > 0).all())
    ((20, 300, 2), True)
    """
    check_integer("n_samples", n_samples)
    given = np.ma.filled(np.ma.asarray(activity, dtype=np.float64), np.nan)
    y = given.reshape(len(given), -1)
    rows = unwrap(forecaster, design_matrix(y, stimulus, runs), y, needs="sample")
    model = rows.forecaster
    d = y.shape[1]
    if model.n_outputs_ != d:
        raise ValueError(f"activity has {d} channels, expected {model.n_outputs_}")
    if not getattr(model, "autoregressive_", False):
        raise ValueError(
            "impute needs a forecaster whose first channels are the lagged targets"
        )
    rng = np.random.default_rng(seed_from(random_state))
    out = np.repeat(y[None], n_samples, axis=0)
    if np.isnan(y).any():
        centre, spread = _moments(y, model)
        windows = rows.X if np.ndim(rows.X) == 3 else np.asarray(rows.X)[:, None]
        seed = int(rng.integers(2**31))
        law = linear_surrogate(model, windows, centre, spread, seed)
        law, padded = _with_lead_in(law, y, windows.shape[1], runs)
        smoother = Smoother(law, padded.y, padded.follows, spread)
        missing = np.isnan(y)
        draws = _draws(smoother, model, n_samples, rng)[:, padded.place]
        out[:, missing] = draws[:, missing]
    return out[:, :, 0] if given.ndim == 1 else out


def _draws(
    smoother: Smoother, model: Any, n_samples: int, rng: np.random.Generator
) -> Array:
    if getattr(model, "family_", "gaussian") != "counts":
        draws = smoother.draw(n_samples, rng)
        frame = getattr(model.law_, "frame", None)
        if frame is not None:
            at = torch.from_numpy(draws).to(frame.y_mean.device)
            draws = frame.settle_y(at).cpu().numpy()
        return draws
    draws, mean = smoother.draw(max(n_samples, MIN_DRAWS), rng), smoother.mean()
    size = np.maximum(draws.std(0), 1e-12)
    share = ndtr((draws[:n_samples] - mean) / size)
    counts: Array = poisson.ppf(share.clip(1e-9, 1 - 1e-9), np.maximum(mean, 1e-6))
    return counts


def _moments(y: Array, model: Any) -> tuple[Array, Array]:
    """Mean and spread of the channels: those of training, or of what is given."""
    frame = getattr(model.law_, "frame", None)
    if frame is not None and getattr(model, "family_", "") != "counts":
        return frame.y_mean.cpu().numpy(), frame.y_scale.cpu().numpy()
    count = np.maximum((~np.isnan(y)).sum(0), 1)
    centre = np.nansum(y, axis=0) / count
    return centre, np.sqrt(np.nansum((y - centre) ** 2, axis=0) / count)


class LeadIn(NamedTuple):
    """A recording with steps before each run that nobody saw.

    Attributes
    ----------
    y : ndarray of shape (T', d)
        NaN before the runs.
    follows : ndarray of bool, shape (T',)
        Steps with a whole window before them.
    place : ndarray of int, shape (T,)
        Where the steps of the recording are.
    """

    y: Array
    follows: NDArray[np.bool_]
    place: NDArray[np.intp]


def _with_lead_in(
    law: LinearSurrogate, y: Array, length: int, runs: Any
) -> tuple[LinearSurrogate, LeadIn]:
    """Let each run begin twice a window earlier, unobserved.

    The first of these steps are independent, the rest follow the law, so that what is
    observed first in a run has about the law of any other step.
    """
    n, d = y.shape
    starts = np.zeros(n, bool)
    starts[0] = True
    if runs is not None:
        labels = np.asarray(runs)
        starts[1:] = labels[1:] != labels[:-1]
    place = np.arange(n) + 2 * length * starts.cumsum()
    total = int(place[-1]) + 1
    whole, drift = np.full((total, d), np.nan), np.tile(law.centre, (total, 1))
    whole[place], drift[place] = y, law.drift
    follows = np.ones(total, bool)
    first = place[starts] - 2 * length
    follows[(first[:, None] + np.arange(length)).ravel()] = False
    return replace(law, drift=drift), LeadIn(whole, follows, place)
