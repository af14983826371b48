"""Has the model ever seen anything like this?

Question: a forecast is asked for under a stimulus that was never shown, or for a
recording whose level has moved. Will I be told, and are the intervals wider?

Neurons are tuned to a position on a circle. The forecaster is fitted on the bins in
which the stimulus was on one half of it, and then asked about all positions. `novelty`
gives each row a p-value: small is unlike training. A stimulus beyond its range gives an
`OutOfDistributionWarning`, and a law that is wider by as much as forecasts moved, in
training, between stimuli so far apart. At the end one unit picks up noise, twenty
spikes in each bin.

How to read the figure: above, the position in each bin of the test; grey is the half
that was never shown, red the time of the noise. In the middle the
p-values, on a logarithmic axis; below the dashed line lies 1 % of rows like those of
training. Below, the width of 90 % intervals, the mean over neurons and ten bins.

What it cannot do: know the tuning of neurons where it was never measured. Wider
intervals say that less is known, not what is right: on the half never shown forecasts
are farther behind the true law in CRPS, which the script prints. And `novelty` looks at
what a forecast starts from; that forecasts fail is found by `surprise`.
"""

import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from afm_sklearn import (
    AFMForecaster,
    OutOfDistributionWarning,
    SlidingWindow,
    crps,
    design_matrix,
    novelty,
    pit,
)
from afm_sklearn.datasets import make_spiking_population

N_TRAIN, N_TEST, N_NEURONS = 3000, 500, 12
NOISY, UNIT, NOISE = 420, 3, 20  # from this bin of the test, this unit, these spikes
OUT = Path("demo_output") / "novelty.png"


def main():
    data = make_spiking_population(
        N_TRAIN + N_TEST, N_NEURONS, mean_count=1.0, random_state=0
    )
    y, stimulus = data.activity.copy(), data.stimulus  # cosine, sine, speed
    rng = np.random.default_rng(0)
    y[N_TRAIN + NOISY :, UNIT] += rng.poisson(NOISE, N_TEST - NOISY)
    windows = np.asarray(SlidingWindow(2).fit_transform(design_matrix(y, stimulus)))
    shown = stimulus[:, 0] > 0
    train = np.flatnonzero(shown[:N_TRAIN])
    model = AFMForecaster(max_epochs=20, random_state=0).fit(windows[train], y[train])

    test = slice(N_TRAIN, None)
    p = novelty(model, windows[test])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        draws = model.sample(windows[test], 200, random_state=0)
    for warning in caught:
        if issubclass(warning.category, OutOfDistributionWarning):
            print(f"OutOfDistributionWarning: {warning.message}")
    width = np.diff(np.quantile(draws, (0.05, 0.95), axis=1), axis=0)[0].mean(-1)
    # Ranks are drawn among equal counts, so that 90 % means 90 % for counts as well.
    ranks = pit(y[test], draws, random_state=0)
    held = (np.abs(ranks - 0.5) < 0.45).mean(-1)
    calm = np.arange(N_TEST) < NOISY
    truth = data.oracle.sample(windows[test], 200, random_state=0)
    loss, bound = (crps(y[test], a).mean(-1) for a in (draws, truth))
    for name, rows in {
        "the half that was shown": calm & shown[test],
        "the half never shown": calm & ~shown[test],
        f"unit {UNIT} noisy": ~calm,
    }.items():
        print(
            f"{name}, {rows.sum()} rows: p below .01 in {(p[rows] < 0.01).mean():.0%}, "
            f"width {width[rows].mean():.1f}, 90 % intervals hold "
            f"{held[rows].mean():.0%}"
        )
    for name, rows in {"shown": shown[test], "never shown": ~shown[test]}.items():
        ratio = loss[calm & rows].mean() / bound[calm & rows].mean()
        print(f"CRPS over that of the true law, half {name}: {ratio:.2f}")
    draw(stimulus[test], p, width)


def draw(stimulus, p, width):
    figure, (above, middle, below) = plt.subplots(
        3, 1, figsize=(9, 7), sharex=True, layout="constrained"
    )
    bins = np.arange(N_TEST)
    above.plot(bins, np.degrees(np.arctan2(stimulus[:, 1], stimulus[:, 0])), "k.", ms=3)
    above.set(ylabel="position, degrees", ylim=(-180, 180), yticks=(-180, -90, 0, 90))
    above.set_title("The stimulus; grey: positions never shown", loc="left")
    middle.semilogy(bins, p, ".", ms=4)
    middle.axhline(0.01, color="k", ls="--", lw=1)
    middle.set(ylabel="p-value")
    middle.set_title("Novelty: small is unlike training", loc="left")
    below.plot(bins[5:-4], np.convolve(width, np.full(10, 0.1), "valid"))
    below.set(xlabel="bin of the test", ylabel="spikes", ylim=(0, None))
    below.set_title(
        "Width of 90 % intervals, mean over neurons and ten bins", loc="left"
    )
    for ax in (above, middle, below):
        ax.fill_between(
            bins, 0, 1, where=stimulus[:, 0] <= 0, color="0.88", lw=0, step="mid",
            zorder=0, transform=ax.get_xaxis_transform(),
        )  # fmt: skip
        ax.axvspan(NOISY, N_TEST, color="C3", alpha=0.15, lw=0, zorder=0)
        ax.set_xlim(0, N_TEST)
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=120)
    print(f"wrote {OUT}")


if __name__ == "__main__":
    main()
