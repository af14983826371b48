"""Units: from raw windows to those the networks see, and from draws back to y."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .atoms import Atoms
from .widening import Widening

MARGIN = 0.5  # of the training range: beyond it a window has left the range
OVERSHOOT = 0.1  # of the range, that what is given may lie beyond it and count
REACH = 1.0  # of the range, that a draw may lie beyond it
ROUNDING = 1e-4  # of values of unit scale
HALF = 0.49  # of the step of a lattice
EXACT, NEAR = 1e-7, 1e-4  # of an interval that holds a quantile
MAX_INPUT = 1e6  # standardised values beyond it are no numbers to compute with


class Frame(nn.Module):
    """Standardise windows and undo it for targets, all in double precision.

    A window in which a channel has left the training range, as after a change of
    level, is moved back to the middle of it, and the forecast is moved by as much:
    its law is that of the same deviations from another level. All channels move, as
    each is forecast from the differences between them.

    What is given (the stimulus; every channel where none is a lagged target) counts at
    most a little beyond its training range: what would follow far outside is not known,
    and no slope, let alone that of a log rate, holds there. The law is wider there.

    Parameters
    ----------
    n_channels, n_outputs : int
        Channels of a window c, and targets d.
    is_autoregressive : bool
        Whether the first d channels are the lagged targets.
    is_shifted : bool
        Whether levels outside the training range move the frame; never for counts.
    n_atoms : int
        Room for values of a channel that draws settle to.

    Attributes
    ----------
    atoms : Atoms
        Values that channels take again and again.
    widening : Widening
        What a stimulus outside its training range adds to the variance.
    x_mean, x_scale : Tensor of shape (c,)
        What is subtracted from the channels of a window, and what divides the rest.
    y_mean, y_scale : Tensor of shape (d,)
        The same for targets: u = (y - y_mean) / y_scale.
    lag_scale, lag_offset : Tensor of shape (d,)
        The newest lagged channels are ``(y - lag_offset) / lag_scale``.
    low, high : Tensor of shape (d,)
        Range of the targets in training, in units of u.
    x_low, x_high : Tensor of shape (c,)
        Range of what is given in training, of unit scale; infinite for lagged targets,
        but for counts: log rates are linear in them.
    """

    x_mean: Tensor
    x_scale: Tensor
    y_mean: Tensor
    y_scale: Tensor
    lag_scale: Tensor
    lag_offset: Tensor
    low: Tensor
    high: Tensor
    x_low: Tensor
    x_high: Tensor

    def __init__(
        self,
        n_channels: int,
        n_outputs: int,
        *,
        is_autoregressive: bool,
        is_shifted: bool,
        n_atoms: int = 0,
    ):
        super().__init__()
        self.atoms, self.widening = Atoms(n_outputs, n_atoms), Widening(n_channels)
        self.n_channels, self.n_outputs = n_channels, n_outputs
        self.is_autoregressive, self.is_shifted = is_autoregressive, is_shifted
        ones = {"x_scale": n_channels, "y_scale": n_outputs, "lag_scale": n_outputs}
        zeros = {"x_mean": n_channels, "y_mean": n_outputs, "lag_offset": n_outputs}
        ends = {"low": n_outputs, "high": n_outputs}
        for name, size in {**zeros, **ends}.items():
            self.register_buffer(name, torch.zeros(size, dtype=torch.float64))
        for name, size in ones.items():
            self.register_buffer(name, torch.ones(size, dtype=torch.float64))
        for name, end in (("x_low", -torch.inf), ("x_high", torch.inf)):
            ends_of_x = torch.full((n_channels,), end, dtype=torch.float64)
            self.register_buffer(name, ends_of_x)

    @property
    def n_stimuli(self) -> int:
        """Stimulus channels; 0 where the channels of X are not lagged targets."""
        return self.n_channels - self.n_outputs if self.is_autoregressive else 0

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "n_channels": self.n_channels,
            "n_outputs": self.n_outputs,
            "is_autoregressive": self.is_autoregressive,
            "is_shifted": self.is_shifted,
            "n_atoms": len(self.atoms),
        }

    def has_left(self, windows: Tensor) -> Tensor:
        """Tell which channels have left the training range: (n, d).

        By their mean over each window, where the range is that of single values.
        """
        if not self.is_autoregressive:
            return torch.zeros(len(windows), self.n_outputs, dtype=torch.bool)
        level = self._level(windows) / (self.y_scale / self.lag_scale)
        room = MARGIN * (self.high - self.low)
        return (level > self.high + room) | (level < self.low - room)

    def is_beyond(self, given: Tensor) -> Tensor:
        """Tell what is farther outside its training range than counts.

        Of the last channels, as many as there are: (..., k).
        """
        k, x = given.shape[-1], self._given(given)
        low, high = self.x_low[-k:], self.x_high[-k:]
        room = torch.where(low.isinf(), 0.0, OVERSHOOT * (high - low)) + ROUNDING
        return (x < low - room) | (x > high + room)

    def widen(self, given: Tensor) -> Tensor | None:
        """Return the variance that given values (..., k) add, in units of the noise's.

        None where all are inside their training range, and for counts, whose spread
        follows from their mean.
        """
        k = given.shape[-1]
        if not k or not self.is_shifted:
            return None
        x = self._given(given)
        low, high = self.x_low[-k:], self.x_high[-k:]
        outside = torch.maximum(low - x, x - high).nan_to_num(nan=0.0) - ROUNDING
        if not bool((outside > 0).any()):
            return None
        span = torch.where(low.isinf(), 1.0, high - low).clamp(min=ROUNDING)
        return self.widening(outside.clamp(min=0.0) / span)

    def shift(self, windows: Tensor) -> Tensor | None:
        """Return how far windows that have left the range lie from its middle.

        In the units of X, (n, d); None where all are inside.
        """
        if not self.is_shifted:
            return None
        has_left = self.has_left(windows).any(1, keepdim=True)
        if not bool(has_left.any()):
            return None
        return torch.where(has_left, self._level(windows).nan_to_num(), 0.0)

    def _level(self, windows: Tensor) -> Tensor:
        """Mean of the lagged channels over each window, about that of training."""
        lags = windows[..., : self.n_outputs].detach().to(self.x_mean)
        return lags.nanmean(1) - (self.y_mean - self.lag_offset) / self.lag_scale

    def standardize(self, windows: Tensor, shift: Tensor | None = None) -> Tensor:
        """Bring windows (n, L, c) to unit scale; NaN stays."""
        centred = windows.to(self.x_mean) - self.x_mean
        if shift is not None:
            rest = centred.new_zeros(len(shift), self.n_channels - self.n_outputs)
            centred = centred - torch.cat([shift, rest], 1)[:, None]
        return self._within(centred / self.x_scale)

    def standardize_stimulus(self, stimulus: Tensor) -> Tensor:
        """Bring stimuli (..., s) to unit scale."""
        return self._within(self._given(stimulus))

    def _given(self, given: Tensor) -> Tensor:
        """Bring the last channels, as many as there are (..., k), to unit scale."""
        k = given.shape[-1]
        return (given.to(self.x_mean) - self.x_mean[-k:]) / self.x_scale[-k:]

    def _within(self, x: Tensor) -> Tensor:
        """Bound the last channels of unit scale, as many as there are: (..., k)."""
        low, high = self.x_low[-x.shape[-1] :], self.x_high[-x.shape[-1] :]
        room = OVERSHOOT * (high - low)
        low, high = (
            end.clamp(-MAX_INPUT, MAX_INPUT) for end in (low - room, high + room)
        )
        return x.clamp(low, high)

    def lag(self, u: Tensor) -> Tensor:
        """Return what targets u (..., d) are as standardised lagged channels."""
        d = self.n_outputs
        gain = self.y_scale / self.lag_scale / self.x_scale[:d]
        middle = (self.y_mean - self.lag_offset) / self.lag_scale - self.x_mean[:d]
        return torch.addcmul((middle / self.x_scale[:d]).to(u), u, gain.to(u))

    def bounded(self, u: Tensor) -> Tensor:
        """Keep u (..., d) within one range of the training range; counts, closer."""
        reach = (REACH if self.is_shifted else OVERSHOOT) * (self.high - self.low)
        return u.clamp((self.low - reach).to(u), (self.high + reach).to(u))

    def to_y(self, u: Tensor, shift: Tensor | None = None) -> Tensor:
        """Return u (n, ..., d) in the units of y; in double precision."""
        y = self.y_mean + self.y_scale * u.to(self.y_mean)
        if shift is None:
            return y
        moved = self.lag_scale * shift
        return y + moved.reshape(len(moved), *(1,) * (y.ndim - 2), -1)

    def settle(self, u: Tensor, shift: Tensor | None = None) -> Tensor:
        """Return draws or quantiles u in the units of y, settled to its atoms."""
        return self.settle_y(self.to_y(u, shift), shift)

    def settle_y(self, y: Tensor, shift: Tensor | None = None) -> Tensor:
        """Return values y (n, ..., d), in its units, settled to its atoms."""
        return self._unless_moved(self.atoms.settle(y), y, shift)

    @property
    def tolerance(self) -> tuple[Tensor, Tensor]:
        """How much larger quantiles may be before they settle: each (d,).

        In units of y, and as a part of the interval in which they were sought. No two
        values of an even lattice lie within half of its step; other atoms may lie as
        close together as any values.
        """
        atoms = self.atoms
        step = HALF * atoms.step
        is_tied = len(atoms) > 0 and torch.isfinite(atoms.value[:, 0]) & (step == 0)
        fine, coarse = step.new_tensor(EXACT), step.new_tensor(NEAR)
        return step, torch.where(torch.as_tensor(is_tied), fine, coarse)

    def edge(self, y: Tensor, shift: Tensor | None = None) -> Tensor:
        """Return up to where draws settle to at most y (n, d), in its units."""
        y = y.to(self.y_mean)
        return self._unless_moved(self.atoms.edge(y), y, shift)

    def _unless_moved(self, settled: Tensor, y: Tensor, shift: Tensor | None) -> Tensor:
        """Return what settled, but y in rows whose level moved; lattices stay."""
        if shift is None or settled is y:
            return settled
        has_moved = (shift != 0).any(1).reshape(-1, *(1,) * (y.ndim - 1))
        return torch.where(has_moved & (self.atoms.step == 0), y, settled)

    def to_u(self, y: Tensor, shift: Tensor | None = None) -> Tensor:
        """Return targets y (n, ..., d) as u; in double precision."""
        y = y.to(self.y_mean)
        if shift is not None:
            moved = self.lag_scale * shift
            y = y - moved.reshape(len(moved), *(1,) * (y.ndim - 2), -1)
        return (y - self.y_mean) / self.y_scale
