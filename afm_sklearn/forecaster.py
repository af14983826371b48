"""AFMForecaster: scikit-learn's contract around the law of a step."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import (
    Interval,
    StrOptions,
    validate_parameter_constraints,
)

from .answers import N_NUMBERS
from .base import Array, BaseForecaster
from .callback_support import with_callbacks
from .callbacks import Watched
from .compute import infer_device
from .fitting import BASES, FAMILY_CHOICES, Settings, fit_law
from .law.flow.paths import PATHS
from .law.flow.solvers import SOLVERS
from .law.networks.encoders import HISTORY_ENCODERS
from .sessions.methods import SessionMethods
from .summary import Summarised

AT_LEAST_ONE = Interval(Integral, 1, None, closed="left")


class AFMForecaster(SessionMethods, Summarised, Watched, BaseForecaster):
    """Forecast the distribution of the next step by autoregressive flow matching.

    Candidates of three kinds are fitted. How they score on blocks of the rows that they
    did not see decides the weight of each in a pool of whole trajectories:

    1. linear forecasts of every channel (its own past; a stack of ridge regressions
       whose penalty grows with the lag, iterated or with a correction for every lead;
       the last value; the mean), each with several laws of its errors;
    2. a network on the newest step and a network on the whole window, which give every
       channel a mixture of Gaussians (negative binomial laws for counts), and which are
       tuned on their own trajectories;
    3. a flow, from correlated Gaussian noise to the dependence that remains between
       the channels, on the scale of their normal scores.

    Parameters
    ----------
    window_length : int or None, default=None
        Steps in a window. With it X is rows of `design_matrix`, (n, c), of which the
        forecaster makes its own windows as `SlidingWindow` does; without it X is
        windows.
    run_column : int, str or None, default=None
        With `window_length`, the column of X that marks runs.
    history_encoder : {"mlp", "conv", "gru", "lstm", "transformer"}, default="mlp"
        Network that encodes the window.
    scales : "auto" or sequence of int, default="auto"
        Time scales, in steps, at which the window is encoded. "auto" takes those
        of (1, 5, 20) that fit into the window.
    stimulus_groups : dict of str to list of int, default=None
        Stimulus columns (counted from 0) by modality; one branch each.
    hidden_dim : int, default=128
        Width of the networks.
    n_layers : int, default=2
        Depth of the networks.
    path : {"trigonometric", "linear"}, default="trigonometric"
        Path between noise and data.
    base : {"auto", "normal", "linear", "learned"}, default="auto"
        What the flow starts from: "normal" is plain autoregressive flow matching
        from standard normal noise, "linear" the first model alone, "learned" the
        second. These keep the flow whatever the held-back rows say; "auto" lets
        them choose.
    family : {"auto", "gaussian", "counts"}, default="auto"
        Family of the channels' laws. "auto" tries counts where all targets are whole
        numbers from 0 to 100, and keeps them if they forecast held-out blocks better.
    solver : {"midpoint", "euler", "heun", "rk4", "dopri5"}, default="midpoint"
        Solver of the flow.
    n_steps : "auto" or int, default="auto"
        Solver steps in sampling. "auto" takes as many as move a draw.
    max_epochs : "auto" or int, default="auto"
        Epochs of each training at most; "auto" sets them by the number
        of optimiser steps.
    batch_size : "auto" or int, default="auto"
        Rows in an optimiser step; "auto" takes 32 to 256 by their number.
    lr : float, default=2e-3
        Learning rate of AdamW.
    weight_decay : float, default=1e-2
        Its weight decay.
    window_noise : float, default=0.0
        Noise on the standardised window in training.
    validation_fraction : float, default=0.15
        Share of the rows, at their end, that is held back.
    early_stopping : bool, default=True
        Stop when the held-back loss has not improved for `n_iter_no_change` epochs.
    n_iter_no_change : int, default=10
        Patience, in epochs.
    autoregressive : {"auto", True, False}, default="auto"
        Whether the first channels of X are the lagged targets: compared at fit,
        asserted, or denied.
    device : {"auto", "cpu", "cuda", "mps"}, default="auto"
        Where to compute.
    warm_start : bool, default=False
        Start from the networks of the last fit.
    random_state : int, RandomState or None, default=None
        Seed of training.
    verbose : int, default=0
        Print a line a stage of the fit, and what was kept and why.

    Attributes
    ----------
    law_ : StepLaw or PoolLaw
        The fitted conditional law.
    base_ : str
        What was kept. With ``base="auto"``: "pool" is the linear forecasts alone,
        "pool+learned", "pool+learned+flow" and "pool+learned+trajectories" (networks
        tuned on these) have networks beside them; "pool+linear" has the first model,
        fitted to all rows. Without "pool+" these have all of the weight, or too few
        rows were there for a pool. A base asked for is "normal", "linear" or
        "learned", with "+flow" unless its training diverged. "+shared" is what
        `adapt` adds.
    family_ : str
        Family of the channels' laws, "gaussian" or "counts".
    history_ : dict
        Loss by epoch of each training.
    selection_ : list of dict
        Weight and scores of each candidate, lower is better, and the number of blocks
        that it was judged by; `summary` tells of them.
    rows_ : dict of str to int
        How many rows served for what.
    autoregressive_ : bool
        Whether the first channels of X are the lagged targets.
    lag_scale_, lag_offset_ : ndarray of shape (n_outputs_,)
        The newest lagged channels are ``(y - lag_offset_) / lag_scale_``.
    n_outputs_ : int
        Target channels d.
    window_shape_ : tuple of int
        Steps and channels of a window.
    window_, run_column_ : SlidingWindow and int, or None
        What makes the windows, with `window_length`, and its run column.
    n_features_in_, feature_names_in_
        As in every scikit-learn estimator.

    References
    ----------
    El-Gazzar & van Gerven, arXiv 2503.10375; Rogalla et al., arXiv 2604.11178.

    Examples
    --------
    Trajectories of the five steps after the first hundred:

    >>> import numpy as np
    >>> from afm_sklearn import AFMForecaster, design_matrix
    >>> activity = np.random.default_rng(0).normal(size=(120, 2)).cumsum(0)
    >>> X = design_matrix(activity)
    >>> model = AFMForecaster(window_length=3, max_epochs=2, random_state=0)
    >>> model = model.fit(X[:100], activity[:100])
    >>> windows = model.make_windows(X)
    >>> model.sample_trajectories(windows[100:101], horizon=5, n_samples=10).shape
    (1, 10, 5, 2)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseForecaster._parameter_constraints,
        "history_encoder": [StrOptions(set(HISTORY_ENCODERS))],
        "scales": [StrOptions({"auto"}), list, tuple, np.ndarray],
        "stimulus_groups": [dict, None],
        "hidden_dim": [AT_LEAST_ONE],
        "n_layers": [AT_LEAST_ONE],
        "path": [StrOptions(set(PATHS))],
        "base": [StrOptions(set(BASES))],
        "family": [StrOptions(set(FAMILY_CHOICES))],
        "solver": [StrOptions(set(SOLVERS))],
        "n_steps": [StrOptions({"auto"}), AT_LEAST_ONE],
        "max_epochs": [StrOptions({"auto"}), AT_LEAST_ONE],
        "batch_size": [StrOptions({"auto"}), AT_LEAST_ONE],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "window_noise": [Interval(Real, 0, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "early_stopping": ["boolean"],
        "n_iter_no_change": [AT_LEAST_ONE],
        "device": [StrOptions({"auto", "cpu", "cuda", "mps"})],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        window_length=None,
        run_column=None,
        history_encoder="mlp",
        scales="auto",
        stimulus_groups=None,
        hidden_dim=128,
        n_layers=2,
        path="trigonometric",
        base="auto",
        family="auto",
        solver="midpoint",
        n_steps="auto",
        max_epochs="auto",
        batch_size="auto",
        lr=2e-3,
        weight_decay=1e-2,
        window_noise=0.0,
        validation_fraction=0.15,
        early_stopping=True,
        n_iter_no_change=10,
        autoregressive="auto",
        device="auto",
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
        self.window_length = window_length
        self.run_column = run_column
        self.history_encoder = history_encoder
        self.scales = scales
        self.stimulus_groups = stimulus_groups
        self.hidden_dim = hidden_dim
        self.n_layers = n_layers
        self.path = path
        self.base = base
        self.family = family
        self.solver = solver
        self.n_steps = n_steps
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.window_noise = window_noise
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.autoregressive = autoregressive
        self.device = device
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @with_callbacks
    def _fit(self, windows: Any, targets: Array, seed: int) -> None:
        settings = Settings.of(self, seed)
        previous = getattr(self, "law_", None) if self.warm_start else None
        given = windows, targets, settings, previous
        self._learn(lambda watch: fit_law(*given, watch), windows, self._shape(targets))

    def _law(self) -> Any:
        """Return the law, integrated as the arguments say by now."""
        asked = {"solver": self.solver, "n_steps": self.n_steps}
        constraints = {name: self._parameter_constraints[name] for name in asked}
        # All were checked by fit; checking them anew costs as much as some draws.
        validate_parameter_constraints(constraints, asked, type(self).__name__)
        n_steps = None if self.n_steps == "auto" else self.n_steps
        return self.law_.with_solver(self.solver, n_steps)

    def _exact_law(self) -> Any:
        return self._law().in_double()

    @property
    def _device(self) -> torch.device:
        return self.law_.device

    @property
    def _shares_threads(self) -> bool:
        return self._device.type == "cpu"

    def _width(self) -> int:
        return max(self.law_.width, self.window_shape_[1])

    def _mean_width(self) -> int:
        return N_NUMBERS * self.law_.mean_width * self._width()

    def _answer_width(self) -> int:
        return N_NUMBERS * self.law_.answer_width * self.n_outputs_

    def _check_parameters(self) -> None:
        check_scales(self.scales)
        check_groups(self.stimulus_groups)
        infer_device(self.device)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "law_" in state:  # a model saved on a GPU machine opens on a laptop
            state["law_"] = copy.deepcopy(self.law_).cpu()
        return state


def check_scales(scales: Any) -> None:
    """Refuse what is neither "auto" nor a sequence of whole time scales."""
    if isinstance(scales, str):
        return
    if not len(scales) or not all(_is_index(k, at_least=1) for k in scales):
        raise ValueError(
            f"scales must be 'auto' or hold integers >= 1, at least one, got {scales!r}"
        )


def check_groups(groups: Mapping[str, Sequence[int]] | None) -> None:
    """Refuse groups that are empty or hold no column numbers."""
    for name, columns in (groups or {}).items():
        given = columns if isinstance(columns, Sequence | range | np.ndarray) else ()
        if not len(given) or not all(_is_index(k) for k in given):
            raise ValueError(
                f"stimulus_groups[{name!r}] must hold column numbers of the stimulus, "
                f"at least one, got {columns!r}"
            )


def _is_index(value: Any, at_least: int = 0) -> bool:
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    return is_integer and int(value) >= at_least
