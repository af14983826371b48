"""What a fit returns, at its end or on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..law.pool import PoolLaw
from ..law.step import StepLaw


@dataclass(frozen=True)
class Fitted:
    """What a fit returns.

    Attributes
    ----------
    law : StepLaw or PoolLaw
    kept : str
        What was kept; see `AFMForecaster.base_`.
    family : str
        "gaussian" or "counts".
    history : dict
        One list of records, an epoch each, for each network trained.
    selection : list of dict
        A record for each candidate of the pool; empty without one.
    rows : dict of str to int
        How many rows served for what; see `count_rows`.
    """

    law: StepLaw | PoolLaw
    kept: str
    family: str
    history: dict[str, Any]
    selection: list[dict[str, Any]]
    rows: dict[str, int]

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of a fitted forecaster by name."""
        return {
            "law_": self.law,
            "base_": self.kept,
            "family_": self.family,
            "history_": self.history,
            "selection_": self.selection,
            "rows_": self.rows,
        }
