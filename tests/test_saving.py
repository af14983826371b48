"""Fitted forecasters in files."""

import io
import json
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import afm_sklearn as afm
from afm_sklearn.datasets import make_linear_var, make_spiking_population
from afm_sklearn.saving.container import read, write


@pytest.fixture(scope="module")
def real():
    data = make_linear_var(n_times=400, n_channels=3, n_stimuli=1, random_state=0)
    return afm.design_matrix(data.activity, data.stimulus), data.activity


@pytest.fixture(scope="module")
def counts():
    data = make_spiking_population(n_times=400, n_neurons=3, random_state=0)
    return afm.design_matrix(data.activity, data.stimulus), data.activity


def _answers(model, X):
    rows = X[-20:]
    return [
        model.predict(rows),
        model.sample(rows, 10, random_state=0),
        model.predict_quantiles(rows),
        model.sample_trajectories(rows[-1:], 1, n_samples=5, random_state=0),
    ]


QUICK = {"window_length": 3, "max_epochs": 3, "random_state": 0}
FORECASTERS = {
    "pool": afm.AFMForecaster(**QUICK),
    "networks and flow": afm.AFMForecaster(base="learned", **QUICK),
    "published": afm.AFMForecaster(base="normal", path="linear", **QUICK),
    "gru": afm.AFMForecaster(base="learned", history_encoder="gru", **QUICK),
    "ridge": afm.ResidualForecaster(
        make_pipeline(StandardScaler(), RidgeCV()), "bootstrap", window_length=3
    ),
    "own": afm.ResidualForecaster(LinearRegression(), inputs="own", window_length=3),
    "direct": afm.DirectForecaster(horizon=2, window_length=3),
    "walk": afm.Persistence(window_length=2),
    "climate": afm.Climatology(window_length=2),
}


@pytest.mark.parametrize("name", FORECASTERS)
def test_what_was_saved_answers_bit_for_bit(name, real, tmp_path):
    X, y = real
    model = FORECASTERS[name].fit(X, y)
    model.save(tmp_path / "model.afm")
    again = type(model).load(tmp_path / "model.afm")
    assert type(again) is type(model)
    assert str(again.get_params()) == str(model.get_params())
    for before, after in zip(_answers(model, X), _answers(again, X), strict=True):
        np.testing.assert_array_equal(after, before)
    if hasattr(model, "selection_"):
        assert again.selection_ == model.selection_
        assert again.history_ == model.history_


@pytest.mark.parametrize(
    "model", [afm.AFMForecaster(**QUICK), afm.PoissonGLM(window_length=2)]
)
def test_counts_too(model, counts, tmp_path):
    X, y = counts
    model.fit(X, y)
    afm.save(model, tmp_path / "model")
    again = afm.load(tmp_path / "model")
    for before, after in zip(_answers(model, X), _answers(again, X), strict=True):
        np.testing.assert_array_equal(after, before)


def test_a_pipeline_with_names_is_saved_as_a_whole(real, tmp_path):
    X = pd.DataFrame(real[0], columns=["a", "b", "c", "light"])
    pipe = make_pipeline(
        afm.SlidingWindow(2), afm.ResidualForecaster(LinearRegression())
    )
    pipe.fit(X, real[1])
    afm.save(pipe, tmp_path / "pipe")
    again = afm.load(tmp_path / "pipe")
    np.testing.assert_array_equal(again.predict(X[:9]), pipe.predict(X[:9]))
    assert list(again[0].feature_names_in_) == ["a", "b", "c", "light"]


def test_files_and_pickles_are_hardly_larger_than_the_weights(real, tmp_path):
    model = afm.AFMForecaster(base="learned", **QUICK).fit(*real)
    weights = sum(
        v.numel() * v.element_size() for v in model.law_.state_dict().values()
    )
    model.save(tmp_path / "model")
    assert (tmp_path / "model").stat().st_size < 1.3 * weights
    assert len(pickle.dumps(model)) < 1.3 * weights


