"""What a fit kept, and why, in words and figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils import estimator_html_repr
from sklearn.utils.validation import check_is_fitted

from .progress import count_epochs

N_SHOWN = 5  # candidates
N_SCORES = 3  # of each
SMALL = 0.005  # gain that goes without saying
ERROR = ", standard error"
WITHOUT = {
    "without a target": "have no target",
    "without a past": "start a run and have no past",
    "with a gap": "have a gap in their window",
}


class Summarised:
    """A forecaster that tells what it kept."""

    def summary(self) -> str:
        """Tell what the fit kept and why, in words and figures.

        Returns
        -------
        str
            The reason; rows, windows and channels; what an adapted forecaster shares;
            losses of the trainings; weights and scores of the heaviest candidates, and
            the gain of networks over the pool.
            Scores are of rows held out, in standard units; lower is better. A standard
            error is that of one score alone: laws are compared on the same rows and
            with the same noise, which tells them apart better than that.

        Raises
        ------
        NotFittedError
            If it is not fitted.

        Examples
        --------
        >>> import numpy as np
        >>> from afm_sklearn import AFMForecaster, design_matrix
        >>> walk = np.random.default_rng(0).normal(size=(300, 2)).cumsum(0)
        >>> model = AFMForecaster(window_length=3, max_epochs=2, random_state=0)
        >>> told = model.fit(design_matrix(walk), walk).summary().splitlines()
        >>> told[2]  # doctest: +ELLIPSIS
        'rows     300 in 1 run, fitted on 297; 1 starts a run and has no past; ...
        >>> told[4]
        'windows  3 steps of 2 channels, of which the first 2 are the lagged targets'
        """
        check_is_fitted(self)
        return summarise(self)

    def _repr_html_inner(self) -> str:
        """Return scikit-learn's diagram, and below it what a fit kept."""
        from .html import kept_html  # which reads this module

        return estimator_html_repr(self) + kept_html(self)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """Return what notebooks show; below version 1.7 it has a diagram of its own."""
        bundle: dict[str, Any] = super()._repr_mimebundle_(**kwargs)  # type: ignore
        if "text/html" in bundle:
            bundle["text/html"] = self._repr_html_inner()
        return bundle


def summarise(forecaster: Any) -> str:
    """Return the summary of a fitted `AFMForecaster`."""
    length, n_channels = forecaster.window_shape_
    d = forecaster.n_outputs_
    parts = [reason(forecaster), ""]
    if getattr(forecaster, "rows_", None):
        parts += _rows(forecaster.rows_)
    steps = f"{length} step{'s' * (length != 1)} of {n_channels} channels"
    lagged = f", of which the first {d} are the lagged targets"
    parts += [
        f"windows  {steps}{lagged if forecaster.autoregressive_ else ''}",
        f"targets  {d} channel{'s' * (d != 1)}, family {forecaster.family_}",
    ]
    parts += _shared(getattr(forecaster, "adapted_", None))
    parts += [_training(*item) for item in forecaster.history_.items()]
    return "\n".join(parts + _candidates(forecaster) + _gain(forecaster))


def reason(forecaster: Any) -> str:
    """Return one sentence on what was kept and why."""
    kept, records = forecaster.base_, forecaster.selection_
    linear, laws = _parts(records)
    if not records:
        asked = getattr(forecaster, "base", "auto")
        why = "no pool was fitted" if asked == "auto" else f"base={asked!r} asks for it"
        return f"Kept {kept}: {why}{_flow(forecaster)}."
    n = sum(max(_weights(record)) > 0 for record in linear)
    some = f"a pool of {n} linear candidate{'s' * (n != 1)}"
    if not laws:
        why = "the networks did not pay" if forecaster.history_ else "none was trained"
        return f"Kept {kept}: {some} alone; {why}."
    best = _best(laws)
    gain = _mean_gain(laws[0], best)
    step, ahead = (
        sum(weights) for weights in zip(*map(_weights, laws[1:]), strict=True)
    )
    if max(step, ahead) == 0:
        why = (
            f"networks score {-gain:.1%} worse than it on held-out rows"
            if gain <= 0
            else f"the gain of networks on held-out rows, {gain:.1%}, may be chance"
        )
        return f"Kept {kept}: {some} alone, as {why}."
    beside = f"{some} and networks of weight {step:.2f}, {ahead:.2f} further ahead"
    if min(step, ahead) == 1:
        beside = "networks alone"
    why = (
        "both together score better than either on held-out rows"
        if gain < SMALL
        else f"networks score {gain:.1%} better than the pool on held-out rows"
    )
    return f"Kept {kept}: {beside}, as {why}{_flow(forecaster)}."


def _flow(forecaster: Any) -> str:
    if "flow" not in forecaster.history_ or "+flow" in forecaster.base_:
        return ""
    return "; the flow did not pay"


def _parts(records: Sequence[dict[str, Any]]) -> tuple[list[Any], list[Any]]:
    """Split records into linear candidates, and the pool with what joins it."""
    names = [record["candidate"] for record in records]
    n = names.index("pool") if "pool" in names else len(names)
    return list(records[:n]), list(records[n:])


