"""What the networks are built from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from .encoders import HistoryEncoder


@dataclass(frozen=True)
class Architecture:
    """Sizes and kinds that all networks of a forecaster share."""

    encoder: str
    length: int
    n_channels: int
    n_outputs: int
    n_lagged: int
    groups: Mapping[str, Sequence[int]]
    scales: Sequence[int]
    hidden_dim: int
    n_layers: int

    def history_encoder(self) -> HistoryEncoder:
        """Build a history encoder of this architecture."""
        return HistoryEncoder(
            self.encoder,
            n_lagged=self.n_lagged,
            groups=self.groups,
            length=self.length,
            scales=self.scales,
            hidden_dim=self.hidden_dim,
            n_layers=self.n_layers,
        )

    def newest_step(self) -> Self:
        """Return the architecture that sees the newest step alone."""
        return replace(self, encoder="mlp", length=1, scales=(1,))
