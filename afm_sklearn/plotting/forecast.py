"""Fan chart of one forecast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from ..checks import check_integer
from ..evaluation.draws import draw_ahead, method_for
from ..evaluation.unwrap import unwrap
from ..metrics.arguments import (
    Array,
    Seed,
    as_numbers,
    check_levels,
    check_positive,
    find_seed,
)
from .axes import name_lead_times
from .display import Display, documented
from .draws import check_index, find_origin, history_before, with_lead_times

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ForecastDisplay(Display):
    """Fan chart of the forecast from one origin, with what was observed.

    Nested central intervals, the median and a few sample paths of one channel. Make it
    with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    observed : ndarray of shape (horizon,)
        What followed the origin; NaN where missing.
    samples : ndarray of shape (n_samples, horizon)
        Draws of it.
    history : ndarray of shape (n_history,), optional
        What was observed before the origin, oldest first.
    name : str, default="activity"
        Label of the vertical axis.
    step : float, default=1.0
        Time between two rows, in units of `unit`.
    unit : str, default="steps"
        Unit of the lead time.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    bands_ : list of PolyCollection
        The intervals, widest first.
    median_ : Line2D
    paths_ : list of Line2D
    observed_ : Line2D
        History included.

    Notes
    -----
    Quantiles are those of `coverage`: a perfect forecast covers each interval as often
    as it says. They hold for one lead time each, not for whole paths.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.plotting import ForecastDisplay
    >>> walks = np.random.default_rng(0).normal(size=(1, 100, 8, 1)).cumsum(axis=2)
    >>> display = ForecastDisplay.from_predictions(walks[:, 0], walks[:, 1:])
    >>> display.ax_.get_xlabel()
    'lead time (steps)'
    """

    def __init__(
        self,
        observed: Array,
        samples: Array,
        *,
        history: Array | None = None,
        name: str = "activity",
        step: float = 1.0,
        unit: str = "steps",
    ) -> None:
        check_positive("step", step)
        self.observed = observed
        self.samples = samples
        self.history = history
        self.name = name
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
        horizon: int = 10,
        origin: int | None = None,
        channel: int = 0,
        n_history: int = 10,
        n_samples: int = 200,
        random_state: Seed = 0,
        step: float = 1.0,
        unit: str = "steps",
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> Self:
        """Draw from one row of X, and plot.

        Parameters
        ----------
        {estimator}
        {X}
        {y}
        horizon : int, default=10
            Steps to draw.
        origin : int, optional
            Row of X to start from; by default the one in the middle of those that
            start `horizon` observed steps of one run, and follow `n_history` of them
            where there are such rows.
        channel : int, default=0
            Column of y to show.
        n_history : int, default=10
            Steps to show before the origin, as far as its run goes back.
        n_samples : int, default=200
            Trajectories to draw.
        {random_state}
        {step, unit}
        {ax}
        {plot_options}

        Returns
        -------
        ForecastDisplay

        Raises
        ------
        ValueError
            If no trajectory can start at `origin`, or anywhere, or there is no such
            channel.
        """
        check_integer("horizon", horizon)
        check_integer("n_history", n_history, at_least=0)
        check_integer("n_samples", n_samples)
        seed = find_seed(random_state)
        rows = unwrap(estimator, X, y, needs=method_for(horizon))
        check_index("channel", channel, rows.targets.shape[1])
        start = find_origin(rows, horizon, origin, n_history)
        draws = draw_ahead(rows, np.array([start]), horizon, n_samples, seed)
        ((observed, samples),) = draws
        if np.isnan(samples).any():
            raise ValueError(
                f"the estimator drew NaN from row {start}: origin must be a row of "
                "which it knows the history it needs"
            )
        return cls(
            observed[0, :, channel],
            samples[0, :, :, channel],
            history=history_before(rows, start, n_history)[:, channel],
            name=f"channel {channel}",
            step=step,
            unit=unit,
        ).plot(ax, **plot_options)

    @classmethod
    @documented
    def from_predictions(
        cls,
        y: ArrayLike,
        samples: ArrayLike,
        *,
        row: int = 0,
        channel: int = 0,
        history: ArrayLike | None = None,
        step: float = 1.0,
        unit: str = "steps",
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> Self:
        """Plot one row and channel of draws at hand.

        Parameters
        ----------
        y : array-like of shape (n, horizon, d)
            What followed each origin; NaN where missing.
        samples : array-like of shape (n, n_samples, horizon, d)
            Draws of it.
        row, channel : int, default=0
            Which forecast to show.
        history : array-like of shape (n_history,), optional
            What the channel showed before the origin, oldest first.
        {step, unit}
        {ax}
        {plot_options}

        Returns
        -------
        ForecastDisplay

        Raises
        ------
        ValueError
            If the shapes do not fit, or there is no such row or channel.
        """
        observed, drawn = with_lead_times(y, samples)
        check_index("row", row, len(observed))
        check_index("channel", channel, observed.shape[2])
        if not np.isfinite(drawn[row, :, :, channel]).all():
            raise ValueError(
                f"samples must be finite to be shown, got NaN or infinity in row {row}"
            )
        return cls(
            observed[row, :, channel],
            drawn[row, :, :, channel],
            history=None if history is None else as_numbers("history", history),
            name=f"channel {channel}",
            step=step,
            unit=unit,
        ).plot(ax, **plot_options)

    @documented
    def plot(
        self,
        ax: Axes | None = None,
        *,
        levels: Sequence[float] = (0.5, 0.9),
        n_paths: int = 3,
        name: str | None = None,
    ) -> Self:
        """Draw the chart.

        Parameters
        ----------
        {ax}
        levels : sequence of float, default=(0.5, 0.9)
            Probabilities of the central intervals.
        n_paths : int, default=3
            Number of sample paths.
        name : str, optional
            Label of the vertical axis.

        Returns
        -------
        ForecastDisplay
            This object.
        """
        nested = np.sort(check_levels("levels", levels))[::-1]
        check_integer("n_paths", n_paths, at_least=0)
        if not self.samples.size:
            raise ValueError(
                f"samples must hold at least one draw, got shape {self.samples.shape}"
            )
        axes = self._open(ax)
        before = np.array([]) if self.history is None else self.history
        # All curves leave from the last value that was known.
        known = before[-1:][np.isfinite(before[-1:])]
        paths = np.hstack([np.tile(known, (len(self.samples), 1)), self.samples])
        ahead = self.step * np.arange(1 - len(known), len(self.observed) + 1)
        self.bands_ = []
        for k, level in enumerate(nested):
            tails = ((1 - level) / 2, (1 + level) / 2)
            band = axes.fill_between(
                ahead,
                *np.quantile(paths, tails, axis=0, method="weibull"),
                color="C0",
                alpha=0.4 * (k + 1) / len(nested),
                linewidth=0,
                label=f"{level:.0%} interval",
            )
            self.bands_.append(band)
        median = np.median(paths, axis=0)
        (self.median_,) = axes.plot(ahead, median, color="C0", label="median")
        style: dict[str, Any] = {"color": "0.25", "linewidth": 0.8, "linestyle": ":"}
        self.paths_ = [axes.plot(ahead, path, **style)[0] for path in paths[:n_paths]]
        for path in self.paths_[:1]:
            path.set_label("sample paths")
        times = self.step * np.arange(1 - len(before), len(self.observed) + 1)
        (self.observed_,) = axes.plot(
            times,
            np.append(before, self.observed),
            color="black",
            marker="o",
            markersize=3.5,
            linewidth=1.2,
            label="observed",
        )
        if len(before):
            axes.axvline(0.0, color="0.6", linewidth=0.8)
        name_lead_times(axes, self.step, self.unit)
        axes.set_ylabel(name or self.name)
        # Above the axes: there is no corner that a fan leaves free for certain.
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False)
        return self