def _weights(record: dict[str, Any]) -> tuple[float, float]:
    """Weights for the next step, and for those after it."""
    return record["weight"], record["weight ahead"]


def score_names(record: dict[str, Any]) -> list[str]:
    """Return the names of the scores in a record."""
    return [key for key in record if f"{key}{ERROR}" in record]


def standard_error(record: dict[str, Any], name: str) -> float:
    """Return the standard error of a score."""
    return float(record[name + ERROR])


def heaviest(
    records: Sequence[dict[str, Any]], n_most: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the linear candidates of the largest weights, the pool and networks.

    Scores of candidates that left the race early are of fewer rows, and not shown.
    """
    linear, laws = _parts(records)
    judged = _judged_to_the_end(linear)
    return sorted(judged, key=lambda record: -sum(_weights(record)))[:n_most], laws


def _judged_to_the_end(linear: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the candidates with scores of all blocks."""
    # Older forecasters, whose records do not say so, judged each candidate by all.
    blocks = [record.get("blocks", 0) for record in linear]
    return [r for r, n in zip(linear, blocks, strict=True) if n == max(blocks)]


def best_scores(records: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the best of each score on the rows of a candidate, by candidate."""
    best = {}
    linear, laws = _parts(records)
    for group in _judged_to_the_end(linear), laws:
        for record in group:
            names = score_names(record)
            best[record["candidate"]] = {n: min(r[n] for r in group) for n in names}
    return best


def _mean_gain(pool: dict[str, Any], other: dict[str, Any]) -> float:
    """Relative gain over the pool, mean over scores."""
    return float(np.mean([1 - other[key] / pool[key] for key in score_names(pool)]))


def _best(laws: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the law that joins the pool, or was nearest to it."""
    return max(laws[1:], key=lambda law: (sum(_weights(law)), _mean_gain(laws[0], law)))


def _rows(rows: dict[str, int]) -> list[str]:
    runs = f"{rows['runs']} run{'s' * (rows['runs'] != 1)}"
    text = f"rows     {rows['given']} in {runs}, fitted on {rows['fitted on']}"
    for name, words in WITHOUT.items():
        if rows[name] == 1:
            words = words.replace("have", "has").replace("start ", "starts ")
        text += f"; {rows[name]} {words}" if rows[name] else ""
    held = (
        f"networks on {rows['for networks']}, judged by {rows['held back']} held back"
    )
    return [text, " " * 9 + held]


def _shared(adapted: dict[str, Any] | None) -> list[str]:
    """Tell what an adapted forecaster shares with other sessions."""
    if adapted is None:
        return []
    weights = _weights(adapted)
    if not max(weights):
        return ["shared   nothing: no gain on held-out rows was sure"]
    step, ahead = (f"{weight:.2f}" for weight in weights)
    known = {"core": "the core", "law": "the law"}.get(adapted["source"])
    source = f"{known or 'the ' + adapted['source']} of the forecaster that was adapted"
    gain = f"held-out rows gain {adapted['gain']:.1%}"
    return [f"shared   {source}, weight {step}, {ahead} further ahead: {gain}"]


def _training(name: str, records: list[dict[str, Any]]) -> str:
    if not records:
        return f"trained  {name}: diverged, left out"
    losses = [record.get("valid_loss", record["train_loss"]) for record in records]
    kind = "held-out" if "valid_loss" in records[-1] else "training"
    return (
        f"trained  {name}: {count_epochs(records)}, {kind} loss {losses[0]:.4f}, best "
        f"{min(losses):.4f} in epoch {int(np.argmin(losses)) + 1}"
    )


def _candidates(forecaster: Any) -> list[str]:
    linear, _ = _parts(forecaster.selection_)
    if not linear:
        return []
    shown, _ = heaviest(forecaster.selection_, N_SHOWN)
    n_left = len(linear) - len(_judged_to_the_end(linear))
    left = f", {n_left} judged by the first blocks alone" if n_left else ""
    title = f"{len(linear)} linear candidates{left}, the heaviest first"
    return ["", title, *_table(shown)]


def _gain(forecaster: Any) -> list[str]:
    _, laws = _parts(forecaster.selection_)
    if not laws:
        return []
    title = "the pool and networks, on rows that networks did not see"
    lines = ["", title, *_table(laws)]
    gains = [
        f"{key} {1 - law[key] / laws[0][key]:+.1%}"
        for law in [_best(laws)]
        for key in score_names(law)
    ]
    return [*lines, f"gain of {_best(laws)['candidate']}: {', '.join(gains)}"]


def _table(records: list[dict[str, Any]]) -> list[str]:
    keys = score_names(records[0])[:N_SCORES]
    head = ["candidate", "weight", "ahead", *keys]
    body = [
        [
            record["candidate"],
            *(f"{weight:.2f}" for weight in _weights(record)),
            *(f"{record[key]:.3f} ± {standard_error(record, key):.3f}" for key in keys),
        ]
        for record in records
    ]
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in [head, *body]
    ]
