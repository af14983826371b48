"""Every application beside what a lab would otherwise use, bar by bar.

    python benchmarks/applications.py --data FOLDER              all of them
    python benchmarks/applications.py --data FOLDER planning     some of them
    python benchmarks/applications.py --quick                    simulated data, smaller

Without --data the recordings are left out. The exit status is 1 if a bar is missed.
"""

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path

NAMES = ("stream", "decoding", "imputation", "planning", "surprise", "stimuli")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME")
    arguments = parser.parse_args()
    missed = 0
    for name in arguments.names:
        start = time.perf_counter()
        module = import_module(f"application_{name}")
        for line in module.lines(arguments.data, arguments.quick):
            missed += not line["met"]
            print(
                f"{line['task']:44} {line['measure']:40} {line['ours']:9.4f}   "
                f"{line['opponent']:30} {line['theirs']:9.4f}   {line['bar']:24} "
                f"{'met' if line['met'] else 'NOT MET'}",
                flush=True,
            )
        print(f"  ({name}: {time.perf_counter() - start:.0f} s)", flush=True)
    print(f"{missed} bars not met.")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
