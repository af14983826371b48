"""What a fit is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from numpy.typing import NDArray

from ..compute import infer_device
from ..law.networks.architecture import Architecture

Array = NDArray[Any]

BASES = ("auto", "normal", "linear", "learned")
FAMILY_CHOICES = ("auto", "gaussian", "counts")
DEFAULT_SCALES = (1, 5, 20)


@dataclass(frozen=True)
class Settings:
    """The constructor's arguments that shape a fit, and what fit found out."""

    history_encoder: str
    scales: Any
    stimulus_groups: Mapping[str, Sequence[int]] | None
    hidden_dim: int
    n_layers: int
    path: str
    base: str
    family: str
    solver: str
    n_steps: Any
    max_epochs: Any
    batch_size: Any
    lr: float
    weight_decay: float
    window_noise: float
    validation_fraction: float
    early_stopping: bool
    n_iter_no_change: int
    is_autoregressive: bool
    lag_scale: Array
    lag_offset: Array
    seed: int
    torch_device: torch.device
    n_threads: int

    @classmethod
    def of(cls, forecaster: Any, seed: int) -> Self:
        """Return those of an `AFMForecaster` that has looked at its data."""
        device = infer_device(forecaster.device)
        return cls(
            **{name: getattr(forecaster, name) for name in cls.names()},
            is_autoregressive=forecaster.autoregressive_,
            lag_scale=forecaster.lag_scale_,
            lag_offset=forecaster.lag_offset_,
            seed=seed,
            torch_device=device,
            n_threads=torch.get_num_threads() if device.type == "cpu" else 1,
        )

    @classmethod
    def names(cls) -> list[str]:
        """Names that are constructor arguments."""
        found = "is_autoregressive", "lag_scale", "lag_offset"
        own = {*found, "seed", "torch_device", "n_threads"}
        return [f.name for f in fields(cls) if f.name not in own]


def build_architecture(
    settings: Settings, length: int, n_channels: int, n_outputs: int
) -> Architecture:
    """Check scales and stimulus groups against the data; return all sizes."""
    n_lagged = n_outputs if settings.is_autoregressive else n_channels
    scales = settings.scales
    if isinstance(scales, str):
        scales = [k for k in DEFAULT_SCALES if k <= length]
    for k in scales:
        if not 1 <= k <= length:
            raise ValueError(f"scales={tuple(scales)} has {k}, X has {length} steps")
    n_stimuli = n_channels - n_lagged
    groups = settings.stimulus_groups
    if groups is None:
        groups = {"stimulus": range(n_stimuli)} if n_stimuli else {}
    for name, columns in groups.items():
        if not all(0 <= column < n_stimuli for column in columns):
            raise ValueError(
                f"stimulus_groups[{name!r}]={list(columns)} is out of range for "
                f"{n_stimuli} stimulus channels"
            )
    return Architecture(
        encoder=settings.history_encoder,
        length=length,
        n_channels=n_channels,
        n_outputs=n_outputs,
        n_lagged=n_lagged,
        groups={name: [int(k) for k in columns] for name, columns in groups.items()},
        scales=[int(k) for k in scales],
        hidden_dim=settings.hidden_dim,
        n_layers=settings.n_layers,
    )
