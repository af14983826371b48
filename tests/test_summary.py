"""What a fit kept, in words and in a chart: they say what its attributes say."""

import copy
from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline

from afm_sklearn import AFMForecaster, SlidingWindow, design_matrix
from afm_sklearn.plotting import TrainingDisplay
from afm_sklearn.progress import count_epochs
from afm_sklearn.summary import reason


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y = np.zeros((240, 2))
    for t in range(1, len(y)):
        y[t] = np.tanh(2 * y[t - 1, ::-1]) * 0.8 + 0.3 * rng.normal(size=2)
    y[50] = np.nan
    runs = np.repeat([0, 1], 120)
    return design_matrix(y, runs=runs), y


@pytest.fixture(scope="module")
def fitted(data):
    model = AFMForecaster(
        window_length=3, run_column=-1, max_epochs=3, hidden_dim=16, random_state=0
    )
    return model.fit(*data)


def record(name, weight, score):
    return {
        "candidate": name,
        "weight": weight,
        "weight ahead": weight,
        "crps": score,
        "crps, standard error": 0.1,
    }


def told(kept, records, history=None, **parameters):
    """Return the sentence for a made-up outcome."""
    return reason(
        SimpleNamespace(
            base_=kept, selection_=records, history_=history or {}, **parameters
        )
    )


def test_rows_left_out_add_up_to_the_rows_given(fitted, data):
    rows = fitted.rows_
    assert rows["given"] == len(data[1]) == 240
    assert (rows["runs"], rows["without a past"]) == (2, 2)
    assert rows["without a target"] == 1
    lost = sum(rows[name] for name in rows if name.startswith("with"))
    assert rows["fitted on"] == rows["given"] - lost
    assert rows["for networks"] + rows["held back"] <= rows["fitted on"]


def test_summary_holds_the_figures_of_the_attributes(fitted):
    text = fitted.summary()
    assert text.startswith(f"Kept {fitted.base_}: ")
    assert "240 in 2 runs" in text and "1 has no target" in text
    assert "2 start a run and have no past" in text
    assert "3 steps of 2 channels" in text and "family gaussian" in text
    heaviest = max(
        fitted.selection_,
        key=lambda r: ("," in r["candidate"], r["weight"] + r["weight ahead"]),
    )
    line = next(s for s in text.splitlines() if s.startswith(heaviest["candidate"]))
    assert f"{heaviest['weight']:.2f}" in line
    error = heaviest["crps, standard error"]
    assert f"{heaviest['crps']:.3f} ± {error:.3f}" in line
    for name, records in fitted.history_.items():
        assert f"{name}: {count_epochs(records)}" in text


def test_the_reason_follows_weights_and_scores():
    linear = [record("own, gaussian", 0.6, 1.2), record("walk, empirical", 0.0, 1.5)]
    pool, better, worse = (
        record("pool", 0.7, 1.0),
        record("learned", 0.3, 0.9),
        record("learned", 0.0, 1.1),
    )
    flow = {"flow": [{"train_loss": 1.0}]}
    text = told("pool+learned", [*linear, pool, better], flow)
    assert "1 linear candidate and networks of weight 0.30, 0.30 further" in text
    assert "10.0% better" in text and text.endswith("; the flow did not pay.")
    assert "10.0% worse" in told("pool", [*linear, pool, worse])
    none = {"weight": 0.0, "weight ahead": 0.0}
    unsure = told("pool", [*linear, pool, better | none])
    assert "may be chance" in unsure
    all_of_it = {"weight": 1.0, "weight ahead": 1.0}
    alone = told("learned+flow", [*linear, pool, better | all_of_it], flow)
    assert "networks alone" in alone and "did not pay" not in alone
    both = told("pool+learned", [*linear, pool, worse | {"weight": 0.2}])
    assert "both together" in both
    assert "none was trained" in told("pool", linear)
    assert "the networks did not pay" in told("pool", linear, {"newest": []})
    assert "base='normal'" in told("normal+flow", [], flow, base="normal")


def test_an_unfitted_forecaster_has_no_summary():
    with pytest.raises(NotFittedError):
        AFMForecaster().summary()


def test_a_forecaster_without_counts_of_rows_still_has_a_summary(fitted):
    older = copy.copy(fitted)
    del older.rows_
    assert "rows  " not in older.summary() and older.base_ in older.summary()


def test_display_shows_losses_weights_and_scores(fitted):
    display = TrainingDisplay.from_estimator(fitted)
    trained = [name for name, records in fitted.history_.items() if records]
    assert list(display.axes_) == [*trained, "weight", "score"]
    axes = display.axes_[trained[0]]
    losses = [record["valid_loss"] for record in fitted.history_[trained[0]]]
    assert np.array_equal(axes.lines[1].get_ydata(), losses)
    assert axes.lines[2].get_ydata() == min(losses)
    names = [text.get_text() for text in display.axes_["weight"].get_yticklabels()]
    widths = [bar.get_width() for bar in display.axes_["weight"].patches]
    known = {record["candidate"]: record for record in fitted.selection_}
    expected = [
        known[name][key] for key in ("weight", "weight ahead") for name in names
    ]
    assert widths == expected
    assert set(known) - set(names) <= {name for name in known if "," in name}


def test_display_fits_into_a_cell_of_a_figure(fitted):
    figure, cells = plt.subplots(1, 2)
    display = TrainingDisplay.from_estimator(fitted, ax=cells[1], n_candidates=2)
    assert display.figure_ is figure
    linear = [t.get_text() for t in display.axes_["weight"].get_yticklabels()]
    assert sum("," in name for name in linear) == 2


def test_display_finds_the_forecaster_in_a_search(data):
    X, y = data[0][:, :2], data[1]
    model = AFMForecaster(base="normal", max_epochs=2, hidden_dim=8, random_state=0)
    pipe = make_pipeline(SlidingWindow(2), model)
    search = GridSearchCV(
        pipe, {"slidingwindow__length": [2]}, cv=TimeSeriesSplit(2), scoring=_zero
    )
    display = TrainingDisplay.from_estimator(search.fit(X, y))
    assert list(display.axes_) == ["flow"]
    with pytest.raises(TypeError, match="history_, as AFMForecaster has, got Ridge"):
        TrainingDisplay.from_estimator(Ridge().fit(X[1:50], y[1:50]))
    search = clone(search).set_params(refit=False).fit(X, y)
    with pytest.raises(TypeError, match=r"no best_estimator_ .* expected refit=True"):
        TrainingDisplay.from_estimator(search)
    with pytest.raises(NotFittedError):
        TrainingDisplay.from_estimator(AFMForecaster())


def test_one_epoch_has_one_tick():
    history = {"window": [{"train_loss": 1.2, "valid_loss": 1.3}]}
    axes = TrainingDisplay(history, []).plot().axes_["window"]
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]


def _zero(estimator, X, y):
    return 0.0


def test_display_refuses_what_it_cannot_draw(fitted):
    with pytest.raises(ValueError, match="nothing was trained or weighed"):
        TrainingDisplay({"newest": []}, []).plot()
    loose = plt.figure().add_axes((0, 0, 1, 1))
    with pytest.raises(ValueError, match="cell of a grid"):
        TrainingDisplay.from_estimator(fitted, ax=loose)
