"""Judge someone else's forecaster by the scores of this package.

Question: is a foundation model for time series any better on my recording than a ridge
or a forecaster that was trained on it?

`QuantileForecaster` takes a callable that states quantiles of every lead time, as the
pipelines of Chronos-2 and TiRex do; `DrawForecaster` takes one that draws. `compare`
then judges it on the same origins as all others. `chronos_quantiles` below is all that
is needed to ask Chronos-2; of TiRex it would be
``model.forecast(context=..., prediction_length=horizon)`` on one series a row. Their
weights are not part of this example. A stand-in answers here, an object with
Chronos-2's method and shapes that forecasts a return to the mean at the rate that its
context shows. With the weights at hand, put ``BaseChronosPipeline.from_pretrained`` in
its place.

The figure: CRPS by lead time, lower is better, with standard errors. The true law of
the simulated system, a noisy Lorenz attractor, is the bound for all of them. The
stand-in sees 64 steps of context and nothing else.

What it cannot do: say how good Chronos-2 is, for it was not asked. And what goes
together in a trajectory no quantiles say: the adapter learns it from training rows, so
that the energy score of trajectories is that of callable and adapter together.
"""

from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import TimeSeriesSplit

from afm_sklearn import (
    AFMForecaster,
    QuantileForecaster,
    ResidualForecaster,
    compare,
    design_matrix,
)
from afm_sklearn.datasets import make_lorenz
from afm_sklearn.plotting import ScoreByHorizonDisplay

HORIZON, CONTEXT, WINDOW = 8, 64, 5
ALPHA = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
OUT = Path("demo_output") / "foreign_forecasters.png"


class StandIn:
    """Has the method of a ``Chronos2Pipeline``, with its shapes, without weights."""

    def predict_quantiles(self, inputs, prediction_length, quantile_levels):
        """Lists of (d, horizon, n_quantiles) and (d, horizon), one of each an input."""
        answers = [
            self._answer(one["target"], prediction_length, quantile_levels)
            for one in inputs
        ]
        return [a for a, _ in answers], [mean for _, mean in answers]

    def _answer(self, target, horizon, levels):
        target = torch.as_tensor(target)  # (d, length), NaN where missing
        mean = target.nanmean(1, keepdim=True)
        far = (target - mean).nan_to_num()
        variance = far.square().mean(1, keepdim=True) + 1e-6
        memory = (far[:, 1:] * far[:, :-1]).mean(1, keepdim=True) / variance
        kept = memory.clamp(0, 0.99) ** torch.arange(1, horizon + 1)
        median = mean + kept * far[:, -1:]
        spread = (variance * (1 - kept**2)).sqrt()
        z = torch.special.ndtri(torch.tensor(levels, dtype=target.dtype))
        return median[..., None] + spread[..., None] * z, median


PIPELINE = StandIn()  # or BaseChronosPipeline.from_pretrained("amazon/chronos-2")


def chronos_quantiles(history, horizon, stimulus):
    """Quantiles (n, n_alpha, horizon, d) from a pipeline of Chronos-2's shape."""
    length = history.shape[1]
    inputs = [{"target": one.T} for one in history]
    if stimulus is not None:
        for one, shown in zip(inputs, stimulus, strict=True):
            names = [f"stimulus {k}" for k in range(shown.shape[1])]
            past, future = shown[:length].T, shown[length:].T
            one["past_covariates"] = dict(zip(names, past, strict=True))
            one["future_covariates"] = dict(zip(names, future, strict=True))
    quantiles, _ = PIPELINE.predict_quantiles(
        inputs, prediction_length=horizon, quantile_levels=list(ALPHA)
    )
    return torch.stack(quantiles).permute(0, 3, 2, 1).numpy()


def main():
    data = make_lorenz(n_times=1600, random_state=0)
    X = design_matrix(data.activity)
    forecasters = {
        "AFM": AFMForecaster(window_length=WINDOW, max_epochs=10, random_state=0),
        "ridge": ResidualForecaster(
            RidgeCV(np.logspace(-2, 5, 15)), window_length=WINDOW
        ),
        "stand-in": QuantileForecaster(
            chronos_quantiles, alpha=ALPHA, horizon=HORIZON, window_length=CONTEXT
        ),
        "true law": data.oracle,
    }
    result = compare(
        forecasters,
        X,
        data.activity,
        cv=TimeSeriesSplit(2, test_size=400),
        horizon=HORIZON,
    )
    print(result)
    draw(result)


def draw(result):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    ScoreByHorizonDisplay.from_comparison(result, score="crps", ax=axes)
    axes.set_title(
        "A noisy Lorenz attractor: the stand-in is not Chronos-2", loc="left"
    )
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=120)
    print(f"wrote {OUT}")


if __name__ == "__main__":
    main()
