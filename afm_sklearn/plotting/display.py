"""What all displays share: their axes, and the words for their parameters."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import indent
from typing import TYPE_CHECKING, Any, TypeVar

from .axes import get_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

Method = TypeVar("Method", bound=Callable[..., Any])

SHARED_PARAMETERS = {
    "estimator": """\
estimator : forecaster, Pipeline or search
    Fitted; with ``sample_trajectories``, or ``sample`` where one step is drawn.""",
    "X": """\
X : array-like of shape (n, ...)
    What the estimator, or the whole Pipeline, takes: consecutive rows in order.""",
    "y": """\
y : array-like of shape (n, d) or (n,)
    Targets; NaN where missing.""",
    "observations": """\
y : array-like of shape (n, horizon, d), (n, d) or (n,)
    Observations, in the order of time; NaN where missing. Without a lead time there
    is one step.""",
    "samples": """\
samples : array-like of shape (n, n_samples, horizon, d), (n, n_samples, d) or \
(n, n_samples)
    Draws of them.""",
    "score": """\
score : {"crps", "energy", "variogram"}, default="crps"
    Score at each lead time, as in `compare`.""",
    "groups": """\
groups : array-like of shape (n,), optional
    Run, session or subject of each row, for the standard errors.""",
    "levels": """\
levels : sequence of float, default=0.1, 0.2, ..., 0.9, 0.95
    Nominal coverage, between 0 and 1.""",
    "lead_times": """\
lead_times : sequence of int, optional
    Lead times to show, in steps from 1; by default up to five of them.""",
    "lead_time": """\
lead_time : int, default=1
    Lead time to show, in steps from 1.""",
    "channels": """\
channel : int, optional
    Channel of y to show; by default all of them together.""",
    "random_state": """\
random_state : int, RandomState or None, default=0
    Seed of the draws.""",
    "step, unit": """\
step, unit : float and str, default=1.0 and "steps"
    Time between two steps, and its unit.""",
    "ax": """\
ax : matplotlib Axes, optional
    By default a new figure.""",
    "plot_options": """\
**plot_options
    Passed to `plot`.""",
}


class Display:
    """A chart that is drawn on axes given, or on new ones.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    """

    ax_: Axes
    figure_: Figure | SubFigure | None

    def _open(self, ax: Axes | None) -> Axes:
        """Take the axes given, or new ones."""
        self.figure_, self.ax_ = get_axes(ax)
        return self.ax_


def documented(method: Method) -> Method:
    """Describe shared parameters in a docstring where a line is ``{name}``.

    Examples
    --------
    >>> @documented
    ... def draw(ax):
    ...     '''Draw.
    ...
    ...     Parameters
    ...     ----------
    ...     {ax}
    ...     '''
    >>> print(draw.__doc__.splitlines()[4].strip())
    ax : matplotlib Axes, optional
    """
    text = method.__doc__
    if text is None:  # python -OO
        return method
    lines = []
    for line in text.splitlines():
        words = line.strip()
        description = SHARED_PARAMETERS.get(words[1:-1]) if words[:1] == "{" else None
        margin = line[: len(line) - len(line.lstrip())]
        lines.append(line if description is None else indent(description, margin))
    method.__doc__ = "\n".join(lines)
    return method
