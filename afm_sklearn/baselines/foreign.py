"""What laws made of a foreign callable share: its inputs, and its answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..law.windowed import WindowedState

Array = NDArray[Any]


class ForeignLaw:
    """The law of the next step that a callable states, and how the callable is asked.

    Parameters
    ----------
    call : callable
        Someone else's.
    lag_scale, lag_offset : ndarray of shape (d,)
        The newest lagged channels are ``(y - lag_offset) / lag_scale``.
    targets : ndarray of shape (m, d)
        What rows without a past are drawn from.
    """

    def __init__(
        self,
        call: Callable[..., Any],
        lag_scale: Array,
        lag_offset: Array,
        targets: Array,
    ) -> None:
        self.call, self.targets = call, targets
        self.lag_scale, self.lag_offset = lag_scale, lag_offset

    @property
    def d(self) -> int:
        """Target channels."""
        return len(self.lag_scale)

    def start(self, windows: torch.Tensor) -> WindowedState:
        """Return the state before the step that windows (n, L, c) lead to."""
        scale, offset = map(torch.from_numpy, (self.lag_scale, self.lag_offset))
        return WindowedState(self.distribution, windows.to(scale), scale, offset)

    def distribution(self, windows: torch.Tensor) -> Any:
        """Return the distribution of the step that windows (n, L, c) lead to."""
        raise NotImplementedError

    def inputs(
        self, windows: Array, horizon: int, future: Array | None
    ) -> tuple[Array, Array | None]:
        """Return what the callable is told of the past and of the stimulus.

        Parameters
        ----------
        windows : ndarray of shape (n, L, c)
        horizon : int
        future : ndarray of shape (n, horizon, s) or None
            None takes the stimulus of the next step from the window.

        Returns
        -------
        history : ndarray of shape (n, L, d)
            In units of y.
        stimulus : ndarray of shape (n, L + horizon, s) or None
            During the steps of the history and those to forecast.
        """
        history = windows[:, :, : self.d] * self.lag_scale + self.lag_offset
        shown = windows[:, :, self.d :]
        if not shown.shape[2]:
            return history, None
        # A row holds the stimulus of the step after that of its activity.
        ahead = shown[:, -1:] if future is None else future
        unknown = np.full_like(shown[:, :1], np.nan)
        return history, np.concatenate([unknown, shown[:, :-1], ahead], axis=1)


def has_past(history: Array) -> NDArray[np.bool_]:
    """Tell which histories (n, L, d) hold an observation."""
    return np.asarray(~np.isnan(history).all((1, 2)))


def check_answer(
    call: Callable[..., Any],
    argument: str,
    answer: Any,
    axes: dict[str, int],
) -> Array:
    """Refuse what a callable must not answer.

    Parameters
    ----------
    call : callable
    argument : str
        Which argument of the forecaster it is.
    answer : array-like
    axes : dict of str to int
        Names and lengths of the axes that are expected.

    Returns
    -------
    ndarray of float

    Raises
    ------
    ValueError
        If it is no array of numbers, of another shape, or not finite.

    Examples
    --------
    >>> def flat(history, horizon, stimulus):
    ...     ...
    >>> check_answer(flat, "quantiles", [1.0, 2.0], {"n": 1, "n_alpha": 2})
    Traceback (most recent call last):
    ...
    ValueError: quantiles=flat returned shape (2,), expected (n, n_alpha) = (1, 2)
    """
    named = f"{argument}={name_of(call)}"
    try:
        values = np.asarray(answer, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{named} returned a {type(answer).__name__} that is no array of numbers: "
            f"{error}"
        ) from error
    expected = tuple(axes.values())
    if values.shape != expected:
        raise ValueError(
            f"{named} returned shape {values.shape}, expected "
            f"({', '.join(axes)}) = {expected}"
        )
    rows = np.asarray(~np.isfinite(values).all(tuple(range(1, values.ndim))))
    if rows.any():
        raise ValueError(
            f"{named} returned numbers that are not finite for {rows.sum()} of "
            f"{len(rows)} histories, the first of them number {rows.argmax()}"
        )
    return values


def name_of(call: Callable[..., Any]) -> str:
    """Name a callable for messages.

    Examples
    --------
    >>> from functools import partial
    >>> name_of(partial(sorted, reverse=True))
    'sorted'
    """
    if isinstance(call, partial):
        return name_of(call.func)
    return str(getattr(call, "__qualname__", type(call).__name__))
