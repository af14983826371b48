"""What will these neurons do next, and how sure can one be of it?

Question: thirty simulated neurons follow a stimulus that moves around them. What will
they do in the next thirty bins, and how good is a forecast of it beside ridge, and
beside the true law, the best that is possible?

`AFMForecaster`, as it comes, and a ridge regression with Gaussian errors are fitted on
3000 bins. From 197 moments of the next 2000 bins each draws a hundred futures, and so
does the law of the simulator. All are told where the stimulus will go.

How to read the figure: in the first two rows, a moment from which the stimulus goes
once around, and three neurons that it passes. Black is what happened. Half of the draws
lie in the dark band, nine of ten in the light one, nine of ten of the true law between
the dotted lines. Bands of AFM follow them, widen where a neuron may fire and end at
zero; those of ridge are as wide when it is silent, and hold negative counts. In the
last row, the ranks of what happened among the draws, flat where a forecast is honest
(grey is chance), and CRPS by lead time, where lower is better.

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
from afm_sklearn.plotting import ForecastDisplay, PITDisplay, ScoreByHorizonDisplay

N_TRAIN, N_TEST, HORIZON, LENGTH, LEAD = 3000, 2000, 30, 10, 10
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
    print(f"Fitting {y.shape[1]} neurons on {N_TRAIN} bins: half a minute.", flush=True)
    for model in models.values():
        model.fit(X[:N_TRAIN], y[:N_TRAIN])
    models["true law"] = data.oracle

    origins = np.arange(N_TRAIN, N_TRAIN + N_TEST - HORIZON, 10)
    steps = origins[:, None] + np.arange(HORIZON)
    angle = np.unwrap(np.arctan2(data.stimulus[:, 1], data.stimulus[:, 0]))
    travel = np.abs(angle[steps[:, -1]] - angle[steps[:, 0]])
    row = np.abs(travel - 2 * np.pi).argmin()  # once around
    windows, future = afm.make_windows(X)[origins], data.stimulus[steps]
    print(f"\nDrawing futures of {HORIZON} bins: a quarter of a minute.", flush=True)
    draws, fans = {}, {}
    for name, model in models.items():
        for answers, rows, n in ((draws, slice(None), 100), (fans, [row], 2000)):
            answers[name] = model.sample_trajectories(
                windows[rows], HORIZON, n_samples=n, stimulus=future[rows],
                random_state=0,
            )  # fmt: skip
    print_table(y[steps], draws)

    tuning = future[row, :, :2] @ data.oracle.law.stimulus_weights[:, :2].T
    shown = {passed: tuning[passed - 1].argmax() for passed in (8, 16, 24)}
    before = y[origins[row] - LENGTH : origins[row]]
    draw(y[steps], draws, fans, row, shown, before)


def print_table(observed, draws):
    """Print scores, and how far AFM is on the way from ridge to the true law."""
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
    print(
        "Lower is better, and the true law is the bound: AFM shuts so much of the gap."
    )


def draw(observed, draws, fans, row, shown, before):
    figure, axes = plt.subplots(3, 3, figsize=(9, 8.4), layout="constrained")
    for line, name in zip(axes, ("AFM", "ridge"), strict=False):
        for ax, (passed, neuron) in zip(line, shown.items(), strict=True):
            fan = ForecastDisplay.from_predictions(
                observed[[row]], fans[name], channel=neuron, unit="bins",
                history=before[:, neuron], ax=ax, n_paths=0,
            )  # fmt: skip
            for artist in (*fan.bands_, fan.median_):
                artist.set_color(COLORS[name])
            fan.observed_.set(linewidth=0.5, markersize=3)
            law = np.quantile(fans["true law"][0, :, :, neuron], (0.05, 0.95), axis=0)
            ax.plot(np.arange(HORIZON) + 1, law.T, "k:", label="true law, 90%")
            ax.set(ylabel="", ylim=(-3.5, 10.5), title=f"{name}, neuron {neuron}")
            ax.plot(passed, 10, "v", color="0.3", label="the stimulus passes")
            ax.get_legend().remove()
    plt.setp(axes[:2, 0], ylabel="spikes in a bin")
    for ax, name in zip(axes[2], ("AFM", "ridge"), strict=False):
        ranks = PITDisplay.from_predictions(
            observed, draws[name], lead_time=LEAD, ax=ax, name=f"{name}, bin {LEAD}"
        )
        plt.setp(ranks.bars_, facecolor=COLORS[name])
        ax.set(ylim=(0, 2.4), xlabel="rank among draws")
        ax.get_legend().remove()
    score = ScoreByHorizonDisplay.from_predictions(
        observed, draws, unit="bins", ax=axes[2, 2], name="CRPS"
    )
    for artists, name in zip(score.lines_, draws, strict=True):
        plt.setp(artists.get_children(), color=COLORS[name])
        artists[0].set_markersize(0)
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=110)
    print(f"\nThe figure is in {OUT}")


if __name__ == "__main__":
    main()
