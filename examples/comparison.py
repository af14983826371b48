"""Was a complicated model worth it?

Question: how much does a forecaster gain over ridge, and how far is it from the best
that is possible? It depends on the world, so three are simulated whose law is known: a
linear one, noisy switches between two wells, and a population of spiking neurons.

`compare` fits each forecaster on the first 1200 rows and draws from the same origins
among the last 400. The tables have the mean CRPS at each lead time, its standard error,
and a star where a Diebold-Mariano test finds a difference from the true law.

How to read the figure: CRPS by lead time, lower is better; the true law is the bound.
In the linear world ridge is all that is needed, and AFM no better. Where the law is not
linear, or values are counts, a straight line with Gaussian errors is not enough.

What it cannot do: promise a gain on another recording. Bars are standard errors of each
mean; that they overlap does not mean that models are alike, as they are judged on the
same events.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline

from afm_sklearn import (
    AFMForecaster,
    ResidualForecaster,
    SlidingWindow,
    compare,
    design_matrix,
)
from afm_sklearn.datasets import (
    make_double_well,
    make_linear_var,
    make_spiking_population,
)
from afm_sklearn.plotting import ScoreByHorizonDisplay

N_TRAIN, N_TIMES, HORIZON = 1200, 1600, 4
SYSTEMS = {
    "linear": make_linear_var(N_TIMES, 5, n_stimuli=0, random_state=0),
    "double wells": make_double_well(N_TIMES, random_state=0),
    "spiking neurons": make_spiking_population(N_TIMES, 10, random_state=0),
}
OUT = Path("demo_output") / "comparison.png"


def main():
    figure, axes = plt.subplots(1, len(SYSTEMS), figsize=(12, 4), layout="constrained")
    for ax, (name, data) in zip(axes, SYSTEMS.items(), strict=True):
        forecasters = {
            "true law": data.oracle,
            "AFM": AFMForecaster(max_epochs=20, random_state=0),
            "ridge": ResidualForecaster(RidgeCV(np.logspace(-2, 5, 15))),
        }
        result = compare(
            {
                label: make_pipeline(SlidingWindow(3, run_column=-1), forecaster)
                for label, forecaster in forecasters.items()
            },
            design_matrix(data.activity, data.stimulus, data.runs),
            data.activity,
            cv=[(np.arange(N_TRAIN), np.arange(N_TRAIN, N_TIMES))],
            horizon=HORIZON,
            scores="crps",
        )
        print(f"\n{name}\n{result}", flush=True)
        ScoreByHorizonDisplay.from_comparison(result, ax=ax)
        ax.set_title(name)
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=120)
    print(f"wrote {OUT}")


if __name__ == "__main__":
    main()
