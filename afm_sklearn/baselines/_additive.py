"""Forecasters whose error has the same law in every row."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.metaestimators import available_if

from ..contract import BaseForecaster
from ._errors import EmpiricalErrors, ErrorLaw, GaussianErrors, complete_rows

Array = NDArray[Any]

LAWS: dict[str, type[GaussianErrors] | type[EmpiricalErrors]] = {
    "gaussian": GaussianErrors,
    "bootstrap": EmpiricalErrors,
}


class AdditiveForecaster(BaseForecaster):
    """y = mean(X) + e, with e drawn from one law whatever X.

    A subclass defines ``_mean``, and calls ``_learn_errors`` at the end of ``_fit``.
    """

    residuals: str = "gaussian"

    def _learn_errors(self, errors: Array) -> None:
        """Learn the law from errors (n, d); rows with a NaN are left out."""
        self.residuals_ = complete_rows(errors, "the errors")
        self._errors: ErrorLaw = LAWS[self.residuals](self.residuals_)
        self.covariance_ = self._errors.covariance

    def _draw(
        self, windows: torch.Tensor, n_samples: int, generator: torch.Generator
    ) -> torch.Tensor:
        mean = torch.from_numpy(self._mean(windows.numpy()))
        return self._errors.draw(mean, n_samples, generator)

    def _quantiles(self, windows: Array, levels: Array) -> Array:
        return self._errors.quantiles(self._mean(windows), levels)

    @available_if(lambda self: self.residuals == "gaussian")
    def log_prob(self, X: Any, y: Any) -> Array:
        """Log density of y given X; Gaussian errors only.

        Parameters
        ----------
        X : array-like of shape (n, L, c) or (n, c)
            Windows as in `fit`.
        y : array-like of shape (n, d) or (n,)
            The step that followed.

        Returns
        -------
        ndarray of shape (n,)
            In nats.

        Raises
        ------
        ValueError
            If y holds NaN or has other columns than in `fit`, or a channel never
            erred in `fit`, so that there is no density.
        """
        windows = self._windows(X)
        errors = self._check_outcome(y, len(windows)) - self._mean(windows)
        law: Any = self._errors
        return np.asarray(law.log_prob(errors))
