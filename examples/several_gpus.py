"""Fit many forecasters on several GPUs, one process a GPU.

Question: a fit uses one GPU; how do I keep all of them busy where there are many fits
to make, one a session, a subject or a seed? A process is started for each GPU, which
sees that GPU and no other, and takes its share of six recordings: it fits, scores on
later rows, and hands back the score and the file of the model. Without a GPU it runs
all the same on the CPU, in one process or in ``--processes 2``.

How to read the table: a row is a recording. CRPS does not depend on how many processes
there are, or on which of them fitted it, as long as all GPUs are of a kind; "seconds"
does. "device" is where the process computed, and the GPU that it was given.

Why a process a GPU: `AFMForecaster` takes ``device="cuda"``, which is the first GPU
that its process can see, and ``CUDA_VISIBLE_DEVICES`` decides which one that is. It is
set before the process starts, as CUDA reads it once.

What it cannot do: make one fit faster. The training of one forecaster is not spread
over GPUs; its networks are small, and a second GPU would mostly wait for the first.
Neither did we have several GPUs to run it on: it was run on CPUs, in one process and
in two.
"""

import argparse
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path

import torch

from afm_sklearn import AFMForecaster, crps, design_matrix, load
from afm_sklearn.datasets import make_lorenz

N_RECORDINGS, N_TRAIN, N_TEST = 6, 800, 200
VISIBLE = "CUDA_VISIBLE_DEVICES"


def visible_gpus():
    """GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    given = os.environ.get(VISIBLE)
    names = [str(k) for k in range(torch.cuda.device_count())]
    return names if given is None else given.split(",")[: len(names)]


def fit_and_score(recording, folder):
    """Fit one recording where this process computes."""
    start = time.perf_counter()
    data = make_lorenz(n_times=N_TRAIN + N_TEST, random_state=recording)
    X, y = design_matrix(data.activity), data.activity
    model = AFMForecaster(
        window_length=5, base="normal", max_epochs=5, device="auto", random_state=0
    )
    model.fit(X[:N_TRAIN], y[:N_TRAIN])
    draws = model.sample(X[N_TRAIN:], 100, random_state=0)
    path = Path(folder) / f"recording_{recording}.afm"
    model.save(path)
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    return {
        "recording": recording,
        "crps": float(crps(y[N_TRAIN:], draws).mean()),
        "seconds": time.perf_counter() - start,
        "device": f"{kind} {os.environ.get(VISIBLE, '')}".strip(),
        "process": os.getpid(),
        "path": path,
    }


def start_process(stack, gpu):
    """Start a process that sees one GPU; with None, what all can see."""
    before = os.environ.get(VISIBLE)
    if gpu is not None:
        os.environ[VISIBLE] = gpu
    try:
        # Not a fork, which would inherit a CUDA that has been started.
        pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        stack.enter_context(pool)
        pool.submit(os.getpid)  # starts the process, with the environment of now
    finally:
        if before is None:
            os.environ.pop(VISIBLE, None)
        else:
            os.environ[VISIBLE] = before
    return pool


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--processes", type=int, help="without a GPU; with GPUs it is one for each"
    )
    arguments = parser.parse_args()
    gpus = visible_gpus() or [None] * (arguments.processes or 1)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        pools = [start_process(stack, gpu) for gpu in gpus]
        futures = [
            pools[k % len(pools)].submit(fit_and_score, k, folder)
            for k in range(N_RECORDINGS)
        ]
        print("recording    CRPS  seconds  process   device")
        for row in (future.result() for future in futures):
            print(
                "{recording:9}  {crps:6.4f}  {seconds:7.1f}  {process:7}   "
                "{device}".format(**row)
            )
            load(row["path"])  # on the CPU, whatever it was fitted on
    seconds = time.perf_counter() - start
    print(f"{len(pools)} processes, {seconds:.1f} s together, start of torch included")


if __name__ == "__main__":  # each process imports this file
    main()
