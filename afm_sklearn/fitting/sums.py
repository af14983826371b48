"""Sums over rows, which add up and can be taken away from one another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from operator import add, sub
from typing import Any, Self


class Sums:
    """A dataclass of sums over rows: those of two blocks are their sums by field."""

    def __add__(self, other: Self) -> Self:
        return self._with(other, add)

    def __sub__(self, other: Self) -> Self:
        return self._with(other, sub)

    def _with(self, other: Self, combine: Callable[[Any, Any], Any]) -> Self:
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]
        pairs = [(getattr(self, name), getattr(other, name)) for name in names]
        return type(self)(*(combine(*pair) for pair in pairs))
