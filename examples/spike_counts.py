"""How many spikes come next? Forecast counts as counts.

Question: spikes are whole numbers, and most of them are zero. Does a forecaster of
continuous values not draw half spikes, and what is gained over a Poisson regression?

Whole numbers are recognised in fitting, and all draws are whole numbers, as the script
checks. Two populations are simulated. The first one *is* a Poisson regression of the
last bin, so that `PoissonGLM` has the right form and nothing better can be expected
than to be level with it. In the second one bins overlap, as where spikes are counted in
a window that slides: most of a count is carried over, which a Poisson law does not
know.

How to read the figure: on the left, CRPS by lead time, lower is better; the true law of
the simulator is the bound. On the right, how often a neuron has each count in the bin
ahead: what happened in black, and draws of the two forecasters. Draws fall on whole
numbers alone, with as many zeros as there are.

What it cannot do: find spikes that were not sorted, or say anything of times within a
bin. Counts above 100 are taken for real values unless ``family="counts"`` is given.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from afm_sklearn import AFMForecaster, PoissonGLM, crps, design_matrix
from afm_sklearn.datasets import make_overlapping_counts, make_spiking_population

N_TRAIN, N_TEST, N_NEURONS, HORIZON, STRIDE = 1500, 500, 10, 8, 2
OUT = Path("demo_output") / "spike_counts.png"
STYLE = {"AFM": "C0o-", "Poisson GLM": "C1s--", "true law": "k:"}


def main():
    n = N_TRAIN + N_TEST
    populations = {
        "a Poisson regression": make_spiking_population(
            n, N_NEURONS, mean_count=0.5, random_state=0
        ),
        "bins that overlap": make_overlapping_counts(n, N_NEURONS, random_state=0),
    }
    figure, axes = plt.subplots(2, 2, figsize=(9, 7), layout="constrained")
    for row, (name, data) in zip(axes, populations.items(), strict=True):
        observed, draws = judge(data)
        draw(name, observed, draws, *row)
    axes[0, 0].legend(frameon=False)
    axes[0, 1].legend(frameon=False)
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=120)
    print(f"wrote {OUT}")


def judge(data):
    """What followed each origin, and draws of it by each forecaster."""
    X, y = design_matrix(data.activity, data.stimulus), data.activity
    origins = np.arange(N_TRAIN, N_TRAIN + N_TEST - HORIZON, STRIDE)
    steps = origins[:, None] + np.arange(HORIZON)
    length = max(3, data.oracle.law.order)
    ours = AFMForecaster(window_length=length, random_state=0)
    theirs = PoissonGLM(window_length=length)
    models = {"AFM": ours, "Poisson GLM": theirs, "true law": data.oracle}
    draws = {}
    for name, model in models.items():
        if name != "true law":
            model.fit(X[:N_TRAIN], y[:N_TRAIN])
        windows = ours.make_windows(X)[origins]
        draws[name] = model.sample_trajectories(
            windows, HORIZON, stimulus=data.stimulus[steps], random_state=0
        )
    return y[steps], draws


def draw(name, observed, draws, left, right):
    print(f"\n{name}, {(observed == 0).mean():.0%} of the counts are zero")
    leads = np.arange(1, HORIZON + 1)
    neuron = int(observed.mean((0, 1)).argmax())
    counts = np.arange(observed[:, 0, neuron].max() + 2)
    for label, drawn in draws.items():
        loss = crps(observed, drawn).mean((0, 2))
        whole = bool((drawn == drawn.round()).all() and drawn.min() >= 0)
        print(
            f"{label:12} CRPS of the next bin {loss[0]:.3f}, of bin {HORIZON} "
            f"{loss[-1]:.3f}; zeros {(drawn == 0).mean():.0%}; "
            f"whole numbers: {'yes' if whole else 'no'}"
        )
        left.plot(leads, loss, STYLE[label], label=label)
    left.set(title=name, xlabel="lead time (bins)", ylabel="CRPS")
    for k, label in enumerate(("AFM", "Poisson GLM")):
        one = draws[label][:, :, 0, neuron].ravel()
        share = [(one == c).mean() for c in counts]
        right.bar(counts + 0.4 * k - 0.2, share, 0.36, color=f"C{k}", label=label)
    happened = [(observed[:, 0, neuron] == c).mean() for c in counts]
    right.plot(counts, happened, "kD", ms=4, label="what happened")
    right.set(
        title=f"neuron {neuron}, the next bin", xlabel="spikes", ylabel="share of bins"
    )


if __name__ == "__main__":
    main()
