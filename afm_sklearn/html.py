"""What a fit kept, for notebooks."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from .summary import heaviest, reason

N_SHOWN = 10  # candidates
ROWS = "given", "fitted on", "for networks", "held back"


def kept_html(forecaster: Any) -> str:
    """Return a table of what the fit kept, to stand below scikit-learn's diagram.

    Parameters
    ----------
    forecaster : AFMForecaster

    Returns
    -------
    str
        HTML, with all text escaped; empty where nothing was fitted.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> kept = SimpleNamespace(
    ...     base_="normal+flow", family_="gaussian", history_={}, selection_=[]
    ... )
    >>> "<td>normal+flow</td>" in kept_html(kept)
    True
    >>> kept_html(SimpleNamespace())
    ''
    """
    if not hasattr(forecaster, "selection_"):
        return ""
    facts = [("base_", forecaster.base_), ("family_", forecaster.family_)]
    rows = getattr(forecaster, "rows_", None)  # not of older files
    if rows:
        counts = [f"{rows[name]} {name}" for name in ROWS]
        facts.append(("rows", ", ".join(counts)))
    linear, laws = heaviest(forecaster.selection_, N_SHOWN)
    return (
        f"<details open><summary>{escape(reason(forecaster))}</summary>"
        f"{_table(facts)}{_weights('linear candidate', linear)}"
        f"{_weights('pool and networks', laws)}</details>"
    )


def _weights(title: str, records: list[dict[str, Any]]) -> str:
    """Return a table of the records that have a weight."""
    rows = [
        (record["candidate"], f"{step:.2f}", f"{ahead:.2f}")
        for record in records
        for step, ahead in [(record["weight"], record["weight ahead"])]
        if max(step, ahead) > 0
    ]
    return _table([(title, "weight", "weight ahead"), *rows]) if rows else ""


def _table(rows: Iterable[tuple[Any, ...]]) -> str:
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><tbody>{body}</tbody></table>"