def test_what_could_run_code_is_refused_and_named(real, tmp_path):
    trees = afm.ResidualForecaster(HistGradientBoostingRegressor(max_iter=2))
    trees.set_params(window_length=2).fit(*real)
    with pytest.raises(TypeError, match=r"regressor_.* cannot be saved"):
        trees.save(tmp_path / "trees")
    assert not list(tmp_path.iterdir())
    with pytest.raises(NotFittedError):
        afm.save(afm.Persistence(), tmp_path / "walk")


@pytest.fixture
def saved(real, tmp_path):
    path = tmp_path / "walk"
    afm.Persistence(window_length=2).fit(*real).save(path)
    return path


def test_every_truncation_is_told(saved):
    whole = saved.read_bytes()
    for size in [*range(0, 64), *np.linspace(64, len(whole) - 1, 60).astype(int)]:
        saved.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"saved forecaster|damaged|written by"):
            afm.load(saved)


def test_a_byte_that_changed_is_told(saved):
    whole = saved.read_bytes()
    for at in (-1, -9, -100):
        other = bytearray(whole)
        other[at] ^= 1
        saved.write_bytes(other)
        with pytest.raises(ValueError, match="damaged: its bytes"):
            afm.load(saved)
    saved.write_bytes(whole + b"0")
    with pytest.raises(ValueError, match="damaged: its bytes"):
        afm.load(saved)


def test_other_files_and_newer_ones_are_told(saved, tmp_path):
    text, arrays = read(saved)
    write(saved, text | {"version": "99", "written_by": "9.0"}, arrays)
    with pytest.raises(ValueError, match=r"written by afm_sklearn 9\.0"):
        afm.load(saved)
    write(saved, {"format": "other"}, arrays)
    with pytest.raises(ValueError, match="not written by afm_sklearn"):
        afm.load(saved)
    buffer = io.BytesIO()
    np.savez(buffer, x=np.zeros(3))
    saved.write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match="no saved forecaster"):
        afm.load(saved)
    with pytest.raises(FileNotFoundError):
        afm.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "subprocess:Popen",
        "builtins:eval",
        "sklearn.utils:Bunch",
        "sklearn.preprocessing:FunctionTransformer.transform",
        "afm_sklearn.saving.container:write",
        "torch.nn.modules.module:Any",
    ],
)
def test_nothing_but_estimators_is_made(saved, name):
    text, arrays = read(saved)
    tree = json.loads(text["object"])
    tree["state"]["law_"] = {"class": name, "state": {}}
    write(saved, text | {"object": json.dumps(tree)}, arrays)
    with pytest.raises(ValueError, match="the file names"):
        afm.load(saved)


def test_a_header_that_lies_allocates_nothing(saved):
    whole = saved.read_bytes()
    saved.write_bytes((2**62).to_bytes(8, "little") + whole[8:])
    with pytest.raises(ValueError, match="no saved forecaster"):
        afm.load(saved)
    head = json.dumps(
        {"0": {"dtype": "F64", "shape": [2**40], "data_offsets": [0, 2**43]}}
    ).encode()
    saved.write_bytes(len(head).to_bytes(8, "little") + head)
    with pytest.raises(ValueError, match="no saved forecaster"):
        afm.load(saved)


def test_a_file_of_another_forecaster_is_not_taken(saved):
    with pytest.raises(ValueError, match="of class AFMForecaster, got Persistence"):
        afm.AFMForecaster.load(saved)


def test_a_folder_that_does_not_exist_is_named(saved, tmp_path):
    model = afm.load(saved)
    with pytest.raises(FileNotFoundError, match=f"no folder {tmp_path / 'none'}$"):
        afm.save(model, tmp_path / "none" / "model.afm")


def test_saving_again_replaces_the_file_and_leaves_no_other(saved, real):
    before = saved.read_bytes()
    afm.load(saved).save(saved)
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]
