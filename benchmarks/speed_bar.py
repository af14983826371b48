"""A measured figure beside what was asked of it, and clocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass
class Bar:
    """A figure of ours, that of a reference, and whether the ratio meets the bar.

    `at_most` and `at_least` bound the ratio where there is a reference and the figure
    itself where there is none. Without both nothing was asked.
    """

    name: str
    ours: float
    unit: str
    reference: float | None = None
    at_most: float | None = None
    at_least: float | None = None
    inverse: bool = False  # ratio is reference / ours: a speed-up
    note: str = ""

    @property
    def ratio(self) -> float | None:
        if self.reference is None:
            return None
        return (
            self.reference / self.ours if self.inverse else self.ours / self.reference
        )

    @property
    def met(self) -> bool | None:
        judged = self.ours if self.ratio is None else self.ratio
        if self.at_most is not None:
            return bool(judged <= self.at_most)
        if self.at_least is not None:
            return bool(judged >= self.at_least)
        return None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"ratio": self.ratio, "met": self.met}

    @staticmethod
    def header() -> str:
        return (
            f"{'':58}{'ours':>10} {'':4}{'reference':>10}{'ratio':>9}   asked\n"
            + "-" * 110
        )

    def __str__(self) -> str:
        reference = "" if self.reference is None else f"{self.reference:.4g}"
        ratio = "" if self.ratio is None else f"{self.ratio:.3g}x"
        asked = ""
        if self.at_most is not None:
            asked = f"<= {self.at_most:g}"
        elif self.at_least is not None:
            asked = f">= {self.at_least:g}"
        verdict = {None: "", True: " met", False: " NOT MET"}[self.met]
        note = f"\n    {self.note}" if self.note else ""
        return (
            f"{self.name:58}{self.ours:10.4g} {self.unit:4}{reference:>10}{ratio:>9}"
            f"   {asked}{verdict}{note}"
        )


def seconds(function: Callable[[], Any]) -> float:
    """Time one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def interleaved(*functions: Callable[[], Any], repeats: int = 5) -> list[float]:
    """Median time of each function, all called in turns after one call to warm up."""
    for function in functions:
        function()
    times = [[seconds(function) for function in functions] for _ in range(repeats)]
    return [float(t) for t in np.median(times, axis=0)]
