"""Where is the hand, given the neurons alone? Decode a simulated session of reaching.

Question: how well do the spikes of a population tell where a hand is, bin by bin, and
does the decoder know how wrong it may be? A session is decoded from its start without
the movement ever being seen, and compared with a window of neurons put through a ridge
regression.

How to read the figure: the black line is the hand, which was never shown. The band is
to hold it 90 % of the time; it is wide where few neurons fire. Dots are the ridge
regression, which has one width for all bins.

What it cannot do: draws of different bins are independent, so the band says nothing of
how smooth a path is. It also says nothing of a hand that moves as it never did in
training, or of neurons whose tuning has drifted since.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeCV

from afm_sklearn import ResidualForecaster, SlidingWindow, coverage, crps, design_matrix
from afm_sklearn.applications.stacked_decoder import StackedDecoder

N_TRAIN, N_TEST, N_NEURONS, BIN = 3000, 600, 30, 0.05  # seconds


def simulate(rng):
    """A hand that reaches to and fro, and neurons with bumps of tuning in its plane."""
    n = N_TRAIN + N_TEST
    hand, speed, target = np.zeros((n, 2)), np.zeros(2), np.zeros(2)
    for t in range(1, n):
        if rng.random() < 0.04:
            target = rng.uniform(-1, 1, 2)
        speed = 0.8 * speed + 0.05 * (target - hand[t - 1]) + 0.01 * rng.normal(size=2)
        hand[t] = hand[t - 1] + speed
    centres, width = rng.uniform(-1.2, 1.2, (N_NEURONS, 2)), 0.45
    square = ((hand[:, None] - centres) ** 2).sum(-1)
    return hand, rng.poisson(0.05 + 1.2 * np.exp(-0.5 * square / width**2))


def main():
    hand, spikes = simulate(np.random.default_rng(0))
    X = design_matrix(hand, spikes)
    train, test = slice(0, N_TRAIN), slice(N_TRAIN, None)
    decoder = StackedDecoder(random_state=0).fit(X[train], hand[train])
    draws = decoder.decode(spikes[test], n_samples=200, random_state=0)

    windows = np.asarray(SlidingWindow(10).fit_transform(spikes.astype(float)))
    ridge = ResidualForecaster(RidgeCV(np.logspace(-1, 5, 13)), autoregressive=False)
    ridge.fit(windows[train], hand[train])
    guess = ridge.sample(windows[test], 200, random_state=0)

    for name, made in (("decoder", draws.transpose(1, 0, 2)), ("ridge", guess)):
        error = np.median(np.abs(np.median(made, 1) - hand[test]))
        print(
            f"{name:8} CRPS {crps(hand[test], made).mean():.3f}, median error "
            f"{error:.3f}, 90 % intervals cover {coverage(hand[test], made).mean():.2f}"
        )

    shown = slice(100, 300)
    seconds = BIN * np.arange(N_TEST)[shown]
    low, high = np.quantile(draws[:, shown], [0.05, 0.95], axis=0)
    figure, axes = plt.subplots(3, 1, figsize=(9, 7), sharex=True, layout="tight")
    order = np.argsort(spikes[train].T @ hand[train, 0] / spikes[train].sum(0))
    axes[0].imshow(
        spikes[test][shown][:, order].T,
        aspect="auto",
        cmap="Greys",
        extent=(seconds[0], seconds[-1], N_NEURONS, 0),
    )
    axes[0].set(ylabel="neuron, by its x", title="spikes: all the decoder sees")
    for j, (ax, side) in enumerate(zip(axes[1:], ("x", "y"), strict=True)):
        ax.fill_between(
            seconds, low[:, j], high[:, j], alpha=0.35, lw=0, label="decoded, 90 %"
        )
        ax.plot(
            seconds,
            ridge.predict(windows[test][shown])[:, j],
            ".",
            ms=3,
            color="C1",
            label="ridge",
        )
        ax.plot(seconds, hand[test][shown, j], color="k", lw=1.2, label="hand")
        ax.set(ylabel=f"hand, {side}")
    axes[1].legend(ncols=3, loc="lower left", frameon=False)
    axes[2].set(xlabel="seconds")
    path = Path("demo_output/decoding.png")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=130)
    print(f"figure: {path}")


if __name__ == "__main__":
    main()
