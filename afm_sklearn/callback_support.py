"""scikit-learn's support of callbacks, and what stands in for it below version 1.9."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn < 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """No callbacks."""

    def with_callbacks(method: Any) -> Any:
        """Return the method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "one_task", "with_callbacks"]


def one_task(fit: Callable[..., Any]) -> Callable[..., Any]:
    """Make a fit without stages a single task of its estimator's callbacks.

    Parameters
    ----------
    fit : callable
        Method ``fit(self, X, y)`` of a class that has `CallbackSupportMixin`.

    Returns
    -------
    callable
        The same method, which tells callbacks that it begins and ends.

    Examples
    --------
    >>> from sklearn.base import BaseEstimator
    >>> class Mean(CallbackSupportMixin, BaseEstimator):
    ...     @one_task
    ...     def fit(self, X, y=None):
    ...         self.mean_ = sum(X) / len(X)
    ...         return self
    >>> Mean().fit([1.0, 2.0]).mean_
    1.5
    """

    @functools.wraps(fit)
    def told(self: Any, X: Any, y: Any = None) -> Any:
        if not hasattr(self, "_init_callback_context"):
            return fit(self, X, y)
        given = {"estimator": self, "X": X, "y": y}
        task = self._init_callback_context().call_on_fit_task_begin(**given)
        fitted = fit(self, X, y)
        task.call_on_fit_task_end(**given, reconstruction_attributes={})
        return fitted

    wrapped: Callable[..., Any] = with_callbacks(told)
    return wrapped
