"""What would another stimulus have done?

Question: this is what the population did while the stimulus went on as it was. What
would it have done, from the same moment, had the stimulus jumped to the other side?

A trajectory is drawn for any stimulus that is handed over, so that the answer is one
more call with another array. Here the neurons are tuned to a position on a circle, the
forecaster has seen 1500 bins of them, and the simulator tells what is true of both
stimuli.

How to read the figure: above, the expected spikes of all neurons, sorted by the
position that they prefer, in each bin to come: the forecast in the first row, the true
law of the simulator below. The red line is the stimulus. Below, the neuron that gains
most: the bands hold 90 % of the draws under each of the stimuli, black is the mean of
the true law. Had the stimulus jumped, this neuron would have fired; where bands
overlap, a single trial may not tell.

What it cannot do: see behind a correlation. The forecast says what followed such
stimuli in training, which is what the stimulus does only if nothing else drove both:
here the stimulus moves at random; an animal that chooses what it looks at is another
matter. And a stimulus must be like those of training: see the example on novelty.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from afm_sklearn import AFMForecaster, design_matrix
from afm_sklearn.datasets import make_spiking_population

N_TRAIN, N_NEURONS, HORIZON, N_DRAWS = 1500, 20, 12, 1000
OUT = Path("demo_output") / "what_if.png"


def main():
    data = make_spiking_population(
        N_TRAIN + 200, N_NEURONS, mean_count=0.8, refractoriness=0.3, random_state=0
    )
    y, stimulus = data.activity, data.stimulus  # cosine, sine, speed
    X = design_matrix(y, stimulus)
    model = AFMForecaster(window_length=4, random_state=0)
    model.fit(X[:N_TRAIN], y[:N_TRAIN])

    origin = N_TRAIN + 100
    shown = stimulus[origin : origin + HORIZON]
    stimuli = {
        "as it was shown": shown,
        "on the other side": shown * [-1, -1, 1],  # half a turn away, same speed
    }
    window = model.make_windows(X)[origin : origin + 1]
    forecast, truth = {}, {}
    for name, instead in stimuli.items():
        for answers, law in ((forecast, model), (truth, data.oracle)):
            answers[name] = law.sample_trajectories(
                window, HORIZON, stimulus=instead[None], n_samples=N_DRAWS,
                random_state=0,
            )[0]  # fmt: skip
        expected, exact = forecast[name].mean(0), truth[name].mean(0)
        print(
            f"{name:17}: mean spikes in a bin {expected.mean():.2f}, of the true law "
            f"{exact.mean():.2f}; correlation over neurons and bins "
            f"{np.corrcoef(expected.ravel(), exact.ravel())[0, 1]:.2f}"
        )
    draw(forecast, truth, stimuli)


def draw(forecast, truth, stimuli):
    figure, axes = plt.subplot_mosaic(
        [[0, 1], [2, 3], ["neuron", "neuron"]],
        figsize=(9, 9),
        height_ratios=(1, 1, 1.2),
        layout="constrained",
    )
    means = [a[name].mean(0) for a in (forecast, truth) for name in stimuli]
    titles = [f"{who}: {name}" for who in ("forecast", "true law") for name in stimuli]
    bins = np.arange(1, HORIZON + 1)
    for k, (mean, title) in enumerate(zip(means, titles, strict=True)):
        image = axes[k].imshow(
            mean.T, aspect="auto", origin="lower", cmap="Greys", vmin=0,
            vmax=max(m.max() for m in means), interpolation="nearest",
            extent=(0.5, HORIZON + 0.5, 0, 360),
        )  # fmt: skip
        cosine, sine, _ = list(stimuli.values())[k % 2].T
        axes[k].plot(bins, np.degrees(np.arctan2(sine, cosine)) % 360, "C3.-")
        axes[k].set_title(title, loc="left")
        axes[k].set_yticks((0, 90, 180, 270, 360))
    for k in (0, 2):
        axes[k].set_ylabel("preferred position, degrees")
    figure.colorbar(image, ax=[axes[k] for k in range(4)], label="spikes in a bin")

    neuron = int((means[1] - means[0]).sum(0).argmax())
    ax = axes["neuron"]
    for name, color in zip(stimuli, ("C0", "C1"), strict=True):
        one = forecast[name][:, :, neuron]
        low, high = np.quantile(one, (0.05, 0.95), axis=0)
        ax.fill_between(bins, low, high, step="mid", color=color, alpha=0.25, lw=0)
        ax.plot(bins, one.mean(0), color=color, label=f"forecast, {name}")
        ax.plot(bins, truth[name][:, :, neuron].mean(0), "k:")
    ax.plot([], [], "k:", label="true law")
    ax.set(xlabel="bins from now", ylabel="spikes in a bin", xticks=bins[::2])
    ax.set_title(f"neuron {neuron}: mean, and the band of 90 %", loc="left")
    ax.set_ylim(0, 1.35 * ax.get_ylim()[1])  # room for the legend
    ax.legend(frameon=False, ncols=3, loc="upper left")
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=120)
    print(f"wrote {OUT}")


if __name__ == "__main__":
    main()
