"""The data sets of the benchmarks: windows of 10 steps, split in time or by subject.

Recordings are read from a folder that is not part of the package; its file names are
in the loaders. Nothing of the test rows enters the preprocessing of the others, but
for the fMRI, which is detrended and z-scored within each subject, as is customary.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import detrend

from afm_sklearn import SlidingWindow, datasets, design_matrix

LENGTH = SlidingWindow().length
SIMULATED = {
    "VAR 8": (datasets.make_linear_var, {"n_channels": 8}),
    "VAR 64": (datasets.make_linear_var, {"n_channels": 64}),
    "Lorenz": (datasets.make_lorenz, {}),
    "double wells": (datasets.make_double_well, {}),
    "spiking": (datasets.make_spiking_population, {}),
}
RECORDED = ("alice", "zebrafish", "hippocampus", "exchange")
NAMES = (*SIMULATED, *RECORDED)


@dataclass(frozen=True)
class Recording:
    """Windows X (n, length, c) and targets y (n, d), the test rows last.

    Scores are taken of ``y / scale``. `horizon` is the number of steps of the
    trajectories that are scored, `stride` the rows between their origins (by default
    as many as leave few enough). `oracle` is the true law of a simulated system.
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    runs: np.ndarray
    n_train: int
    horizon: int = 8
    stride: int | None = None
    scale: Any = 1.0
    oracle: Any = None

    @property
    def d(self):
        return self.y.shape[1]

    @property
    def train(self):
        return self.X[: self.n_train], self.y[: self.n_train]

    @property
    def test(self):
        return self.X[self.n_train :], self.y[self.n_train :]

    @property
    def test_runs(self):
        return self.runs[self.n_train :]

    @property
    def live(self):
        """Channels that ever changed in the training rows."""
        return self.y[: self.n_train].std(axis=0) > 0

    def economical(self, n_rows):
        """The same test rows after the last `n_rows` training rows alone."""
        first = max(0, self.n_train - n_rows)
        return replace(
            self,
            X=self.X[first:],
            y=self.y[first:],
            runs=self.runs[first:],
            n_train=self.n_train - first,
        )

    def cut(self, n_train, n_test):
        """Fewer rows of both kinds, for trying things out."""
        short = self.economical(n_train)
        stop = short.n_train + n_test
        return replace(
            short, X=short.X[:stop], y=short.y[:stop], runs=short.runs[:stop]
        )

    def origins(self, at_most):
        """Test rows that start trajectories within a run, evenly spaced; their stride.

        Counted from the first test row.
        """
        runs = self.test_runs
        starts = np.arange(len(runs) - self.horizon + 1)
        starts = starts[runs[starts] == runs[starts + self.horizon - 1]]
        stride = self.stride or -(-len(starts) // at_most)
        return starts[::stride], stride

    def ahead(self, origins):
        """Targets (n, horizon, d) and stimulus (n, horizon, s) or None."""
        X, y = self.test
        steps = origins[:, None] + np.arange(self.horizon)
        stimulus = X[steps, -1, self.d :]
        return y[steps], stimulus if stimulus.shape[2] else None


def load(name, folder, *, seed=0, n_train=4000, n_test=1500):
    """Load a data set; seed and sizes are those of a simulated system."""
    if name in SIMULATED:
        return simulate(name, seed, n_train, n_test)
    loader = {
        "alice": load_alice,
        "zebrafish": load_zebrafish,
        "hippocampus": load_hippocampus,
        "exchange": load_exchange,
    }[name]
    return loader(Path(folder))


def simulate(name, seed, n_train, n_test):
    make, parameters = SIMULATED[name]
    data = make(n_train + n_test, random_state=seed, **parameters)
    return Recording(
        name,
        windows(data.activity, data.stimulus),
        data.activity,
        np.zeros(n_train + n_test, int),
        n_train,
        oracle=data.oracle,
    )


def load_alice(folder, n_train=21):
    """Six regions of 27 subjects who listen to a story; the last 6 are for testing."""
    with np.load(folder / "alice_story_fmri.npz") as data:
        bold, stimulus = detrend(data["bold"], axis=1), data["stimulus"]
    bold = (bold - bold.mean(1, keepdims=True)) / bold.std(1, keepdims=True)
    shown = stimulus[:n_train]
    stimulus = (stimulus - shown.mean((0, 1))) / shown.std((0, 1))
    n_subjects, n_steps, _ = bold.shape
    runs = np.repeat(np.arange(n_subjects), n_steps)
    y, stimulus = (a.reshape(len(runs), -1) for a in (bold, stimulus))
    return Recording(
        "alice", windows(y, stimulus, runs), y, runs, n_train * n_steps, horizon=5
    )


def load_zebrafish(folder, n_train=669):
    """70 regions of a larval zebrafish; dark flashes begin shortly before the split."""
    with np.load(folder / "zebrafish_regions.npz") as data:
        y = data["activity"].astype(float)
    mean, scale = y[:n_train].mean(0), y[:n_train].std(0)
    y = (y - mean) / np.where(scale > 0, scale, 1.0)
    return Recording("zebrafish", windows(y), y, np.zeros(len(y), int), n_train)


def load_hippocampus(folder, train_share=0.8):
    """Spike counts of 31 units of a rat; where it is in camera pixels is the input."""
    with np.load(folder / "hippocampus_linear_track.npz") as data:
        y, position = data["counts"].astype(float), data["position"].astype(float)
    n_train = int(train_share * len(y))
    return Recording(
        "hippocampus",
        windows(y, position),
        y,
        np.zeros(len(y), int),
        n_train,
        scale=y[:n_train].std(0),
    )


def load_exchange(folder):
    """Eight daily exchange rates in the official split: 5 windows of 30 days."""
    with np.load(folder / "exchange_rate_nips.npz") as data:
        y, n_train = data["series"], int(data["train_length"])
        horizon = int(data["prediction_length"])
    return Recording(
        "exchange",
        windows(y),
        y,
        np.zeros(len(y), int),
        n_train,
        horizon=horizon,
        stride=horizon,
        scale=np.diff(y[:n_train], axis=0).std(0),
    )


def windows(activity, stimulus=None, runs=None):
    X = design_matrix(activity, stimulus, runs)
    return SlidingWindow(LENGTH, run_column=None if runs is None else -1).fit_transform(
        X
    )
