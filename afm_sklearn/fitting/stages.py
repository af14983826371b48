"""The stages in order, each kept only if the rows held back say so."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from numpy.typing import NDArray

from ..compute import give_back, one_thread
from ..data.windows import Windows
from ..law.channels import ChannelLaws
from ..law.pool import PoolLaw, joined
from ..law.step import StepLaw
from .assembly import alone, assemble
from .candidates import Candidates
from .data import TrainingData
from .dependence import fit_flow, held_scores, noise_factor
from .family import choose_family
from .fitted import Fitted
from .learned import fit_learned, untrained
from .linear import LinearStage
from .margins import learn_margins
from .pool import add_network, fit_pool, pooled
from .sample import take_sample
from .selection import pays
from .settings import Settings
from .trajectories import train_on_trajectories
from .watch import Watch
from .widening import learn_widening

Array = NDArray[Any]


def fit_law(
    windows: Windows,
    y: Array,
    settings: Settings,
    previous: Any = None,
    watch: Watch | None = None,
) -> Fitted:
    """Fit the law of one step.

    Parameters
    ----------
    windows : Windows of shape (n, L, c)
        NaN where not observed.
    y : array of shape (n, d)
        Targets; NaN where missing.
    settings : Settings
        How to fit.
    previous : StepLaw or PoolLaw, optional
        A fitted law whose networks to start from.
    watch : Watch, optional
        Looks on. Once it says that all is over, no training begins, and no pool is
        fitted; what was trained by then is weighed.

    Returns
    -------
    Fitted
    """
    with one_thread(blas=True), torch.inference_mode(False), torch.enable_grad():
        data = TrainingData(windows, y, settings, watch)
        fitted = _fit(data, _networks_of(previous))
        learn_margins(data, fitted.law)
        return fitted


def _networks_of(previous: Any) -> StepLaw | None:
    """Return the law with networks in a pool, or the law itself."""
    if isinstance(previous, PoolLaw):
        steps = [m for m in previous.members if isinstance(m, StepLaw)]
        return steps[-1] if steps else None
    return previous if isinstance(previous, StepLaw) else None


def _fit(data: TrainingData, previous: StepLaw | None) -> Fitted:
    real, watch = data, data.watch
    watch.begin("linear")
    data, stage, means = choose_family(data)
    watch.end(lambda: _fitted(data, *_linear(data, stage)), data.family)
    law, kept = _fit_networks(data, stage, previous)
    widening = learn_widening(data, law)
    law.frame.widening.load_state_dict(widening.state_dict())
    real, data = real.widened(widening), data.widened(widening)
    if data.settings.base != "auto" or means is None or watch.is_over:
        return _fitted(data, law, kept)
    plain = _linear(data, stage)[0] if data.is_counts else None
    # Forecasts of all rows have done their duty; they are as large as the recording.
    stage, means = (replace(s, forecast=s.forecast[:0].clone()) for s in (stage, means))
    return _fit_pool(real, data, stage, means, plain, law, kept)


def _fit_pool(
    real: TrainingData,
    data: TrainingData,
    stage: LinearStage,
    means: LinearStage,
    plain: StepLaw | None,
    law: StepLaw,
    kept: str,
) -> Fitted:
    """Pool the candidates, `plain` of counts among them, and weigh the law, too."""
    watch = data.watch
    watch.begin("pool")
    sample = take_sample(real, means.features, means.means)
    counts = None if plain is None else (plain, stage)
    candidates = Candidates(real, means, sample, counts)
    pool = fit_pool(candidates)
    give_back()
    if pool is None:
        watch.end(lambda: _fitted(data, law, kept), "too few rows to choose by")
        return _fitted(data, law, kept)
    laws, weights, selection = pool
    whole = pooled(laws, weights)
    watch.end(
        lambda: _fitted(data, whole, "pool", selection),
        f"{len(whole.members)} of {len(laws)} candidates",
    )
    tuned = _on_trajectories(data, stage, law, kept)
    is_known = kept == "linear" and (tuned or data.is_counts)  # as good as a candidate
    newcomers = {} if is_known else {kept: law}
    newcomers |= tuned
    watch.begin("choice")
    chosen = add_network(candidates, stage, pool, newcomers)
    fitted = _fitted(data, *_together(whole, newcomers, chosen), selection)
    watch.end(lambda: fitted, fitted.kept)
    return fitted


def _together(
    pool: PoolLaw, newcomers: dict[str, StepLaw], chosen: list[tuple[str, float]]
) -> tuple[StepLaw | PoolLaw, str]:
    """Put what was chosen for the next step and for later ones beside the pool."""
    kept = [name for name, weight in chosen if weight > 0]
    if not kept:
        return pool, "pool"
    (step, weight), (ahead, weight_ahead) = chosen
    law: Any = pool
    if step == ahead:
        law = joined(law, newcomers[step], weight, weight_ahead)
    else:
        law = joined(law, newcomers[step], weight, 0.0)
        law = joined(law, newcomers[ahead], 0.0, weight_ahead)
    name = max(kept, key=len)  # one is trained further than the other
    return law, name if weight == weight_ahead == 1.0 else f"pool+{name}"


def _fitted(
    data: TrainingData,
    law: StepLaw | PoolLaw,
    kept: str,
    selection: list[dict[str, Any]] | None = None,
) -> Fitted:
    selection = copy.deepcopy(selection or [])
    return Fitted(law, kept, data.family, dict(data.history), selection, data.n_rows)


def _linear(data: TrainingData, stage: LinearStage) -> tuple[StepLaw, str]:
    """Return the law of the linear stage alone."""
    channels = ChannelLaws(stage.law, [], data.family).to(data.device)
    factor = noise_factor(data, channels, stage.forecast)
    return assemble(data, channels, None, factor), "linear"


def _fit_networks(
    data: TrainingData, stage: LinearStage, previous: StepLaw | None
) -> tuple[StepLaw, str]:
    """Fit the linear law, networks and a flow; what does not pay is left out."""
    choose, has_held = data.settings.base == "auto", len(data.held) > 0
    pool = ChannelLaws(stage.law, [], data.family).to(data.device)
    kept = "linear" if choose else data.settings.base
    if kept == "learned" or (choose and has_held):
        drafting = data.drafting(
            lambda loss: (
                alone(data, stage.law, stage.forecast, loss.network),
                "learned",
            )
        )
        learned = fit_learned(drafting, stage, previous)
        if learned is not None:
            pool, kept = learned, "learned"
        elif not choose:
            kept = "linear"
    pool.requires_grad_(False).eval()
    factor = noise_factor(data, pool, stage.forecast)
    plain = assemble(data, pool, None, factor)
    if choose and kept == "linear":
        return plain, kept
    drafting = data.drafting(
        lambda loss: (assemble(data, pool, loss.flow, factor), f"{kept}+flow")
    )
    flow = fit_flow(drafting, pool, stage, factor, previous)
    if flow is None:
        return plain, kept
    law = assemble(data, pool, flow, factor)
    if choose and not pays(held_scores(data, plain), held_scores(data, law)):
        return plain, kept
    return law, kept + "+flow"


def _on_trajectories(
    data: TrainingData, stage: LinearStage, law: StepLaw, kept: str
) -> dict[str, StepLaw]:
    """Train the networks of the law, or new ones, on trajectories: {name: law}."""
    if not len(law.channels.members):
        if data.is_counts:
            return {}
        law = assemble(data, untrained(data, stage), None, law.factor)
        kept = "learned"
    name = f"{kept}+trajectories"
    tuned = train_on_trajectories(data.drafting(lambda loss: (loss.law, name)), law)
    return {} if tuned is None else {name: tuned}
