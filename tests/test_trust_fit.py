"""What `fit` promises: it can be stopped, repeated, shared and trusted to fail."""

import _thread
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_info

from afm_sklearn import AFMForecaster, Persistence, SlidingWindow, crps, design_matrix
from afm_sklearn.datasets import make_linear_var


def _quick(**kwargs):
    return AFMForecaster(
        **{"max_epochs": 2, "random_state": 0, "hidden_dim": 16, **kwargs}
    )


@pytest.fixture(scope="module")
def recording():
    data = make_linear_var(300, 3, n_stimuli=0, random_state=0)
    X = SlidingWindow(4).fit_transform(design_matrix(data.activity))
    return X, data.activity


@pytest.fixture(scope="module")
def draws(recording):
    """Draws of a fit that nothing interferes with."""
    return _draws(_quick(base="learned").fit(*recording), recording[0])


def _draws(model, X):
    return model.sample(X[-5:], 20, random_state=0)


# -- a fit that ends early -----------------------------------------------------


@pytest.fixture
def ctrl_c():
    """Ctrl-C means what it means in a terminal, also where a shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("base", ["learned", "normal"])
@pytest.mark.parametrize("delay", [0.05, 1.0])
@pytest.mark.parametrize("was_fitted", [False, True])
def test_ctrl_c_reaches_the_caller_at_once(recording, base, delay, was_fitted, ctrl_c):
    X, y = recording
    model = _quick(base=base)
    if was_fitted:
        model.fit(X, y)
        before = _draws(model, X)
    model.set_params(max_epochs=1_000_000, early_stopping=False)
    state = dict(vars(model))
    pressed = []

    def press():
        pressed.append(time.monotonic())
        _thread.interrupt_main()

    timer = threading.Timer(delay, press)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(X / 10, y / 10)
    finally:
        timer.cancel()
    assert time.monotonic() - pressed[0] < 1.0
    assert vars(model) == state
    if was_fitted:
        np.testing.assert_array_equal(_draws(model, X), before)


@pytest.mark.parametrize(
    "arguments", [{"lr": -1}, {"scales": (9,)}, {"stimulus_groups": {"a": [0]}}]
)
def test_a_fit_that_fails_leaves_the_forecaster_as_it_was(recording, draws, arguments):
    X, y = recording
    model = _quick(base="learned").fit(X, y)
    model.set_params(**arguments)
    with pytest.raises(ValueError, match=next(iter(arguments))):
        model.fit(X / 10, y / 10)
    model.set_params(**_quick(base="learned").get_params())
    np.testing.assert_array_equal(_draws(model, X), draws)


def test_after_a_first_fit_that_fails_nothing_is_fitted(recording):
    X, y = recording
    model = _quick(scales=(9,))
    with pytest.raises(ValueError, match="scales"):
        model.fit(X, y)
    with pytest.raises(NotFittedError):
        check_is_fitted(model)
    with pytest.raises(NotFittedError):
        model.predict(X)
    baseline = Persistence()
    with pytest.raises(ValueError, match="lagged targets"):
        baseline.fit(X, y[::-1])
    with pytest.raises(NotFittedError):
        check_is_fitted(baseline)


# -- the surroundings of a fit -------------------------------------------------


def test_fits_in_threads_equal_the_serial_one_and_leave_torch_alone(recording):
    X, y = recording
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    threads = [part["num_threads"] for part in threadpool_info()]
    try:
        serial = _quick(base="learned").fit(X, y)
        generator = torch.get_rng_state()
        with ThreadPoolExecutor(4) as pool:
            models = [_quick(base="learned") for _ in range(4)]
            models = list(pool.map(lambda model: model.fit(X, y), models))
        assert torch.get_num_threads() == 2
        assert [part["num_threads"] for part in threadpool_info()] == threads
        assert torch.equal(generator, torch.get_rng_state())
        for model in models:
            np.testing.assert_array_equal(_draws(model, X), _draws(serial, X))
    finally:
        torch.set_num_threads(n_threads)


@pytest.mark.parametrize("family", ["gaussian", "counts"])
@pytest.mark.parametrize("base", ["learned", "normal"])
@pytest.mark.parametrize("mode", ["no_grad", "inference_mode", "double"])
def test_modes_of_torch_do_not_change_a_fit(recording, base, mode, family):
    X, y = recording
    if family == "counts":
        y = np.random.default_rng(0).poisson(np.exp(0.5 * np.tanh(y)))
        X = SlidingWindow(4).fit_transform(design_matrix(y))
    plain = _quick(base=base, family=family)
    expected = _draws(plain.fit(X, y), X), plain.log_prob(X[-5:], y[-5:])
    model = _quick(base=base, family=family)
    if mode == "double":
        torch.set_default_dtype(torch.float64)
        try:
            model.fit(X, y)
            found = _draws(model, X), model.log_prob(X[-5:], y[-5:])
        finally:
            torch.set_default_dtype(torch.float32)
    else:
        with getattr(torch, mode)():
            model.fit(X, y)
            found = _draws(model, X), model.log_prob(X[-5:], y[-5:])
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-9)


# -- units ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "level"), [(1e-13, 0.0), (1.0, 1e8), (1e12, 0.0), (1e-6, 1e3)]
)
@pytest.mark.parametrize("base", ["linear", "learned"])
def test_forecasts_do_not_depend_on_the_unit(recording, base, unit, level):
    _, y = recording
    y = np.ldexp(np.round(np.ldexp(y, 20)), -20)  # so that a level costs no digits
    answers = []
    for scale, shift in ((1.0, 0.0), (unit, level)):
        X = SlidingWindow(4).fit_transform(design_matrix(y * scale + shift))
        model = _quick(base=base).fit(X, y * scale + shift)
        answers.append((_draws(model, X) - shift) / scale)
    # 1e-6 beside 1e3 leaves seven digits of double precision.
    np.testing.assert_allclose(answers[1], answers[0], atol=2e-3 * y.std())


# -- training that diverges ----------------------------------------------------


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("base", ["auto", "normal", "learned"])
@pytest.mark.parametrize(
    "arguments", [{"lr": 10.0}, {"lr": 1e30}, {"window_noise": 1e30}]
)
def test_training_that_diverges_gives_finite_forecasts(recording, base, arguments):
    X, y = recording
    model = _quick(base=base, **arguments).fit(X, y)
    for values in (
        model.predict(X),
        model.predict_quantiles(X),
        model.sample(X, 5, random_state=0),
        model.log_prob(X, y),
        model.sample_trajectories(X[-3:], 5, n_samples=5, random_state=0),
    ):
        assert np.isfinite(values).all()


@pytest.mark.parametrize("lr", [10.0, 1e30])
def test_a_stage_that_diverges_is_named_and_left_out(recording, lr):
    X, y = recording
    with pytest.warns(ConvergenceWarning, match="flow network diverged"):
        model = _quick(base="linear", lr=lr).fit(X, y)
    assert model.base_ == "linear"
    with pytest.warns(ConvergenceWarning) as caught:
        learned = _quick(base="learned", lr=1e30).fit(X, y)
    assert {str(w.message).split()[4] for w in caught} == {"newest", "window", "flow"}
    np.testing.assert_array_equal(_draws(learned, X), _draws(model, X))


# -- a few windows with gaps in them ---------------------------------------------


def test_the_start_of_a_run_does_not_spoil_a_nearly_deterministic_signal():
    t = np.arange(3000)
    phases = 2 * np.pi * np.outer(t, [1 / 37, 1 / 23]) + [0.0, 1.0]
    rng = np.random.default_rng(0)
    y = np.sin(phases) + 1e-3 * rng.normal(size=phases.shape)
    X = SlidingWindow(8).fit_transform(design_matrix(y))
    model = AFMForecaster(random_state=0, max_epochs=3).fit(X[:2500], y[:2500])
    error = np.abs(model.predict(X[2500:]) - y[2500:]).mean()
    assert error < 3e-3
    draws = model.sample(X[2500:], 100, random_state=0)
    assert crps(y[2500:], draws).mean() < 3e-3
    assert np.isfinite(model.predict(X[:8])).all()


# -- a stimulus that was never shown ---------------------------------------------


@pytest.mark.filterwarnings("ignore::afm_sklearn.OutOfDistributionWarning")
@pytest.mark.parametrize("base", ["auto", "linear", "learned", "normal"])
def test_a_stimulus_far_outside_counts_as_the_end_of_its_range(base):
    rng = np.random.default_rng(0)
    place = rng.uniform(0, 10, size=(900, 1))
    y = rng.poisson(np.exp(0.4 * place - 3)).astype(float)
    X = design_matrix(y, place)
    model = _quick(base=base).fit(X, y)
    far = np.array([[2.0, 11.5], [2.0, 30.0], [2.0, 1e6]])
    means = model.predict(far).ravel()
    np.testing.assert_allclose(means, means[0])
    assert means[0] < 30
    paths = model.sample_trajectories(
        far[1:2], 5, stimulus=np.full((1, 5, 1), 1e6), n_samples=200, random_state=0
    )
    assert paths.mean() < 40
