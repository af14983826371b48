import pickle

import numpy as np
import pytest
import torch

from afm_sklearn import AFMForecaster, SlidingWindow, crps, design_matrix
from afm_sklearn.datasets import make_double_well, make_spiking_population

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
MAKERS = {"real": make_double_well, "counts": make_spiking_population}


@pytest.fixture(params=MAKERS)
def recording(request):
    data = MAKERS[request.param](700, 4, random_state=0)
    X = design_matrix(data.activity, data.stimulus)
    return SlidingWindow(4).fit_transform(X), data.activity


def _model(**kwargs):
    return AFMForecaster(**{"max_epochs": 5, "random_state": 0} | kwargs)


@pytest.mark.parametrize("base", ["normal", "linear", "learned"])
def test_a_law_answers_the_same_on_both_devices(recording, base):
    X, y = recording
    model = _model(base=base, device="cpu").fit(X[:500], y[:500])
    windows = torch.tensor(np.asarray(X[500:]))
    noise = torch.randn(len(windows), 20, y.shape[1])
    law = model.law_
    with torch.inference_mode():
        here = law.start(windows).predict().rsample(20, noise=noise)
        law.cuda()
        state = law.start(windows.cuda())
        there = state.predict().rsample(20, noise=noise.cuda()).cpu()
    # A count may move by one where rounding moves a score over its edge.
    close = torch.isclose(here, there, rtol=1e-3, atol=1e-3).float().mean()
    assert close > 0.999


@pytest.mark.parametrize("base", ["auto", "normal"])
def test_fits_on_both_devices_are_as_good(recording, base):
    X, y = recording
    scores = []
    for device in ("cpu", "cuda"):
        model = _model(base=base, device=device).fit(X[:500], y[:500])
        draws = model.sample(X[500:], 100, random_state=0)
        scores.append(crps(y[500:], draws).mean())
        assert np.isfinite(model.predict(X[500:])).all()
        assert np.isfinite(model.log_prob(X[500:], y[500:])).all()
    assert scores[1] == pytest.approx(scores[0], rel=0.05)


def test_trajectories_from_a_gpu_are_reproducible_and_open_without_one(recording):
    X, y = recording
    model = _model(device="cuda", base="learned").fit(X[:500], y[:500])
    s = X.shape[2] - y.shape[1]
    options = dict(n_samples=10, random_state=0)
    if s:
        options["stimulus"] = np.broadcast_to(X[500:502, -1:, -s:], (2, 6, s))
    paths = model.sample_trajectories(X[500:502], 6, **options)
    again = model.sample_trajectories(X[500:502], 6, **options)
    np.testing.assert_array_equal(paths, again)
    moved = pickle.loads(pickle.dumps(model))
    assert all(
        values.device.type == "cpu" for values in moved.law_.state_dict().values()
    )
    assert moved.sample_trajectories(X[500:502], 6, **options).shape == paths.shape
