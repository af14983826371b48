import pickle
import threading

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from afm_sklearn import (
    AFMForecaster,
    SlidingWindow,
    crps,
    design_matrix,
    energy_score,
    neg_crps_scorer,
)
from afm_sklearn.compute import run_together
from afm_sklearn.datasets import make_double_well, make_linear_var


def _quick(**kwargs):
    return AFMForecaster(**{"max_epochs": 3, "random_state": 0, **kwargs})


@pytest.fixture(scope="module")
def recording():
    data = make_linear_var(n_times=400, n_channels=3, n_stimuli=2, random_state=0)
    X = design_matrix(data.activity, data.stimulus)
    return SlidingWindow(4).fit_transform(X), data.activity


@pytest.mark.slow
@pytest.mark.parametrize("routing", [False, True])
def test_scikit_learn_contract(routing):
    with config_context(enable_metadata_routing=routing):
        check_estimator(AFMForecaster(max_epochs=2), on_skip=None)


@pytest.mark.parametrize("encoder", ["conv", "gru", "lstm", "transformer", "mlp"])
def test_shapes_of_every_encoder_are_finite_even_where_history_is_missing(
    recording, encoder
):
    X, y = recording
    model = _quick(history_encoder=encoder, base="learned", hidden_dim=8).fit(X, y)
    future = np.zeros((5, 6, 2))
    results = {
        "predict": (model.predict(X[:5]), (5, 3)),
        "quantiles": (model.predict_quantiles(X[:5]), (5, 3, 3)),
        "interval": (model.predict_interval(X[:5]), (5, 2, 3)),
        "sample": (model.sample(X[:5], 7), (5, 7, 3)),
        "log_prob": (model.log_prob(X[:5], y[:5]), (5,)),
        "trajectories": (
            model.sample_trajectories(X[:5], 6, stimulus=future, n_samples=7),
            (5, 7, 6, 3),
        ),
    }
    for name, (values, shape) in results.items():
        assert values.shape == shape, name
        assert np.isfinite(values).all(), name


def test_one_dimensional_targets_drop_the_channel_axis(recording):
    X, y = recording
    X, y = X[:, :, :1], y[:, 0]
    model = _quick(base="linear").fit(X, y)
    assert model.predict(X[:5]).shape == (5,)
    assert model.sample(X[:5], 4).shape == (5, 4)
    assert model.sample_trajectories(X[:5], 3, n_samples=4).shape == (5, 4, 3)


def test_samples_are_seeded_and_global_generators_untouched(recording):
    X, y = recording
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    model = _quick(base="learned").fit(X, y)
    first = model.sample(X[:9], random_state=0)
    np.testing.assert_array_equal(first, model.sample(X[:9], random_state=0))
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    again = _quick(base="learned").fit(X, y)
    np.testing.assert_array_equal(first, again.sample(X[:9], random_state=0))


