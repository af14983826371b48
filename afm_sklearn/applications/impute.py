"""Draw what was not recorded, given what was before and after it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import poisson

from ..checks import check_integer, seed_from
from ..design import design_matrix
from ..evaluation.unwrap import unwrap
from .filling import Filled, fill
from .surrogate import linear_surrogate

Array = NDArray[Any]

MIN_STEPS = 200  # of runs that are filled together, where others follow
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
    its first two moments. Each channel is also told by the other channels at the same
    step, and by itself before and after, as this recording says. Observed entries are
    hidden in the pattern of what is missing, few gaps by copies of them elsewhere;
    where they tell, beyond chance, that this is better than the law, or that draws are
    too wide or too narrow, means are combined and draws widened accordingly. Counts
    stay those of the law. Runs of fewer than 200 steps are fitted together with those
    after them. Draws settle to the values that a channel takes again and again; those
    of counts are counts, Poisson around the smoothed mean with the dependence of the
    smoother. Each run is taken to have begun earlier, unobserved.

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
        missing = np.isnan(y)
        numbers = _run_numbers(runs, len(y))
        runs_apart = _groups(numbers)
        for part, own in zip(runs_apart, rng.spawn(len(runs_apart)), strict=True):
            if missing[part].any():
                labels = numbers[part]
                law_there = replace(law, drift=law.drift[part])
                filled = fill(
                    law_there,
                    y[part],
                    labels - labels[0],
                    spread,
                    windows.shape[1],
                    getattr(model, "family_", "gaussian") == "counts",
                    own,
                )
                draws = _draws(filled, model, n_samples, own)
                there = out[:, part]
                there[:, missing[part]] = draws[:, missing[part]]
    return out[:, :, 0] if given.ndim == 1 else out


def _draws(
    filled: Filled, model: Any, n_samples: int, rng: np.random.Generator
) -> Array:
    if getattr(model, "family_", "gaussian") != "counts":
        draws = filled.draw(n_samples, rng)
        frame = getattr(model.law_, "frame", None)
        if frame is not None:
            at = torch.from_numpy(draws).to(frame.y_mean.device)
            draws = frame.settle_y(at).cpu().numpy()
        return draws
    draws, mean = filled.draw(max(n_samples, MIN_DRAWS), rng), filled.mean
    size = np.maximum(draws.std(0), 1e-12)
    share = ndtr((draws[:n_samples] - mean) / size)
    counts: Array = poisson.ppf(share.clip(1e-9, 1 - 1e-9), np.maximum(mean, 1e-6))
    return counts


def _run_numbers(runs: Any, n: int) -> NDArray[np.intp]:
    """Count the runs: that of each step, from 0."""
    starts = np.zeros(n, np.intp)
    if runs is not None:
        labels = np.asarray(runs)
        starts[1:] = labels[1:] != labels[:-1]
    return starts.cumsum()


def _groups(labels: NDArray[np.intp]) -> list[slice]:
    """Cut between runs, so that short ones stay together."""
    starts = [0]
    for at in np.flatnonzero(np.diff(labels)) + 1:
        if at - starts[-1] >= MIN_STEPS:
            starts.append(int(at))
    return [slice(*ends) for ends in pairwise([*starts, len(labels)])]


def _moments(y: Array, model: Any) -> tuple[Array, Array]:
    """Mean and spread of the channels: those of training, or of what is given."""
    frame = getattr(model.law_, "frame", None)
    if frame is not None and getattr(model, "family_", "") != "counts":
        return frame.y_mean.cpu().numpy(), frame.y_scale.cpu().numpy()
    count = np.maximum((~np.isnan(y)).sum(0), 1)
    centre = np.nansum(y, axis=0) / count
    spread = np.sqrt(np.nansum((y - centre) ** 2, axis=0) / count)
    return centre, np.where(spread > 0, spread, 1.0)
