"""Progress of a fit and of a comparison: what is printed, where and when."""

import sys

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import TimeSeriesSplit

from afm_sklearn import (
    AFMForecaster,
    Persistence,
    ResidualForecaster,
    compare,
    design_matrix,
)
from afm_sklearn.fitting.watch import STAGES
from afm_sklearn.progress import Line

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


def _stages(printed):
    return [line.partition(":")[0] for line in printed.splitlines()]


# -- what is printed ---------------------------------------------------------------


def test_a_quiet_fit_prints_nothing(data, capsys):
    make().fit(*data)
    printed = capsys.readouterr()
    assert printed.out == printed.err == ""


def test_a_fit_prints_one_plain_line_a_stage_and_what_was_kept(data, capsys):
    model = make(verbose=1).fit(*data)
    printed = capsys.readouterr().out
    assert set(printed) & set("\r\x1b\b") == set()
    *stages, last = _stages(printed)
    assert stages == [name for name in STAGES if name in stages]
    assert {"linear", "newest", "window", "pool", "choice"} <= set(stages)
    assert last == f"Kept {model.base_}"
    assert "loss" in printed.splitlines()[stages.index("window")]


def test_a_terminal_sees_lines_written_over(data, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    make(verbose=1).fit(*data)
    printed = capsys.readouterr().out
    lines = printed.split("\n")
    window = next(line for line in lines if line.startswith("\rwindow"))
    states = window.split("\r")[1:]
    assert len(states) == 1 + N_EPOCHS + 1
    assert "left" in states[1] and "held out" in states[1]
    widths = [len(state) for state in states]
    assert widths == sorted(widths)  # nothing of a longer state remains


def test_a_slow_stage_tells_how_far_it_is_where_it_cannot_be_written_over(
    capsys, monkeypatch
):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    line = Line("window", 10)
    for k in range(1, 10):
        now[0] = 10.0 * k
        line.step(k, f"epoch {k}")
    line.end("done")
    assert capsys.readouterr().out.splitlines() == [
        "window: epoch 4, up to 1 min 0 s left",
        "window: epoch 8, up to 20 s left",
        "window: done, 1 min 30 s",
    ]


def test_a_failed_fit_leaves_a_terminal_at_a_new_line(data, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("afm_sklearn.fitting.stages.fit_pool", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make(verbose=1).fit(*data)
    assert capsys.readouterr().out.endswith("\n")


def test_a_comparison_prints_a_line_a_forecaster(data, capsys):
    ridge = ResidualForecaster(Ridge(), window_length=2)
    models = {"walk": Persistence(window_length=2), "ridge": ridge}
    cv = TimeSeriesSplit(2)
    quiet = compare(models, *data, cv=cv, n_samples=5)
    assert capsys.readouterr().out == ""
    told = compare(models, *data, cv=cv, n_samples=5, verbose=1)
    assert _stages(capsys.readouterr().out) == ["walk", "ridge"]
    assert [row["mean"] for row in told.rows] == [row["mean"] for row in quiet.rows]
