"""Time, memory and start of the package, each beside what was asked of it.

Run ``python benchmarks/speed.py``: a quarter of an hour on two cores. ``--only 3`` runs
one group: 1 training loop, 2 time to an answer, 3 trajectories, 4 one closed-loop step,
5 memory, 6 scaling, 7 start, 8 search, 9 answers, 10 a shared machine, 11 a recording
as large as the paper's (``speed_paper.py 100000`` fits one five times as long). Figures
go to ``benchmarks/results/speed.json``, where those of groups not run are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch
from speed_answers import answers, shared_machine
from speed_bar import Bar
from speed_fit import search, time_to_answer, training_loop
from speed_memory import memory, start
from speed_paper import paper
from speed_sampling import closed_loop, trajectories
from speed_scaling import scaling

RESULTS = Path(__file__).parent / "results"
ON_GPU = ("1 training loop", "3 trajectories", "4 one closed-loop step")
LIBRARIES = ("numpy", "scikit-learn", "skorch", "torch")

GROUPS: dict[int, Callable[[], Iterator[Bar]]] = {
    1: training_loop,
    2: time_to_answer,
    3: trajectories,
    4: closed_loop,
    5: memory,
    6: partial(scaling, RESULTS),
    7: start,
    8: search,
    9: answers,
    10: shared_machine,
    11: paper,
}


def main() -> None:
    """Print every bar as it is measured, and keep all in one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=int, choices=GROUPS, help="run one group")
    only = parser.parse_args().only
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "speed.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    groups = kept.get("groups", {})
    setting = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "load at the start": round(os.getloadavg()[0], 1),
        **{name: version(name) for name in LIBRARIES},
    }
    print(", ".join(f"{name} {value}" for name, value in setting.items()) + "\n")
    print(Bar.header())
    for number, group in GROUPS.items():
        if only not in (None, number):
            continue
        bars, start = [], time.perf_counter()
        for bar in group():
            print(bar, flush=True)
            bars.append(bar.as_dict())
        print(f"{f'{number} took':58}{time.perf_counter() - start:11.0f} s", flush=True)
        groups[str(number)] = {"setting": setting, "bars": bars}
        ordered = dict(sorted(groups.items(), key=lambda item: int(item[0])))
        path.write_text(json.dumps({"groups": ordered}, indent=1) + "\n")
    if not torch.cuda.is_available():
        for name in ON_GPU:
            print(f"{name + ', GPU':58}{'not measured':>13}: no CUDA device here")


if __name__ == "__main__":
    main()
