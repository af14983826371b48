"""AFMForecaster: scikit-learn's contract around the flow."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import Tags, check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from .autoregression import find_lag_map
from .fitting import BASES, Settings, fit_step_law
from .flow.paths import PATHS
from .flow.solvers import SOLVERS
from .networks.encoders import HISTORY_ENCODERS
from .rollout import Draw, rollout

MAX_DRAWS = 1 << 22  # numbers drawn at a time: bounds the memory of sampling


class AFMForecaster(RegressorMixin, BaseEstimator):
    """Forecast the distribution of the next step by autoregressive flow matching.

    A linear forecast with the covariance of its leave-one-out errors, a network
    that corrects its mean and scale, and a flow that turns Gaussian noise into the
    error that remains: each is kept only if it improves the score of held-back rows
    at the end of the training rows.

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
    base : {"auto", "normal", "ridge", "learned"}
        What the flow starts from. "normal", "ridge" and "learned" are kept
        whatever the held-back rows say, with the flow on top.
    solver : {"euler", "midpoint", "heun", "rk4", "dopri5"}
        Solver of the flow.
    n_steps : int
        Solver steps in sampling.
    max_epochs : int or "auto"
        Epochs of each of the two trainings at most; "auto" sets them by the number
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
        What was kept: "normal", "ridge", "learned", with "+flow" if the flow was.
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
        history_encoder="conv",
        scales="auto",
        stimulus_groups=None,
        hidden_dim=64,
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
        n_iter_no_change=20,
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

    def fit(self, X: Any, y: Any) -> Self:
        """Learn p(y | X) from windows X (n, L, c) or (n, c) and targets y."""
        self._check_parameters()
        windows = self._check_X(X, reset=True)
        targets = self._check_y(y, len(windows))
        self._one_dim = targets.ndim == 1
        targets = targets.reshape(len(windows), -1)
        self._find_lags(windows, targets)
        n_lagged = targets.shape[1] if self.autoregressive_ else windows.shape[2]
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        settings = Settings(
            **{name: getattr(self, name) for name in Settings.names()},
            n_lagged=n_lagged,
            seed=seed,
            torch_device=infer_device(self.device),
        )
        previous = getattr(self, "law_", None) if self.warm_start else None
        fitted = fit_step_law(windows, targets, settings, previous)
        self.law_, self.base_, self.history_ = fitted
        self.seed_ = seed
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Conditional mean, (n, d) or (n,); the same for a row in any batch."""
        windows = self._windows(X)
        # In double precision the order of a batch cannot show in the result.
        law = self.law_.double()
        try:
            with torch.inference_mode():
                parts = [
                    law.mean(self._tensor(part, torch.float64)).cpu().numpy()
                    for part in self._chunks(windows, 1)
                ]
        finally:
            self.law_.float()
        return self._shape(np.concatenate(parts))

    def predict_quantiles(self, X: Any, alpha: Any = (0.1, 0.5, 0.9)) -> NDArray[Any]:
        """Quantiles of each channel, (n, n_alpha, d), from 400 seeded draws a row."""
        levels = np.atleast_1d(np.asarray(alpha, dtype=float))
        if levels.ndim != 1 or not ((levels > 0) & (levels < 1)).all():
            raise ValueError(f"alpha must lie strictly between 0 and 1, got {alpha}")
        windows = self._windows(X)
        generator = torch.Generator().manual_seed(self.seed_)
        half = torch.randn(1, 200, self.n_outputs_, generator=generator)
        noise = torch.cat([half, -half], 1)
        parts = []
        for part in self._chunks(windows, 400):
            draws = self._draw(self._tensor(part), noise.to(self._device)).cpu().numpy()
            parts.append(np.quantile(draws, levels, axis=1).swapaxes(0, 1))
        return self._shape(np.concatenate(parts))

    def predict_interval(self, X: Any, coverage: float = 0.9) -> NDArray[Any]:
        """Central interval of each channel, (n, 2, d)."""
        if not 0 < coverage < 1:
            raise ValueError(f"coverage must lie between 0 and 1, got {coverage}")
        return self.predict_quantiles(X, ((1 - coverage) / 2, (1 + coverage) / 2))

    def sample(
        self, X: Any, n_samples: int = 100, random_state: Any = None
    ) -> NDArray[Any]:
        """Independent draws of the next step, (n, n_samples, d)."""
        _check_count("n_samples", n_samples)
        windows = self._windows(X)
        generator = self._generator(random_state)
        parts = [
            self._sampler(generator)(self._tensor(part), n_samples).cpu().numpy()
            for part in self._chunks(windows, n_samples)
        ]
        return self._shape(np.concatenate(parts))

    def sample_trajectories(
        self,
        X: Any,
        horizon: int,
        *,
        stimulus: Any = None,
        n_samples: int = 100,
        random_state: Any = None,
    ) -> NDArray[Any]:
        """Joint draws of the next `horizon` steps, (n, n_samples, horizon, d).

        Parameters
        ----------
        X : array of shape (n, L, c) or (n, c)
            Windows that end just before the first forecast step.
        horizon : int
            Steps to draw.
        stimulus : array of shape (n, horizon, s), optional
            The stimulus during each forecast step, in the units of X. Its first
            step replaces the last one of the window. Needed when the model has a
            stimulus and ``horizon > 1``.
        n_samples : int
            Trajectories a window.
        random_state : int, RandomState or None
            Seed of the draws.
        """
        _check_count("n_samples", n_samples)
        _check_count("horizon", horizon)
        windows = self._windows(X)
        if not self.autoregressive_:
            raise ValueError(
                "sample_trajectories needs the first channels of X to be the lagged "
                f"targets, but {self._why_not}"
            )
        future = self._check_stimulus(stimulus, len(windows), horizon)
        generator = self._generator(random_state)
        parts, start = [], 0
        load = n_samples * (windows.shape[1] + horizon)
        for part in self._chunks(windows, load):
            rows = slice(start, start + len(part))
            start += len(part)
            out = rollout(
                self._sampler(generator),
                self._tensor(part),
                horizon,
                n_samples,
                n_outputs=self.n_outputs_,
                stimulus=None if future is None else self._tensor(future[rows]),
                lag_scale=self._tensor(self.lag_scale_),
                lag_offset=self._tensor(self.lag_offset_),
            )
            parts.append(out.cpu().numpy())
        return self._shape(np.concatenate(parts))

    def log_prob(self, X: Any, y: Any) -> NDArray[Any]:
        """Log density of y given X, (n,)."""
        windows = self._windows(X)
        targets = self._check_y(y, len(windows), nan="refuse")
        targets = targets.reshape(len(windows), -1)
        if targets.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y has {targets.shape[1]} columns, expected {self.n_outputs_}"
            )
        parts, start = [], 0
        for part in self._chunks(windows, 8):
            rows = slice(start, start + len(part))
            start += len(part)
            with torch.no_grad():
                value = self.law_.log_prob(
                    self._tensor(part), self._tensor(targets[rows])
                )
            parts.append(value.cpu().numpy())
        return np.concatenate(parts)

    # -- input -----------------------------------------------------------------

    def _check_parameters(self) -> None:
        for name, allowed in (
            ("history_encoder", HISTORY_ENCODERS),
            ("path", tuple(PATHS)),
            ("base", BASES),
            ("solver", SOLVERS),
            ("device", ("auto", "cpu", "cuda", "mps")),
            ("autoregressive", ("auto", True, False)),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is unknown, expected one of "
                    f"{allowed}"
                )
        for name in ("hidden_dim", "n_layers", "n_steps", "n_iter_no_change"):
            _check_count(name, getattr(self, name))
        for name in ("max_epochs", "batch_size"):
            if getattr(self, name) != "auto":
                _check_count(name, getattr(self, name))
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(
                "validation_fraction must lie in [0, 1), got "
                f"{self.validation_fraction}"
            )

    def _check_X(self, X: Any, *, reset: bool) -> NDArray[Any]:
        X = validate_data(
            self,
            X,
            reset=reset,
            dtype=(np.float64, np.float32),
            allow_nd=True,
            ensure_all_finite="allow-nan",
        )
        X = X[:, None] if X.ndim == 2 else X
        if X.ndim != 3:
            raise ValueError(f"X has {X.ndim} dimensions, expected 2 or 3")
        if reset:
            self.window_shape_ = X.shape[1:]
        elif X.shape[1:] != self.window_shape_:
            raise ValueError(
                f"X has windows of shape {X.shape[1:]}, but AFMForecaster was fitted "
                f"on {self.window_shape_} (length, channels)"
            )
        return X

    def _check_y(self, y: Any, n_rows: int, nan: str = "allow") -> NDArray[Any]:
        if y is None:
            raise ValueError(
                "AFMForecaster requires y to be passed, but the target y is None"
            )
        y = check_array(
            y,
            ensure_2d=False,
            dtype=np.float64,
            ensure_all_finite="allow-nan" if nan == "allow" else True,
            input_name="y",
        )
        if np.isnan(y).all():
            raise ValueError(
                "y is NaN throughout, expected at least one observed entry"
            )
        if y.ndim not in (1, 2):
            raise ValueError(f"y has {y.ndim} dimensions, expected 1 or 2")
        if len(y) != n_rows:
            raise ValueError(
                f"X and y have inconsistent numbers of samples: {n_rows} and {len(y)}"
            )
        return y

    def _find_lags(self, windows: NDArray[Any], targets: NDArray[Any]) -> None:
        d = targets.shape[1]
        self.n_outputs_ = d
        found = None
        if self.autoregressive is not False and windows.shape[2] >= d:
            found = find_lag_map(windows[:, -1, :d].astype(float), targets)
        self.lag_scale_, self.lag_offset_ = found or (np.ones(d), np.zeros(d))
        if self.autoregressive is True and windows.shape[2] < d:
            raise ValueError(
                f"autoregressive=True needs at least {d} channels in X, got "
                f"{windows.shape[2]}"
            )
        self.autoregressive_ = self.autoregressive is True or found is not None
        self._why_not = (
            "autoregressive=False"
            if self.autoregressive is False
            else "those of the rows given to fit are not, nor a scaled copy of them"
        )

    def _check_stimulus(
        self, stimulus: Any, n_rows: int, horizon: int
    ) -> NDArray[Any] | None:
        s = self.window_shape_[1] - self.n_outputs_
        if stimulus is None:
            if s and horizon > 1:
                raise ValueError(
                    f"stimulus is None, but the model has {s} stimulus channels and "
                    f"horizon is {horizon}"
                )
            return None
        stimulus = check_array(
            stimulus,
            allow_nd=True,
            ensure_2d=False,
            dtype=np.float64,
            ensure_all_finite="allow-nan",
            input_name="stimulus",
        )
        if stimulus.ndim != 3:
            raise ValueError(
                f"stimulus has shape {stimulus.shape}, expected "
                f"({n_rows}, {horizon}, {s})"
            )
        for axis, needed, what in (
            (1, horizon, "steps, horizon"),
            (0, n_rows, "rows, X"),
            (2, s, "channels, the model"),
        ):
            if stimulus.shape[axis] != needed:
                unit, owner = what.split(", ")
                verb = "needs" if axis == 1 else "has"
                raise ValueError(
                    f"stimulus has {stimulus.shape[axis]} {unit}, {owner} {verb} "
                    f"{needed}"
                )
        return stimulus

    def _windows(self, X: Any) -> NDArray[Any]:
        check_is_fitted(self)
        return self._check_X(X, reset=False)

    # -- tensors ---------------------------------------------------------------

    @property
    def _device(self) -> torch.device:
        return self.law_.y_mean.device

    def _tensor(
        self, array: NDArray[Any], dtype: torch.dtype = torch.float32
    ) -> torch.Tensor:
        return torch.tensor(np.ascontiguousarray(array), dtype=dtype).to(self._device)

    def _chunks(
        self, windows: NDArray[Any], draws_per_row: int
    ) -> Iterator[NDArray[Any]]:
        width = max(self.n_outputs_, self.hidden_dim, windows.shape[2])
        rows = max(1, MAX_DRAWS // (draws_per_row * width))
        rows = min(rows, max(1, MAX_DRAWS // (windows.shape[1] * width)))
        for start in range(0, len(windows), rows):
            yield windows[start : start + rows]

    def _generator(self, random_state: Any) -> torch.Generator:
        seed = check_random_state(random_state).randint(2**31 - 1)
        return torch.Generator(self._device).manual_seed(int(seed))

    @torch.inference_mode()
    def _draw(self, windows: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return self.law_.draw(windows, noise, self.solver, self.n_steps)

    def _sampler(self, generator: torch.Generator) -> Draw:
        def draw(windows: torch.Tensor, n_samples: int) -> torch.Tensor:
            shape = (len(windows), n_samples, self.n_outputs_)
            noise = torch.randn(shape, generator=generator, device=windows.device)
            return self._draw(windows, noise)

        return draw

    def _shape(self, values: NDArray[Any]) -> NDArray[Any]:
        return values[..., 0] if self._one_dim else values

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "law_" in state:  # a model saved on a GPU machine opens on a laptop
            device = self._device
            state["law_"] = self.law_.cpu() if device.type == "cpu" else _on_cpu(self)
        return state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        tags.regressor_tags.poor_score = True
        return tags


def infer_device(device: str) -> torch.device:
    """Resolve "auto" to CUDA, else Apple's MPS, else the CPU."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    if (device == "cuda" and not cuda) or (device == "mps" and not mps):
        raise ValueError(f"device={device!r} was asked for, but there is none here")
    return torch.device(device)


def _on_cpu(model: AFMForecaster) -> torch.nn.Module:
    import copy

    return copy.deepcopy(model.law_).cpu()


def _check_count(name: str, value: Any) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}={value!r} must be an integer of at least 1")
