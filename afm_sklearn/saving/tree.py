"""Estimators as plain JSON and arrays, and back without executing anything.

An object is its class, which must belong to this package or to scikit-learn (or be a
layer of torch), and the values of its attributes. Reading one makes an empty object of
that class and fills in the values: nothing that a file holds is ever called.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from torch import nn

from ..law.pool import PoolLaw
from ..law.residual import ResidualLaw
from ..law.step import StepLaw
from .container import NotOurs

Array = NDArray[Any]

PACKAGE = __name__.partition(".")[0]
SPLINE = ("t", "c", "k", "extrapolate", "axis")  # arguments of scipy's
SPLINE_CLASS = "scipy.interpolate._bsplines:BSpline"
TORCH = "torch.nn.modules."
LAWS: dict[str, Any] = {"pool": PoolLaw, "step": StepLaw, "residual": ResidualLaw}
# Of a torch module: hooks and the like, which ours do not have.
OWN_PARTS = ("_parameters", "_buffers", "_modules")


class Writer:
    """Turns objects into JSON, and keeps their arrays aside.

    Attributes
    ----------
    arrays : dict of str to ndarray
    """

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self._known: dict[tuple[int, ...], str] = {}

    def tree(self, value: Any, where: str) -> Any:
        """Return JSON for a value; `where` names it in errors."""
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, np.generic):
            return {"array": self._keep(np.asarray(value)), "kind": "scalar"}
        if isinstance(value, int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else {"number": repr(value)}
        if isinstance(value, np.ndarray):
            return self._array(value, where)
        if isinstance(value, torch.Tensor):
            array = value.detach().cpu().numpy()
            return {"array": self._keep(array), "kind": "tensor"}
        if isinstance(value, list | tuple):
            items = [self.tree(v, f"{where}[{k}]") for k, v in enumerate(value)]
            return (
                {type(value).__name__: items}
                if type(value) in (list, tuple)
                else (self._refuse(value, where))
            )
        if type(value) is dict:
            pairs = [
                [self.tree(k, where), self.tree(v, f"{where}[{k!r}]")]
                for k, v in value.items()
            ]
            return {"dict": pairs}
        return self._object(value, where)

    def _array(self, value: Array, where: str) -> Any:
        if value.dtype.kind in "biuf":
            # Products of arrays of another order differ in their last bits.
            is_turned = value.flags.f_contiguous and not value.flags.c_contiguous
            kind = "turned" if is_turned else "array"
            return {"array": self._keep(value), "kind": kind}
        flat = value.ravel().tolist()
        if all(isinstance(v, str) for v in flat):
            kind = "object" if value.dtype.kind == "O" else "str"
            return {"strings": flat, "shape": list(value.shape), "kind": kind}
        return self._refuse(value, where)

    def _object(self, value: Any, where: str) -> Any:
        kind = type(value)
        for name, law in LAWS.items():
            if kind is law:
                tensors = {
                    key: self._keep(v.detach().cpu().numpy())
                    for key, v in value.state_dict().items()
                }
                return {"law": name, "config": value.config(), "state": tensors}
        if f"{kind.__module__}:{kind.__qualname__}" == SPLINE_CLASS:
            spline = {name: getattr(value, name) for name in SPLINE}
            return {"spline": self.tree(spline, where)}
        if not _is_known(kind):
            return self._refuse(value, where)
        state: dict[str, Any] = dict(vars(value))
        state.pop("_skl_callbacks", None)  # functions of this process
        if isinstance(value, nn.Module):
            state = {k: v for k, v in state.items() if not _is_hook(k, v)}
        attributes = {
            name: self.tree(_plain(v) if name in OWN_PARTS else v, f"{where}.{name}")
            for name, v in state.items()
        }
        return {"class": f"{kind.__module__}:{kind.__qualname__}", "state": attributes}

    def _keep(self, array: Array) -> str:
        """Keep an array, once for all that share its memory."""
        at = (array.__array_interface__["data"][0], *array.shape, *array.strides)
        name = self._known.get(at) if array.nbytes else None
        if name is None:
            name = self._known[at] = str(len(self.arrays))
            self.arrays[name] = array
        return name

    def _refuse(self, value: Any, where: str) -> Any:
        kind = type(value)
        raise TypeError(
            f"{where} is a {kind.__module__}.{kind.__qualname__}, which cannot be "
            "saved without code that would run when it is read; pickle or joblib can"
        )


class Reader:
    """Turns JSON and arrays back into objects."""

    def __init__(self, arrays: dict[str, Array]):
        self.arrays = arrays

    def value(self, tree: Any) -> Any:
        """Return the value that a tree stands for."""
        if not isinstance(tree, dict):
            return tree
        if "array" in tree:
            array = self.arrays[tree["array"]]
            if tree["kind"] == "tensor":
                return torch.from_numpy(array)
            if tree["kind"] == "turned":
                return np.asfortranarray(array)
            return array[()] if tree["kind"] == "scalar" else array
        if "number" in tree:
            return float(tree["number"])
        if "strings" in tree:
            dtype = object if tree["kind"] == "object" else str
            return np.array(tree["strings"], dtype).reshape(tree["shape"])
        if "list" in tree or "tuple" in tree:
            ((kind, items),) = tree.items()
            values = [self.value(item) for item in items]
            return tuple(values) if kind == "tuple" else values
        if "dict" in tree:
            return {self.value(k): self.value(v) for k, v in tree["dict"]}
        if "law" in tree:
            with torch.device("meta"):  # sizes that a file claims take no memory
                law = LAWS[tree["law"]].from_config(tree["config"])
            state = {
                k: torch.from_numpy(self.arrays[v]) for k, v in tree["state"].items()
            }
            law.load_state_dict(state, assign=True)
            return law.requires_grad_(False).eval()
        if "spline" in tree:
            from scipy.interpolate import BSpline  # takes long to import

            return BSpline(**self.value(tree["spline"]))
        return self._object(tree)

    def _object(self, tree: dict[str, Any]) -> Any:
        kind: Any = _known_class(tree["class"])
        made = kind.__new__(kind)
        if isinstance(made, nn.Module):
            nn.Module.__init__(made)
        for name, part in tree["state"].items():
            value = self.value(part)
            if name == "_parameters" and isinstance(made, nn.Module):
                value = {
                    key: v if v is None else nn.Parameter(v, requires_grad=False)
                    for key, v in value.items()
                }
            if name in OWN_PARTS and isinstance(made, nn.Module):
                vars(made)[name].update(value)
            else:
                vars(made)[name] = value
        return made


def _plain(parts: Any) -> dict[str, Any]:
    return dict(parts)


def _is_hook(name: str, value: Any) -> bool:
    is_private = name.startswith("_") and name not in OWN_PARTS
    return is_private and (isinstance(value, dict | set) or value is None)


def _is_known(kind: type) -> bool:
    """Whether objects of a class may be in a file."""
    package = kind.__module__.partition(".")[0]
    if package == PACKAGE:
        return hasattr(kind, "__dict__")
    if package == "sklearn":
        return issubclass(kind, BaseEstimator) and kind.__reduce__ is object.__reduce__
    return kind.__module__.startswith("torch.nn.modules.") and issubclass(
        kind, nn.Module
    )


def _known_class(name: str) -> type:
    module, _, qualified = name.partition(":")
    package = module.partition(".")[0]
    if package not in (PACKAGE, "sklearn") and not module.startswith(
        "torch.nn.modules."
    ):
        raise NotOurs(f"the file names {name}, which is of another package")
    kind: Any = importlib.import_module(module)
    for part in qualified.split("."):
        kind = getattr(kind, part, None)
    if not isinstance(kind, type) or not _is_known(kind):
        raise NotOurs(f"the file names {name}, which is no estimator")
    return kind
