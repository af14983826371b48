"""AFMForecaster: scikit-learn's contract around the flow."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

from .checks import check_integer
from .contract import Array, BaseForecaster
from .fitting import BASES, Settings, fit_step_law
from .flow.paths import PATHS
from .flow.solvers import SOLVERS
from .law import N_MEAN_DRAWS
from .networks.encoders import HISTORY_ENCODERS
from .shared_rollout import shared_rollout
from .threads import threads_for


class AFMForecaster(BaseForecaster):
    """Forecast the distribution of the next step by autoregressive flow matching.

    Three models, each correcting the last, and each kept only if it improves the
    score of held-back rows at the end of the training rows:

    1. a linear forecast of every channel, a stack of ridge regressions whose penalty
       grows with the lag (Poisson regressions where all targets are counts), with
       the spread of its errors on rows it was not fitted on;
    2. a network on the newest step and a network on the whole window, which give
       every channel a mixture of Gaussians (negative binomial laws for counts), in
       a weighted pool with the linear forecast;
    3. a flow, from correlated Gaussian noise to the dependence that remains between
       the channels, on the scale of their normal scores.

    Parameters
    ----------
    history_encoder : {"conv", "gru", "lstm", "transformer", "mlp"}
        Network that encodes the window.
    scales : tuple of int or "auto"
        Time scales, in steps, at which the window is encoded. "auto" takes those
        of (1, 5, 20) that fit into the window.
    stimulus_groups : dict of str to list of int, optional
        Stimulus columns (counted from 0) by modality; one branch each.
    hidden_dim, n_layers : int
        Width and depth of the networks.
    path : {"trigonometric", "linear"}
        Path between noise and data.
    base : {"auto", "normal", "linear", "learned"}
        What the flow starts from: "normal" is plain autoregressive flow matching
        from standard normal noise, "linear" the first model alone, "learned" the
        second. These keep the flow whatever the held-back rows say; "auto" lets
        them choose.
    solver : {"euler", "midpoint", "heun", "rk4", "dopri5"}
        Solver of the flow.
    n_steps : int
        Solver steps in sampling.
    max_epochs : int or "auto"
        Epochs of each training at most; "auto" sets them by the number
        of optimiser steps.
    batch_size : int or "auto"
        Rows in an optimiser step.
    lr, weight_decay : float
        Learning rate and decay of AdamW.
    window_noise : float
        Noise on the standardised window in training.
    validation_fraction : float
        Share of the rows, at their end, that is held back.
    early_stopping : bool
        Stop when the held-back loss has not improved for `n_iter_no_change` epochs.
    n_iter_no_change : int
        Patience, in epochs.
    autoregressive : {"auto", True, False}
        Whether the first channels of X are the lagged targets.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to compute.
    warm_start : bool
        Start from the networks of the last fit.
    random_state : int, RandomState or None
        Seed of training and of deterministic predictions.
    verbose : int
        Print a line a training.

    Attributes
    ----------
    law_ : StepLaw
        The fitted conditional law.
    base_ : str
        What was kept: "normal", "linear", "learned", with "+flow" if the flow was.
    lag_scale_, lag_offset_ : ndarray of shape (n_outputs,)
        The newest lagged channels are ``(y - lag_offset_) / lag_scale_``.
    history_ : dict
        Loss by epoch of each training.

    References
    ----------
    El-Gazzar & van Gerven, arXiv 2503.10375; Rogalla et al., arXiv 2604.11178.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn import AFMForecaster, design_matrix
    >>> activity = np.random.default_rng(0).normal(size=(120, 2)).cumsum(0)
    >>> X = design_matrix(activity)
    >>> model = AFMForecaster(max_epochs=2, random_state=0).fit(X, activity)
    >>> model.sample_trajectories(X[-1:], horizon=5, n_samples=10).shape
    (1, 10, 5, 2)
    """

    def __init__(
        self,
        *,
        history_encoder="mlp",
        scales="auto",
        stimulus_groups=None,
        hidden_dim=128,
        n_layers=2,
        path="trigonometric",
        base="auto",
        solver="midpoint",
        n_steps=2,
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
        self.history_encoder = history_encoder
        self.scales = scales
        self.stimulus_groups = stimulus_groups
        self.hidden_dim = hidden_dim
        self.n_layers = n_layers
        self.path = path
        self.base = base
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

    def log_prob(self, X: Any, y: Any) -> Array:
        """Log density of y given X.

        Of counts, the log probability of each channel plus the log density of the
        dependence between them at the middle of their normal scores.

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c)
            Windows as in `fit`.
        y : array-like of shape (n, d) or (n,)
            Targets, all observed.

        Returns
        -------
        ndarray of shape (n,)
        """
        windows = self._windows(X)
        targets = self._check_outcome(y, len(windows))
        parts = []
        for rows in self._chunks(windows, 8):
            with torch.no_grad():
                at, y_at = self._tensor(windows[rows]), self._tensor(targets[rows])
                parts.append(self.law_.log_prob(at, y_at).cpu().numpy())
        return np.concatenate(parts)

    def _fit(self, windows: Array, targets: Array, seed: int) -> None:
        lagged = self.n_outputs_ if self.autoregressive_ else windows.shape[2]
        settings = Settings(
            **{name: getattr(self, name) for name in Settings.names()},
            n_lagged=lagged,
            lag_scale=self.lag_scale_ if self.autoregressive_ else None,
            seed=seed,
            torch_device=infer_device(self.device),
        )
        previous = getattr(self, "law_", None) if self.warm_start else None
        fitted = fit_step_law(windows, targets, settings, previous)
        self.law_, self.base_, self.history_ = fitted

    def _mean(self, windows: Array) -> Array:
        # In double precision the order of a batch cannot show in the result.
        law = copy.deepcopy(self.law_).double()
        n_draws = 1 if law.flow is None else N_MEAN_DRAWS
        parts = []
        with torch.inference_mode(), self._threads(len(windows)):
            for rows in self._chunks(windows, n_draws):
                at = self._tensor(windows[rows]).double()
                parts.append(law.mean(at, self.solver, self.n_steps).cpu().numpy())
        return np.concatenate(parts)

    @torch.inference_mode()
    def _draw(
        self, windows: torch.Tensor, n_samples: int, generator: torch.Generator
    ) -> torch.Tensor:
        shape = (len(windows), n_samples, self.n_outputs_)
        noise = windows.new_empty(shape).normal_(generator=generator)
        with self._threads(len(windows) * n_samples):
            return self.law_.draw(windows, noise, self.solver, self.n_steps)

    @torch.inference_mode()
    def _rollout(
        self,
        windows: torch.Tensor,
        horizon: int,
        n_samples: int,
        stimulus: torch.Tensor | None,
        generator: torch.Generator,
    ) -> torch.Tensor:
        # What is missing would be filled from drawn steps, which no sample shares.
        law, d = self.law_, self.n_outputs_
        x, missing = law.standardizer(windows)
        if missing is not None or (stimulus is not None and stimulus.isnan().any()):
            return super()._rollout(windows, horizon, n_samples, stimulus, generator)
        mean, scale = law.standardizer.mean, law.standardizer.scale
        unit = self._tensor(self.lag_scale_)
        if stimulus is not None:
            stimulus = (stimulus - mean[d:]) / scale[d:]

        with self._threads(len(x) * n_samples):
            return shared_rollout(
                law,
                x[:, -law.reach :],
                horizon,
                n_samples,
                stimulus=stimulus,
                lag_scale=unit * scale[:d],
                lag_offset=self._tensor(self.lag_offset_) + unit * mean[:d],
                noise=lambda n, k: x.new_empty(n, k, d).normal_(generator=generator),
                solver=self.solver,
                n_steps=self.n_steps,
            )

    def _threads(self, n_draws: int) -> AbstractContextManager[None]:
        """Threads for the product of so many draws with a network's layer."""
        return threads_for(n_draws * self.hidden_dim * self._row_width())

    def _quantiles(self, windows: Array, levels: Array) -> Array:
        if self.law_.flow is not None:
            return super()._quantiles(windows, levels)
        at = torch.as_tensor(levels, dtype=self._dtype, device=self._device)
        with torch.inference_mode():
            parts = [
                self.law_.quantiles(self._tensor(windows[rows]), at).cpu().numpy()
                for rows in self._chunks(windows, len(levels))
            ]
        return np.concatenate(parts)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        for name, allowed in (
            ("history_encoder", HISTORY_ENCODERS),
            ("path", tuple(PATHS)),
            ("base", BASES),
            ("solver", SOLVERS),
            ("device", ("auto", "cpu", "cuda", "mps")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is unknown, expected one of "
                    f"{allowed}"
                )
        for name in ("hidden_dim", "n_layers", "n_steps", "n_iter_no_change"):
            check_integer(name, getattr(self, name))
        for name in ("max_epochs", "batch_size"):
            if getattr(self, name) != "auto":
                check_integer(name, getattr(self, name))
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(
                "validation_fraction must lie in [0, 1), got "
                f"{self.validation_fraction}"
            )

    @property
    def _device(self) -> torch.device:
        return self.law_.y_mean.device

    @property
    def _dtype(self) -> torch.dtype:
        return torch.float32

    def _row_width(self) -> int:
        return max(super()._row_width(), self.hidden_dim)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "law_" in state:  # a model saved on a GPU machine opens on a laptop
            state["law_"] = copy.deepcopy(self.law_).cpu()
        return state


def infer_device(device: str) -> torch.device:
    """Resolve "auto" to CUDA, else Apple's MPS, else the CPU."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    if (device == "cuda" and not cuda) or (device == "mps" and not mps):
        raise ValueError(f"device={device!r} was asked for, but there is none here")
    return torch.device(device)
