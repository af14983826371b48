"""The simulated systems obey their law, and their oracle is that law."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.base import clone

from afm_sklearn import SlidingWindow, design_matrix
from afm_sklearn.datasets import (
    make_calcium,
    make_double_well,
    make_linear_var,
    make_lorenz,
    make_oscillator,
    make_overlapping_counts,
    make_sparse_events,
    make_spiking_population,
)

MAKERS = {
    "var": make_linear_var,
    "lorenz": make_lorenz,
    "double_well": make_double_well,
    "spiking": make_spiking_population,
    "calcium": make_calcium,
    "overlapping": make_overlapping_counts,
    "sparse": make_sparse_events,
    "amplitudes": partial(make_sparse_events, amplitudes=True),
    "oscillator": make_oscillator,
}
DIFFUSIONS = "lorenz", "double_well"


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


def windows(data, length=None):
    """Windows within runs, NaN-padded; by default as long as the law reads."""
    X = design_matrix(data.activity, data.stimulus, data.runs)
    length = length or data.oracle.law.order
    return SlidingWindow(length, run_column=-1).fit_transform(X)


def known_rows(data, length=None):
    """Windows (n, L, c) and targets (n, d) of the rows whose law is known."""
    X = windows(data, length)
    known = np.isfinite(X).all(axis=(1, 2))
    return X[known], data.activity[known]


# The recording


def test_shapes(make):
    data = make(n_times=30, n_runs=3, random_state=0)
    assert data.activity.shape == (90, data.oracle.law.n_outputs)
    assert np.array_equal(data.runs, np.repeat([0, 1, 2], 30))
    s = data.oracle.law.n_stimuli
    assert len(data.stimulus_names) == s
    assert data.stimulus.shape == (90, s) if s else data.stimulus is None
    assert np.isfinite(data.activity).all()


def test_same_seed_same_data(make):
    for seeded in (int, np.random.default_rng, np.random.RandomState):
        one, two, other = (make(10, random_state=seeded(k)) for k in (5, 5, 6))
        assert np.array_equal(one.activity, two.activity)
        assert not np.array_equal(one.activity, other.activity)


def test_global_generators_untouched(make):
    before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    for seed in (None, 0):
        data = make(n_times=5, random_state=seed)
        X, _ = known_rows(data)
        data.oracle.predict(X)
        data.oracle.sample(X, 3, random_state=seed)
        data.oracle.sample_trajectories(X, 1, n_samples=3, random_state=seed)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_before)


def test_runs_are_independent_and_stationary(make):
    data = make(n_times=30, n_runs=400, random_state=0)
    runs = data.activity.reshape(400, 30, -1)
    early, late = runs[:, 0], runs[:, -1]
    spread = np.hypot(early.std(0), late.std(0)) / 20
    assert np.all(np.abs(early.mean(0) - late.mean(0)) <= 4 * spread)
    assert early.var(0).sum() / late.var(0).sum() == pytest.approx(1, abs=0.4)
    neighbour = np.corrcoef(early[:-1, 0], early[1:, 0])[0, 1]
    assert abs(neighbour) < 4 / 20


# The oracle as a forecaster


def test_oracle_methods(make):
    data = make(n_times=12, random_state=0)
    d, oracle = data.activity.shape[1], data.oracle
    X, y = known_rows(data, length=3)
    n = len(X)
    assert oracle.fit(X, y) is oracle
    assert oracle.predict(X).shape == (n, d)
    assert oracle.sample(X, 7).shape == (n, 7, d)
    future = None if data.stimulus is None else np.ones((n, 4, data.stimulus.shape[1]))
    paths = oracle.sample_trajectories(X, 4, stimulus=future, n_samples=7)
    assert paths.shape == (n, 7, 4, d)
    assert np.isfinite(paths).all()
    needed = X[:, -oracle.law.order :]
    assert np.array_equal(oracle.predict(X), oracle.predict(needed))


def test_oracle_survives_copies(make):
    data = make(n_times=10, random_state=0)
    X, _ = known_rows(data)
    expected = data.oracle.sample(X, 5, random_state=1)
    for duplicate in (clone, copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))):
        draws = duplicate(data.oracle).sample(X, 5, random_state=1)
        assert np.array_equal(draws, expected)


def test_predict_does_not_depend_on_company(make):
    data = make(n_times=20, random_state=0)
    X, _ = known_rows(data)
    for rows in (slice(None, None, -1), slice(4, 5)):
        assert np.allclose(data.oracle.predict(X[rows]), data.oracle.predict(X)[rows])


def test_oracle_does_not_look_ahead(make):
    data = make(n_times=20, random_state=0)
    X, _ = known_rows(data)
    changed = X.copy()
    changed[10:] = X[: len(X) - 10][::-1]
    one, two = (data.oracle.sample(Z, 5, random_state=0) for Z in (X, changed))
    assert np.array_equal(one[:10], two[:10])


def test_unknown_rows_are_nan(make):
    data = make(n_times=6, n_runs=2, random_state=0)
    X = windows(data)
    starts = np.tile(np.arange(6) < data.oracle.law.order, 2)
    trajectories = data.oracle.sample_trajectories(X, 1, n_samples=3)
    for values in (data.oracle.predict(X), data.oracle.sample(X, 3), trajectories):
        missing = np.isnan(values.reshape(12, -1))
        assert np.array_equal(missing, np.broadcast_to(starts[:, None], missing.shape))
    assert np.isnan(data.oracle.predict(X[:1])).all()


def test_data_are_uniform_under_the_oracle(make):
    data = make(n_times=1500, random_state=1)
    X, y = known_rows(data)
    samples = data.oracle.sample(X, 99, random_state=2)
    below = (samples < y[:, None]).sum(axis=1)
    # A value that ties with draws may be anywhere among them.
    ties = (samples == y[:, None]).sum(axis=1)
    levels = below + np.random.default_rng(3).uniform(size=y.shape) * (ties + 1)
    for channel in levels.T / 100:
        assert stats.kstest(channel, "uniform").pvalue > 1e-3


def test_predict_is_the_mean_of_the_draws(make):
    data = make(n_times=20, random_state=0)
    X, _ = known_rows(data)
    samples = data.oracle.sample(X, 10_000, random_state=1)
    error = np.abs(data.oracle.predict(X) - samples.mean(axis=1))
    is_diffusion = make in [MAKERS[name] for name in DIFFUSIONS]
    tolerance = 4 * np.hypot(0.023, 0.01) if is_diffusion else 5 * 0.01
    assert np.all(error <= tolerance * samples.std(axis=1) + 1e-12)


# Bad input


def test_oracle_errors():
    data = make_linear_var(n_times=10, order=3, random_state=0)
    oracle, X = data.oracle, windows(data, length=3)[4:]
    wrong = np.zeros((6, 3, 2))
    for message, call in {
        "at least 3 rows": lambda: oracle.predict(X[:, -2:]),
        "8 lagged channels and 2 stimulus": lambda: oracle.predict(X[..., :-1]),
        "n_samples": lambda: oracle.sample(X, 0),
        "horizon": lambda: oracle.sample_trajectories(X, 0),
        "stimulus is None": lambda: oracle.sample_trajectories(X, 2),
        "stimulus must": lambda: oracle.sample_trajectories(X, 2, stimulus=wrong),
        "y must have shape": lambda: oracle.log_prob(X, data.activity[:2]),
    }.items():
        with pytest.raises(ValueError, match=message):
            call()
    assert not hasattr(make_lorenz(n_times=1).oracle, "log_prob")


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("var", {"n_times": 0}),
        ("var", {"order": 0}),
        ("var", {"n_stimuli": -1}),
        ("var", {"spectral_radius": 1.0}),
        ("lorenz", {"interval": 0.5}),
        ("double_well", {"interval": 4.0}),
        ("spiking", {"mean_count": 0.0}),
        ("calcium", {"n_neurons": 0}),
        ("calcium", {"mean_rate": 0.0}),
        ("calcium", {"decay": 1.0}),
        ("calcium", {"rise": 0.95}),
        ("calcium", {"noise": 0.0}),
        ("calcium", {"tuning": -1.0}),
        ("calcium", {"coupling": 1.0}),
        ("overlapping", {"n_times": 0}),
        ("overlapping", {"bin_length": 0.5}),
        ("overlapping", {"mean_count": 11.0}),
        ("overlapping", {"tuning": -1.0}),
        ("overlapping", {"coupling": 1.0}),
        ("sparse", {"n_runs": 0}),
        ("sparse", {"mean_rate": 0.5}),
        ("sparse", {"tuning": -1.0}),
        ("sparse", {"burst": -1.0}),
        ("sparse", {"drift": -1.0}),
        ("sparse", {"drift_time": 0.0}),
        ("sparse", {"amplitudes": "yes"}),
        ("oscillator", {"n_channels": 0}),
        ("oscillator", {"periods": (2.0,)}),
        ("oscillator", {"periods": ()}),
        ("oscillator", {"periods": 20.0}),
        ("oscillator", {"periods": (9.0,) * 9}),
        ("oscillator", {"spectral_radius": 1.0}),
        ("oscillator", {"background": 0.0}),
    ],
)
def test_maker_errors(name, bad):
    (argument,) = bad
    with pytest.raises((TypeError, ValueError), match=argument):
        MAKERS[name](**bad)


def test_the_old_name_of_the_time_steps_still_works_and_warns():
    with pytest.warns(FutureWarning, match="n_steps of make_lorenz is called n_times"):
        data = make_lorenz(n_steps=20, random_state=0)
    np.testing.assert_array_equal(
        data.activity, make_lorenz(n_times=20, random_state=0).activity
    )
    with pytest.raises(TypeError, match="both n_times and n_steps"):
        make_lorenz(20, n_steps=20)
