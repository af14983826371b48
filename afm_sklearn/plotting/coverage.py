"""Nominal against observed coverage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ..checks import check_integer
from ..metrics import coverage
from ..metrics.arguments import Array, Seed, check_levels, check_positive, find_seed
from .axes import line_style, shades
from .display import Display, documented
from .draws import check_index, draws_of_estimator, with_lead_times

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
N_LINES = 5


class CoverageDisplay(Display):
    """Nominal against observed coverage of central intervals, by lead time.

    A calibrated forecast lies on the diagonal, an overconfident one below. Make it
    with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    levels : ndarray of shape (n_levels,)
        Nominal coverage.
    observed : ndarray of shape (n_levels, n_lines)
        Observed coverage at some lead times, mean over channels.
    lead_times : ndarray of shape (n_lines,)
        These lead times, in steps.
    n : int
        Number of forecasts.
    step : float, default=1.0
        Time between two steps, in units of `unit`.
    unit : str, default="steps"
        Unit of the lead time.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of Line2D
        One for each lead time.
    band_ : PolyCollection
        Where the observed coverage of a calibrated forecast lies with probability 0.95,
        at each level alone, were the n forecasts independent. Channels are not counted
        as further evidence: the band is cautious where they are independent, and too
        narrow where successive forecasts are not.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.plotting import CoverageDisplay
    >>> rng = np.random.default_rng(0)
    >>> y, samples = rng.normal(size=(500, 3, 1)), rng.normal(size=(500, 100, 3, 1))
    >>> display = CoverageDisplay.from_predictions(y, samples)
    >>> [line.get_label() for line in display.lines_]
    ['1 steps', '2 steps', '3 steps']
    """

    def __init__(
        self,
        levels: Array,
        observed: Array,
        lead_times: Array,
        n: int,
        *,
        step: float = 1.0,
        unit: str = "steps",
    ) -> None:
        check_positive("step", step)
        self.levels = levels
        self.observed = observed
        self.lead_times = lead_times
        self.n = n
        self.step = step
        self.unit = unit

    @classmethod
    @documented
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        horizon: int = 1,
        levels: Sequence[float] = LEVELS,
        lead_times: Sequence[int] | None = None,
        n_samples: int = 200,
        random_state: Seed = 0,
        step: float = 1.0,
        unit: str = "steps",
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> Self:
        """Draw from every possible row of X, and plot.

        Parameters
        ----------
        {estimator}
        {X}
        {y}
        horizon : int, default=1
            Steps to draw.
        {levels}
        {lead_times}
        n_samples : int, default=200
            Trajectories to draw from each row.
        {random_state}
        {step, unit}
        {ax}
        {plot_options}

        Returns
        -------
        CoverageDisplay
        """
        check_integer("horizon", horizon)
        seed = find_seed(random_state)
        draws = draws_of_estimator(estimator, X, y, horizon, n_samples, seed)
        return cls._count(draws, levels, lead_times, step, unit).plot(
            ax, **plot_options
        )

    @classmethod
    @documented
    def from_predictions(
        cls,
        y: ArrayLike,
        samples: ArrayLike,
        *,
        levels: Sequence[float] = LEVELS,
        lead_times: Sequence[int] | None = None,
        step: float = 1.0,
        unit: str = "steps",
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> Self:
        """Plot the coverage of draws at hand.

        Parameters
        ----------
        {observations}
        {samples}
        {levels}
        {lead_times}
        {step, unit}
        {ax}
        {plot_options}

        Returns
        -------
        CoverageDisplay
        """
        draws = [with_lead_times(y, samples)]
        return cls._count(draws, levels, lead_times, step, unit).plot(
            ax, **plot_options
        )

    @classmethod
    def _count(
        cls,
        draws: Iterable[tuple[Array, Array]],
        levels: Sequence[float],
        lead_times: Sequence[int] | None,
        step: float,
        unit: str,
    ) -> Self:
        """Count over chunks of rows, each entry of y with the same weight."""
        nominal = check_levels("levels", levels)
        inside, counted, n = np.array(0.0), np.array(0.0), 0
        for y, samples in draws:
            shown = _lead_times(lead_times, y.shape[1])
            y, samples = y[:, shown - 1], samples[:, :, shown - 1]
            weight = (~np.isnan(y)).sum(axis=0)
            covered = np.nan_to_num(coverage(y, samples, level=nominal))
            inside = inside + (covered * weight).sum(axis=-1)
            counted = counted + weight.sum(axis=-1)
            n += len(y)
        observed = np.full(inside.shape, np.nan)
        np.divide(inside, counted, out=observed, where=counted > 0)
        return cls(nominal, observed, shown, n, step=step, unit=unit)

    @documented
    def plot(self, ax: Axes | None = None, *, name: str | None = None) -> Self:
        """Draw the chart.

        Parameters
        ----------
        {ax}
        name : str, optional
            Title, such as the name of the model.

        Returns
        -------
        CoverageDisplay
            This object.
        """
        self._open(ax)
        self.ax_.plot([0, 1], [0, 1], color="0.5", linewidth=0.8)
        self.lines_ = []
        colours = shades(len(self.lead_times))
        for k, (lead_time, observed) in enumerate(
            zip(self.lead_times, self.observed.T, strict=True)
        ):
            style = {**line_style(k), "color": colours[k]}
            label = f"{self.step * lead_time:g} {self.unit}"
            (line,) = self.ax_.plot(
                self.levels, observed, label=label, markersize=5, **style
            )
            self.lines_.append(line)
        grid = np.linspace(0.0, 1.0, 201)
        low, high = stats.binom.ppf([[0.025], [0.975]], self.n, grid) / self.n
        self.band_ = self.ax_.fill_between(
            grid, low, high, color="0.85", zorder=0, label=f"95 % band, n = {self.n}"
        )
        self.ax_.set(
            xlabel="nominal coverage",
            ylabel="observed coverage",
            xlim=(0, 1),
            ylim=(0, 1),
            aspect="equal",
            title=name or "",
        )
        self.ax_.legend(title="lead time")
        return self


def _lead_times(lead_times: Sequence[int] | None, horizon: int) -> Array:
    if lead_times is None:
        spread = np.linspace(1, horizon, min(horizon, N_LINES))
        return np.unique(spread.round().astype(int))
    shown = np.asarray(lead_times)
    if shown.ndim != 1 or not len(shown):
        raise ValueError(
            f"lead_times must hold at least one lead time, got {lead_times!r}"
        )
    for lead_time in lead_times:
        check_index("lead_times", lead_time, horizon, first=1)
    return shown
