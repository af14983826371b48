"""Many sessions of different neurons: stacking, one model, a new session."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import LeaveOneGroupOut, TimeSeriesSplit, cross_val_score

from afm_sklearn import (
    AFMForecaster,
    adaptation_curve,
    crps,
    design_matrix,
    load,
    make_trajectory_scorer,
    neg_crps_scorer,
    split_sessions,
    stack_sessions,
)
from afm_sklearn.datasets import make_sessions
from afm_sklearn.sessions import StackedSessions

pytestmark = pytest.mark.filterwarnings("ignore::afm_sklearn.OutOfDistributionWarning")

N, N_NEW = 600, 160


@pytest.fixture(scope="module")
def sessions():
    return make_sessions(4, 900, 15, 3, 2, n_alien=1, random_state=0)


@pytest.fixture(scope="module")
def stack(sessions):
    known = [(s.activity[:N], s.stimulus[:N], s.name) for s in sessions[:3]]
    return stack_sessions(known)


@pytest.fixture(scope="module")
def model(stack):
    X, y, _ = stack
    return make().fit(X, y)


def make(**arguments):
    arguments = {"window_length": 2, "max_epochs": 2, "random_state": 0} | arguments
    return AFMForecaster(**arguments)


# Stacking


def test_rows_are_those_of_design_matrix_and_nan_elsewhere(sessions, stack):
    X, y, labels = stack
    dense = np.asarray(X)
    assert X.shape == dense.shape == (3 * N, 45 + 2 + 1)
    assert y.shape == (3 * N, 45)
    second = sessions[1]
    rows = labels == second.name
    expected = design_matrix(second.activity[:N], second.stimulus[:N])
    np.testing.assert_array_equal(dense[rows, 15:30], expected[:, :15])
    np.testing.assert_array_equal(dense[rows, 45:47], expected[:, 15:])
    assert np.isnan(dense[rows, :15]).all() and np.isnan(dense[rows, 30:45]).all()
    assert len(np.unique(dense[:, -1])) == 3
    np.testing.assert_array_equal(np.asarray(y)[rows, 15:30], second.activity[:N])


def test_memory_is_that_of_what_was_recorded(stack):
    X, y, _ = stack
    assert sum(block.values.size for block in y.blocks) == 3 * N * 15
    assert sum(block.values.size for block in X.blocks) == 3 * N * 18


@pytest.mark.parametrize(
    "index",
    [slice(5, 700), np.array([0, 3, 650, 2]), np.arange(3 * N) % 7 == 0, 4],
    ids=["slice", "places", "mask", "row"],
)
def test_rows_are_picked_as_those_of_the_array(stack, index):
    X, _, _ = stack
    np.testing.assert_array_equal(np.asarray(X[index]), np.asarray(X)[index])
    np.testing.assert_array_equal(np.asarray(X[index, ...]), np.asarray(X)[index])


def test_columns_of_one_name_are_one_neuron():
    rng = np.random.default_rng(0)
    one = pd.DataFrame(rng.normal(size=(6, 2)), columns=["AVA", "RIM"])
    two = pd.DataFrame(rng.normal(size=(5, 2)), columns=["RIM", "AIB"])
    _, y, labels = stack_sessions([(one, None, "first"), (two, None, "second")])
    assert y.shape == (11, 3)
    dense = np.asarray(y)
    np.testing.assert_array_equal(dense[labels == "second", 1], two["RIM"])
    parts = split_sessions(dense, y)
    np.testing.assert_array_equal(parts["second"], two.to_numpy())


@pytest.mark.parametrize(
    "sessions, message",
    [
        ([], "sessions is empty"),
        ([(np.ones((3, 1)), None, "a")] * 2, "'a' twice"),
        (
            [(np.ones((3, 1)), np.ones((3, 2)), "a"), (np.ones((3, 1)), None, "b")],
            "session 'b' has 0 stimulus columns, session 'a' has 2",
        ),
        ([(np.ones((3, 1)), None, "a", 4)], "session 0 has 4 parts"),
    ],
)
def test_what_cannot_be_stacked_is_named(sessions, message):
    with pytest.raises(ValueError, match=message):
        stack_sessions(sessions)


# One model


@pytest.mark.slow
def test_each_session_is_forecast_by_its_own_neurons(model, stack, sessions):
    X, y, labels = stack
    mean = model.predict(X)
    assert mean.shape == y.shape
    np.testing.assert_array_equal(np.isnan(mean), np.isnan(np.asarray(y)))
    name = sessions[2].name
    own = X.sessions()[name][1].values
    alone = model.sessions_[name].predict(own)
    np.testing.assert_array_equal(mean[labels == name][:, 30:45], alone)
    draws = model.sample(X[::50], 7, random_state=0)
    assert draws.shape == (36, 7, 45)
    future = np.asarray(X)[::50][:, None, 45:47].repeat(2, 1)
    paths = model.sample_trajectories(
        X[::50], 2, stimulus=future, n_samples=3, random_state=0
    )
    assert paths.shape == (36, 3, 2, 45)
    assert np.isfinite(paths[:, 0, 0]).sum() == 36 * 15


@pytest.mark.slow
def test_scores_and_splits_take_stacked_sessions(model, stack):
    X, y, labels = stack
    assert model.score(X, y) > 0.5
    assert neg_crps_scorer(model, X, y) < 0
    assert make_trajectory_scorer("energy", 2, stride=40)(model, X, y) < 0
    with pytest.raises(ValueError, match=r"'session 0', fitted were .*adapt"):
        cross_val_score(
            make(base="linear"),
            X,
            y,
            groups=labels,
            cv=LeaveOneGroupOut(),
            scoring=neg_crps_scorer,
            error_score="raise",
        )
    # Parts of the sessions by turns: each is in every fold.
    order = np.arange(3 * N).reshape(3, 6, 100).transpose(1, 0, 2).ravel()
    mixed = X[order], y[order]
    scores = cross_val_score(
        make(base="linear"), *mixed, cv=TimeSeriesSplit(2), scoring=neg_crps_scorer
    )
    assert np.isfinite(scores).all()


@pytest.mark.slow
def test_a_core_comes_back_from_a_file_and_a_pickle(model, stack, sessions, tmp_path):
    X, _, _ = stack
    model.save(tmp_path / "model.safetensors")
    new = sessions[3]
    given = design_matrix(new.activity, new.stimulus)[:N_NEW], new.activity[:N_NEW]
    expected = model.adapt(*given).predict(given[0])
    for again in (
        load(tmp_path / "model.safetensors"),
        pickle.loads(pickle.dumps(model)),
    ):
        np.testing.assert_array_equal(again.predict(X[:20]), model.predict(X[:20]))
        np.testing.assert_allclose(again.adapt(*given).predict(given[0]), expected)


def test_sessions_of_the_same_neurons_are_one_model():
    session, *_ = make_sessions(1, 300, 5, 2, 1, random_state=0)
    half = pd.DataFrame(session.activity[:150]), pd.DataFrame(session.activity[150:])
    stimulus = session.stimulus[:150], session.stimulus[150:]
    X, y, _ = stack_sessions(list(zip(half, stimulus, ["a", "b"], strict=True)))
    model = make(base="linear").fit(X, y)
    assert model.sessions_["a"] is model.sessions_["b"]
    assert model.core_ is None


@pytest.mark.slow
def test_sessions_may_have_no_stimulus_gaps_and_one_channel():
    rng = np.random.default_rng(0)

    def walk(n, d):
        y = rng.normal(size=(n, d))
        for t in range(1, n):
            y[t] += 0.8 * y[t - 1]
        return np.where(rng.random((n, d)) < 0.05, np.nan, y)

    one, two, new = walk(200, 1), walk(180, 2), walk(160, 1)[:, 0]
    X, y, _ = stack_sessions([(one[:, 0], None, "a"), (two, None, "b")])
    model = make().fit(X, y)
    assert model.core_ is not None
    assert np.isfinite(model.predict(X)).sum() == 200 + 2 * 180
    rows = design_matrix(new)
    adapted = model.adapt(rows, new)
    assert adapted.adapted_["source"] in {"core", "law of a"}
    assert np.isfinite(adapted.predict(rows)).all()
    assert adapted.sample(rows, 5, random_state=0).shape == (160, 5)


# A new session


@pytest.mark.slow
def test_a_new_session_gains_from_the_core(model, sessions):
    new = sessions[3]
    X, y = design_matrix(new.activity, new.stimulus), new.activity
    adapted = model.adapt(X[:N_NEW], y[:N_NEW])
    assert adapted.adapted_["source"] == "core"
    assert adapted.adapted_["weight"] > 0.2 and adapted.adapted_["gain"] > 0
    alone = make().fit(X[:N_NEW], y[:N_NEW])
    rows = slice(N, None)
    ours, theirs = (
        crps(y[rows], one.sample(one.make_windows(X)[rows], 100, random_state=0)).mean()
        for one in (adapted, alone)
    )
    assert ours < 0.97 * theirs
    # With a run column, too.
    runs = design_matrix(new.activity, new.stimulus, np.zeros(900))
    again = model.adapt(runs[:N_NEW], y[:N_NEW])
    np.testing.assert_allclose(again.predict(runs), adapted.predict(X))


@pytest.mark.slow
def test_a_session_that_shares_nothing_loses_nothing(model, sessions):
    alien = sessions[4]
    X, y = design_matrix(alien.activity, alien.stimulus), alien.activity
    adapted = model.adapt(X[:N_NEW], y[:N_NEW])
    alone = make().fit(X[:N_NEW], y[:N_NEW])
    rows = slice(N, None)
    ours, theirs = (
        crps(y[rows], one.sample(one.make_windows(X)[rows], 100, random_state=0)).mean()
        for one in (adapted, alone)
    )
    assert ours < 1.02 * theirs


@pytest.mark.slow
def test_an_adaptation_curve_falls(model, sessions):
    new = sessions[3]
    X = design_matrix(new.activity, new.stimulus)
    curve = adaptation_curve(model, X, new.activity, sizes=[160, 500], n_test=300)
    assert curve.adapted[1] < curve.adapted[0]
    assert curve.adapted[0] < curve.alone[0]
    assert [len(line.get_xdata()) for line in curve.plot().lines] == [2, 2]
    with pytest.raises(ValueError, match="sizes has 700 and n_test is 300, X has 900"):
        adaptation_curve(model, X, new.activity, sizes=[700], n_test=300)


def test_a_forecaster_of_one_session_adapts_by_its_law():
    session, *_ = make_sessions(1, 500, 4, 2, 1, random_state=0)
    X, y = design_matrix(session.activity, session.stimulus), session.activity
    model = make(base="linear").fit(X[:300], y[:300])
    before = model.predict(X)
    adapted = model.adapt(X[300:450], y[300:450])
    assert adapted.adapted_["source"] == "law"
    assert adapted is not model
    np.testing.assert_array_equal(model.predict(X), before)
    (told,) = (s for s in adapted.summary().splitlines() if s.startswith("shared"))
    weight = adapted.adapted_["weight"]
    assert f"weight {weight:.2f}" in told if weight else "nothing" in told
    assert "shared" not in model.summary()


# Bad input


@pytest.mark.slow
def test_what_is_no_session_of_the_model_is_refused(model, stack, sessions):
    X, y, _ = stack
    new = sessions[3]
    rows = design_matrix(new.activity, new.stimulus)
    with pytest.raises(ValueError, match="fitted to stacked sessions, X is not one"):
        model.predict(rows)
    with pytest.raises(ValueError, match="expected 15 lagged neurons, 2 stimulus"):
        model.adapt(rows[:, :-1], new.activity)
    with pytest.raises(ValueError, match="window_length is None"):
        AFMForecaster().fit(X, y)
    with pytest.raises(ValueError, match="y is a ndarray"):
        make().fit(X, np.asarray(y))
    with pytest.raises(ValueError, match="of other sessions"):
        make().fit(X, y[::-1])
    single = make(base="linear").fit(rows, new.activity)
    with pytest.raises(ValueError, match="the forecaster was fitted to one"):
        single.predict(X)
    with pytest.raises(ValueError, match="has no windows of its own"):
        model.log_prob(X, y)
    assert isinstance(X, StackedSessions)


@pytest.mark.slow
def test_a_fit_to_one_session_forgets_the_others(stack, sessions):
    X, y, _ = stack
    model = make(base="linear").fit(X[: 2 * N], y[: 2 * N])
    one = sessions[0]
    model.fit(design_matrix(one.activity, one.stimulus), one.activity)
    assert not hasattr(model, "sessions_") and not hasattr(model, "core_")
    assert model.predict(design_matrix(one.activity, one.stimulus)).shape == (900, 15)


def test_simulated_sessions_know_their_law():
    one, two = make_sessions(2, 400, 6, 2, 1, random_state=0)
    X = design_matrix(one.activity, one.stimulus)[1:]
    y = one.activity[1:]
    error = y - one.oracle.predict(X)
    np.testing.assert_allclose(
        np.cov(error.T), one.oracle.law.covariance, atol=0.3 * error.var()
    )
    draws = one.oracle.sample(X, 50, random_state=0)
    assert crps(y, draws).mean() < 0.9 * crps(y, np.roll(draws, 7, 0)).mean()
    assert not np.allclose(one.oracle.law.loadings, two.oracle.law.loadings)
    assert one.oracle.law.dynamics is two.oracle.law.dynamics
