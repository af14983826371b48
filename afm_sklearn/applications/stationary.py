r"""Smooth a recording as a stationary Gaussian process fitted to the recording itself.

The process is a sum of components of their own time scales, white noise among them
(linear model of coregionalization, Journel & Huijbregts, 1978): its cross-spectrum is

.. math:: S(\omega) = \sum_c s_c(\omega) B_c .

On a circle with room at its end the transform of Fourier makes it block diagonal.
The :math:`B_c` maximise the likelihood by EM, each round of which draws what is
missing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Array = NDArray[Any]

SMOOTH_SCALES = (1.0, 3.0, 9.0, 27.0)  # steps, of Matern kernels of order 3/2
ROUGH_SCALES = (4.0, 16.0)  # steps, of exponential kernels
ROOM = 64  # steps at most that keep the ends of the circle apart
ROUNDS, UPDATES, DRAWS = 5, 4, 2  # of EM
TOLERANCE, MAX_STEPS = 1e-3, 80  # of conjugate gradients
FLOOR = 1e-8  # of a variance


class StationarySmoother:
    """Pieces (m, T, d) of a stationary process around zero.

    Parameters
    ----------
    pieces : ndarray of shape (m, T, d)
        NaN where missing.
    variance : ndarray of shape (d,)
        With which EM starts.
    """

    def __init__(self, pieces: Array, variance: Array):
        self.n_times = pieces.shape[1]
        room = min(ROOM, self.n_times)
        self.n = scipy.fft.next_fast_len(self.n_times + room, real=True)
        self.shapes = _shapes(self.n)
        self.parts = np.array([np.diag(variance)] * len(self.shapes))
        self.parts /= len(self.shapes)
        self.set_pieces(pieces)
        self._set()

    def set_pieces(self, pieces: Array) -> None:
        """Take pieces of the same process and shape."""
        self.seen = np.zeros((len(pieces), self.n, pieces.shape[2]), bool)
        self.seen[:, : self.n_times] = ~np.isnan(pieces)
        self.y = np.zeros(self.seen.shape)
        self.y[:, : self.n_times] = np.nan_to_num(pieces)

    def fit(
        self,
        rng: np.random.Generator,
        shrinkage: float,
        prior: Array | None = None,
        weight: float = 0.0,
    ) -> StationarySmoother:
        """Maximise the likelihood.

        Parameters
        ----------
        rng : Generator
        shrinkage : float
            Of what channels share, towards nothing.
        prior : ndarray of shape (n // 2 + 1, d, d), optional
            A cross-spectrum that counts as `weight` steps.
        weight : float
        """
        share = np.full(self.n // 2 + 1, 2.0 / self.n)  # of a frequency in the circle
        share[0] = 1.0 / self.n
        share[-1] /= 1 + (self.n % 2 == 0)
        n_steps = float(len(self.y) * self.n_times)
        eye = np.eye(self.y.shape[-1])
        for _ in range(ROUNDS):
            power = self._power(self._draw(rng))
            if prior is not None:
                power = (n_steps * power + weight * prior) / (n_steps + weight)
            for _ in range(UPDATES):
                inverse = np.linalg.inv(self._spectrum(self.parts))
                error = inverse @ power @ inverse - inverse
                slope = np.tensordot(self.shapes * share, error, axes=1)
                parts = self.parts + self.parts @ slope @ self.parts
                parts = 0.5 * (parts + parts.transpose(0, 2, 1))
                own = parts.diagonal(axis1=1, axis2=2)
                own = np.maximum(own, FLOOR * own.max())[:, :, None] * eye
                self.parts = (1 - shrinkage) * parts + shrinkage * own
            self._set()
        return self

    def mean(self) -> Array:
        """Mean (m, T, d) given what is known."""
        known = self._solve((self.seen * self.y)[None])
        return self._apply(self.covariance, known)[0, :, : self.n_times]

    def _draw(self, rng: np.random.Generator) -> Array:
        noise = rng.normal(size=(DRAWS, *self.y.shape))
        free = self._apply(self.root, noise)
        return free + self._apply(
            self.covariance, self._solve(self.seen * (self.y - free))
        )

    def _spectrum(self, parts: Array) -> Array:
        spectrum = np.tensordot(self.shapes.T, parts, axes=1)
        d = parts.shape[1]
        size = np.trace(spectrum, axis1=1, axis2=2) / d + np.finfo(float).tiny
        return spectrum + FLOOR * size[:, None, None] * np.eye(d)

    def _set(self) -> None:
        self.covariance = self._spectrum(self.parts)
        self.root = np.linalg.cholesky(self.covariance)
        self.precision = np.linalg.inv(self.covariance)

    def _power(self, y: Array) -> Array:
        """Real part of the cross-periodogram (n // 2 + 1, d, d)."""
        waves = scipy.fft.rfft(y, axis=-2, norm="ortho")
        rows = waves.reshape(-1, *waves.shape[-2:]).transpose(1, 0, 2)
        both = np.concatenate([rows.real, rows.imag], axis=1)
        power: Array = both.transpose(0, 2, 1) @ both / rows.shape[1]
        return power

    def _apply(self, matrices: Array, y: Array) -> Array:
        """Multiply the waves of y (k, m, n, d) by a real matrix a frequency."""
        waves = scipy.fft.rfft(y, axis=-2)
        rows = waves.reshape(-1, *waves.shape[-2:]).transpose(1, 0, 2)
        k = rows.shape[1]
        both = np.concatenate([rows.real, rows.imag], axis=1)
        both = both @ matrices.transpose(0, 2, 1)
        waves = (both[:, :k] + 1j * both[:, k:]).transpose(1, 0, 2).reshape(waves.shape)
        out: Array = scipy.fft.irfft(waves, n=self.n, axis=-2)
        return out

    def _solve(self, rest: Array) -> Array:
        """Divide by the covariance of what is seen; the circle's preconditions."""
        found = np.zeros(rest.shape)
        direction = moved = self.seen * self._apply(self.precision, rest)
        size = (rest * moved).sum((1, 2, 3))
        goal = TOLERANCE**2 * size
        for _ in range(MAX_STEPS):
            if (size <= goal).all():
                break
            ahead = self.seen * self._apply(self.covariance, direction)
            bend = (direction * ahead).sum((1, 2, 3))
            share = np.divide(size, bend, out=np.zeros_like(size), where=bend > 0)
            found = found + share[:, None, None, None] * direction
            rest = rest - share[:, None, None, None] * ahead
            moved = self.seen * self._apply(self.precision, rest)
            new = (rest * moved).sum((1, 2, 3))
            turn = np.divide(new, size, out=np.zeros_like(size), where=size > 0)
            direction = moved + turn[:, None, None, None] * direction
            size = new
        return found


def _shapes(n: int) -> Array:
    """Spectra (c, n // 2 + 1) of unit variance on a circle of n steps."""
    lag = np.minimum(np.arange(n), n - np.arange(n))
    far = [np.sqrt(3.0) * lag / scale for scale in SMOOTH_SCALES]
    kernels = [
        (lag == 0).astype(float),
        *((1 + r) * np.exp(-r) for r in far),
        *(np.exp(-lag / scale) for scale in ROUGH_SCALES),
    ]
    spectra = scipy.fft.rfft(np.array(kernels)).real
    floored: Array = np.maximum(spectra, 1e-6)
    return floored
