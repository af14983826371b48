"""Forecast a population while it is being recorded, before each bin ends.

Question: what will these neurons do in half a second, asked again after every bin?

A stream keeps the few rows that a window reaches back over and draws what
`sample_trajectories` would draw. Here it forecasts five bins of 100 ms from each bin of
a simulated spiking population that follows a moving stimulus.

The figure: above, what one neuron fired, with the band that was forecast for each bin
half a second before. Nine of ten counts should lie in it, or more, as counts are whole
numbers. Below, how long observing and forecasting took in each bin: all that lies under
the line is in time for a closed loop. That depends on the machine, and on what else it
has to do.

What it cannot do: know the stimulus of the bins to come. Here it is given, as in an
experiment whose stimulus is scheduled; NaN stands for one that is not known.
"""

import time
from pathlib import Path

import numpy as np

from afm_sklearn import AFMForecaster, design_matrix
from afm_sklearn.applications.stream import ForecastStream
from afm_sklearn.datasets import make_spiking_population

BIN, HORIZON, N_TRAIN, N_LIVE = 0.1, 5, 1500, 250
OUT = Path("demo_output") / "streaming.png"


def main():
    n_steps = N_TRAIN + N_LIVE + HORIZON
    data = make_spiking_population(n_steps, 20, mean_count=1.0, random_state=0)
    activity, stimulus = data.activity, data.stimulus
    X = design_matrix(activity, stimulus)
    model = AFMForecaster(window_length=5, random_state=0)
    model.fit(X[:N_TRAIN], activity[:N_TRAIN])
    stream = ForecastStream(model, activity[:N_TRAIN], stimulus=stimulus[:N_TRAIN])
    bands, spent = [], []
    for t in range(N_TRAIN, N_TRAIN + N_LIVE):
        start = time.perf_counter()
        paths = stream.forecast(
            HORIZON, stimulus=stimulus[t : t + HORIZON], random_state=t
        )
        stream.observe(activity[t], stimulus[t])
        spent.append(time.perf_counter() - start)
        bands.append(np.quantile(paths[:, -1], (0.05, 0.5, 0.95), axis=0))
    bands = np.array(bands)  # (n, 3, d)
    truth = activity[N_TRAIN + HORIZON - 1 :][:N_LIVE]
    covered = ((truth >= bands[:, 0]) & (truth <= bands[:, 2])).mean()
    p50, p99 = 1e3 * np.quantile(spent, (0.5, 0.99))
    ahead = f"{BIN * HORIZON:g} s before"
    print(f"{covered:.0%} of counts lie in their 90 % band, forecast {ahead}")
    print(
        f"observe and forecast {HORIZON} bins: {p50:.1f} ms (p50), {p99:.1f} ms (p99)"
    )
    print(f"normalized latency: {np.mean(spent) / BIN:.2f}")
    neuron = int(truth.mean(0).argmax())
    draw(truth[:, neuron], bands[:, :, neuron], 1e3 * np.array(spent))


def draw(truth, band, spent):
    import matplotlib.pyplot as plt

    seconds = BIN * np.arange(len(truth))
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(8, 4.8), sharex=True, height_ratios=(2, 1), layout="constrained"
    )
    above.fill_between(
        seconds, band[:, 0], band[:, 2], step="mid", color="C0", alpha=0.25, lw=0
    )
    above.step(seconds, band[:, 1], where="mid", color="C0", lw=1)
    inside = (truth >= band[:, 0]) & (truth <= band[:, 2])
    above.plot(seconds[inside], truth[inside], "k.", ms=4)
    above.plot(seconds[~inside], truth[~inside], "C3.", ms=6)
    above.set_ylabel("spikes in a bin")
    above.set_title(
        f"One neuron, forecast {BIN * HORIZON:g} s before: "
        f"the 90 % band holds {inside.mean():.0%} "
        "(red: outside)",
        loc="left",
        fontsize=10,
    )
    below.plot(seconds, spent, color="0.3", lw=0.8)
    below.axhline(1e3 * BIN, color="C3", ls="--", lw=1)
    below.text(
        seconds[-1], 0.94e3 * BIN, "length of a bin", c="C3", ha="right", va="top"
    )
    below.set_ylim(0, max(1.1e3 * BIN, 1.05 * spent.max()))
    below.set_ylabel("compute, ms")
    below.set_xlabel("time, s")
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=120)
    print(f"wrote {OUT}")


if __name__ == "__main__":
    main()
