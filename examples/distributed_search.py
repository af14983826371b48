"""Search and compare on a cluster that may lose a machine.

Question: can a search of forecasters be spread over several machines, without sending
the recording along with every fit, and go on if one of them fails? Two worker
processes of a `dask.distributed` cluster on this computer stand in for two machines.
A grid is searched twice, on one process and on the cluster; a worker is killed in the
middle of the second search, and `compare` follows on what is left.

How to read the table: "same scores" says whether the two searches agree to the last
digit; they do, for a fit depends on its seed and its rows, and not on where it runs.
"sent beforehand" is the recording and its folds, once; every worker then has a copy.
"sent with the fits" is all that goes to the scheduler afterwards: parameters,
references, and the search itself with the rows of its folds. The second table is that
of `compare`, made on the same cluster. The forecaster of this example is kept small, to
be fitted in a second, and ridge is ahead of it: judge no forecaster by it.

Three things make it work. ``scatter`` lists every large array that the fits share, and
that is more than X and y: the rows of the folds must be listed, too, as joblib would
otherwise keep each of them on one worker only, and a search whose folds died with a
worker fails. They are found by identity, so that X, y and cv must be the very objects
that are passed on. And `client.amm.stop()` keeps the copies: dask's memory manager
otherwise drops all but one of each within two seconds.

What it cannot do: make a short search faster. A worker takes seconds to import torch,
and two workers that share two cores with other programs gain nothing. Callbacks do not
reach workers on other machines. Nor does it survive the loss of the scheduler or of
this script, or of all workers at once.

Needs ``pip install dask distributed``.
"""

import os
import signal
import threading
import time

import joblib
import numpy as np
from dask.sizeof import sizeof
from distributed import Client, LocalCluster
from sklearn.base import clone
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit

from afm_sklearn import (
    AFMForecaster,
    ResidualForecaster,
    compare,
    design_matrix,
    neg_crps_scorer,
)
from afm_sklearn.datasets import make_double_well

GRID = {"window_length": [2, 5], "hidden_dim": [16, 32]}


def main():
    data = make_double_well(n_times=2000, n_channels=24, random_state=0)
    X, y = design_matrix(data.activity), data.activity
    folds = list(TimeSeriesSplit(2, test_size=200).split(X))
    afm = AFMForecaster(base="normal", max_epochs=2, device="cpu", random_state=0)
    search = GridSearchCV(afm, GRID, scoring=neg_crps_scorer, cv=folds, refit=False)

    start = time.perf_counter()
    alone = search.fit(X, y).cv_results_
    report("on one process", f"{time.perf_counter() - start:.1f} s")

    shared = [X, y, *(rows for fold in folds for rows in fold)]
    start = time.perf_counter()
    # One thread a worker: what runs beside one another is processes.
    with (
        LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(2)
        client.amm.stop()  # copies are kept, against the loss of a worker
        report("start of the cluster", f"{time.perf_counter() - start:.1f} s")

        start = time.perf_counter()
        with joblib.parallel_config("dask", scatter=shared):
            before = client.scheduler_comm.byte_count
            loss = threading.Timer(0.5, kill_a_worker, [client])
            loss.start()
            spread = search.fit(X, y).cv_results_
            loss.join()
            sent = client.scheduler_comm.byte_count - before
            report(
                "on the cluster, one worker killed",
                f"{time.perf_counter() - start:.1f} s",
            )
            size = sum(map(sizeof, shared)) / 1e3
            report("sent beforehand, to each worker", f"{size:.0f} kB")
            n_fits = len(folds) * len(spread["params"])
            report("sent with the fits", f"{sent / 1e3:.0f} kB for {n_fits}")
            name = "mean_test_score"
            report("same scores", bool(np.array_equal(alone[name], spread[name])))
            best = spread["params"][int(spread[name].argmax())]
            report("best", best)

            ridge = ResidualForecaster(RidgeCV(np.logspace(-2, 5, 15)))
            table = compare(
                {
                    "AFM": clone(afm).set_params(**best),
                    "ridge": ridge.set_params(window_length=best["window_length"]),
                },
                X,
                y,
                cv=folds,
                horizon=2,
                scores="crps",
                n_samples=50,
            )
    print(f"\n{table}")


def kill_a_worker(client):
    """Kill a process that fits, as a power cut would; the cluster starts another."""
    process = min(client.run(os.getpid).values())
    os.kill(process, signal.SIGKILL)
    report("killed worker", process)


def report(what, value):
    print(f"{what:34} {value}", flush=True)


if __name__ == "__main__":  # workers import this file
    main()
