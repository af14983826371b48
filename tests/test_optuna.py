"""Optuna prunes fits by their held-out loss, epoch by epoch."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import TimeSeriesSplit

from afm_sklearn import AFMForecaster, design_matrix, neg_crps_scorer

optuna = pytest.importorskip("optuna")
pytestmark = pytest.mark.skipif(
    not hasattr(AFMForecaster, "set_callbacks"), reason="scikit-learn < 1.9"
)
EXAMPLE = Path(__file__).parent.parent / "examples" / "optuna_search.py"
N_EPOCHS = 4


@pytest.fixture(scope="module")
def report_loss():
    return runpy.run_path(str(EXAMPLE))["ReportLoss"]


@pytest.fixture(scope="module")
def data():
    # Chaos within bounds: there is much for a network to learn.
    y = np.full((300, 2), [0.3, 0.6])
    for t in range(1, len(y)):
        y[t] = 3.9 * y[t - 1] * (1 - y[t - 1])
    y += 0.02 * np.random.default_rng(0).normal(size=y.shape)
    return design_matrix(y), y


def make(**parameters):
    settings = {"max_epochs": N_EPOCHS, "base": "learned", "random_state": 0}
    return AFMForecaster(window_length=3, hidden_dim=8, **(settings | parameters))


def ask(pruner):
    return optuna.create_study(pruner=pruner).ask()


class PruneAt(optuna.pruners.BasePruner):
    def __init__(self, step):
        self.step = step

    def prune(self, study, trial):
        return trial.last_step >= self.step


def test_a_trial_hears_the_losses_of_one_training(data, report_loss):
    trial = ask(optuna.pruners.NopPruner())
    model = make().set_callbacks(report_loss(trial)).fit(*data)
    heard = trial.study.trials[0].intermediate_values
    losses = [record["valid_loss"] for record in model.history_["window"]]
    assert heard == dict(enumerate(losses))
    plain = make().fit(*data)
    np.testing.assert_array_equal(model.predict(data[0]), plain.predict(data[0]))


def test_a_pruned_fit_ends_at_once_and_leaves_the_forecaster_unfitted(
    data, report_loss
):
    trial = ask(PruneAt(1))
    model = make().set_callbacks(report_loss(trial))
    with pytest.raises(optuna.TrialPruned, match="after 2 epochs"):
        model.fit(*data)
    assert len(trial.study.trials[0].intermediate_values) == 2
    assert not hasattr(model, "law_")


def test_a_study_prunes_what_does_not_learn(data, report_loss):
    X, y = data

    def objective(trial):
        lr = trial.suggest_categorical("lr", [1e-2, 1e-6])
        model = make(lr=lr).set_callbacks(report_loss(trial)).fit(X[:200], y[:200])
        return -neg_crps_scorer(model, X[200:], y[200:])

    study = optuna.create_study(
        sampler=optuna.samplers.GridSampler({"lr": [1e-2, 1e-6]}),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=1),
    )
    for lr in (1e-2, 1e-6):
        study.enqueue_trial({"lr": lr})
    study.optimize(objective, n_trials=2)
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "PRUNED"]
    assert study.best_params == {"lr": 1e-2}


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:OptunaSearchCV is experimental:optuna.exceptions.ExperimentalWarning",
    "ignore:`optuna.terminator` module has been deprecated:FutureWarning",
)
def test_optuna_search_cv_takes_a_forecaster(data):
    integration = pytest.importorskip("optuna_integration")
    search = integration.OptunaSearchCV(
        make(base="normal", max_epochs=2),
        {"hidden_dim": optuna.distributions.IntDistribution(4, 8)},
        cv=TimeSeriesSplit(2),
        scoring=neg_crps_scorer,
        n_trials=2,
        random_state=0,
    ).fit(*data)
    assert search.best_params_["hidden_dim"] in range(4, 9)
    score = neg_crps_scorer(search, *data)
    assert score == neg_crps_scorer(search.best_estimator_, *data)
