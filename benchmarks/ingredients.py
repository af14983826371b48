"""What each choice of network, path, solver and window noise gives, and what it costs.

One choice at a time differs from the default. All fits keep their networks and flow
(base="learned"), so that the ingredients are what is compared. Prints a markdown table
a data set: CRPS and energy score one step ahead, energy score of trajectories, seconds
of the processor that the fit and 100 draws of every test row took. Changes are relative
to the default; those of more than two standard errors over the test rows are marked
by *.

    python benchmarks/ingredients.py             15 minutes on one core
    python benchmarks/ingredients.py --quick     3 minutes: few rows and epochs
"""

import argparse
import time
from pathlib import Path

import numpy as np
import opponents as op
import torch
from recordings import NAMES, load

from afm_sklearn import AFMForecaster
from afm_sklearn.comparison import diebold_mariano
from afm_sklearn.law.flow.paths import PATHS
from afm_sklearn.law.flow.solvers import SOLVERS
from afm_sklearn.law.networks.encoders import HISTORY_ENCODERS

ROOT = Path(__file__).resolve().parents[1]
SETS = ("double wells", "spiking", "alice", "zebrafish")
MEASURES = ("crps", "energy", "trajectory")
COSTS = ("fit seconds", "sample seconds")
CHOICES = {
    "history_encoder": HISTORY_ENCODERS,
    "path": tuple(PATHS),
    "solver": SOLVERS,
    "window_noise": (0.0, 0.1),
}
COLUMNS = ("CRPS", "energy", "trajectory", "fit", "sample", "solver steps")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--sets", nargs="+", choices=NAMES, default=SETS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=10, help="at most, a training")
    parser.add_argument("--rows", type=int, default=1000, help="training rows at most")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.epochs, arguments.rows = 2, 300
    torch.set_num_threads(1)  # more gain nothing with networks this small
    rows = np.random.default_rng(0).normal(size=(100, 2))
    AFMForecaster(base="learned", max_epochs=1).fit(rows, rows[::-1])  # to warm up
    for name in arguments.sets:
        report(name, arguments)
    print(f"\n{time.process_time():.0f} s of the processor")


def report(name, arguments):
    """Print the table of one data set."""
    n_test = arguments.rows // 4
    recordings = [
        load(name, arguments.data, seed=seed).cut(arguments.rows, n_test)
        for seed in range(arguments.seeds)
    ]
    n_train, (_, length, c) = recordings[0].n_train, recordings[0].X.shape
    print(f"\n{name}: {n_train} rows of {length} x {c}, {n_test} test rows\n")
    print("| | " + " | ".join(COLUMNS) + " |")
    print("|---" * (1 + len(COLUMNS)) + "|")
    default = score(recordings, {}, arguments)
    print("| default | " + " | ".join(absolute(default)) + " |", flush=True)
    usual = AFMForecaster().get_params()
    for parameter, values in CHOICES.items():
        for value in values:
            if value == usual[parameter]:
                continue
            found = score(recordings, {parameter: value}, arguments)
            cells = " | ".join(relative(found, default, recordings[0].horizon))
            print(f"| {parameter}={value} | {cells} |", flush=True)


def score(recordings, parameters, arguments):
    """Losses by row, averaged over seeds, and mean costs."""
    results = []
    for seed, recording in enumerate(recordings):
        model = AFMForecaster(
            base="learned",
            max_epochs=arguments.epochs,
            random_state=seed,
            **parameters,
        )
        losses = op.assess("AFM", model, recording, seed)
        results.append(losses | {"solver steps": model.law_.n_steps})
    keys = (*MEASURES, *COSTS, "solver steps")
    return {key: np.mean([result[key] for result in results], axis=0) for key in keys}


def absolute(found):
    yield from (f"{found[key].mean():.4f}" for key in MEASURES)
    yield from (f"{found[key]:.2f} s" for key in COSTS)
    yield f"{found['solver steps']:g}"


def relative(found, default, horizon):
    for key in MEASURES:
        change = 100 * (found[key].mean() / default[key].mean() - 1)
        lead = horizon if key == "trajectory" else 1
        yield f"{change:+.1f} %" + "*" * differs(found[key], default[key], lead)
    yield from (f"{found[key] / default[key]:.1f}x" for key in COSTS)
    yield f"{found['solver steps']:g}"


def differs(a, b, lead):
    """Whether losses differ by more than two standard errors."""
    if len(a) < max(20, 2 * lead):
        return False
    return bool(abs(diebold_mariano(a, b, lead_time=lead).statistic) > 2)


if __name__ == "__main__":
    main()
