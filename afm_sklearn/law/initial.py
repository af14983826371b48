"""Initial weights from a generator of one's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


class UnitLinear(nn.Linear):
    """A linear map that keeps the scale of unit-scale inputs."""


class ZeroLinear(nn.Linear):
    """A linear map that starts at zero, as the last layer of what corrects."""

    def reset_parameters(self) -> None:
        """Start at zero."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


def build(make: Callable[[], Module], generator: torch.Generator) -> Module:
    """Build a module with weights from `generator`; the global one is left alone.

    Buffers start at zero.

    Parameters
    ----------
    make : callable
        Returns the module.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    nn.Module
        In single precision, on the CPU.
    """
    module = build_blank(make)
    with torch.no_grad():
        for part in module.modules():
            _start(part, generator)
    return module


def build_blank(make: Callable[[], Module]) -> Module:
    """Build a module with all parameters and buffers zero.

    No weight is drawn, and the global generator is left alone.

    Parameters
    ----------
    make : callable
        Returns the module.

    Returns
    -------
    nn.Module
        In single precision, on the CPU.

    Examples
    --------
    >>> build_blank(lambda: nn.Linear(1, 1)).weight.item()
    0.0
    """
    with torch.device("meta"):
        module = make()
    # Not `to_empty`, which takes half a second to import a compiler.
    blank = {
        name: torch.zeros(values.shape, dtype=torch.float32)
        for name, values in module.state_dict().items()
    }
    module.load_state_dict(blank, assign=True)
    return module


def _start(part: nn.Module, generator: torch.Generator) -> None:
    """Give the parameters of one module, not of its parts, their initial values."""
    own = dict(part.named_parameters(recurse=False))
    for name, parameter in own.items():
        if isinstance(part, ZeroLinear):
            parameter.zero_()
        elif isinstance(part, nn.LayerNorm):
            parameter.fill_(float(name == "weight"))
        elif isinstance(part, nn.MultiheadAttention) and "bias" in name:
            parameter.zero_()
        elif isinstance(part, nn.MultiheadAttention):
            nn.init.xavier_uniform_(parameter, generator=generator)
        elif isinstance(part, UnitLinear) and name == "weight":
            parameter.normal_(0.0, part.in_features**-0.5, generator=generator)
        elif isinstance(part, nn.Linear):
            bound = 1 / math.sqrt(part.in_features)
            parameter.uniform_(-bound, bound, generator=generator)
        elif isinstance(part, nn.RNNBase):
            bound = 1 / math.sqrt(part.hidden_size)
            parameter.uniform_(-bound, bound, generator=generator)
        else:
            parameter.normal_(0.0, 0.02, generator=generator)
