"""How much of the past does a forecast need, in runs it has never seen?

Question: which forecaster, and windows of how many steps? And is the answer one about
new runs, or only about the runs at hand?

The recording has eight runs, and its law reads three steps of the past. ``runs`` go
into `design_matrix`: windows never reach from one run into the next. ``GridSearchCV``
tries every length with two forecasters, holds out whole runs by ``GroupKFold`` and
scores draws by CRPS, with the same noise for all candidates. Two runs take no part in
the search and say what the choice is worth.

How to read the figure: on the left, CRPS of held-out runs against the length of the
window, lower is better; thin lines are folds, thick ones their mean. On the right, CRPS
by lead time on the two runs that the search never saw, for the best window, for windows
of one step and for the true law.

What it cannot do: tell apart what is as good. Folds differ more than lengths do, so
that the best length by a hair is no discovery. And runs of one subject say nothing
about another: give ``groups`` the subject where subjects are to be new. Never shuffle
rows; test rows between training rows are no test.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import Pipeline

from afm_sklearn import (
    AFMForecaster,
    ResidualForecaster,
    SlidingWindow,
    compare,
    design_matrix,
    neg_crps_scorer,
)
from afm_sklearn.datasets import make_linear_var
from afm_sklearn.plotting import ScoreByHorizonDisplay

N_RUNS, N_TIMES, N_FOLDS, LENGTHS = 8, 150, 3, (1, 2, 3, 6)
OUT = Path("demo_output") / "runs_and_search.png"


def main():
    data = make_linear_var(
        N_TIMES, 4, 0, order=3, n_runs=N_RUNS, spectral_radius=0.97, random_state=0
    )
    X, y = design_matrix(data.activity, data.stimulus, data.runs), data.activity
    unseen = data.runs >= N_RUNS - 2
    forecasters = {
        "AFM, linear": AFMForecaster(base="linear", random_state=0),
        "ridge": ResidualForecaster(Ridge()),
    }
    search = GridSearchCV(
        pipeline(forecasters["ridge"], 1),
        {"forecaster": list(forecasters.values()), "window__length": LENGTHS},
        scoring=neg_crps_scorer,
        cv=GroupKFold(N_FOLDS),
    )
    search.fit(X[~unseen], y[~unseen], groups=data.runs[~unseen])
    found = search.cv_results_
    losses = -np.array([found[f"split{k}_test_score"] for k in range(N_FOLDS)])
    losses = losses.reshape(N_FOLDS, len(forecasters), len(LENGTHS))
    print("CRPS of held-out runs, by steps in the window")
    print(f"{'':12}", *(f"{length:6}" for length in LENGTHS))
    for name, mean in zip(forecasters, losses.mean(0), strict=True):
        print(f"{name:12}", *(f"{value:6.3f}" for value in mean))
    best = search.best_params_["window__length"]
    print(f"best: {type(search.best_params_['forecaster']).__name__}, {best} steps")

    result = compare(
        {
            f"best, {best} steps": search.best_estimator_,
            "the same, 1 step": pipeline(search.best_params_["forecaster"], 1),
            "true law": pipeline(data.oracle, 3),
        },
        X,
        y,
        cv=[(np.flatnonzero(~unseen), np.flatnonzero(unseen))],
        horizon=8,
        scores="crps",
    )
    print(result)
    draw(losses, forecasters, result)


def pipeline(forecaster, length):
    window = SlidingWindow(length, run_column=-1)
    return Pipeline([("window", window), ("forecaster", forecaster)])


def draw(losses, forecasters, result):
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 4.2), layout="constrained", sharey=True
    )
    for k, (name, marker) in enumerate(zip(forecasters, "os", strict=True)):
        left.plot(LENGTHS, losses[:, k].T, color=f"C{k}", lw=0.6, alpha=0.6)
        mean = losses[:, k].mean(0)
        left.plot(LENGTHS, mean, marker=marker, color=f"C{k}", lw=2, label=name)
    left.set(xlabel="steps in the window", ylabel="CRPS", xticks=LENGTHS)
    left.set_title("the search, on held-out runs", loc="left")
    left.legend(frameon=False)
    ScoreByHorizonDisplay.from_comparison(result, ax=right)
    right.set_title("two runs that it never saw", loc="left")
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=120)
    print(f"wrote {OUT}")


if __name__ == "__main__":
    main()
