"""What forecasts of later steps add to iterated ones."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn


class Drift(nn.Module):
    """Moves an iterated linear forecast, by what it started from, step after step.

    Iterated forecasts add up the errors of one step, in the mean too: what is right for
    the next step need not be for the sixteenth. Each lead has an affine map of the
    window that a trajectory started from, and of the stimulus since, which is added to
    the location of its step.

    Parameters
    ----------
    n_leads : int
        Leads from the second on that have a map; those after them have none.
    n_lags, n_channels, n_outputs : int
        Steps of the window that are looked at, its channels c, and targets d.

    Attributes
    ----------
    coef : Tensor of shape (n_leads, n_lags * c, d)
        Of the standardised steps, flattened, oldest first.
    shown : Tensor of shape (n_leads, n_leads * (c - d), d)
        Of the stimulus during the second step and those after it, oldest first; zero
        for what is after the lead.
    intercept : Tensor of shape (n_leads, d)
    """

    coef: Tensor
    shown: Tensor
    intercept: Tensor

    def __init__(self, n_leads: int, n_lags: int, n_channels: int, n_outputs: int):
        super().__init__()
        self.n_leads, self.n_lags = n_leads, n_lags
        d, s = n_outputs, n_channels - n_outputs
        for name, *shape in (
            ("coef", n_leads, n_lags * n_channels, d),
            ("shown", n_leads, n_leads * s, d),
            ("intercept", n_leads, d),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float32))

    @classmethod
    def of(cls, weights: Tensor, n_lags: int, n_channels: int) -> Self:
        """Build it from weights (n_leads, 1 + n_lags c + n_leads (c - d), d).

        Of each lead the intercept, then those of the window, then of the stimulus.
        """
        p = n_lags * n_channels
        drift = cls(len(weights), n_lags, n_channels, weights.shape[2])
        drift.intercept.copy_(weights[:, 0])
        drift.coef.copy_(weights[:, 1 : 1 + p])
        drift.shown.copy_(weights[:, 1 + p :])
        return drift

    def forward(self, known: Tensor, n_later: int) -> Tensor | None:
        """Return what is added to the location (w, d); None where nothing is.

        Parameters
        ----------
        known : Tensor of shape (w, L, c)
            Standardised steps: those of the window, then `n_later` more.
        n_later : int
            Steps since the window, the one to predict not among them.
        """
        if not 1 <= n_later <= self.n_leads:
            return None
        k, d = n_later - 1, self.intercept.shape[1]
        window = known[:, -self.n_lags - n_later : -n_later].flatten(1)
        moved = torch.addmm(self.intercept[k], window, self.coef[k])
        stimulus = known[:, -n_later:, d:].flatten(1)
        return moved + stimulus @ self.shown[k, : stimulus.shape[1]]
