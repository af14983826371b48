"""A regressor of each channel on its own past and the stimulus."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from afm_sklearn import ResidualForecaster, SlidingWindow, design_matrix
from afm_sklearn.baselines.history import fill_history
from afm_sklearn.datasets import make_linear_var


@pytest.fixture(scope="module")
def recording():
    data = make_linear_var(
        n_times=100, n_channels=3, n_stimuli=2, n_runs=6, random_state=0
    )
    X = design_matrix(data.activity, data.stimulus, data.runs)
    return SlidingWindow(2, run_column=-1).fit_transform(X), data.activity


def test_own_inputs_are_an_autoregression_of_each_channel_with_the_stimulus(recording):
    X, y = recording
    rng = np.random.default_rng(0)
    holes = np.where(rng.random(y.shape) < 0.1, np.nan, y)
    for targets in (y, holes):
        model = ResidualForecaster(Ridge(), inputs="own").fit(X, targets)
        past = ~np.isnan(X).any(axis=(1, 2))
        filled = fill_history(X, model.channel_means_)
        for j in range(3):
            own = filled[:, :, [j, 3, 4]].reshape(len(X), -1)
            rows = past & ~np.isnan(targets[:, j])
            alone = Ridge().fit(own[rows], targets[rows, j]).predict(own)
            np.testing.assert_allclose(model.predict(X)[:, j], alone)


def test_own_inputs_leave_out_other_channels(recording):
    X, y = recording
    model = ResidualForecaster(Ridge(), inputs="own").fit(X, y)
    other = np.array(X)
    other[:, :, 1] += 5.0
    whole = ~np.isnan(other).any(axis=(1, 2))
    moved = np.abs(model.predict(other) - model.predict(X))[whole].min(axis=0)
    assert moved[0] == moved[2] == 0
    assert moved[1] > 0.5
    with pytest.raises(ValueError, match=r"inputs='own' needs .* lagged targets, but"):
        model.fit(X, y @ np.random.default_rng(0).normal(size=(3, 2)))
