"""Real fMRI: forecast six regions of held-out listeners to a story, 2 to 10 s ahead.

Trains on 21 subjects and tests on the last 6. What the past and the stimulus are worth
is read off models that lack one of them. Prints, with means and standard deviations
over the model's seeds,

- CRPS (z units, fair) by lead time of 1 to 5 scans, from the same origins for all;
- Pearson's r of the mean of the draws, by region and lead time, within each subject,
  then averaged over subjects.

    python benchmarks/fmri_story.py --data PATH/alice_story_fmri.npz
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import opponents as op
import torch
from recordings import load_alice
from sklearn.preprocessing import FunctionTransformer

from afm_sklearn import AFMForecaster, crps

N_SAMPLES, STRIDE = 100, 2


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)  # to try it out
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # more gain nothing with networks this small
    with np.load(arguments.data) as data:
        regions = data["regions"].tolist()
    recording = load_alice(arguments.data.parent)
    afm = {}
    if arguments.rows:
        recording, afm = recording.cut(arguments.rows, 400), {"max_epochs": 2}
    origins = recording.origins(10**9)[0][::STRIDE]
    y, _ = recording.ahead(origins)
    table = {}
    for name, draw in MODELS.items():
        # Ridge has no chance in fitting: one seed.
        seeds = range(1 if "ridge" in name or "GLM" in name else arguments.seeds)
        start, scores, correlations = time.perf_counter(), [], []
        for seed in seeds:
            paths = draw(recording, origins, seed, afm)
            scores.append(crps(y, paths).mean(axis=(0, 2)))
            correlations.append(
                correlate(y, paths.mean(axis=1), recording.test_runs[origins])
            )
        table[name] = np.array(scores), np.array(correlations)
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    report(table, regions, recording.horizon)


def report(table, regions, horizon):
    leads = [f"{h} step" + "s" * (h > 1) for h in range(1, horizon + 1)]
    print("\nCRPS" + " " * 37 + "".join(f"{lead:>16}" for lead in leads))
    for name, (scores, _) in table.items():
        print(f"{name:41}" + _cells(scores, 4))
    print("\nPearson's r, mean over regions" + " " * 11, end="")
    print("".join(f"{lead:>16}" for lead in leads))
    for name, (_, correlations) in table.items():
        print(f"{name:41}" + _cells(correlations.mean(axis=2), 3))
    for h in (0, horizon - 1):
        print(f"\n{f'Pearson r, {leads[h]} ahead':41}", end="")
        print("".join(f"{region:>16}" for region in regions))
        for name, (_, correlations) in table.items():
            print(f"{name:41}" + _cells(correlations[:, h], 3))


def _cells(values, digits):
    """Mean ± sd of values (seeds, columns)."""
    if len(values) == 1:
        return "".join(f"{v:16.{digits}f}" for v in values[0])
    spread = values.std(axis=0, ddof=1)
    return "".join(
        f"{f'{m:.{digits}f} ± {s:.{digits}f}':>16}"
        for m, s in zip(values.mean(axis=0), spread, strict=True)
    )


def correlate(y, mean, runs):
    """Pearson's r (horizon, d) over origins (n, horizon, d), averaged over runs."""
    by_run = []
    for run in np.unique(runs):
        a, b = (v[runs == run] - v[runs == run].mean(axis=0) for v in (y, mean))
        norm = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
        by_run.append((a * b).sum(axis=0) / np.maximum(norm, 1e-12))
    return np.mean(by_run, axis=0)


# -- the models: each fits, and draws (n, n_samples, horizon, d) from the origins ------


def _autoregressive(make, use_stimulus=True):
    def draw(recording, origins, seed, afm):
        n_channels = recording.X.shape[2] if use_stimulus else recording.d
        X, y = recording.train
        model = make(recording, seed, afm).fit(X[..., :n_channels], y)
        _, stimulus = recording.ahead(origins)
        return model.sample_trajectories(
            recording.test[0][origins][..., :n_channels],
            recording.horizon,
            stimulus=stimulus if use_stimulus else None,
            n_samples=N_SAMPLES,
            random_state=seed,
        )

    return draw


def _afm(recording, seed, afm):
    return AFMForecaster(random_state=seed, **afm)


def _ridge(recording, seed, afm):
    return op.ridge()


def _glm(recording, seed, afm):
    """Ridge on the current and lagged stimulus channels of flat windows."""
    _, length, n_channels = recording.X.shape
    columns = np.arange(length * n_channels).reshape(length, n_channels)
    pick = partial(np.take, indices=columns[:, recording.d :].ravel(), axis=1)
    return op.ridge(select=FunctionTransformer(pick))


def _without_history(recording, origins, seed, afm):
    """Each step from the stimulus alone, which is known ahead; steps independent."""
    X, y = recording.train
    model = AFMForecaster(random_state=seed, autoregressive=False, **afm)
    model.fit(X[..., recording.d :], y)
    steps = origins[:, None] + np.arange(recording.horizon)
    X = recording.test[0][steps.ravel()][..., recording.d :]
    draws = model.sample(X, N_SAMPLES, random_state=seed)
    return draws.reshape(*steps.shape, N_SAMPLES, -1).swapaxes(1, 2)


def _direct(recording, origins, seed, afm):
    """All steps at once, flat, by plain flow matching of the same size.

    The windows also hold the stimulus of the steps ahead. It is given the 50 Euler
    steps of plain flow matching.
    """
    h, d = recording.horizon, recording.d

    def rows_of(X, y, first):
        steps = first[:, None] + np.arange(h)
        return np.concatenate([X[first], X[first + h - 1][..., d:]], -1), y[steps]

    X, y = recording.train
    runs = recording.runs[: len(y)]
    first = np.arange(len(y) - h + 1)
    first = first[runs[first] == runs[first + h - 1]]
    X, y = rows_of(X, y, first)
    model = op.plain_afm(random_state=seed, autoregressive=False, **afm)
    model.fit(X, y.reshape(len(y), h * d))
    X, _ = rows_of(*recording.test, origins)
    draws = model.sample(X, N_SAMPLES, random_state=seed)
    return draws.reshape(len(origins), N_SAMPLES, h, d)


MODELS = {
    "AFM": _autoregressive(_afm),
    "AFM without stimulus": _autoregressive(_afm, use_stimulus=False),
    "AFM without history": _without_history,
    "flow matching of 5 steps at once": _direct,
    "ridge, Gaussian residuals": _autoregressive(_ridge),
    "AR ridge without stimulus": _autoregressive(_ridge, use_stimulus=False),
    "GLM: ridge on the stimulus alone": _autoregressive(_glm),
}


if __name__ == "__main__":
    main()
