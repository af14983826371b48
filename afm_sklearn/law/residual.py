"""Laws of a linear forecast and what it leaves open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .additive import AdditiveDistribution
from .drift import Drift
from .errors import Errors, GaussianErrors
from .frame import Frame
from .gaps import Gaps
from .law import Law
from .linear import LinearLaw
from .past import Past
from .resampling import AnalogErrors, BinnedErrors, EmpiricalErrors


class ResidualLaw(Law):
    """A linear forecast of the mean, and a law of the step around it.

    Parameters
    ----------
    frame : Frame
        Units of windows and targets.
    gaps : Gaps
        What is expected where nothing was observed.
    linear : LinearLaw
        The forecast, in standard units.
    errors : Errors
        The law around it, in standard units.
    drift : Drift, optional
        What moves the forecasts of later steps.
    """

    def __init__(
        self,
        frame: Frame,
        gaps: Gaps,
        linear: LinearLaw,
        errors: Errors,
        drift: Drift | None = None,
    ):
        super().__init__(frame, gaps)
        self.linear, self.errors, self.drift = linear, errors, drift
        self.reach = linear.reach
        self.room = 0 if drift is None else drift.n_leads

    def embed(self, past: Past) -> list[Tensor]:
        """Return the location of windows, which is affine in them."""
        location = past.location(self.linear)
        if self.drift is not None:
            moved = self.drift(past.known, past.n_later)
            location = location if moved is None else location + moved
        return [location]

    def embed_later(self, steps: Tensor) -> list[Tensor]:
        """Return what the newest steps (n, h, d) add to it, where they were zero."""
        return [self.linear.embed_drawn(steps)]

    def distribution(
        self, embedded: Sequence[Tensor], shift: Tensor | None, clocks: dict[Any, Any]
    ) -> FramedDistribution:
        """Return the distribution of the next step of histories; see `State`."""
        own = AdditiveDistribution(embedded[0], self.errors)
        return FramedDistribution(own, self.frame, shift)

    def config(self) -> dict[str, Any]:
        """Return all but the tensors, as plain JSON types."""
        return {
            "kind": "residual",
            "frame": self.frame.config(),
            **self.linear.config(),
            "n_leads": self.room,
            "errors": self.errors.config(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ResidualLaw:
        """Build a law whose tensors `load_state_dict` then fills."""
        frame = Frame(**config["frame"])
        c, d = frame.n_channels, frame.n_outputs
        linear = LinearLaw.from_config(config, c, d)
        n_leads = config.get("n_leads", 0)  # files of older versions do not say
        drift = Drift(n_leads, config["n_lags"], c, d) if n_leads else None
        return cls(frame, Gaps(c), linear, blank_errors(config["errors"]), drift)

    @property
    def width(self) -> int:
        """Numbers that a draw needs in memory, about."""
        return 2 * self.frame.n_outputs

    @property
    def mean_width(self) -> int:
        """Draws that a mean needs, about."""
        return getattr(self.errors, "n_neighbors", 1)

    @property
    def answer_width(self) -> int:
        """Draws that a quantile or a density needs, about."""
        return self.errors.n_values


class FramedDistribution:
    """A distribution in standard units, that answers in the units of y.

    Parameters
    ----------
    own : distribution
        In standard units.
    frame : Frame
    shift : Tensor of shape (n, d) or None
        How far the histories have left the training range.
    """

    def __init__(self, own: AdditiveDistribution, frame: Frame, shift: Tensor | None):
        self.own, self.frame, self.shift = own, frame, shift

    def __len__(self) -> int:
        return len(self.own)

    @property
    def mean(self) -> Tensor:
        """Mean (n, d)."""
        return self._to_y(self.own.mean)

    @property
    def center(self) -> Tensor:
        """What draws lie around (n, d): the mean."""
        return self.mean

    @property
    def tolerance(self) -> tuple[Tensor, Tensor]:
        """How exact quantiles are; see `Frame.tolerance`."""
        return self.frame.tolerance

    def settle(self, y: Tensor) -> Tensor:
        """Return y (n, k, d) settled to the atoms."""
        return self.frame.settle_y(y, self.shift)

    def edge(self, y: Tensor) -> Tensor:
        """Return up to where what is settled becomes at most y (n, d)."""
        return self.frame.edge(y, self.shift)

    def rsample(
        self,
        n_samples: int = 1,
        *,
        generator: torch.Generator | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Draws (n, n_samples, d)."""
        u = self.own.rsample(n_samples, generator=generator, noise=noise)
        return self._settled(u)

    def quantile(self, levels: Tensor) -> Tensor:
        """Quantiles (n, m, d)."""
        return self._settled(self.own.quantile(levels.to(self.own.location)))

    def cdf(self, y: Tensor) -> Tensor:
        """Distribution function of each channel at y (n, d) or (n, k, d)."""
        if not self.own.errors.gives_y:
            y = self.frame.edge(y, self.shift)
        return self.own.cdf(self._to_u(y))

    def log_prob(self, y: Tensor) -> Tensor:
        """Joint log density (n,)."""
        unit = torch.where(torch.isnan(y), 0.0, self._log_unit()).sum(1)
        return self.own.log_prob(self._to_u(y)) - unit

    def log_prob_by_channel(self, y: Tensor) -> Tensor:
        """Log density of each channel alone (n, d)."""
        return self.own.log_prob_by_channel(self._to_u(y)) - self._log_unit()

    def _log_unit(self) -> Tensor:
        scale = self.frame.y_scale
        return torch.zeros_like(scale) if self.own.errors.gives_y else scale.log()

    def _to_y(self, values: Tensor) -> Tensor:
        if not self.own.errors.gives_y:
            return self.frame.to_y(values, self.shift)
        return values.double() + self._moved(values.ndim)

    def _settled(self, values: Tensor) -> Tensor:
        if self.own.errors.gives_y:
            return self._to_y(values)
        return self.frame.settle(values, self.shift)

    def _to_u(self, y: Tensor) -> Tensor:
        if self.own.errors.gives_y:
            return y - self._moved(y.ndim)
        return self.frame.to_u(y, self.shift).to(self.own.location)

    def _moved(self, n_axes: int) -> Tensor:
        """How far the level has moved (n, ..., d), in the units of y."""
        if self.shift is None:
            return torch.zeros_like(self.frame.y_scale)
        moved = self.frame.lag_scale * self.shift
        return moved.reshape(len(moved), *(1,) * (n_axes - 2), -1)


def blank_errors(config: dict[str, Any]) -> Errors:
    """Build a law of errors whose tensors a state then fills."""
    d = config["d"]
    root = torch.eye(d, dtype=torch.float32)
    if config["kind"] == "gaussian":
        return GaussianErrors(torch.ones_like(root[0]), root)
    rows = root.new_zeros(config["m"], d)
    if config["kind"] == "empirical":
        is_relative = config["is_relative"]
        values = rows if is_relative else rows.double()
        return EmpiricalErrors(values, root, is_relative, config["is_counts"])
    if config["kind"] == "analog":
        values = rows.clone() if config["is_relative"] else rows.double()
        return AnalogErrors(
            rows,
            values,
            root,
            config["n_neighbors"],
            config["is_relative"],
            config["is_counts"],
        )
    n_bins, size = config["n_bins"], config["size"]
    table = root.new_zeros(d, n_bins, size)
    return BinnedErrors(
        root.new_zeros(d, n_bins - 1),
        table if config["is_relative"] else table.double(),
        torch.zeros(config["m"], d, dtype=torch.int32),
        root,
        config["is_relative"],
        config["is_counts"],
    )
