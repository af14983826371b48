"""Accuracy of an untuned AFMForecaster beside the truth and classical forecasters.

    python benchmarks/accuracy.py                     every set, 3 seeds
    python benchmarks/accuracy.py --quick             simulated systems in 2 minutes

Prints a table of what was asked and whether it was met, and writes every figure to
--output. With --quick the exit status is 1 if a ratio to the oracle is too large.
Simulated data change with the seed; recordings do not, so that their opponents, which
have no chance in fitting, are fitted once.
"""

import argparse
import json
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import opponents as op
import torch
from bars import Line, judge
from joblib import Parallel, delayed
from recordings import NAMES, SIMULATED, load

from afm_sklearn import AFMForecaster

LIBRARIES = ("afm-sklearn", "numpy", "scipy", "scikit-learn", "skorch", "torch")
ROOT = Path(__file__).resolve().parents[1]
FEW_ROWS, SOME_ROWS = 200, 1000
ECONOMY = ("VAR 8", "alice", "zebrafish")
GROWTH = ("VAR 8", "Lorenz", "alice")


def main():
    arguments = parse()
    names = arguments.sets or (list(SIMULATED) if arguments.quick else NAMES)
    n_seeds = 1 if arguments.quick else arguments.seeds
    report = {
        "versions": {name: version(name) for name in LIBRARIES},
        "python": platform.python_version(),
        "seeds": list(range(n_seeds)),
        "quick": arguments.quick,
        "lines": [],
        "figures": {},
        "seconds": {},
    }
    print(Line.header(), flush=True)
    done = Parallel(n_jobs=arguments.jobs, return_as="generator")(
        delayed(run)(name, n_seeds, arguments) for name in names
    )
    for name, (lines, figures, seconds) in zip(names, done, strict=True):
        report["lines"] += [line.as_dict() for line in lines]
        report["figures"][name], report["seconds"][name] = figures, seconds
        print(*lines, sep="\n", flush=True)
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(report, indent=1))
    missed = [line for line in report["lines"] if line["met"] is False]
    print(f"\n{len(missed)} of {len(report['lines'])} bars not met.")
    if arguments.quick and missed:
        sys.exit(1)


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--sets", nargs="+", metavar="NAME", choices=NAMES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="sets at a time")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)  # to try it out
    arguments = parser.parse_args()
    if arguments.output is None:
        stem = "quick" if arguments.quick else "accuracy"
        arguments.output = ROOT / "benchmarks" / "results" / f"{stem}.json"
    return arguments


def run(name, n_seeds, arguments):
    """Lines and figures of a set, and the seconds it took."""
    torch.set_num_threads(1)  # more gain nothing with networks this small
    start, recordings, results = time.perf_counter(), [], []
    for seed in range(n_seeds):
        recording = read(name, seed, arguments)
        known = results[0] if results and recording.oracle is None else {}
        recordings.append(recording)
        results.append(evaluate(recording, seed, known, arguments))
    lines = list(judge(recordings, results, quick=arguments.quick))
    figures = [summarise(result) for result in results]
    return lines, figures, time.perf_counter() - start


def read(name, seed, arguments):
    sizes = {"n_train": 1500, "n_test": 800} if arguments.quick else {}
    recording = load(name, arguments.data, seed=seed, **sizes)
    if arguments.rows:
        n_test = max(arguments.rows, 2 * recording.horizon)
        recording = recording.cut(arguments.rows, n_test)
    return recording


def evaluate(recording, seed, known, arguments):
    """Losses by model; those of classical opponents are taken from `known`, if any."""
    afm = {"random_state": seed} | ({"max_epochs": 2} if arguments.rows else {})
    ahead = not arguments.quick

    def assess(name, model, data=recording, **options):
        options = {"ahead": ahead} | options
        return op.assess(name, model, data, seed, **options)

    model = AFMForecaster(**afm)
    out = {"AFM": assess("AFM", model) | {"base": model.base_}}
    if recording.oracle is not None:
        out[op.ORACLE] = assess(op.ORACLE, recording.oracle, fit=False)
    if arguments.quick:
        return out
    for name, opponent in op.opponents(recording.d).items():
        out[name] = known.get(name) or assess(name, opponent)
    if recording.name == "hippocampus":
        out[op.PLAIN] = assess(op.PLAIN, op.plain_afm(**afm))
    if "flow" in model.base_:
        for name, solver, n_steps in (
            ("AFM, 64 evaluations", "midpoint", 32),
            ("AFM, 1 evaluation", "euler", 1),
        ):
            model.set_params(solver=solver, n_steps=n_steps)
            out[name] = assess(name, model, fit=False, ahead=False)
    if recording.name in ECONOMY:
        few = recording.economical(FEW_ROWS)
        for name, other in (("AFM", AFMForecaster(**afm)), (op.RIDGE, op.ridge())):
            out[f"{name}, {FEW_ROWS} rows"] = assess(name, other, few, ahead=False)
    if recording.name in GROWTH:
        some = recording.economical(SOME_ROWS)
        out[f"AFM, {SOME_ROWS} rows"] = assess(
            "AFM", AFMForecaster(**afm), some, ahead=False
        )
    return out


def summarise(result):
    """Figures of one seed that JSON can hold: means of losses, lists by lead time."""

    def plain(measure, value):
        if measure in ("crps by lead", "coverage"):
            return [float(v) for v in value]
        return value if isinstance(value, str) else float(np.mean(value))

    return {
        model: {measure: plain(measure, value) for measure, value in losses.items()}
        for model, losses in result.items()
    }


if __name__ == "__main__":
    main()
