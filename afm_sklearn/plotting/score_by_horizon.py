"""Score against lead time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_consistent_length

from ..comparison.losses import FoldLosses, Task, score_fitted
from ..comparison.table import Comparison
from ..comparison.tabulate import tabulate
from ..evaluation.scores import check_choice
from ..metrics.arguments import Array, Seed, check_positive, find_seed
from .axes import line_style, name_lead_times
from .display import Display, documented
from .draws import named, with_lead_times

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ScoreByHorizonDisplay(Display):
    """Mean score by lead time, one line a model, with standard errors.

    Make it with `from_comparison`, `from_estimator` or `from_predictions`.

    Parameters
    ----------
    models : list of str
        Names of the models.
    lead_times : ndarray of shape (n_lead_times,)
        In steps, from 1.
    means : ndarray of shape (n_models, n_lead_times)
        Mean score at each lead time; lower is better.
    standard_errors : ndarray of shape (n_models, n_lead_times)
        Of these means, as `compare` has them.
    score : str
        Label of the vertical axis.
    step : float, default=1.0
        Time between two steps, in units of `unit`.
    unit : str, default="steps"
        Unit of the lead time.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of ErrorbarContainer
        One for each model.

    Notes
    -----
    Overlapping bars do not mean that models are alike: losses on the same events go up
    and down together, and their paired difference is known far better. See the
    p-values of `compare`.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn.plotting import ScoreByHorizonDisplay
    >>> walks = np.random.default_rng(0).normal(size=(50, 40, 5, 1)).cumsum(axis=2)
    >>> display = ScoreByHorizonDisplay.from_predictions(walks[:, 0], walks[:, 1:])
    >>> (display.means[0, -1] > display.means[0, 0]).item()
    True
    """

    def __init__(
        self,
        models: list[str],
        lead_times: Array,
        means: Array,
        standard_errors: Array,
        score: str,
        *,
        step: float = 1.0,
        unit: str = "steps",
    ) -> None:
        check_positive("step", step)
        self.models = models
        self.lead_times = lead_times
        self.means = means
        self.standard_errors = standard_errors
        self.score = score
        self.step = step
        self.unit = unit

    @classmethod
    @documented
    def from_comparison(
        cls,
        comparison: Comparison,
        *,
        score: str = "crps",
        step: float = 1.0,
        unit: str = "steps",
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> Self:
        """Plot one score of a comparison.

        Parameters
        ----------
        comparison : Comparison
            What `compare` returned.
        score : str, default="crps"
            One of its scores.
        {step, unit}
        {ax}
        {plot_options}

        Returns
        -------
        ScoreByHorizonDisplay

        Raises
        ------
        ValueError
            If the comparison does not hold the score.
        """
        return cls._tabulated(comparison, score, step, unit).plot(ax, **plot_options)

    @classmethod
    @documented
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        horizon: int = 10,
        score: str = "crps",
        n_samples: int = 100,
        groups: ArrayLike | None = None,
        random_state: Seed = 0,
        step: float = 1.0,
        unit: str = "steps",
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> Self:
        """Draw from every possible row of X, score, and plot.

        Parameters
        ----------
        estimator : forecaster, Pipeline or search, or dict of str to these
            Fitted; with ``sample_trajectories``.
        X : array-like of shape (n, ...)
            What the estimators, or the whole Pipelines, take: rows not seen in `fit`,
            in order.
        {y}
        horizon : int, default=10
            Steps to draw.
        {score}
        n_samples : int, default=100
            Trajectories to draw from each row.
        {groups}
        {random_state}
        {step, unit}
        {ax}
        {plot_options}

        Returns
        -------
        ScoreByHorizonDisplay
        """
        check_consistent_length(y, groups)
        task = Task(horizon, (score,), n_samples)
        seed = find_seed(random_state)
        losses = {
            name: [score_fitted(name, one, X, y, task, seed)]
            for name, one in named("estimator", estimator).items()
        }
        return cls._from_losses(losses, task, groups, step, unit).plot(
            ax, **plot_options
        )

    @classmethod
    @documented
    def from_predictions(
        cls,
        y: ArrayLike,
        samples: ArrayLike | Mapping[str, ArrayLike],
        *,
        score: str = "crps",
        groups: ArrayLike | None = None,
        step: float = 1.0,
        unit: str = "steps",
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> Self:
        """Score draws at hand, and plot.

        Parameters
        ----------
        y : array-like of shape (n, horizon, d), (n, d) or (n,)
            Observations, in the order of time; NaN where missing. Without a lead time
            there is one step.
        samples : array-like of shape (n, n_samples, horizon, d), (n, n_samples, d) \
                or (n, n_samples), or dict of str to these
            Draws of them, or the draws of each model.
        {score}
        {groups}
        {step, unit}
        {ax}
        {plot_options}

        Returns
        -------
        ScoreByHorizonDisplay
        """
        check_consistent_length(y, groups)
        losses = {}
        for name, draws in named("samples", samples).items():
            observed, drawn = with_lead_times(y, draws)
            task = Task(observed.shape[1], (score,), drawn.shape[1])
            every_row = np.arange(len(observed))
            losses[name] = [FoldLosses(task.losses(observed, drawn), every_row)]
        return cls._from_losses(losses, task, groups, step, unit).plot(
            ax, **plot_options
        )

    @classmethod
    def _from_losses(
        cls,
        losses: dict[str, list[FoldLosses]],
        task: Task,
        groups: Any,
        step: float,
        unit: str,
    ) -> Self:
        first = next(iter(losses))
        every_row = np.arange(len(losses[first][0].losses))
        table = tabulate(losses, [every_row], task, first, groups)
        return cls._tabulated(table, task.scores[0], step, unit)

    @classmethod
    def _tabulated(
        cls, comparison: Comparison, score: str, step: float, unit: str
    ) -> Self:
        known = tuple(dict.fromkeys(entry.score for entry in comparison.entries))
        check_choice("score", score, known)
        models = comparison.models
        table = np.array(
            [
                (entry.lead_time, entry.mean, entry.standard_error)
                for entry in comparison.entries
                if entry.score == score
            ]
        )
        lead_times, means, errors = table.reshape(-1, len(models), 3).T
        return cls(models, lead_times[0], means, errors, score, step=step, unit=unit)

    @documented
    def plot(self, ax: Axes | None = None, *, name: str | None = None) -> Self:
        """Draw the chart.

        Parameters
        ----------
        {ax}
        name : str, optional
            Title.

        Returns
        -------
        ScoreByHorizonDisplay
            This object.
        """
        self._open(ax)
        n_models = len(self.models)
        lead_times = self.step * self.lead_times
        # Side by side, so that bars do not hide one another.
        shifts = 0.06 * self.step * (np.arange(n_models) - (n_models - 1) / 2)
        self.lines_ = [
            self.ax_.errorbar(
                lead_times + shifts[k],
                self.means[k],
                yerr=self.standard_errors[k],
                label=model,
                capsize=2,
                markersize=4.5,
                **line_style(k),
            )
            for k, model in enumerate(self.models)
        ]
        name_lead_times(self.ax_, self.step, self.unit)
        self.ax_.set(ylabel=f"mean {self.score} ± standard error", title=name or "")
        self.ax_.legend()
        return self