def test_predict_does_not_depend_on_the_batch(recording):
    X, y = recording
    model = _quick(base="learned").fit(X, y)
    order = np.random.default_rng(0).permutation(len(X))
    whole = model.predict(X)
    np.testing.assert_allclose(model.predict(X[order]), whole[order], rtol=1e-9)
    alone = np.concatenate([model.predict(X[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(alone, whole[:20], rtol=1e-9)


def test_pickle_keeps_the_forecasts(recording):
    X, y = recording
    model = _quick(base="learned").fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(
        model.sample(X[:4], random_state=1), copy.sample(X[:4], random_state=1)
    )


def test_a_scaler_in_front_of_the_window_does_not_change_trajectories(recording):
    data = make_linear_var(n_times=400, n_channels=3, n_stimuli=0, random_state=0)
    X, y = design_matrix(data.activity), data.activity * [1, 100, 0.01] + [0, 5, -3]
    X = design_matrix(y)
    plain = make_pipeline(SlidingWindow(3), _quick(base="linear"))
    scaled = make_pipeline(StandardScaler(), SlidingWindow(3), _quick(base="linear"))
    draws = []
    for pipe in (plain, scaled):
        pipe.fit(X, y)
        windows = pipe[:-1].transform(X)[-3:]
        draws.append(pipe[-1].sample_trajectories(windows, 5, random_state=0))
    spread = draws[0].std(axis=(0, 1, 2))
    assert (np.abs(draws[0] - draws[1]) < 0.02 * spread).all()


def test_missing_targets_are_left_out(recording):
    X, y = recording
    holes = y.copy()
    holes[np.random.default_rng(0).random(y.shape) < 0.2] = np.nan
    full, holed = (_quick(base="linear").fit(X, t).score(X, y) for t in (y, holes))
    assert holed > full - 0.02


def test_a_channel_that_was_never_observed_does_not_stop_the_others():
    activity = np.random.default_rng(0).normal(size=(200, 3))
    activity[:, 1] = np.nan
    X = SlidingWindow(3).fit_transform(design_matrix(activity))
    model = _quick().fit(X, activity)
    paths = model.sample_trajectories(X[-2:], 4, n_samples=5, random_state=0)
    assert np.isfinite(paths).all()


def test_log_prob_of_the_linear_system_is_near_the_true_density(recording):
    data = make_linear_var(n_times=1500, n_channels=2, n_stimuli=1, random_state=1)
    X = design_matrix(data.activity, data.stimulus)
    model = _quick(max_epochs=20).fit(X[:1000], data.activity[:1000])
    ours = model.log_prob(X[1000:], data.activity[1000:])
    true = data.oracle.log_prob(X[1000:], data.activity[1000:])
    assert np.mean(true - ours) < 0.06


@pytest.mark.slow
def test_defaults_are_near_the_oracle_on_the_linear_system():
    data = make_linear_var(n_times=3000, random_state=0)
    X = design_matrix(data.activity, data.stimulus)
    y, X = data.activity, SlidingWindow(5).fit_transform(X)
    model = AFMForecaster(random_state=0).fit(X[:2400], y[:2400])
    ours, true = (m.sample(X[2400:], 100, random_state=0) for m in (model, data.oracle))
    assert crps(y[2400:], ours).mean() < 1.02 * crps(y[2400:], true).mean()
    scores = [energy_score(y[2400:], s).mean() for s in (ours, true)]
    assert scores[0] < 1.02 * scores[1]


@pytest.mark.filterwarnings("ignore::afm_sklearn.OutOfDistributionWarning")
@pytest.mark.slow
def test_search_finds_the_memory_of_the_system_whatever_the_workers():
    data = make_linear_var(
        n_times=150, n_channels=3, n_stimuli=1, order=3, n_runs=6, random_state=0
    )
    X = design_matrix(data.activity, data.stimulus, data.runs)
    results = []
    for n_jobs in (1, 2):
        pipe = make_pipeline(SlidingWindow(run_column=-1), _quick())
        search = GridSearchCV(
            pipe,
            {"slidingwindow__length": [1, 5, 10]},
            scoring=neg_crps_scorer,
            cv=GroupKFold(3),
            n_jobs=n_jobs,
        ).fit(X, data.activity, groups=data.runs)
        assert search.best_params_["slidingwindow__length"] >= 3
        results.append(search.cv_results_["mean_test_score"])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-6)


def test_a_decoder_says_why_it_has_no_trajectories(recording):
    X, _ = recording
    y = np.random.default_rng(0).normal(size=(len(X), 2))
    model = _quick(base="linear").fit(X, y)
    assert model.sample(X[:2], 3).shape == (2, 3, 2)
    with pytest.raises(ValueError, match="lagged targets"):
        model.sample_trajectories(X[:2], 2, stimulus=np.zeros((2, 2, 3)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"history_encoder": "rnn"}, "'history_encoder' parameter .* Got 'rnn'"),
        ({"solver": "adams"}, "'solver' parameter .* Got 'adams'"),
        ({"scales": (1, 9)}, "has 9, X has 4 steps"),
        ({"path": "curved"}, "'path' parameter .* Got 'curved'"),
        ({"max_epochs": 0}, "'max_epochs' parameter .* Got 0"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
    ],
)
def test_unknown_arguments_are_named(recording, arguments, message):
    with pytest.raises(ValueError, match=message):
        _quick(**arguments).fit(*recording)


def test_bad_input_is_named(recording):
    X, y = recording
    with pytest.raises(ValueError, match="infinity"):
        _quick().fit(X, np.where(y > 1, np.inf, y))
    with pytest.raises(ValueError, match="400 and 399"):
        _quick().fit(X, y[:-1])
    model = _quick(base="linear").fit(X, y)
    with pytest.raises(ValueError, match="stimulus is None"):
        model.sample_trajectories(X[:2], 3)
    with pytest.raises(ValueError, match="stimulus has 5 steps, horizon needs 8"):
        model.sample_trajectories(X[:2], 8, stimulus=np.zeros((2, 5, 2)))
    with pytest.raises(ValueError, match="n_samples must be an integer"):
        model.sample(X[:2], 0)
    with pytest.raises(ValueError, match="horizon must be an integer"):
        model.sample_trajectories(X[:2], 0)
    with pytest.raises(ValueError, match="4 steps and 4 channels, expected 4 and 5"):
        model.predict(X[:, :, :4])
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="device='cuda'"):
            _quick(device="cuda").fit(X, y)


def test_where_only_the_spread_depends_on_the_past_the_mean_stays_linear():
    rng, y = np.random.default_rng(0), np.zeros((1500, 2))
    for t in range(1, len(y)):
        spread = 0.1 + 0.6 * np.abs(y[t - 1, ::-1])
        y[t] = 0.5 * y[t - 1] + spread * rng.standard_normal(2)
    X = SlidingWindow(4).fit_transform(design_matrix(y))
    model = AFMForecaster(base="learned", max_epochs=30, random_state=0).fit(X, y)
    channels = model.law_.channels
    pairs = zip(channels.members, channels.keeps_mean, strict=True)
    assert all(keeps for member, keeps in pairs if member.reach > 1)


@pytest.mark.parametrize("n_rows", [1, 2, 3])
@pytest.mark.parametrize("kind", ["values", "counts"])
def test_very_few_rows_give_a_finite_forecast(n_rows, kind):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(n_rows, 3)) if kind == "values" else np.ones((n_rows, 3))
    X = SlidingWindow(2).fit_transform(design_matrix(y))
    model = AFMForecaster(max_epochs=1, random_state=0).fit(X, y)
    assert np.isfinite(model.sample(X, 5, random_state=0)).all()


