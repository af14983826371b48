"""The recordings and simulated systems of trust.py, and the rows that are judged.

Recordings are read from a folder that is not part of the package; its file names are
in the loaders. Any other file in it can be named, too: see `plain`. Values are scaled
by training rows alone, but for the fMRI of a story, which is detrended and z-scored
within each subject, as is customary.
"""

import numpy as np
from scipy.signal import detrend

import afm_sklearn as afm
from afm_sklearn import datasets

HORIZON, TRAJECTORY = 16, 8  # steps drawn, and those whose energy score is taken
N_ROWS, N_ORIGINS = 600, 60  # at least, where there are so many
N_TRAIN, N_TEST, LENGTH = 2000, 800, 5  # of simulated systems

RECORDED = (
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
SIMULATED = {
    "var": ("make_linear_var", {}),
    "lorenz": ("make_lorenz", {}),
    "wells": ("make_double_well", {}),
    "spiking": ("make_spiking_population", {}),
    "calcium": ("make_calcium", {}),
    "overlapping": ("make_overlapping_counts", {}),
    "sparse": ("make_sparse_events", {}),
    "amplitudes": ("make_sparse_events", {"amplitudes": True}),
    "oscillator": ("make_oscillator", {}),
}
NAMES = (*RECORDED, *SIMULATED)


class Recording:
    """Windows, targets, and the rows that are judged.

    `n` is the number of training rows, the first ones, `length` the steps in a window.
    Scores are taken of ``activity / scale``. `oracle` is the true law of a simulated
    system. `origins` start trajectories that end within their run, `steps` are theirs.
    """

    def __init__(self, activity, stimulus, runs, n, length, oracle=None):
        self.activity, self.n, self.length, self.oracle = activity, n, length, oracle
        X = afm.design_matrix(activity, stimulus, runs)
        window = afm.SlidingWindow(length, run_column=None if runs is None else -1)
        self.windows = np.asarray(window.fit_transform(X))
        spread = activity[:n].std(0)
        self.live = spread > 0
        self.scale = np.where(self.live, spread, 1)
        rows = np.arange(n, len(activity))
        self.rows = rows[:: max(1, len(rows) // N_ROWS)]
        label = np.zeros(len(activity)) if runs is None else runs
        origins = np.arange(n, len(activity) - HORIZON)
        origins = origins[label[origins] == label[origins + HORIZON - 1]]
        self.origins = origins[:: max(1, len(origins) // N_ORIGINS)]
        self.steps = self.origins[:, None] + np.arange(HORIZON)
        self.future = None
        if stimulus is not None:
            self.future = self.windows[self.steps, -1, activity.shape[1] :]

    @property
    def d(self):
        return self.activity.shape[1]

    @property
    def unit(self):
        """The largest number of which all values are multiples; None if not counts."""
        counts = self.activity[: self.n]
        if (counts < 0).any() or (counts != counts.round()).any():
            return None
        return float(np.gcd.reduce(counts.astype(int), axis=None))


def read(name, folder):
    """Load a recording, or simulate a system."""
    if name in SIMULATED:
        maker, parameters = SIMULATED[name]
        data = getattr(datasets, maker)(N_TRAIN + N_TEST, random_state=0, **parameters)
        length = max(LENGTH, data.oracle.law.order)
        return Recording(
            data.activity, data.stimulus, None, N_TRAIN, length, data.oracle
        )
    return Recording(*load(name, folder))


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
    if name == "eeg":
        eeg = file("eeg_8_channels")["eeg"].astype(float)
        return scaled(eeg, 11000), None, None, 11000, 10
    return plain(file(name))


def plain(f):
    """A file of any recording, which says itself how it is split.

    It holds ``activity`` (T, d), where there are such ``stimulus`` (T, s) and ``runs``
    (T,), the number of training rows ``n_train``, the steps in a ``window``, and
    whether to ``zscore``.
    """
    n, length = int(f["n_train"]), int(f["window"])
    activity = f["activity"].astype(float)
    stimulus = f["stimulus"].astype(float) if "stimulus" in f else None
    if f["zscore"]:
        activity = scaled(activity, n)
        stimulus = None if stimulus is None else scaled(stimulus, n)
    return activity, stimulus, f["runs"] if "runs" in f else None, n, length


def scaled(values, n):
    spread = values[:n].std(0)
    return (values - values[:n].mean(0)) / np.where(spread > 0, spread, 1)
