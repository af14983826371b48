"""What each ingredient of the default forecaster is worth: one off at a time.

Ingredients without an argument of the constructor are switched off by overriding a
name of a module while fitting. Prints a markdown table of one-step CRPS and energy
score on the test rows, relative to the default, in percent (positive: worse without).

    python benchmarks/ablation.py
"""

import argparse
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import numpy as np
import opponents as op
import torch
from recordings import NAMES, load

from afm_sklearn import AFMForecaster
from afm_sklearn.fitting import dependence, learned, linear, poisson, ridge, stages
from afm_sklearn.law.networks import encoders

ROOT = Path(__file__).resolve().parents[1]
SETS = ("Lorenz", "alice", "spiking")
LINEAR, NEWEST, WINDOW = range(3)  # members of the pool, in its order


def pool_without(member):
    """Weigh the other members of the pool alone."""
    weigh = learned.pool_weights

    def weights(log_densities):
        return np.insert(weigh(np.delete(log_densities, member, 1)), member, 0.0)

    return learned, "pool_weights", weights


def best_member(log_densities):
    """All weight on the member of the highest likelihood."""
    n_members = log_densities.shape[1]
    return np.eye(n_members)[log_densities.mean(0).argmax()]


def equal_weights(log_densities):
    return np.full(log_densities.shape[1], 1.0 / log_densities.shape[1])


def mean_anchor(features, y, usable, blocks, walk, judge):
    """Shrink the ridge regressions towards the mean alone."""
    return ridge.fit_means(features, y, usable, blocks, None, judge)


def free_mean(data, stage, names, pool):
    """Let the network of the window change the mean, whether that pays or not."""
    return pool, *learned._weigh(data, stage, pool)


def no_pool(data, means, *, keeps_counts):
    """Leave the choice to the rows that networks did not see."""
    return None


# Name: arguments of the constructor, overrides (module, name, value).
ABLATIONS = {
    "default": ({}, []),
    "no networks": ({"validation_fraction": 0.0}, []),
    "linear forecast and flow": ({"base": "linear"}, []),
    "flow kept whatever the held-back rows say": ({"base": "learned"}, []),
    "linear path": ({"path": "linear"}, []),
    "plain AFM (normal base, linear path, 50 Euler steps)": (
        op.plain_afm().get_params(),
        [],
    ),
    "no early stopping": ({"early_stopping": False}, []),
    "one time scale": ({"scales": (1,)}, []),
    "no linear forecast in the pool": ({}, [pool_without(LINEAR)]),
    "no network of the newest step": ({}, [pool_without(NEWEST)]),
    "no network of the window": ({}, [pool_without(WINDOW)]),
    "best member, no pool": ({}, [(learned, "pool_weights", best_member)]),
    "equal weights in the pool": ({}, [(learned, "pool_weights", equal_weights)]),
    "mean of the window network free": (
        {},
        [(learned, "_best_pool", free_mean)],
    ),
    "one component a channel": ({}, [(learned, "N_COMPONENTS", 1)]),
    "no lag decay in the networks": ({}, [(encoders, "LAG_DECAY", 0.0)]),
    "no lag decay in the linear forecast": (
        {},
        [(ridge, "DECAYS", (0.0,)), (poisson, "DECAYS", (0.0,))],
    ),
    "ridge shrunk to the mean, no other anchor": (
        {},
        [(linear, "fit_means", mean_anchor)],
    ),
    "counts as real values": ({"family": "gaussian"}, []),
    "no pool of trajectories": ({}, [(stages, "fit_pool", no_pool)]),
    "independent channels": (
        {},
        [(dependence, "shrunk_correlation", lambda scores: np.eye(scores.shape[1]))],
    ),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--sets", nargs="+", choices=NAMES, default=SETS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)  # to try it out
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # more gain nothing with networks this small
    seeds = range(arguments.seeds)
    data = {
        name: [read(name, seed, arguments) for seed in seeds] for name in arguments.sets
    }
    heads = (f"{n}: CRPS, energy" for n in data)
    print("| without | " + " | ".join(heads) + " |")
    print("|---" * (1 + len(data)) + "|")
    defaults = {}
    for label, (parameters, overrides) in ABLATIONS.items():
        cells = []
        for name, recordings in data.items():
            with ExitStack() as stack:
                for override in overrides:
                    stack.enter_context(patch.object(*override))
                figures, kept = score(recordings, parameters, arguments.rows)
            if label == "default":
                defaults[name] = figures
                cell = "{:.4f}, {:.4f}".format(*figures)
            else:
                change = 100 * (figures / defaults[name] - 1)
                cell = "{:+.1f} %, {:+.1f} %".format(*change)
            cells.append(f"{cell} ({kept})")
        print(f"| {label} | " + " | ".join(cells) + " |", flush=True)


def read(name, seed, arguments):
    recording = load(name, arguments.data, seed=seed)
    rows = arguments.rows
    return recording.cut(rows, rows) if rows else recording


def score(recordings, parameters, rows):
    """Mean CRPS and energy score over seeds, and what the fits kept."""
    figures, kept = [], []
    for seed, recording in enumerate(recordings):
        smoke = {"max_epochs": 2} if rows else {}
        model = AFMForecaster(**parameters | {"random_state": seed} | smoke)
        losses = op.assess("AFM", model, recording, seed, ahead=False)
        figures.append([losses["crps"].mean(), losses["energy"].mean()])
        kept.append(model.base_)
    return np.mean(figures, axis=0), ", ".join(dict.fromkeys(kept))


if __name__ == "__main__":
    main()
