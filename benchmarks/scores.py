"""Time the scores against the fastest public implementations.

Run ``python benchmarks/scores.py``: under a minute. Both sides run in one process, in
turns, on the same float64 draws; medians over the repeats. The references compile with
numba before anything is timed. numba is no dependency of this package.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import properscoring
import scoringrules

from afm_sklearn.metrics import crps, energy_score

LIBRARIES = ("numpy", "numba", "properscoring", "scoringrules")


def main() -> None:
    """Print a table of both comparisons and what was asked of them."""
    print(", ".join(f"{name} {version(name)}" for name in LIBRARIES))
    print(f"Python {platform.python_version()}, {platform.machine()}\n")
    print(f"{'':44}{'ours':>9}{'theirs':>9}{'ours/theirs':>13}   asked")

    rng = np.random.default_rng(0)
    y, samples = rng.normal(size=100_000), rng.normal(size=(100_000, 100))
    compare(
        "CRPS 100 000 x 100, properscoring",
        lambda: crps(y, samples, estimator="nrg"),
        lambda: properscoring.crps_ensemble(y, samples, axis=1),
        at_most=1.5,
    )
    vectors, draws = rng.normal(size=(500, 300)), rng.normal(size=(500, 100, 300))
    compare(
        "energy score 500 x 100 x 300, scoringrules",
        lambda: energy_score(vectors, draws),
        lambda: scoringrules.es_ensemble(
            vectors, draws, estimator="fair", backend="numba"
        ),
        at_most=0.5,
    )


def compare(
    name: str,
    ours: Callable[[], np.ndarray],
    theirs: Callable[[], np.ndarray],
    at_most: float,
    repeats: int = 11,
) -> None:
    """Check that both give the same scores, then time them in turns."""
    np.testing.assert_allclose(ours(), theirs(), rtol=1e-6)
    seconds = np.array([[clock(ours), clock(theirs)] for _ in range(repeats)])
    a, b = np.median(seconds, axis=0)
    print(f"{name:44}{a:8.3f}s{b:8.3f}s{a / b:13.2f}   <= {at_most}")


def clock(function: Callable[[], np.ndarray]) -> float:
    """Time one call in seconds."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
