"""The default forecaster beside simple opponents, on recordings of many labs.

    python benchmarks/trust.py --data FOLDER                 all nine recordings
    python benchmarks/trust.py --data FOLDER m1 eeg          some of them
    python benchmarks/trust.py --data FOLDER --opponents     every opponent too

One line a recording: AFM over the best of six opponents (ridge on the window and on
each channel's own past, with Gaussian and with bootstrapped residuals; random walk;
climatology) for CRPS and energy score one step ahead, energy score of 8-step
trajectories and CRPS at lead 8; coverage of the 90 % interval at lead 8; seconds of
the fit; what was kept. Values are scaled by the standard deviation in training. The
exit status is 1 if one of the first three ratios is above 1.005.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from own_past import OwnPastRidge
from scipy.signal import detrend
from sklearn.linear_model import RidgeCV

import afm_sklearn as afm

PENALTIES = np.logspace(-2, 6, 17)
HORIZON, N_SAMPLES, N_ROWS, N_ORIGINS = 8, 100, 600, 60
MEASURES = ("crps", "energy", "trajectory", "crps at 8")
LIMIT = 1.005


def scaled(values, n):
    spread = values[:n].std(0)
    return (values - values[:n].mean(0)) / np.where(spread > 0, spread, 1)


def load(name, folder):
    """Activity, stimulus, runs, number of training rows, steps in a window."""

    def file(stem):
        return np.load(folder / f"{stem}.npz")

    if name == "alice":
        f = file("alice_story_fmri")
        bold = detrend(f["bold"], axis=1)
        bold = (bold - bold.mean(1, keepdims=True)) / bold.std(1, keepdims=True)
        k, n, _ = bold.shape
        stimulus = f["stimulus"].reshape(k * n, -1)
        return bold.reshape(k * n, -1), stimulus, np.repeat(np.arange(k), n), 21 * n, 10
    if name == "zebrafish":
        activity = file("zebrafish_regions")["activity"].astype(float)
        return scaled(activity, 669), None, None, 669, 10
    if name == "hippocampus":
        f = file("hippocampus_linear_track")
        counts, position = f["counts"].astype(float), f["position"].astype(float)
        return counts, position, None, int(0.8 * len(counts)), 10
    if name == "m1":
        f = file("m1_reaching_rates")
        rates = f["rates"].astype(float)
        rates = rates[:, rates[:480].mean(0) > 1]
        return rates, f["cursor"].astype(float), None, 480, 3
    if name == "tectum":
        activity = file("zebrafish_tectum")["activity"].astype(float)
        n = int(0.8 * len(activity))
        return scaled(activity, n), None, None, n, 5
    if name == "ca1":
        f = file("ca1_events")
        events = f["events"].astype(float)
        events = events[:, events[:1900].sum(0) >= 20][:, :120]
        return events, f["position"].astype(float), None, 1900, 5
    if name == "worm":
        f = file("celegans_calcium")
        activity, behaviour = (f[k].astype(float) for k in ("activity", "behaviour"))
        n = int(0.8 * len(activity))
        return scaled(activity, n), scaled(behaviour, n), None, n, 8
    if name == "songbird":
        activity = file("songbird_hvc")["activity"].astype(float)
        return scaled(activity, 530), None, None, 530, 8
    eeg = file("eeg_8_channels")["eeg"].astype(float)
    return scaled(eeg, 11000), None, None, 11000, 10


NAMES = (
    "alice",
    "zebrafish",
    "hippocampus",
    "m1",
    "tectum",
    "ca1",
    "worm",
    "songbird",
    "eeg",
)


def opponents(d, length, n_channels):
    ridge, own = RidgeCV(PENALTIES), OwnPastRidge(d, length, n_channels)
    return {
        "ridge, Gaussian": afm.ResidualForecaster(ridge, "gaussian"),
        "ridge, bootstrap": afm.ResidualForecaster(ridge, "bootstrap"),
        "own past, Gaussian": afm.ResidualForecaster(own, "gaussian"),
        "own past, bootstrap": afm.ResidualForecaster(own, "bootstrap"),
        "random walk": afm.Persistence(),
        "climatology": afm.Climatology(),
    }


class Recording:
    """Windows, targets, and the rows that are judged."""

    def __init__(self, name, folder):
        activity, stimulus, runs, self.n, self.length = load(name, folder)
        self.activity = activity
        X = afm.design_matrix(activity, stimulus, runs)
        window = afm.SlidingWindow(self.length, run_column=None if runs is None else -1)
        self.windows = np.asarray(window.fit_transform(X))
        spread = activity[: self.n].std(0)
        self.scale = np.where(spread > 0, spread, 1)
        rows = np.arange(self.n, len(activity))
        self.rows = rows[:: max(1, len(rows) // N_ROWS)]
        label = np.zeros(len(activity)) if runs is None else runs
        origins = np.arange(self.n, len(activity) - HORIZON)
        origins = origins[label[origins] == label[origins + HORIZON - 1]]
        self.origins = origins[:: max(1, len(origins) // N_ORIGINS)]
        self.steps = self.origins[:, None] + np.arange(HORIZON)
        self.future = None
        if stimulus is not None:
            self.future = self.windows[self.steps, -1, activity.shape[1] :]

    def measure(self, model):
        start = time.perf_counter()
        model.fit(self.windows[: self.n], self.activity[: self.n])
        seconds = time.perf_counter() - start
        draws = model.sample(self.windows[self.rows], N_SAMPLES, random_state=0)
        paths = model.sample_trajectories(
            self.windows[self.origins],
            HORIZON,
            stimulus=self.future,
            n_samples=N_SAMPLES,
            random_state=0,
        )
        y, ahead = (self.activity[at] / self.scale for at in (self.rows, self.steps))
        draws, paths = draws / self.scale, paths / self.scale
        low, high = np.quantile(paths[:, :, -1], [0.05, 0.95], axis=1)
        return {
            "crps": afm.crps(y, draws).mean(),
            "energy": afm.energy_score(y, draws).mean(),
            "trajectory": afm.energy_score(ahead, paths).mean(),
            "crps at 8": afm.crps(ahead[:, -1], paths[:, :, -1]).mean(),
            "coverage": ((ahead[:, -1] >= low) & (ahead[:, -1] <= high)).mean(),
            "fit seconds": seconds,
            "kept": getattr(model, "base_", ""),
        }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--opponents", action="store_true")
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME")
    arguments = parser.parse_args()
    passed = True
    for name in arguments.names:
        recording = Recording(name, arguments.data)
        shape = recording.activity.shape[1], recording.length
        ours = recording.measure(afm.AFMForecaster(random_state=0))
        others = {
            label: recording.measure(model)
            for label, model in opponents(*shape, recording.windows.shape[2]).items()
        }
        if arguments.opponents:
            for label, values in {"AFM": ours, **others}.items():
                print(f"  {label:20}", *(f"{m} {values[m]:.4f} " for m in MEASURES))
        ratios = {}
        line = f"{name:12}"
        for measure in MEASURES:
            label = min(others, key=lambda k: others[k][measure])
            ratios[measure] = ours[measure] / others[label][measure]
            line += f"{measure} {ratios[measure]:.3f} ({label})  "
        line += f"coverage {ours['coverage']:.2f}  fit {ours['fit seconds']:.0f} s  "
        print(line + ours["kept"], flush=True)
        passed &= all(ratios[m] <= LIMIT for m in MEASURES[:3])
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
