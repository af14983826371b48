"""The table that a comparison returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


class Entry(NamedTuple):
    """One row of the table: a model, a score and a lead time."""

    model: str
    score: str
    lead_time: int
    mean: float
    standard_error: float
    difference: float
    difference_standard_error: float
    dm_statistic: float
    p_value: float
    n: int
    fit_seconds: float
    sample_seconds: float


@dataclass(frozen=True)
class Comparison:
    """What `compare` found; ``print`` it, or take its rows.

    Parameters
    ----------
    entries : tuple of Entry
        One entry for each score, lead time and model, in this order.
    reference : str
        The model from which differences are taken.

    Attributes
    ----------
    rows : list of dict
        The entries as dicts, as ``pandas.DataFrame`` takes them: see `compare` for
        the keys.
    """

    entries: tuple[Entry, ...]
    reference: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The entries as dicts."""
        return [entry._asdict() for entry in self.entries]

    @property
    def models(self) -> list[str]:
        """Names of the models, in the order given."""
        return list(dict.fromkeys(entry.model for entry in self.entries))

    def to_frame(self) -> pd.DataFrame:
        """Return the rows as a data frame.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        import pandas as pd

        return pd.DataFrame(self.rows)

    def __str__(self) -> str:
        """Lay out score and lead time against model."""
        n_models = len(self.models)
        table = [["score", "lead time", *self.models]]
        for start in range(0, len(self.entries), n_models):
            line = self.entries[start : start + n_models]
            table.append([line[0].score, str(line[0].lead_time), *_cells(line)])
        line = self.entries[:n_models]
        table.append(["fit (s)", "", *(f"{one.fit_seconds:.2f}  " for one in line)])
        table.append(["draw (s)", "", *(f"{one.sample_seconds:.2f}  " for one in line)])
        note = (
            f"mean ± standard error; * differs from {self.reference} with p < 0.05 "
            "(Diebold-Mariano)"
        )
        return "\n".join([*_align(table), note])


def _cells(line: tuple[Entry, ...]) -> list[str]:
    """Print numbers to two digits of the smallest standard error among them."""
    errors = [one.standard_error for one in line if one.standard_error > 0]
    digits = 1 - int(np.floor(np.log10(min(errors)))) if errors else 4
    digits = min(max(digits, 0), 8)
    return [
        f"{one.mean:.{digits}f} ± {one.standard_error:.{digits}f} "
        + ("*" if one.p_value < 0.05 else " ")
        for one in line
    ]


def _align(table: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]