# -- threads ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask", ["sample", "sample_trajectories", "predict", "log_prob"]
)
def test_answers_are_the_same_however_many_threads_share_them(ask):
    y = make_double_well(400, n_channels=3, random_state=0).activity
    X = SlidingWindow(2).fit_transform(design_matrix(y))
    model = AFMForecaster(max_epochs=2, random_state=0).fit(X, y)
    given = {
        "sample": {"n_samples": 50, "random_state": 0},
        "sample_trajectories": {"horizon": 3, "n_samples": 50, "random_state": 0},
        "predict": {},
        "log_prob": {"y": y},
    }[ask]
    before, found, started = torch.get_num_threads(), [], threading.Thread.start
    n_started = []

    def start(thread):
        n_started.append(thread)
        started(thread)

    try:
        with pytest.MonkeyPatch.context() as patch, config_context(working_memory=1):
            patch.setattr(threading.Thread, "start", start)
            for n_threads in (1, 3):
                torch.set_num_threads(n_threads)
                found.append(getattr(model, ask)(X, **given))
                assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)
    assert n_started, "nothing was shared: the test says nothing"
    np.testing.assert_array_equal(*found)


def test_what_fails_on_a_thread_fails_outside():
    def fails():
        raise ValueError("of the task")

    with pytest.raises(ValueError, match="of the task"):
        run_together([fails, lambda: None])
