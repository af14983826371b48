"""What will these neurons do next, and how sure can one be of it?

Question: thirty simulated neurons follow a stimulus that moves around them. How good is
a forecast of their next thirty bins, beside ridge and the best that is possible?

`AFMForecaster`, as it comes, and a ridge regression with Gaussian errors are fitted on
3000 bins. From 197 moments of the next 2000 bins each draws a hundred futures, and so
does the true law of the simulator. All are told where the stimulus will go.

How to read the figure: above, one of these moments, before the stimulus goes once
around, and three neurons that it passes. Black is what happened. Half of the draws lie
in the dark band, nine of ten in the light one; nine of ten of the true law lie between
the dotted lines. AFM nearly follows these, wide where a neuron fires and narrow where
it is silent; the bands of ridge hardly change, and hold negative counts. Below, ranks
of what happened among draws, flat where a forecast is calibrated (the grey band is
chance), and CRPS by lead time.

What it cannot do: promise a gain on your recording. Counts that follow a stimulus are
far from what ridge assumes; the next example has a world where ridge is all one needs.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeCV

from afm_sklearn import (
    AFMForecaster,
    ResidualForecaster,
    crps,
    design_matrix,
    energy_score,
)
from afm_sklearn.datasets import make_spiking_population
from afm_sklearn.plotting import ForecastDisplay, PITDisplay

N_TRAIN, N_TEST, HORIZON, LENGTH = 3000, 2000, 30, 10
OUT = Path("demo_output") / "forecast.png"
COLORS = {"ridge": "#D55E00", "AFM": "#0072B2", "true law": "black"}


def main():
    data = make_spiking_population(
        N_TRAIN + N_TEST, mean_count=1.0, refractoriness=0.5, random_state=0
    )
    X, y = design_matrix(data.activity, data.stimulus), data.activity
    ridge = RidgeCV(np.logspace(-2, 5, 15))
    afm = AFMForecaster(window_length=LENGTH, random_state=0, verbose=1)
    models = {"ridge": ResidualForecaster(ridge, window_length=LENGTH), "AFM": afm}
    print(f"Fitting 30 neurons on {N_TRAIN} bins: half a minute.\n", flush=True)
    for model in models.values():
        model.fit(X[:N_TRAIN], y[:N_TRAIN])
    models["true law"] = data.oracle

    origins = np.arange(N_TRAIN, N_TRAIN + N_TEST - HORIZON, 10)
    steps = origins[:, None] + np.arange(HORIZON)
    angle = np.unwrap(np.arctan2(data.stimulus[:, 1], data.stimulus[:, 0]))
    travel = np.abs(angle[steps[:, -1]] - angle[steps[:, 0]])
    row = np.abs(travel - 2 * np.pi).argmin()  # once around
    windows, future = afm.make_windows(X)[origins], data.stimulus[steps]
    print(f"\nDrawing their next {HORIZON} bins: a quarter of a minute.", flush=True)
    draws, fans = {}, {}
    for name, model in models.items():
        for answers, rows, n in ((draws, slice(None), 100), (fans, [row], 2000)):
            args = {"n_samples": n, "stimulus": future[rows], "random_state": 0}
            answers[name] = model.sample_trajectories(windows[rows], HORIZON, **args)
    print_table(y[steps], draws)

    tuning = future[row, :, :2] @ data.oracle.law.stimulus_weights[:, :2].T
    shown = {passed: tuning[passed - 1].argmax() for passed in (8, 16, 24)}
    before = y[origins[row] - LENGTH : origins[row]]
    draw(y[steps], draws, fans, row, shown, before)


def print_table(observed, draws):
    names = "CRPS, next bin", f"CRPS, bin {HORIZON}", f"energy, {HORIZON} bins"
    print(f"\n{'':8}" + "".join(f"{name:>17}" for name in names))
    scores = {}
    for name, drawn in draws.items():
        loss = crps(observed, drawn).mean((0, 2))
        energy = energy_score(observed, drawn).mean()
        scores[name] = np.array([loss[0], loss[-1], energy])
        print(f"{name:8}" + "".join(f"{score:17.3f}" for score in scores[name]))
    ridge, afm, best = scores.values()
    print("gap shut" + "".join(f"{x:17.0%}" for x in (ridge - afm) / (ridge - best)))
    print("Lower is better. The gap is that between ridge and the true law, the bound.")


def draw(observed, draws, fans, row, shown, before):
    figure, axes = plt.subplots(3, 3, figsize=(9, 8.6), layout="constrained")
    bins, score = np.arange(1, HORIZON + 1), axes[2, 2]
    for name, line, below in zip(("AFM", "ridge"), axes, axes[2], strict=False):
        color, drawn = COLORS[name], draws[name]
        for ax, (passed, neuron) in zip(line, shown.items(), strict=True):
            fan = ForecastDisplay.from_predictions(
                observed[[row]], fans[name], channel=neuron, ax=ax, n_paths=0,
                history=before[:, neuron],
            )  # fmt: skip
            plt.setp([*fan.bands_, fan.median_], color=color)
            fan.observed_.set(linewidth=0.5, markersize=3)
            law = np.quantile(fans["true law"][0, :, :, neuron], (0.05, 0.95), axis=0)
            ax.plot(bins, law.T, "k:", label=["true law, 90% interval", "_"])
            ax.plot(passed, 10, "v", color="0.3", label="stimulus passes")
            ax.axhspan(-3.5, 0, color="0.92", zorder=0, label="no such counts")
            ax.set(xlabel="bins from now", ylabel="spikes in a bin", ylim=(-3.5, 10.8))
            ax.set(xticks=range(-10, 31, 10), yticks=range(-2, 11, 2))
            ax.set_title(f"{name}: neuron {neuron}", color=color)
            ax.get_legend().remove()
        ranks = PITDisplay.from_predictions(observed, drawn, lead_time=10, ax=below)
        plt.setp(ranks.bars_, facecolor=color)
        below.set_title(f"{name}: calibration, bin 10", color=color)
        below.set(ylim=(0, 2.2), xlabel="rank among draws (calibrated: flat)")
        below.get_legend().remove()
    for (name, drawn), style in zip(draws.items(), ("-", "-", ":"), strict=True):
        loss = crps(observed, drawn).mean((0, 2))
        score.plot(bins, loss, style, color=COLORS[name], lw=2.5, label=name)
    score.set(title="CRPS: lower is better", xlabel="bins from now", ylabel="mean CRPS")
    score.legend(loc="lower right")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center",
                  ncols=4, frameon=False)  # fmt: skip
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=130)
    print(f"\nThe figure is in {OUT}")


if __name__ == "__main__":
    main()
