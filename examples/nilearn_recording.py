"""Forecast parcels of fMRI, from what nilearn's maskers return.

Question: I have one array of (scans, parcels) and one table of confounds for each run,
as from ``NiftiLabelsMasker.fit_transform`` and ``load_confounds``. How do I clean them,
keep the runs apart and forecast?

Four simulated runs of different lengths hold parcels driven by a stimulus, with head
motion and slow drifts on top. `stack_runs` puts the runs below one another and labels
their rows. Those labels are nilearn's `runs` argument of ``signal.clean``, too: motion
and drift are regressed out of each run by itself, by nilearn where it is installed and
by least squares where it is not. Three runs are fitted on, the fourth is forecast.

The figure: above, a parcel of the last run before and after cleaning, and the activity
without motion that the simulator knows. Below left, its forecast over eight scans, with
50 and 90 % intervals. Below right, the error of forecasts (CRPS, lower is better) by
lead time, beside climatology, which knows only how the parcels are distributed.

What it cannot do: clean as time goes on. The regression sees the whole run, later scans
included, so that these forecasts tell about held-out runs, not about forecasts made in
the scanner. Split between runs, never inside one that was cleaned as a whole.
"""

from pathlib import Path

import numpy as np
from scipy.signal import lfilter

from afm_sklearn import (
    AFMForecaster,
    Climatology,
    coverage,
    crps,
    design_matrix,
    forecast,
    stack_runs,
)
from afm_sklearn.datasets import make_linear_var

LENGTHS, N_PARCELS, TR = (300, 260, 320, 280), 20, 2.0
HORIZON, N_SAMPLES, STRIDE, PARCEL = 8, 200, 8, 3
CUT = LENGTHS[-1] // 2  # the forecast shown starts in the middle of the last run
OUT = Path("demo_output") / "nilearn_recording.png"


def main():
    signals, confounds, stimuli, truth = record()
    y, motion, runs = stack_runs(signals, confounds)
    y = clean(y, runs=runs, confounds=motion)
    stimulus = np.concatenate(stimuli)
    X = design_matrix(y, stimulus, runs)

    test = np.flatnonzero(runs == len(LENGTHS) - 1)
    train = np.flatnonzero(runs != len(LENGTHS) - 1)
    origins = np.arange(test[0] + 20, test[-1] - HORIZON, STRIDE)
    errors = {}
    for name, model in {
        "AFM": AFMForecaster(window_length=5, run_column=-1, random_state=0),
        "climatology": Climatology(window_length=5, run_column=-1),
    }.items():
        model.fit(X[train], y[train])
        draws = np.stack([ahead(model, y, stimulus, runs, row) for row in origins])
        observed = np.stack([y[row : row + HORIZON] for row in origins])
        errors[name] = crps(observed, draws).mean(axis=(0, 2))
        covered = coverage(observed, draws, level=0.9).mean()
        print(f"{name:12} CRPS of scan 1: {errors[name][0]:.3f}", end=", ")
        print(f"of scan {HORIZON}: {errors[name][-1]:.3f}", end=", ")
        print(f"90 % intervals hold {covered:.1%}")
        if name == "AFM":
            fan = ahead(model, y, stimulus, runs, test[0] + CUT)[:, :, PARCEL]
    draw(signals[-1], y[test], truth[-1], fan, errors)


def record():
    """Simulate lists of runs: parcels, confounds, stimuli, parcels without motion."""
    rng = np.random.default_rng(0)
    data = make_linear_var(
        max(LENGTHS), N_PARCELS, 2, n_runs=len(LENGTHS), random_state=0
    )
    loads = rng.normal(size=(7, N_PARCELS)) * 0.5
    signals, confounds, stimuli, truth = [], [], [], []
    for run, length in enumerate(LENGTHS):
        rows = np.flatnonzero(data.runs == run)[:length]
        motion = lfilter([1], [1, -0.8], rng.normal(size=(length, 6)), axis=0)
        drift = np.linspace(-1, 1, length)[:, None] * 2
        truth.append(data.activity[rows])
        stimuli.append(data.stimulus[rows])
        confounds.append(motion)
        signals.append(truth[-1] + np.hstack([motion, drift]) @ loads + 100)
    return signals, confounds, stimuli, truth


