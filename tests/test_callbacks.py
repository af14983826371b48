"""Callbacks of scikit-learn in a fit: what they see, and what they may end."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from afm_sklearn import (
    AFMForecaster,
    Persistence,
    SlidingWindow,
    design_matrix,
    neg_crps_scorer,
)
from afm_sklearn.callbacks import held_out_score
from afm_sklearn.fitting.watch import STAGES

N_EPOCHS = 3


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y = np.zeros((240, 2))
    for t in range(1, len(y)):
        y[t] = np.tanh(2 * y[t - 1, ::-1]) * 0.8 + 0.3 * rng.normal(size=2)
    return design_matrix(y), y


def make(**parameters):
    settings = {"max_epochs": N_EPOCHS, "random_state": 0, "hidden_dim": 16}
    return AFMForecaster(window_length=3, **(settings | parameters))


@pytest.fixture(scope="module")
def plain(data):
    return make().fit(*data)


class Recorder:
    """Keeps what it is told; asks for a stop at the end of some tasks."""

    def __init__(self, stop=None, fail=None):
        self.stop, self.fail, self.events = stop, fail, []

    def setup(self, estimator, context):
        self.events.append(("setup", context.task_name))

    def teardown(self, estimator, context):
        self.events.append(("teardown", context.task_name))

    def on_fit_task_begin(self, estimator, context):
        self.events.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context):
        self.events.append(("end", context.task_name))
        if context.task_name == self.fail:
            raise RuntimeError("told to fail")
        return context.task_name == self.stop

    def ended(self, name):
        return self.events.count(("end", name))


class Propagated(Recorder):
    max_propagation_depth = None


class Snapshots(Recorder):
    """Keeps the forecaster as it stands, after every task."""

    def __init__(self):
        super().__init__()
        self.taken = []

    def on_fit_task_end(
        self, estimator, context, *, X=None, y=None, fitted_estimator=None
    ):
        self.taken.append((context.task_name, fitted_estimator, X, y))


with_callbacks = pytest.mark.skipif(
    not hasattr(AFMForecaster, "set_callbacks"), reason="scikit-learn < 1.9"
)


@with_callbacks
def test_stages_are_tasks_and_epochs_their_subtasks(data):
    recorder = Recorder()
    model = make().set_callbacks(recorder).fit(*data)
    events = recorder.events
    assert events[:2] == [("setup", "fit"), ("begin", "fit")]
    assert events[-2:] == [("end", "fit"), ("teardown", "fit")]
    assert recorder.ended("epoch") == sum(map(len, model.history_.values()))
    open_tasks = []
    for event, name in events[1:-1]:
        if event == "begin":
            open_tasks.append(name)
        else:
            assert open_tasks.pop() == name
    assert open_tasks == []
    seen = [name for event, name in events if event == "end"]
    assert set(seen) <= {*STAGES, "epoch", "fit"}
    seen = [name for name in seen if name in STAGES]
    assert seen == [name for name in STAGES if name in seen]


@with_callbacks
def test_every_epoch_that_begins_ends_when_patience_ends_first(data):
    recorder = Recorder()
    model = make(base="learned", max_epochs=40, n_iter_no_change=1)
    model.set_callbacks(recorder).fit(*data)
    assert len(model.history_["window"]) < 40
    assert recorder.events.count(("begin", "epoch")) == recorder.ended("epoch")


@with_callbacks
def test_callbacks_do_not_change_a_fit(data, plain):
    watched = make().set_callbacks(Snapshots()).fit(*data)
    assert watched.history_ == plain.history_
    draws = [model.sample(data[0], 3, random_state=0) for model in (plain, watched)]
    assert np.array_equal(*draws)


@with_callbacks
def test_a_stop_after_an_epoch_ends_that_training(data):
    model = make().set_callbacks(Recorder(stop="epoch")).fit(*data)
    assert {name: len(epochs) for name, epochs in model.history_.items()}["window"] == 1
    assert model.selection_


@with_callbacks
@pytest.mark.parametrize(
    ("stage", "trained"), [("linear", set()), ("newest", {"newest"})]
)
def test_a_stop_after_a_stage_ends_the_fit(data, stage, trained):
    recorder = Recorder(stop=stage)
    model = make().set_callbacks(recorder).fit(*data)
    assert set(model.history_) == trained
    assert recorder.events[-2:] == [("end", "fit"), ("teardown", "fit")]
    assert model.selection_ == []
    assert np.isfinite(model.predict(data[0])).all()
    assert model.base_ in model.summary()


@with_callbacks
@pytest.mark.parametrize("base", ["auto", "normal"])
def test_the_forecaster_as_it_stands_answers_after_every_task(data, base):
    snapshots = Snapshots()
    model = make(base=base).set_callbacks(snapshots).fit(*data)
    assert len(snapshots.taken) > N_EPOCHS
    for name, standing, X, y in snapshots.taken:
        assert standing.predict(X).shape == y.shape, name
        assert np.isfinite(neg_crps_scorer(standing, X, y)), name
    final = snapshots.taken[-1][1]
    assert np.array_equal(final.predict(data[0]), model.predict(data[0]))


@with_callbacks
def test_a_monitor_sees_the_held_out_loss(data):
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring={"r2": neg_crps_scorer, "held": held_out_score})
    model = make().set_callbacks(monitor).fit(*data)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    losses = [r["valid_loss"] for h in model.history_.values() for r in h]
    assert [-row["held"] for row in rows] == losses
    assert all(np.isfinite(row["r2"]) for row in rows)


@with_callbacks
def test_a_progress_bar_shows_stages(data, capsys):
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    make(base="normal").set_callbacks(ProgressBar()).fit(*data)
    assert "flow" in capsys.readouterr().out


@with_callbacks
def test_one_dimensional_targets_reach_monitors_as_they_were(data):
    snapshots = Snapshots()
    y = data[1]
    make(base="normal").set_callbacks(snapshots).fit(design_matrix(y[:, :1]), y[:, 0])
    for _, standing, windows, target in snapshots.taken:
        assert target.shape == standing.predict(windows).shape == (len(y),)


@with_callbacks
def test_a_callback_that_fails_leaves_the_forecaster_as_it_was(data, plain):
    model = copy.deepcopy(plain)
    before, state = model.predict(data[0]), set(vars(model))
    recorder = Recorder(fail="newest")
    model.set_callbacks(recorder)
    with pytest.raises(RuntimeError, match="told to fail"):
        model.fit(*data)
    assert recorder.events[-1] == ("teardown", "fit")
    assert set(vars(model)) == state | {"_skl_callbacks"}
    assert np.array_equal(model.predict(data[0]), before)


@with_callbacks
def test_a_fit_leaves_no_trace_of_its_callbacks(data, plain):
    model = make(base="learned").set_callbacks(Recorder()).fit(*data)
    assert set(vars(model)) == set(vars(plain)) | {"_skl_callbacks"}
    again = pickle.loads(pickle.dumps(model.set_callbacks()))
    assert set(vars(again)) == set(vars(plain))
    assert not hasattr(clone(model), "law_")


@with_callbacks
def test_callbacks_pass_through_a_pipeline_and_a_search(data):
    recorder = Propagated()
    pipe = make_pipeline(StandardScaler(), make(base="normal", max_epochs=2))
    grid = {"afmforecaster__hidden_dim": [8, 16]}
    search = GridSearchCV(pipe, grid, cv=TimeSeriesSplit(2)).set_callbacks(recorder)
    search.fit(*data)
    # Two values in two folds, and the fit of the better one to all.
    assert recorder.ended("linear") == 5
    assert recorder.events.count(("setup", "fit")) == 1


@with_callbacks
def test_a_fit_of_one_task_takes_part_in_a_pipeline(data):
    recorder = Propagated()
    pipe = make_pipeline(SlidingWindow(2), Persistence()).set_callbacks(recorder)
    with pytest.warns(UserWarning, match="Persistence does not support callbacks"):
        pipe.fit(*data)
    assert recorder.events.count(("begin", "fit")) == 2  # the Pipeline, the windows
    assert not [name for name in vars(pipe[0]) if "callback" in name]


def test_a_forecaster_pickled_before_a_fit_keeps_its_parameters():
    again = pickle.loads(pickle.dumps(make()))
    assert again.get_params() == make().get_params()
