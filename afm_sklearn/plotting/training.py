"""Losses of trainings, and weights and scores of what they were weighed against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..checks import check_integer
from ..summary import best_scores, heaviest, score_names, standard_error
from .axes import line_style
from .display import Display, documented

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class TrainingDisplay(Display):
    """How a fit went: the losses of each training, and who won.

    Above, the loss of each network by epoch, on training rows and on rows held back;
    what is kept is the best epoch of these. Below, the weight and the scores of
    candidates, relative to the best of their rows: 1 is the best, and higher is worse.
    Linear candidates are judged on blocks left out, the pool and networks on rows that
    the networks did not see: these two groups are not to be compared. Make it with
    `from_estimator`.

    Parameters
    ----------
    history : dict of str to list of dict
        As ``history_`` of an `AFMForecaster`.
    selection : list of dict
        As its ``selection_``; may be empty.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Hidden, around all the others.
    axes_ : dict of str to matplotlib Axes
        One for each training, by its name; "weight" and "score".
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from afm_sklearn.plotting import TrainingDisplay
    >>> history = {"window": [
    ...     {"epoch": 1, "train_loss": 1.2, "valid_loss": 1.3},
    ...     {"epoch": 2, "train_loss": 1.0, "valid_loss": 1.1},
    ... ]}
    >>> display = TrainingDisplay(history, []).plot()
    >>> list(display.axes_)
    ['window']
    """

    def __init__(
        self,
        history: Mapping[str, Sequence[Mapping[str, Any]]],
        selection: Sequence[dict[str, Any]],
    ) -> None:
        self.history = history
        self.selection = selection

    @classmethod
    @documented
    def from_estimator(
        cls, estimator: Any, *, ax: Axes | None = None, **plot_options: Any
    ) -> Self:
        """Plot how the fit of a forecaster went.

        Parameters
        ----------
        estimator : AFMForecaster, or a Pipeline or search that ends in one
            Fitted.
        {ax}
        {plot_options}

        Returns
        -------
        TrainingDisplay

        Raises
        ------
        TypeError
            If the estimator is no `AFMForecaster`.
        """
        while not hasattr(estimator, "history_"):
            if hasattr(estimator, "best_estimator_"):
                estimator = estimator.best_estimator_
            elif hasattr(estimator, "steps"):
                estimator = estimator.steps[-1][1]
            else:
                check_is_fitted(estimator)
                raise TypeError(
                    "estimator must have a history_, as AFMForecaster has, got "
                    f"{type(estimator).__name__}{_advice(estimator)}"
                )
        display = cls(estimator.history_, estimator.selection_)
        return display.plot(ax, **plot_options)

    @documented
    def plot(self, ax: Axes | None = None, *, n_candidates: int = 8) -> Self:
        """Draw the chart.

        Parameters
        ----------
        {ax}
        n_candidates : int, default=8
            Linear candidates to show, those of the largest weights.

        Returns
        -------
        TrainingDisplay
            This object.

        Raises
        ------
        ValueError
            If nothing was trained or weighed, or `ax` is no cell of a grid.
        """
        check_integer("n_candidates", n_candidates, at_least=1)
        trained = {name: rows for name, rows in self.history.items() if rows}
        if not trained and not self.selection:
            raise ValueError(
                "history and selection are empty: nothing was trained or weighed"
            )
        outer = self._open(ax)
        cell = outer.get_subplotspec()
        if cell is None:
            raise ValueError(
                "ax must be a cell of a grid, as plt.subplots makes it, to hold several"
            )
        n_bars = min(n_candidates, len(self.selection)) + 3
        if ax is None:
            height = 2.6 * bool(trained) + 0.32 * n_bars * bool(self.selection)
            figure: Any = self.figure_  # a new one
            figure.set_size_inches(max(6.4, 2.5 * len(trained)), height + 0.6)
        outer.set_axis_off()
        both = [bool(trained) * 2.6, bool(self.selection) * 0.32 * n_bars]
        heights = [height for height in both if height]
        rows = cell.subgridspec(len(heights), 1, height_ratios=heights)
        self.axes_: dict[str, Axes] = {}
        if trained:
            parts = rows[0].subgridspec(1, len(trained))
            for k, (name, records) in enumerate(trained.items()):
                self._draw_losses(outer.figure.add_subplot(parts[k]), name, records)
            next(iter(self.axes_.values())).set_ylabel("loss")
        if self.selection:
            parts = rows[len(heights) - 1].subgridspec(1, 2)
            weights = outer.figure.add_subplot(parts[0])
            scores = outer.figure.add_subplot(parts[1], sharey=weights)
            self._draw_candidates(weights, scores, n_candidates)
        return self

    def _draw_losses(
        self, axes: Axes, name: str, records: Sequence[Mapping[str, Any]]
    ) -> None:
        """Draw losses by epoch, and mark the best one."""
        from matplotlib.ticker import MaxNLocator

        self.axes_[name] = axes
        epochs = np.arange(1, len(records) + 1)
        axes.plot(
            epochs,
            [record["train_loss"] for record in records],
            color="0.45",
            linestyle=":",
            marker="." if len(records) < 10 else None,
            label="training",
        )
        if "valid_loss" in records[-1]:
            held = [record["valid_loss"] for record in records]
            axes.plot(epochs, held, color="C0", label="held out")
            best = int(np.argmin(held))
            axes.plot(
                epochs[best],
                held[best],
                "o",
                color="C0",
                label=f"best: {held[best]:.3f}",
            )
        axes.set(xlabel="epoch", title=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlim(0.5, len(records) + 0.5)
        axes.legend(frameon=False, fontsize="small")

    def _draw_candidates(self, weights: Axes, scores: Axes, n_most: int) -> None:
        """Draw weights as bars, and scores beside them with their standard errors."""
        self.axes_ |= {"weight": weights, "score": scores}
        linear, laws = heaviest(self.selection, n_most)
        at = np.concatenate(
            [np.arange(len(linear)), np.arange(len(laws)) + len(linear) + 0.6]
        )
        shown = [*linear, *laws]
        for shift, key, label in (
            (-0.2, "weight", "next step"),
            (0.2, "weight ahead", "further ahead"),
        ):
            width = [record[key] for record in shown]
            weights.barh(at + shift, width, 0.4, alpha=0.6, label=label)
        weights.legend(fontsize="small")
        weights.set_yticks(at, [record["candidate"] for record in shown])
        weights.invert_yaxis()
        weights.set_xlabel("weight")
        best = best_scores(self.selection)
        names = score_names(shown[0])
        for k, name in enumerate(names):
            shift = 0.5 * ((k + 0.5) / len(names) - 0.5)
            unit = [best[record["candidate"]][name] for record in shown]
            value = [record[name] / u for record, u in zip(shown, unit, strict=True)]
            error = [
                standard_error(record, name) / u
                for record, u in zip(shown, unit, strict=True)
            ]
            style = line_style(k) | {"linestyle": "none"}
            scores.errorbar(
                value, at + shift, xerr=error, label=name, markersize=3, **style
            )
        scores.axvline(1.0, color="0.6", linewidth=0.8)
        scores.tick_params(labelleft=False)
        scores.set_xlabel("score / best of its rows")
        scores.legend(
            frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5)
        )
        if laws:
            for axes in (weights, scores):
                axes.axhline(len(linear) - 0.2, color="0.6", linewidth=0.8)


def _advice(estimator: Any) -> str:
    """Tell what a search without a fitted estimator needs."""
    if not hasattr(estimator, "cv_results_"):
        return ""
    return (
        " with refit=False, which has no best_estimator_ to show: expected refit=True"
    )
