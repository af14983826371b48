"""Are my 90 % intervals 90 %?

Question: of the intervals that were to hold nine of ten observations, how many did, one
step ahead and eight steps ahead?

Two forecasters of five noisy switches are asked. One is `AFMForecaster`. The other is
what is quickly written at hand: a random forest, and around its forecasts the errors
that it made on the rows it was fitted on. A forest knows these rows by heart, so that
such errors are far too small.

How to read the figure: on the left, the share of observations inside an interval
against the share that was promised, a line for each lead time. On the diagonal
intervals are what they say; below it they are too narrow. On the right, the ranks of
what happened among the draws of the next step: flat is calibrated, high at both ends
is overconfident, high in the middle is too wide. Grey is what chance does.

What it cannot do: say which forecast is better. Draws from the past at random are
calibrated, too, and say nothing of the present; CRPS, which is printed, judges both
virtues. It is also a mean over all rows: intervals may be too wide in calm times and
too narrow in others, and still hold 90 %.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import RandomForestRegressor

from afm_sklearn import AFMForecaster, DrawForecaster, coverage, crps, design_matrix
from afm_sklearn.datasets import make_double_well
from afm_sklearn.plotting import CoverageDisplay, PITDisplay

N_TRAIN, N_TEST, HORIZON = 1500, 600, 8
OUT = Path("demo_output") / "calibration.png"


class Forest:
    """Draws around a random forest, with the errors of the rows it was fitted on."""

    def __init__(self, activity):
        forest = RandomForestRegressor(100, min_samples_leaf=2, random_state=0)
        self.forest = forest.fit(activity[:-1], activity[1:])
        self.errors = activity[1:] - forest.predict(activity[:-1])

    def __call__(self, history, horizon, n_samples, stimulus, seed):
        rng = np.random.default_rng(seed)
        state = np.repeat(history[:, -1], n_samples, axis=0)
        steps = []
        for _ in range(horizon):
            picked = rng.integers(len(self.errors), size=len(state))
            state = self.forest.predict(state) + self.errors[picked]
            steps.append(state.reshape(len(history), n_samples, -1))
        return np.stack(steps, axis=2)  # (n, n_samples, horizon, d)


def main():
    data = make_double_well(N_TRAIN + N_TEST, random_state=0)
    X, y = design_matrix(data.activity), data.activity
    forest = Forest(y[:N_TRAIN])
    forecasters = {
        "AFM": AFMForecaster(window_length=3, random_state=0),
        "forest, errors of training rows": DrawForecaster(
            lambda *asked: forest(*asked), window_length=3
        ),
    }
    origins = np.arange(N_TRAIN, N_TRAIN + N_TEST - HORIZON, 2)
    observed = y[origins[:, None] + np.arange(HORIZON)]
    figure, axes = plt.subplots(2, 2, figsize=(9, 9), layout="constrained")
    for (left, right), (name, model) in zip(axes, forecasters.items(), strict=True):
        model.fit(X[:N_TRAIN], y[:N_TRAIN])
        windows = model.make_windows(X)[origins]
        draws = model.sample_trajectories(
            windows, HORIZON, n_samples=100, random_state=0
        )
        held = coverage(observed, draws, level=0.9).mean(-1)
        loss = crps(observed, draws).mean((0, 2))
        for lead in (1, HORIZON):
            print(
                f"{name}, {lead} ahead: 90 % intervals hold {held[lead - 1]:.0%}, "
                f"CRPS {loss[lead - 1]:.3f}"
            )
        CoverageDisplay.from_predictions(
            observed, draws, lead_times=(1, 2, 4, 8), ax=left, name=name
        )
        PITDisplay.from_predictions(
            observed, draws, ax=right, name="ranks of the next step"
        )
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=120)
    print(f"wrote {OUT}")


if __name__ == "__main__":
    main()
