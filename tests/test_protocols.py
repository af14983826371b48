"""The protocols of public benchmarks, on tiny trees of files of the same layout."""

import pickle
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

PROTOCOLS = Path(__file__).parent.parent / "examples" / "protocols"
QUICK = ["--quick", "--samples", "10"]
MODELS = pytest.mark.parametrize(
    "models", [["ridge"], pytest.param(["AFM"], marks=pytest.mark.slow)], ids=str
)
ATLAS = "space-MNI152NLin2009cAsym_atlas-Schaefer18_parcel-1000Par7Net"


@pytest.fixture
def protocol(monkeypatch):
    """Import a script of examples/protocols, and forget it afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(PROTOCOLS)
    yield import_module
    for name in set(sys.modules) - before:
        if name in {"_common", "algonauts", "zapbench", "nsf_hdr"}:
            del sys.modules[name]


def walk(rng, *shape):
    """Activity with a memory, of the shape (..., steps, channels)."""
    values = rng.normal(size=shape)
    for t in range(1, shape[-2]):
        values[..., t, :] += 0.8 * values[..., t - 1, :]
    return values.astype(np.float32)


# -- Algonauts 2025 --------------------------------------------------------------

FRIENDS = ["s01e01a", "s01e01b", "s02e01a", "s03e01a", "s04e01a", "s05e01a"]
MOVIES = ["bourne01", "wolf01", "figures01_run-1", "figures01_run-2", "life01_run-1"]
TESTED = ["s06e01a", "s06e01b"]


def write_fmri(root, n_times=60, n_parcels=3):
    h5py = pytest.importorskip("h5py")
    folder = root / "algonauts_2025.competitors/fmri/sub-01/func"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for task, names in (
        (f"friends_{ATLAS}_desc-s123456", FRIENDS + TESTED),
        (f"movie10_{ATLAS}", [*MOVIES, "life01_run-2"]),
    ):
        with h5py.File(folder / f"sub-01_task-{task}_bold.h5", "w") as file:
            for name in names:
                file[f"ses-003_task-{name}"] = walk(rng, n_times, n_parcels)


def write_features(root, names, n_times=60):
    rng = np.random.default_rng(1)
    for modality in ("visual", "audio", "language"):
        folder = root / "stimuli/stimulus_features/pca/friends_movie10" / modality
        folder.mkdir(parents=True)
        # The language ends a TR before the fMRI, as transcripts may.
        rows = n_times - (modality == "language")
        content = {name: rng.normal(size=(rows, 2)) for name in sorted(names)}
        np.save(folder / "features_train.npy", content)


def write_algonauts(root):
    write_fmri(root)
    movies = {name.partition("_")[0] for name in MOVIES}
    write_features(root, {*FRIENDS, *TESTED, *movies})
    return root


@MODELS
def test_algonauts_scores_the_published_layout(tmp_path, protocol, capsys, models):
    script, root = protocol("algonauts"), write_algonauts(tmp_path)
    options = ["--subjects", "1", "--models", *models, *QUICK]
    scores = script.main(["--root", str(root), *options])
    assert set(scores) == {(1, name) for name in models}
    for score in scores.values():
        assert score["parcels"].shape == (3,)
        assert np.isfinite(score["parcels"]).all() and score["crps"] > 0
        # The world is autoregressive: what the last TR tells is found.
        assert score["r"] > 0.1
    printed = capsys.readouterr().out
    assert "9 segments to train, 1 to validate, 2 to test" in printed
    assert "2604.11178" in printed


def test_algonauts_splits_by_season_and_averages_viewings(tmp_path, protocol):
    h5py = pytest.importorskip("h5py")
    script, root = protocol("algonauts"), write_algonauts(tmp_path)
    fmri = script.load_fmri(root, 1)
    assert {"figures01", "life01"} < set(fmri) and len(fmri) == 12
    with h5py.File(root / script.fmri_files(1)[1]) as file:
        seen = [file[f"ses-003_task-figures01_run-{i}"][:] for i in (1, 2)]
    np.testing.assert_allclose(fmri["figures01"], (seen[0] + seen[1]) / 2, rtol=1e-6)
    train, validation, test = script.split_segments(fmri, seed=3)
    assert test == TESTED and len(validation) == 1
    assert sorted([*train, *validation, *test]) == sorted(fmri)
    assert script.split_segments(fmri, seed=3) == (train, validation, test)


def test_algonauts_scores_no_edge_and_delays_the_stimulus(protocol):
    script = protocol("algonauts")
    origins = script.forecast_origins(60)
    assert origins.tolist() == [22, 30, 38, 46]  # the last ends at TR 53 of 0 to 59
    shown = np.arange(10.0)[:, None]
    late = script.delay({"a": shown}, "a", 11)
    np.testing.assert_array_equal(late[:, 0], [np.nan, np.nan, *range(9)])
    with pytest.raises(ValueError, match="segment a have 10 TR, its fMRI has 30"):
        script.delay({"a": shown}, "a", 30)


def test_algonauts_forecasts_know_nothing_of_what_they_forecast(protocol):
    script, common = protocol("algonauts"), protocol("_common")
    arguments = common.make_parser("").parse_args(["--root", ".", *QUICK])
    rng = np.random.default_rng(0)
    y, stimulus = walk(rng, 120, 2), rng.normal(size=(120, 1))
    X = script.design_matrix(y, stimulus, np.repeat([0, 1], 60))
    models = common.fit_models(X, y, 60, script.WINDOW, arguments)
    assert models["AFM"].rows_["held back"] == 59  # a run, less its first row
    altered = y.copy()
    altered[90:] = 1e3
    later = script.design_matrix(altered, stimulus, np.repeat([0, 1], 60))
    for model in models.values():
        (_, draws), (_, same) = (
            next(
                common.draw_ahead(
                    model, rows, np.array([90]), 8, arguments, stimulus=stimulus
                )
            )
            for rows in (X, later)
        )
        np.testing.assert_array_equal(draws, same)


def test_algonauts_names_missing_files(tmp_path, protocol):
    script = protocol("algonauts")
    with pytest.raises(FileNotFoundError, match="is no folder"):
        script.main(["--root", str(tmp_path / "none")])
    with pytest.raises(FileNotFoundError, match=r"lacks 8 of 8.*\n.*sub-01_task-frie"):
        script.main(["--root", str(tmp_path)])
    write_fmri(tmp_path)
    with pytest.raises(FileNotFoundError, match="name it by --features"):
        script.main(["--root", str(tmp_path), "--subjects", "1"])
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    arguments = ["--subjects", "1", "--features", str(folder)]
    with pytest.raises(FileNotFoundError, match=r"(?s)lacks 3 of 3.*audio/features_tr"):
        script.main(["--root", str(tmp_path), *arguments])


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


class Evaluated:
    def __reduce__(self):
        return eval, ("1 + 1",)


def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, protocol):
    common, path = protocol("_common"), tmp_path / "features_train.npy"
    touched = tmp_path / "touched"
    for content in ({"s01e01a": Malicious(touched)}, {"s01e01a": Evaluated()}):
        np.save(path, content)
        with pytest.raises(pickle.UnpicklingError, match="refused to unpickle"):
            common.load_dict(path)
    assert not touched.exists()
    np.save(path, {"s01e01a": Malicious(touched)})
    np.load(path, allow_pickle=True)  # what the restriction is for
    assert touched.exists()


@pytest.mark.parametrize("pickle_protocol", [0, 2, 3, 4, 5])
def test_arrays_come_out_of_pickles_of_every_age(tmp_path, protocol, pickle_protocol):
    common, path = protocol("_common"), tmp_path / "features_train.npy"
    expected = {"a": np.arange(6.0).reshape(3, 2), "b": {"c": [np.float32(2), "x"]}}
    with open(path, "wb") as file:
        header = {"descr": "|O", "fortran_order": False, "shape": ()}
        np.lib.format.write_array_header_1_0(file, header)
        boxed = np.empty((), object)
        boxed[()] = expected
        pickle.dump(boxed, file, protocol=pickle_protocol)
    found = common.load_dict(path)
    np.testing.assert_array_equal(found["a"], expected["a"])
    assert found["b"] == expected["b"]
    # As NumPy 1 wrote it: other names of the same modules.
    if pickle_protocol < 4:  # later ones say how long names are
        path.write_bytes(path.read_bytes().replace(b"numpy._core", b"numpy.core"))
        np.testing.assert_array_equal(common.load_dict(path)["a"], expected["a"])
    np.save(path, np.zeros(3))
    with pytest.raises(ValueError, match=r"float64 of shape \(3,\), expected a dict"):
        common.load_dict(path)


# -- ZAPBench --------------------------------------------------------------------


def write_zapbench(root, n_neurons=6):
    traces = walk(np.random.default_rng(0), 7879, n_neurons)
    np.save(root / "traces.npy", traces)
    return traces


@MODELS
def test_zapbench_scores_the_published_layout(tmp_path, protocol, capsys, models):
    script = protocol("zapbench")
    write_zapbench(tmp_path)
    options = ["--neurons", "2", "--context", "4", "--stride", "100"]
    scores = script.main(
        ["--root", str(tmp_path), *options, "--models", *models, *QUICK]
    )
    assert set(scores) == {(4, "mean"), *((4, name) for name in models)}
    for errors in scores.values():
        assert set(errors) == set(script.NAMES)
        assert all(error.shape == (32,) for error in errors.values())
        assert all(np.isfinite(error).all() for error in errors.values())
    model, mean = (
        np.mean([error[0] for error in scores[4, name].values()])
        for name in (*models, "mean")
    )
    assert model < mean
    assert "taxis (held out)" in capsys.readouterr().out


def test_zapbench_splits_each_condition_as_published(protocol):
    script = protocol("zapbench")
    # By hand from the public constants: 647 steps, of which int(.2 n), int(.1 n).
    assert script.split("gain") == ((1, 455), (455, 519), (519, 648))
    assert script.split("taxis")[2] == (3079 + 256, 3734)
    for name in script.NAMES:
        train, validation, test = script.split(name)
        assert test[1] == script.bounds(name)[1]
        origins = script.test_origins(name)
        assert origins[0] == test[0] and origins[-1] + 32 == test[1]
        assert train[0] == script.bounds(name)[0] and train[1] <= validation[0]


def test_zapbench_fits_on_no_step_of_a_test(protocol):
    script = protocol("zapbench")
    steps = np.arange(7879, dtype=float)[:, None]
    X, y, n_held = script.training_rows(steps, context=4)
    targets = y[np.isfinite(y)].astype(int)
    assert len(targets) == len(set(targets))
    for name in script.NAMES:
        first, stop = script.split(name)[2]
        assert not set(targets) & set(range(first, stop))
        assert not set(X[np.isfinite(X[:, 0]), 0].astype(int)) & set(range(first, stop))
    held = {t for name in script.NAMES for t in range(*script.split(name)[1])}
    assert set(y[len(y) - n_held :][np.isfinite(y[len(y) - n_held :])]) == held


def test_zapbench_picks_neurons_by_training_steps_alone(tmp_path, protocol):
    script = protocol("zapbench")
    traces = write_zapbench(tmp_path) * np.array([1, 5, 2, 4, 3, 6], np.float32)
    assert script.pick_neurons(traces, 3, "variance").tolist() == [1, 3, 5]
    assert script.pick_neurons(traces, 3, "spread").tolist() == [0, 2, 5]
    for name in script.NAMES:
        traces[slice(*script.split(name)[2]), 0] *= 1e6
    assert script.pick_neurons(traces, 3, "variance").tolist() == [1, 3, 5]
    np.testing.assert_array_equal(
        script.read_columns(traces, [1, 3]), traces[:, [1, 3]]
    )


def test_zapbench_says_what_is_wrong(tmp_path, protocol):
    script = protocol("zapbench")
    with pytest.raises(FileNotFoundError, match=r"lacks 1 of 1.*\n  traces\.npy"):
        script.main(["--root", str(tmp_path)])
    np.save(tmp_path / "traces.npy", np.zeros((6, 7879), np.float32))
    with pytest.raises(ValueError, match=r"\(6, 7879\), expected \(7879, neurons\)"):
        script.main(["--root", str(tmp_path)])
    with pytest.raises(ValueError, match=r"context=\[300\], expected at most 256"):
        script.main(["--root", str(tmp_path), "--context", "300"])


# -- NSF HDR ---------------------------------------------------------------------

DAYS = "2024-03-20", "2022-06-01", "2022-06-02"
SETS = {
    "affi": 30,
    f"affi_{DAYS[0]}_private": 10,
    "beignet": 30,
    f"beignet_{DAYS[1]}_private": 8,
    f"beignet_{DAYS[2]}_private": 8,
}


def trials_of(rng, n_trials, n_channels=3):
    values = walk(rng, n_trials, 20, n_channels) * 100
    return np.stack([values] + [rng.normal(size=values.shape)] * 8, axis=-1)


def write_hdr(root):
    rng = np.random.default_rng(0)
    for name, n_trials in SETS.items():
        np.savez(root / f"train_data_{name}.npz", trials_of(rng, n_trials))
    return root


@MODELS
def test_nsf_hdr_scores_the_published_layout(tmp_path, protocol, capsys, models):
    script, root = protocol("nsf_hdr"), write_hdr(tmp_path)
    scores = script.main(["--root", str(root), "--models", *models, *QUICK])
    assert set(scores) == {(s, m) for s in SETS for m in (*models, "last")}
    for score in scores.values():
        assert np.isfinite([score["mse"], score["crps"]]).all()
    model, last = (
        np.mean([scores[name, label]["mse"] for name in SETS])
        for label in (*models, "last")
    )
    assert model < last
    printed = capsys.readouterr().out
    assert "affi: 24 trials to fit, 6 held out" in printed
    assert f"affi_{DAYS[0]}_private: 0 trials to fit, 10 held out" in printed


def test_nsf_hdr_tests_on_no_trial_that_it_fits(protocol):
    script = protocol("nsf_hdr")
    train, test = np.arange(20), np.arange(20, 25)
    for is_fitted, n_fit in ((True, 16), (False, 0)):
        rows, held = script.split(train, None, is_fitted)
        assert len(rows) == n_fit and sorted([*rows, *held]) == train.tolist()
    assert [len(part) for part in script.split(train, test, True)] == [20, 5]
    assert [len(part) for part in script.split(train, test, False)] == [0, 5]


def test_nsf_hdr_forecasts_know_ten_steps_alone(protocol):
    script = protocol("nsf_hdr")
    trials = trials_of(np.random.default_rng(0), 4)[..., 0]
    later = trials.copy()
    later[:, 10:] += 1e3
    X = script.known_rows(trials)
    np.testing.assert_array_equal(X, script.known_rows(later))
    np.testing.assert_array_equal(X[10::11, :3], trials[:, 9])


def test_nsf_hdr_scores_test_files_with_answers_only(tmp_path, protocol, capsys):
    script, root = protocol("nsf_hdr"), write_hdr(tmp_path)
    masked = trials_of(np.random.default_rng(1), 5)
    np.savez(root / f"test_data_affi_{DAYS[0]}_private.npz", masked)
    masked = masked.copy()
    masked[:, 10:] = masked[:, 9:10]
    np.savez(root / "test_data_affi.npz", masked)
    arguments = ["--monkeys", "affi", "--models", "ridge", "--other-days"]
    script.main(["--root", str(root), *arguments, *QUICK])
    printed = capsys.readouterr().out
    assert "test_data_affi.npz has no answers" in printed
    assert "affi: 24 trials to fit, 6 held out" in printed
    assert f"affi_{DAYS[0]}_private: 10 trials to fit, 5 of the test file" in printed


def test_nsf_hdr_says_what_is_wrong(tmp_path, protocol):
    script = protocol("nsf_hdr")
    with pytest.raises(FileNotFoundError, match=r"lacks 5 of 5.*\n.*data_affi.npz"):
        script.main(["--root", str(tmp_path)])
    write_hdr(tmp_path)
    np.savez(tmp_path / "train_data_affi.npz", np.zeros((4, 20, 3)))
    with pytest.raises(ValueError, match=r"\(4, 20, 3\), expected \(trials, 20"):
        script.main(["--root", str(tmp_path)])
    wide = trials_of(np.random.default_rng(0), 10, n_channels=4)
    np.savez(tmp_path / "train_data_affi.npz", wide)
    with pytest.raises(ValueError, match=r"files of affi have \[3, 4\] channels"):
        script.main(["--root", str(tmp_path)])
