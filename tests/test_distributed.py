"""Searches on a dask cluster: the same results, one shipment, one worker fewer."""

import os
import signal
import threading
import time

import joblib
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit

from afm_sklearn import AFMForecaster, Climatology, compare, design_matrix
from afm_sklearn.scorers import SampleScorer

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.slow
N, N_CHANNELS = 600, 12
GRID = {"window_length": [2, 4], "hidden_dim": [8, 16]}


@pytest.fixture(scope="module")
def client():
    options = {"threads_per_worker": 1, "dashboard_address": None}
    with (
        distributed.LocalCluster(2, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.wait_for_workers(2, timeout=120)
        client.amm.stop()
        yield client


@pytest.fixture(scope="module")
def data():
    # Bounded, so that no window lies far from those of training.
    y = np.sin(np.arange(N)[:, None] * np.linspace(0.1, 0.7, N_CHANNELS))
    y += 0.1 * np.random.default_rng(0).normal(size=y.shape)
    X = design_matrix(y)
    return X, y, list(TimeSeriesSplit(2, test_size=100).split(X))


def make_search(folds):
    afm = AFMForecaster(base="normal", max_epochs=2, device="cpu", random_state=0)
    scorer = SampleScorer("crps", n_samples=10)
    return GridSearchCV(afm, GRID, scoring=scorer, cv=folds, error_score="raise")


@pytest.fixture(scope="module")
def alone(data):
    X, y, folds = data
    return make_search(folds).fit(X, y)


def shared(data):
    """All that the fits of a search share."""
    X, y, folds = data
    return [X, y, *(rows for fold in folds for rows in fold)]


def assert_same(search, other):
    assert search.best_params_ == other.best_params_
    for name, values in other.cv_results_.items():
        if "time" not in name:
            np.testing.assert_array_equal(search.cv_results_[name], values, name)


def test_a_search_finds_the_same_and_ships_the_recording_once(
    client, data, alone, monkeypatch
):
    X, y, folds = data
    shipped, scatter = [], client.scatter

    def seen(values, **options):
        shipped.append(values)
        return scatter(values, **options)

    monkeypatch.setattr(client, "scatter", seen)
    with joblib.parallel_config("dask", scatter=shared(data)):
        before = client.scheduler_comm.byte_count
        search = make_search(folds).fit(X, y)
        sent = client.scheduler_comm.byte_count - before
        held = [
            sum(str(key).startswith("ndarray") for key in keys)
            for keys in client.has_what().values()
        ]
    assert_same(search, alone)
    assert len(shipped) == 1
    pairs = zip(shipped[0], shared(data), strict=True)
    assert all(given is one for given, one in pairs)
    # scikit-learn sends the search, with the rows of its folds, along with each fit.
    n_fits = 2 * len(alone.cv_results_["params"])
    assert sent < 0.5 * n_fits * (X.nbytes + y.nbytes)
    assert held == [len(shared(data))] * 2


def test_a_comparison_is_the_same(client, data):
    X, y, folds = data
    models = {
        "AFM": AFMForecaster(
            window_length=3, base="normal", max_epochs=2, device="cpu", random_state=0
        ),
        "climatology": Climatology(window_length=3),
    }
    options = {"cv": folds, "horizon": 2, "n_samples": 10}
    here = compare(models, X, y, **options)
    with joblib.parallel_config("dask", scatter=[X, y]):
        there = compare(models, X, y, **options)
    for row, other in zip(here.rows, there.rows, strict=True):
        kept = {name for name in row if "seconds" not in name}
        for name in kept:
            np.testing.assert_equal(other[name], row[name], name)


def test_a_search_survives_the_loss_of_a_worker(client, data, alone):
    X, y, folds = data
    before = client.run(os.getpid)
    killed = []

    def kill():
        """Kill the first worker that has something to do."""
        for _ in range(1000):
            busy = [address for address, tasks in client.processing().items() if tasks]
            if busy:
                os.kill(before[busy[0]], signal.SIGKILL)
                killed.append(busy[0])
                return
            time.sleep(0.01)

    with joblib.parallel_config("dask", scatter=shared(data)):
        killer = threading.Thread(target=kill)
        killer.start()
        search = make_search(folds).fit(X, y)
        killer.join()
    assert killed
    assert_same(search, alone)
    client.wait_for_workers(2, timeout=120)  # a new process has taken its place
    assert set(client.run(os.getpid).values()) != set(before.values())
