"""The Poisson GLM of spike counts, as a forecaster."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval

from ..base import BaseForecaster
from ..data.blocks import time_folds
from ..data.runs import begins_run
from .glm_features import GLMFeatures
from .glm_fit import (
    fit_rates,
    log_rate_caps,
    log_rates,
    select_spreads,
    weight_spreads,
)
from .poisson import PoissonLaw

Array = NDArray[Any]

LATTICE = 1e-6  # how far from a whole number a count may be


class PoissonGLM(BaseForecaster):
    r"""Forecast spike counts by a generalised linear model of each neuron.

    .. math:: n_{i,t} \sim \mathrm{Poisson}(\lambda_{i,t}), \qquad
              \log \lambda_{i,t} = b_i + \sum_j (h_{ij} * n_j)_t
              + \sum_k f_{ik}(s_{k,t})

    with filters h of each neuron's own past and of the past of all others, and smooth
    functions f of each covariate.

    Parameters
    ----------
    n_basis : int, default=4
        Functions that make up a filter as long as the window: the newest lag on its
        own, and raised cosines over the logarithm of the others.
    n_knots : int, default=6
        Knots, at quantiles, of the cubic spline of a covariate.
    unit : float, default=1.0
        What one spike is in the units of y: 1 for counts, ``1 / bin_width`` for rates.
    cv : int, default=5
        Number of blocks of consecutive rows that are held out in turn to choose the
        penalties.
    window_length : int or None, default=None
        Steps in a window. With it X is rows of `design_matrix`, else windows.
    run_column : int, str or None, default=None
        With `window_length`, the column of X that marks runs.
    autoregressive : {"auto", True, False}, default="auto"
        Whether the first channels of X are the lagged targets: compared at fit,
        asserted, or denied. Where they are not, all channels are covariates and there
        are no filters: an encoding model.
    random_state : int, RandomState or None, default=None
        Taken like every forecaster does; there is no chance in fitting this one.

    Attributes
    ----------
    coef_ : ndarray of shape (d, p)
        Weights of the standardised features: filtered histories, one function after
        the other, the covariates, then their splines.
    intercept_ : ndarray of shape (d,)
        Log rates at the mean of the features.
    spline_spread_, coupling_spread_ : float
        How large weights on splines, and on other neurons, were expected to be; 0
        is none. A weight w of spread s costs :math:`w^2 / 2 s^2`, in nats; weights on
        the own history and on covariates as they are have a spread of 1.
    autoregressive_ : bool
        Whether the first channels of X are the lagged targets.
    lag_scale_, lag_offset_ : ndarray of shape (d,)
        The lagged channels of X are ``(y - lag_offset_) / lag_scale_``.
    n_outputs_ : int
        Number of neurons d.

    See Also
    --------
    ResidualForecaster : Any regressor, with errors that are the same in every row.

    Notes
    -----
    The model of Truccolo et al. [1]_ with the basis of Pillow et al. [2]_, in discrete
    time: neurons are independent given the past. Penalties are chosen by the deviance
    of held-out blocks, that of the coupling last. The log rate is bounded by about
    twice the largest count of a neuron, so that rollouts do not explode. Covariates
    act in their own step, those that are beyond their range in `fit` as its nearer
    end. Gaps in X are filled as in `ResidualForecaster`, rows without a past are not
    fitted on, NaN in y is left out.

    References
    ----------
    .. [1] W. Truccolo et al. (2005), A point process framework for relating neural
       spiking activity to spiking history, neural ensemble, and extrinsic covariate
       effects, Journal of Neurophysiology 93, 1074-1089.
    .. [2] J. W. Pillow et al. (2008), Spatio-temporal correlations and visual
       signalling in a complete neuronal population, Nature 454, 995-999.

    Examples
    --------
    >>> from afm_sklearn import design_matrix
    >>> from afm_sklearn.baselines import PoissonGLM
    >>> from afm_sklearn.datasets import make_spiking_population
    >>> data = make_spiking_population(n_times=500, n_neurons=4, random_state=0)
    >>> X = design_matrix(data.activity, data.stimulus)
    >>> model = PoissonGLM(window_length=3).fit(X, data.activity)
    >>> model.sample(X[-1:], n_samples=5).shape
    (1, 5, 4)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseForecaster._parameter_constraints,
        "n_basis": [Interval(Integral, 1, None, closed="left")],
        "n_knots": [Interval(Integral, 2, None, closed="left")],
        "unit": [Interval(Real, 0, None, closed="neither")],
        "cv": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(
        self,
        n_basis: int = 4,
        n_knots: int = 6,
        *,
        unit: float = 1.0,
        cv: int = 5,
        window_length: Any = None,
        run_column: Any = None,
        autoregressive: Any = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_basis = n_basis
        self.n_knots = n_knots
        self.unit = unit
        self.cv = cv
        self.window_length = window_length
        self.run_column = run_column
        self.autoregressive = autoregressive
        self.random_state = random_state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags

    def _fit(self, windows: Any, targets: Array, seed: int) -> None:
        counts = torch.from_numpy(as_counts(targets, self.unit))
        n_lagged = self.n_outputs_ if self.autoregressive_ else 0
        given = np.asarray(windows)
        has_past = ~begins_run(windows, n_lagged or given.shape[2])
        learn = GLMFeatures(given[has_past], n_lagged, self.n_basis, self.n_knots)
        features = torch.from_numpy(learn(given))
        counts[torch.from_numpy(~has_past)] = torch.nan
        folds = list(time_folds(windows, self.cv, n_lagged or given.shape[2]))
        caps = log_rate_caps(counts)
        self.spline_spread_, self.coupling_spread_ = select_spreads(
            features, counts, learn.owner, folds, caps
        )
        spread = weight_spreads(
            learn.owner, self.n_outputs_, self.spline_spread_, self.coupling_spread_
        )
        weights = fit_rates(features, counts, spread, caps)
        self.coef_, self.intercept_ = weights[:-1].T.numpy(), weights[-1].numpy()
        self.law_ = PoissonLaw(
            _Rates(learn, weights, caps),
            self.unit,
            torch.from_numpy(self.lag_scale_),
            torch.from_numpy(self.lag_offset_),
        )


class _Rates:
    """Rates of windows whose gaps are filled."""

    def __init__(
        self, features: GLMFeatures, weights: torch.Tensor, caps: torch.Tensor
    ):
        self.features, self.weights, self.caps = features, weights, caps

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        features = torch.from_numpy(self.features(windows.numpy()))
        return log_rates(features, self.weights, self.caps).exp()


def as_counts(y: Array, unit: float) -> Array:
    """Return targets (n, d) as counts, and refuse what is none.

    Examples
    --------
    >>> as_counts(np.array([[0.0, 10.0]]), unit=5.0)
    array([[0., 2.]])
    """
    counts = y.astype(np.float64) / unit
    whole = counts.round()
    bad = (np.abs(counts - whole) > LATTICE) | (whole < 0)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(
            f"PoissonGLM needs counts: y must hold whole multiples of unit={unit:g} "
            f"from 0 on, got {y[row, column]:g} in row {row}, column {column}"
        )
    return whole
