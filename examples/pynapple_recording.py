"""Forecast spikes that lie in an NWB file, read through pynapple.

Question: I have spike times, a stimulus on a clock of its own and epochs in an NWB
file. How do I get from there to a forecast, with my names and my seconds?

The script writes such a file of simulated neurons (a published one from DANDI is read
by the same lines), reads it with pynapple, counts the spikes of every epoch in bins,
brings the stimulus to the bins, fits on all epochs but the last one and forecasts a
second of that one, again and again.

The figure: above, a second of spike counts and what followed, a row a neuron. Below,
the whole population's count in grey and black, and what was forecast of it at the
dashed line: the median and where 50 and 90 % of the draws lie. The sum over neurons
needs draws of all of them together; forecasts of one neuron at a time do not give it.

The table: mean CRPS of each neuron and of the population's count, lower is better. The
simulator is close to a Poisson GLM, a strong opponent here. Climatology knows only how
often each neuron spikes.

What it cannot do: make up for spikes that were not recorded. A bin without spikes
counts as silence, so give epochs in which the recording was good.

Needs pynapple and pynwb: pip install pynapple pynwb
"""

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from afm_sklearn import (
    AFMForecaster,
    Climatology,
    PoissonGLM,
    SlidingWindow,
    crps,
    design_matrix,
)
from afm_sklearn.datasets import make_spiking_population
from afm_sklearn.exchange import from_pynapple, to_frame

BIN, N_EPOCHS, N_BINS, N_NEURONS, PAUSE = 0.05, 5, 600, 12, 7.0  # seconds and numbers
HORIZON, STRIDE, N_SAMPLES = 20, 10, 200
OUT = Path("demo_output") / "pynapple_recording.png"


def main():
    try:
        import pynapple as nap
        import pynwb
    except ImportError as error:
        sys.exit(
            f"{error}. This example writes and reads an NWB file, which needs pynapple "
            "and pynwb: pip install pynapple pynwb"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "session.nwb"
        write(path, pynwb)
        data = nap.load_file(str(path))
        recording = from_pynapple(
            data["units"],
            bin_size=BIN,
            features=data["stimulus"],
            epochs=data["epochs"],
        )
    print(recording.activity.head(3), "\n")

    X, y = design_matrix(*recording[:3]), recording.activity
    windows = SlidingWindow(5, run_column="run").fit_transform(X)
    train = recording.runs < N_EPOCHS - 1
    last = np.flatnonzero(~train)
    origins = last[HORIZON:-HORIZON:STRIDE]
    steps = origins[:, None] + np.arange(HORIZON)
    observed, shown = y.to_numpy()[steps], len(origins) // 2
    print(f"{'CRPS over a second':20}{'neurons':>9}{'population':>12}")
    for name, model in {
        "AFM": AFMForecaster(family="counts", random_state=0),
        "Poisson GLM": PoissonGLM(),
        "climatology": Climatology(),
    }.items():
        model.fit(windows[train], y[train])
        draws = model.sample_trajectories(
            windows[origins],
            HORIZON,
            stimulus=recording.stimulus.to_numpy()[steps],
            n_samples=N_SAMPLES,
            random_state=0,
        )
        single = crps(observed, draws).mean()
        totals = observed.sum(2, keepdims=True), draws.sum(3, keepdims=True)
        print(f"{name:20}{single:9.4f}{crps(*totals).mean():12.4f}", flush=True)
        if name == "AFM":
            seconds = BIN * np.arange(1, HORIZON + 1)
            frame = to_frame(draws[shown], channels=y.columns, times=seconds)
    draw(recording, origins[shown], frame)


def write(path, pynwb):
    """Write spike times, a stimulus and the epochs in which they were recorded."""
    data = make_spiking_population(
        N_BINS,
        N_NEURONS,
        N_EPOCHS,
        mean_count=0.6,
        refractoriness=0.5,
        random_state=0,
    )
    rng = np.random.default_rng(0)
    length = N_BINS * BIN
    starts = data.runs * (length + PAUSE) + np.tile(BIN * np.arange(N_BINS), N_EPOCHS)
    nwb = pynwb.NWBFile(
        session_description="simulated neurons",
        identifier="simulated",
        session_start_time=datetime.now(UTC),
    )
    for counts in data.activity.T.astype(int):
        within = rng.uniform(0, BIN, counts.sum())
        nwb.add_unit(spike_times=np.sort(np.repeat(starts, counts) + within))
    for epoch in range(N_EPOCHS):
        begin = epoch * (length + PAUSE)
        nwb.add_epoch(start_time=begin, stop_time=begin + length)
    middle = starts + BIN / 2
    nwb.add_acquisition(
        pynwb.TimeSeries(
            name="stimulus", data=data.stimulus, unit="a.u.", timestamps=middle
        )
    )
    with pynwb.NWBHDF5IO(path, "w") as file:
        file.write(nwb)


def draw(recording, origin, frame):
    import matplotlib.pyplot as plt

    shown = recording.activity[origin - HORIZON : origin + HORIZON]
    start = recording.times[origin] - BIN / 2
    seconds = np.asarray(shown.index) - start
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(8, 6), sharex=True, layout="constrained"
    )
    image = above.imshow(
        shown.T, aspect="auto", cmap="Greys", interpolation="nearest",
        extent=(seconds[0] - BIN / 2, seconds[-1] + BIN / 2, N_NEURONS - 0.5, -0.5),
    )  # fmt: skip
    figure.colorbar(image, ax=above, label="spikes in a bin")
    above.set_ylabel("neuron")
    above.set_title("What was recorded", loc="left")

    total = frame.sum(axis=1).unstack("lead_time")
    centres = np.asarray(total.columns) - BIN / 2
    for level, alpha in ((0.9, 0.2), (0.5, 0.35)):
        edges = total.quantile([(1 - level) / 2, (1 + level) / 2])
        below.fill_between(
            centres, *edges.to_numpy(), color="C0", alpha=alpha, lw=0,
            label=f"{level:.0%} of the draws",
        )  # fmt: skip
    below.plot(centres, total.median(), color="C0", label="median of the draws")
    counts = shown.sum(axis=1).to_numpy()
    below.plot(seconds[:HORIZON], counts[:HORIZON], color="0.6", label="known")
    below.plot(seconds[HORIZON:], counts[HORIZON:], "k.-", label="what followed")
    below.set_ylabel("spikes of all neurons")
    below.set_xlabel(f"seconds after {start:.2f} s of the recording")
    below.set_title("What was forecast of the population", loc="left")
    below.legend(loc="upper left", ncols=2, fontsize="small", frameon=False)
    below.set_ylim(0, 1.5 * max(counts.max(), total.quantile(0.95).max()))
    for axes in (above, below):
        axes.axvline(0, color="C3", ls="--", lw=1)
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=120)
    print(f"wrote {OUT}")


if __name__ == "__main__":
    main()
