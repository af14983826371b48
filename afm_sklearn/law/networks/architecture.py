"""What the networks are built from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from ..flow.matching import Flow
from ..flow.velocity import VelocityNetwork
from .encoders import HistoryEncoder
from .marginal import MarginalNetwork
from .shared import Core, SharedNetwork


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

    def config(self) -> dict[str, Any]:
        """Return the fields as plain JSON types."""
        groups = {name: list(columns) for name, columns in self.groups.items()}
        return asdict(self) | {"groups": groups, "scales": list(self.scales)}

    def newest_step(self) -> Self:
        """Return the architecture that sees the newest step alone."""
        return replace(self, encoder="mlp", length=1, scales=(1,))

    def marginal_network(
        self, sees: str, n_components: int, is_centered: bool
    ) -> MarginalNetwork:
        """Build a network of the channels' laws that sees the "window" or the "newest".

        Its weights are for `build` or a state to set.
        """
        own = self.newest_step() if sees == "newest" else self
        return MarginalNetwork(
            own.history_encoder(),
            self.hidden_dim,
            self.n_outputs,
            n_components,
            is_centered,
        )

    def member(self, config: Mapping[str, Any]) -> MarginalNetwork | SharedNetwork:
        """Build a network from its config; see `marginal_network`."""
        if config["sees"] == "core":
            core = self.core(
                config["n_latents"], config["n_effects"], config["n_layers"]
            )
            return SharedNetwork(core, self.n_outputs)
        return self.marginal_network(
            config["sees"], config["n_components"], config["is_centered"]
        )

    def core(self, n_latents: int, n_effects: int, n_layers: int) -> Core:
        """Build a core that sessions may share."""
        n_stimuli = self.n_channels - self.n_lagged
        sizes = n_latents, n_stimuli, n_effects, self.hidden_dim, n_layers
        return Core(self.length, *sizes)

    def flow(self, path: str) -> Flow:
        """Build a flow of the dependence between channels."""
        velocity = VelocityNetwork(self.n_outputs, self.hidden_dim, self.n_layers)
        return Flow(self.history_encoder(), velocity, path)
