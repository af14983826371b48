"""What a forecaster does with stacked sessions: session by session."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from ..checks import LEVELS, check_levels
from .adapting import adapt
from .fit import fit_sessions
from .scoring import mean_over_sessions, session_of
from .stacked import StackedSessions

Array = NDArray[Any]

LEARNT = ("sessions_", "core_", "adapted_")


class SessionMethods:
    """Methods that take `StackedSessions` beside what one session has.

    Results have the columns of the stack, with NaN where a session has no such neuron.

    Attributes
    ----------
    sessions_ : dict
        With stacked sessions, a fitted forecaster of each, for everything that is done
        with one recording.
    core_ : Core or None
        What sessions of different neurons share; see `adapt`.
    adapted_ : dict
        Of what `adapt` returns: see there.
    """

    sessions_: dict[Hashable, Any]
    core_: Any

    def fit(self, X: Any, y: Any) -> Self:
        """Learn p(y | X); of stacked sessions, each session and what they share.

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c), or StackedSessions
            Windows as `SlidingWindow` makes them; (n, c) means L = 1, or rows of
            `design_matrix` with `window_length`. NaN means not observed.
        y : array-like of shape (n, d) or (n,), or StackedSessions
            Targets; entries that are NaN are left out.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an argument of the constructor is out of range, X or y hold infinities,
            or their shapes do not fit. The forecaster then is what it was before.
        """
        if not isinstance(X, StackedSessions):
            super().fit(X, y)  # type: ignore[misc]
            for name in LEARNT:
                self.__dict__.pop(name, None)
            return self
        _check_stack(self, X, y)
        forecasters, core = fit_sessions(self, X, y)
        for name in [name for name in vars(self) if name.endswith("_")]:
            del self.__dict__[name]
        self.sessions_, self.core_ = forecasters, core
        self.n_features_in_, self.n_outputs_ = X.shape[1], y.shape[1]
        return self

    def adapt(self, X: Any, y: Any) -> Any:
        """Fit a new session, with what is known of others where that helps.

        Parameters
        ----------
        X : array-like of shape (n, c)
            The session, as for a fit of it alone.
        y : array-like of shape (n, d)
            Its activity.

        Returns
        -------
        AFMForecaster
            A new one. Its ``adapted_`` says what was shared, with which weight, and how
            far that was ahead of a model of the session alone on held-out rows.

        Raises
        ------
        ValueError
            If the columns of X are not those of `y` and as many stimuli as before.
        """
        check_is_fitted(self)
        return adapt(self, X, y)

    def make_windows(self, X: Any) -> Any:  # noqa: D102
        if hasattr(self, "sessions_") or isinstance(X, StackedSessions):
            raise ValueError(
                "a forecaster of stacked sessions has no windows of its own: ask "
                "sessions_[name] for one session"
            )
        return super().make_windows(X)  # type: ignore[misc]

    def summary(self) -> str:  # noqa: D102
        if not hasattr(self, "sessions_"):
            text: str = super().summary()  # type: ignore[misc]
            return text
        parts = [f"{name}:\n{one.summary()}" for name, one in self.sessions_.items()]
        return "\n\n".join(parts)

    def predict(self, X: Any) -> Array:  # noqa: D102
        return self._by_session(X, lambda one, at, rows: one.predict(at), "predict")

    def predict_quantiles(  # noqa: D102
        self, X: Any, alpha: Any = LEVELS, *, quantiles: Any = None
    ) -> Array:
        levels = check_levels(alpha, quantiles)
        return self._by_session(
            X,
            lambda one, at, rows: one.predict_quantiles(at, levels),
            "predict_quantiles",
            levels,
        )

    def sample(self, X: Any, n_samples: int = 100, random_state: Any = None) -> Array:  # noqa: D102
        return self._by_session(
            X,
            lambda one, at, rows: one.sample(at, n_samples, random_state),
            "sample",
            n_samples,
            random_state,
        )

    def sample_trajectories(  # noqa: D102
        self,
        X: Any,
        horizon: int,
        *,
        stimulus: Any = None,
        n_samples: int = 100,
        random_state: Any = None,
    ) -> Array:
        def ask(one: Any, at: Any, rows: Array) -> Array:
            return one.sample_trajectories(
                at,
                horizon,
                stimulus=None if stimulus is None else np.asarray(stimulus)[rows],
                n_samples=n_samples,
                random_state=random_state,
            )

        return self._by_session(
            X,
            ask,
            "sample_trajectories",
            horizon,
            stimulus=stimulus,
            n_samples=n_samples,
            random_state=random_state,
        )

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: D102
        if not isinstance(X, StackedSessions):
            return super().score(X, y, sample_weight)  # type: ignore[misc]
        if sample_weight is not None:
            raise ValueError(
                "sample_weight was given, but sessions weigh by their rows"
            )
        return mean_over_sessions(self, X, y, lambda one, x, t: one.score(x, t))

    def _by_session(
        self,
        X: Any,
        ask: Callable[[Any, Any, Array], Array],
        method: str,
        *args: Any,
        **kwargs: Any,
    ) -> Array:
        if not isinstance(X, StackedSessions):
            if hasattr(self, "sessions_"):
                raise ValueError(
                    "the forecaster was fitted to stacked sessions, X is not one: ask "
                    "sessions_[name] for one session, or `adapt` to a new one"
                )
            whole: Array = getattr(super(), method)(X, *args, **kwargs)
            return whole
        out: Array | None = None
        for label, (rows, block) in X.sessions().items():
            values = ask(session_of(self, label), block.values, rows)
            d = self.n_outputs_
            if out is None:
                out = np.full((len(X), *values.shape[1:-1], d), np.nan)
            place = out[rows]
            place[..., block.columns[block.columns < d]] = values
            out[rows] = place
        assert out is not None
        return out


def _check_stack(forecaster: Any, X: StackedSessions, y: Any) -> None:
    if forecaster.window_length is None:
        raise ValueError(
            "window_length is None, but stacked sessions are rows, of which the "
            "forecaster makes its own windows: give window_length"
        )
    if not isinstance(y, StackedSessions):
        raise ValueError(
            f"y is a {type(y).__name__}, expected the y of `stack_sessions`"
        )
    if len(X) != len(y) or (X.labels != y.labels).any():
        raise ValueError(
            f"X has {len(X)} rows and y {len(y)}, of other sessions: expected the same"
        )
    if not len(X):
        raise ValueError("X has no rows, expected at least one")
