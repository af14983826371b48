"""Ridge regressions on all rows but those of a block, on which they are judged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .features import LagFeatures
from .forecast import LinearMap
from .moments import Beside, Moments

Array = NDArray[np.float64]
Rotation = tuple[Array, Array]


class Fit:
    """Regressions that leave out a block, each shrunk towards an anchor.

    What can be computed from the moments is not kept: they are large.

    Parameters
    ----------
    features : LagFeatures
    total : Moments
        Of all rows.
    left_out : Moments or None
        Of the block.

    Attributes
    ----------
    anchors : list of array of shape (p, d)
        Coefficients to shrink towards.
    own : array of shape (n_own, d)
        Weights of each channel's own earlier steps.
    sees_own : list of bool
        Which anchors have these beside them.
    coefs : list of array of shape (p, d)
        Of the models, in single precision.
    """

    def __init__(self, features: LagFeatures, total: Moments, left_out: Moments | None):
        self.total, self.left_out = total, left_out
        self.lags, self.basis = features.lags(), features.basis
        training = self._training()
        n = max(training.n, 1.0)
        self.f_mean, self.y_mean = training.f / n, training.y / n
        self.anchors: list[Array] = []
        self.sees_own: list[bool] = []
        self.coefs: list[NDArray[np.float32]] = []
        self.own = np.zeros((features.n_own, len(self.y_mean)))
        self.beside: tuple[Beside, Beside | None] | None = None

    def anchor(self, coef: Array) -> None:
        """Add coefficients (p, d) to shrink towards."""
        self.anchors.append(coef)
        self.sees_own.append(False)

    def anchor_own(
        self, own: LinearMap, total: Beside | None, left_out: Beside | None
    ) -> None:
        """Add an autoregression of each channel to shrink towards.

        Parameters
        ----------
        own : LinearMap
        total, left_out : Beside or None
            What it sees beside the features, of all rows and of the block.
        """
        self.anchor(own.coef)
        if total is not None:
            self.own, self.beside, self.sees_own[-1] = own.own, (total, left_out), True

    def train(self) -> Moments:
        """Return the moments of the rows fitted on, about their means."""
        return self._training().about(self.f_mean, self.y_mean)

    def held(self) -> Moments:
        """Return the moments of the block, about the means of the other rows."""
        assert self.left_out is not None
        return self.left_out.about(self.f_mean, self.y_mean)

    def rotate(self, decay: float) -> Rotation:
        """Return eigenvalues, and eigenvectors as weights of the features."""
        shrink = self.lags**-decay
        ff = self.train().ff
        ff *= shrink[:, None]
        ff *= shrink
        values, vectors = np.linalg.eigh(ff)
        vectors *= shrink[:, None]
        return np.maximum(values, 0.0), vectors

    def along(self, rotation: Rotation, k: int) -> Array:
        """Return what anchor k leaves of the targets, along the eigenvectors (p, d)."""
        train = self.train()
        left = train.fy - train.ff @ self.anchors[k]
        if self.sees_own[k]:
            left -= self._train_beside().ft
        along: Array = rotation[1].T @ left
        return along

    def errors(self, rotation: Rotation, penalties: Array) -> Array:
        """Sum of squares on the held block, (anchors, penalties, d)."""
        values, basis = rotation
        held, out = self.held(), []
        cross = basis.T @ held.ff @ basis
        for k, anchor in enumerate(self.anchors):
            fy, yy = self._left(held, k)
            along = self.along(rotation, k)
            missed = fy - held.ff @ anchor
            own = yy - (anchor * (fy + missed)).sum(0)
            against = basis.T @ missed
            for penalty in penalties:
                if np.isinf(penalty):  # nothing is added to the anchor
                    out.append(own)
                    continue
                w = along / (values + penalty)[:, None]
                out.append(own - 2 * (w * against).sum(0) + (w * (cross @ w)).sum(0))
        return np.reshape(out, (len(self.anchors), len(penalties), -1))

    def choose(self, rotation: Rotation, penalties: Array) -> None:
        """Add the models of the penalties (anchors, d)."""
        for k, penalty in enumerate(penalties):
            coef = self.penalized(rotation, k, self.along(rotation, k), penalty)
            self.coefs.append(coef.astype(np.float32))  # there are many

    def penalized(
        self, rotation: Rotation, k: int, along: Array, penalty: Array | float
    ) -> Array:
        """Coefficients beside anchor k for a penalty, or one a channel; see `along`."""
        values, basis = rotation
        coef: Array = self.anchors[k] + basis @ (along / (values[:, None] + penalty))
        return coef

    def map_of(self, coef: Array, share: float) -> LinearMap:
        """Return a map of coefficients and a share of what stands beside them."""
        intercept = self.y_mean - self.f_mean @ coef
        if self.beside is not None:
            intercept = intercept - share * self._t_mean()
        single = coef.astype(np.float32)
        return LinearMap(single, intercept, share * self.own, self.basis)

    def stacked(self, weights: Array) -> LinearMap:
        """Return the weighted mean of the models."""
        share = float(weights @ self.shares())
        coef = np.zeros(self.coefs[0].shape)
        for weight, of_model in zip(weights, self.coefs, strict=True):
            coef += weight * of_model
        return self.map_of(coef, share)

    def shares(self) -> Array:
        """Return how much of what stands beside the features each model has."""
        return np.resize(np.array(self.sees_own, float), len(self.coefs))

    def products(self) -> tuple[Array, Array, float]:
        """Return sums of products on the block: of the forecasts, and with targets.

        Arrays of shape (models, models) and (models,); then that of the targets.
        """
        held, shares, n = self.held(), self.shares(), len(self.coefs)
        beside = self._held_beside()
        gram, against = np.zeros((n, n)), np.zeros(n)
        for k, coef in enumerate(self.coefs):
            ahead = held.ff @ coef
            gram[k] = [(ahead * other).sum() for other in self.coefs]
            against[k] = (coef * held.fy).sum()
        if beside is not None:
            across = np.array([(coef * beside.ft).sum() for coef in self.coefs])
            gram += np.outer(across, shares) + np.outer(shares, across)
            gram += beside.tt.sum() * np.outer(shares, shares)
            against += beside.yt.sum() * shares
        return gram, against, float(held.yy.sum())

    def _training(self) -> Moments:
        return self.total if self.left_out is None else self.total - self.left_out

    def _left(self, held: Moments, k: int) -> tuple[Array, Array]:
        """Return f y' and y^2 of what is left of the block's targets by anchor k.

        By what stands beside it, that is: not by its coefficients.
        """
        beside = self._held_beside()
        if beside is None or not self.sees_own[k]:
            return held.fy, held.yy
        return held.fy - beside.ft, held.yy - 2 * beside.yt + beside.tt

    def _train_beside(self) -> Beside:
        assert self.beside is not None
        total, left_out = self.beside
        return (total if left_out is None else total - left_out).about(
            self._training(), self.f_mean, self.y_mean, self._t_mean()
        )

    def _held_beside(self) -> Beside | None:
        if self.beside is None or self.beside[1] is None:
            return None
        assert self.left_out is not None
        return self.beside[1].about(
            self.left_out, self.f_mean, self.y_mean, self._t_mean()
        )

    def _t_mean(self) -> Array:
        assert self.beside is not None
        total, left_out = self.beside
        n, t = total.n, total.t
        if left_out is not None:
            n, t = n - left_out.n, t - left_out.t
        mean: Array = t / max(n, 1.0)
        return mean


def total_errors(errors: Sequence[Array]) -> Array:
    """Sum over blocks of the roots of their summed squares."""
    # Rounding may leave less than nothing.
    total: Array = np.sum([np.sqrt(np.maximum(error, 0.0)) for error in errors], axis=0)
    return total
