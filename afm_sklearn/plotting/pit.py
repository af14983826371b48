"""Histogram of the probability integral transform."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ..checks import check_integer
from ..metrics import pit
from ..metrics.arguments import Array, Seed, check_positive, find_seed
from .display import Display, documented
from .draws import check_index, draws_of_estimator, with_lead_times

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class PITDisplay(Display):
    """Histogram of the rank of each observation among its draws.

    It is flat for a calibrated forecast, high at both ends for an overconfident one,
    high in the middle for an underconfident one, and leans for a biased one [1]_. Make
    it with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    values : ndarray of shape (n, n_channels)
        Probability integral transform at one lead time; NaN where there is none.
    lead_time : float, default=1.0
        That lead time, in units of `unit`.
    unit : str, default="steps"
        Unit of the lead time.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    bars_ : BarContainer
        Counts over the count of a flat histogram.
    band_ : Polygon
        Where each bar of a calibrated forecast lies with probability 0.95, were the n
        forecasts independent. Channels are not counted as further evidence: the band
        is cautious where they are independent, and too narrow where successive
        forecasts are not.

    References
    ----------
    .. [1] T. Gneiting, F. Balabdaoui and A. E. Raftery, "Probabilistic forecasts,
       calibration and sharpness", Journal of the Royal Statistical Society B, 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.plotting import PITDisplay
    >>> rng = np.random.default_rng(0)
    >>> y, samples = rng.normal(size=500), 3 * rng.normal(size=(500, 100))
    >>> display = PITDisplay.from_predictions(y, samples)
    >>> heights = [float(bar.get_height()) for bar in display.bars_]
    >>> heights[5] > 2 > 0.5 > heights[0]
    True
    """

    def __init__(
        self, values: Array, *, lead_time: float = 1.0, unit: str = "steps"
    ) -> None:
        self.values = values
        self.lead_time = lead_time
        self.unit = unit

    @classmethod
    @documented
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        lead_time: int = 1,
        channel: int | None = None,
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
        {lead_time}
        {channels}
        n_samples : int, default=200
            Trajectories to draw from each row.
        random_state : int, RandomState or None, default=0
            Seed of the draws, and of ranks among equal values.
        {step, unit}
        {ax}
        {plot_options}

        Returns
        -------
        PITDisplay
        """
        check_integer("lead_time", lead_time, at_least=1)
        check_positive("step", step)
        seed = find_seed(random_state)
        draws = draws_of_estimator(estimator, X, y, lead_time, n_samples, seed)
        values = _ranks(draws, lead_time, channel, seed)
        return cls(values, lead_time=step * lead_time, unit=unit).plot(
            ax, **plot_options
        )

    @classmethod
    @documented
    def from_predictions(
        cls,
        y: ArrayLike,
        samples: ArrayLike,
        *,
        lead_time: int = 1,
        channel: int | None = None,
        random_state: Seed = 0,
        step: float = 1.0,
        unit: str = "steps",
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> Self:
        """Plot the ranks of observations among draws at hand.

        Parameters
        ----------
        {observations}
        {samples}
        {lead_time}
        {channels}
        random_state : int, RandomState or None, default=0
            Seed of ranks among equal values.
        {step, unit}
        {ax}
        {plot_options}

        Returns
        -------
        PITDisplay
        """
        check_positive("step", step)
        draws = [with_lead_times(y, samples)]
        values = _ranks(draws, lead_time, channel, find_seed(random_state))
        return cls(values, lead_time=step * lead_time, unit=unit).plot(
            ax, **plot_options
        )

    @documented
    def plot(
        self, ax: Axes | None = None, *, bins: int = 10, name: str | None = None
    ) -> Self:
        """Draw the histogram.

        Parameters
        ----------
        {ax}
        bins : int, default=10
            Number of bars.
        name : str, optional
            Title; by default the lead time.

        Returns
        -------
        PITDisplay
            This object.
        """
        check_integer("bins", bins, at_least=1)
        self._open(ax)
        present = ~np.isnan(self.values)
        counts, edges = np.histogram(self.values[present], bins=bins, range=(0, 1))
        heights = counts * bins / counts.sum()
        n = int(present.any(axis=1).sum())
        if not n:
            raise ValueError("values must hold at least one that is not NaN, got none")
        low, high = stats.binom.ppf([0.025, 0.975], n, 1 / bins) * bins / n
        self.bars_ = self.ax_.bar(
            edges[:-1],
            heights,
            width=1 / bins,
            align="edge",
            facecolor="C0",
            edgecolor="black",
            linewidth=0.8,
            alpha=0.4,
        )
        self.band_ = self.ax_.axhspan(
            low,
            high,
            facecolor="black",
            alpha=0.2,
            linewidth=0,
            label=f"95 % band, n = {n}",
        )
        self.ax_.axhline(1.0, color="black", linestyle="--", label="calibrated")
        self.ax_.set(
            xlabel="probability integral transform",
            ylabel="frequency (1 where uniform)",
            xlim=(0, 1),
            ylim=(0, 1.25 * max(high, heights.max())),
            title=name or f"lead time {self.lead_time:g} {self.unit}",
        )
        self.ax_.legend(loc="upper center", ncols=2, frameon=False)
        return self


def _ranks(
    draws: Iterable[tuple[Array, Array]],
    lead_time: int,
    channel: int | None,
    seed: int,
) -> Array:
    """Transform one lead time of all channels, or of one: (n, n_channels)."""
    rng = np.random.default_rng(seed)
    parts = []
    for y, samples in draws:
        check_index("lead_time", lead_time, y.shape[1], first=1)
        if channel is not None:
            check_index("channel", channel, y.shape[2])
        channels = slice(None) if channel is None else slice(channel, channel + 1)
        target = y[:, lead_time - 1, channels]
        drawn = samples[:, :, lead_time - 1, channels]
        parts.append(pit(target, drawn, random_state=rng))
    return np.concatenate(parts)
