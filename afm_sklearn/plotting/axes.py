"""Axes, and lines that can be told apart without colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..metrics.arguments import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_DASHES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D", "v")


def get_axes(ax: Axes | None) -> tuple[Figure | SubFigure | None, Axes]:
    """Return the axes given, or new ones, and their figure."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "plotting needs matplotlib, which the extra [plot] brings: "
            'pip install "afm-sklearn[plot]"'
        ) from error
    if ax is None:
        return plt.subplots(layout="constrained")
    return ax.get_figure(), ax


def line_style(k: int) -> dict[str, Any]:
    """Return colour, dashes and marker of the k-th line."""
    return {
        "color": f"C{k % 10}",
        "linestyle": _DASHES[k % len(_DASHES)],
        "marker": _MARKERS[k % len(_MARKERS)],
    }


def shades(n: int) -> Array:
    """Return n colours for ordered lines, dark to light in grey as well."""
    import matplotlib

    # The last fifth of the map is too light on white.
    return matplotlib.colormaps["viridis"](np.linspace(0.0, 0.8, n))


def name_lead_times(ax: Axes, step: float, unit: str) -> None:
    """Name the axis of lead times; whole steps get whole numbers."""
    from matplotlib.ticker import MaxNLocator

    ax.set_xlabel(f"lead time ({unit})")
    if step == 1:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
