"""Torch's optimisers without its compiler, whose import takes longer than a fit."""

from __future__ import annotations

import inspect
from typing import TypeVar, cast

import torch

Kind = TypeVar("Kind", bound=torch.optim.Optimizer)


def without_compiler(optimizer: type[Kind]) -> type[Kind]:
    """Return the same optimiser; its first use does not import torch's compiler.

    Torch wraps some methods so that its compiler leaves them alone, and imports it to
    do so: 800 modules, more than a second.

    Examples
    --------
    >>> weight = torch.ones(1, requires_grad=True)
    >>> solver = without_compiler(torch.optim.SGD)([weight], lr=0.5)
    >>> weight.sum().backward()
    >>> solver.step()
    >>> weight.item()
    0.5
    """
    methods = {
        "add_param_group": inspect.unwrap(optimizer.add_param_group),
        "zero_grad": inspect.unwrap(optimizer.zero_grad),
        "step": torch.no_grad()(inspect.unwrap(optimizer.step)),
    }
    return cast(type[Kind], type(optimizer.__name__, (optimizer,), methods))


AdamW = without_compiler(torch.optim.AdamW)
LBFGS = without_compiler(torch.optim.LBFGS)