def clean(signals, *, runs, confounds):
    """Take drift and confounds out of each run, and scale it to unit variance."""
    try:
        from nilearn import signal
    except ImportError:
        print("nilearn is not installed: confounds are taken out by least squares")
        return regress_out(signals, runs, confounds)
    return signal.clean(
        signals,
        runs=runs,
        confounds=confounds,
        detrend=True,
        standardize="zscore_sample",
        standardize_confounds=True,
    )


def regress_out(signals, runs, confounds):
    cleaned = np.empty_like(signals)
    for run in np.unique(runs):
        rows = runs == run
        n = rows.sum()
        trend = np.stack([np.ones(n), np.linspace(-1, 1, n)], axis=1)
        regressors = np.hstack([trend, confounds[rows]])
        weights, *_ = np.linalg.lstsq(regressors, signals[rows], rcond=None)
        rest = signals[rows] - regressors @ weights
        cleaned[rows] = rest / rest.std(axis=0, ddof=1)
    return cleaned


def ahead(model, y, stimulus, runs, origin):
    """Draw the scans from a row on, from what was known before it."""
    return forecast(
        model,
        y[:origin],
        HORIZON,
        stimulus=stimulus[:origin],
        future_stimulus=stimulus[origin : origin + HORIZON],
        runs=runs[:origin],
        n_samples=N_SAMPLES,
        random_state=0,
    )


def draw(raw, cleaned, truth, fan, errors):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplot_mosaic(
        [["signal", "signal"], ["fan", "errors"]],
        figsize=(9, 6.5),
        layout="constrained",
    )
    seconds = TR * np.arange(len(raw))
    for values, style, label in (
        (raw, {"color": "0.7"}, "as recorded, with motion and drift"),
        (truth, {"color": "k", "lw": 1}, "without them, known to the simulator"),
        (cleaned, {"color": "C0", "lw": 1}, "cleaned"),
    ):
        series = values[:, PARCEL]
        scale = truth[:, PARCEL].std() if values is raw else series.std()
        shown = (series - series.mean()) / scale
        axes["signal"].plot(seconds, shown, label=label, **style)
    axes["signal"].set_title(f"Parcel {PARCEL} of the held-out run", loc="left")
    axes["signal"].set_xlabel("seconds")
    axes["signal"].set_ylabel("standard deviations")
    axes["signal"].legend(ncols=3, fontsize="small", frameon=False, loc="upper left")
    low, high = axes["signal"].get_ylim()
    axes["signal"].set_ylim(low, high + 0.2 * (high - low))

    lead = TR * np.arange(1, HORIZON + 1)
    for level, alpha in ((0.9, 0.2), (0.5, 0.35)):
        edges = np.quantile(fan, [(1 - level) / 2, (1 + level) / 2], axis=0)
        axes["fan"].fill_between(
            lead, *edges, color="C0", alpha=alpha, lw=0, label=f"{level:.0%} interval"
        )
    axes["fan"].plot(lead, np.median(fan, axis=0), color="C0", label="median")
    past = cleaned[CUT - 10 : CUT, PARCEL]
    axes["fan"].plot(TR * np.arange(-9, 1), past, color="0.5", label="known")
    followed = cleaned[CUT : CUT + HORIZON, PARCEL]
    axes["fan"].plot(lead, followed, "k.-", label="what followed")
    axes["fan"].axvline(TR / 2, color="C3", ls="--", lw=1)
    axes["fan"].set_title("Its forecast", loc="left")
    axes["fan"].set_xlabel("seconds after the last scan known")
    low, high = axes["fan"].get_ylim()
    axes["fan"].set_ylim(low, high + 0.4 * (high - low))
    axes["fan"].legend(fontsize="small", frameon=False, loc="upper left", ncols=2)

    for name, error in errors.items():
        axes["errors"].plot(lead, error, ".-", label=name)
    axes["errors"].set_ylim(0)
    axes["errors"].set_title("CRPS by lead time, all parcels", loc="left")
    axes["errors"].set_xlabel("lead time (s)")
    axes["errors"].legend(frameon=False)
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=120)
    print(f"wrote {OUT}")


if __name__ == "__main__":
    main()
