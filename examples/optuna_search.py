"""Search parameters with Optuna, and give up on what learns badly.

Question: which width, learning rate and encoder suit this recording, without training
every one of them to its end? A callback tells Optuna the held-out loss of the network
of the window after each epoch, and the study prunes what is behind the median of
earlier trials. What is trained to its end is judged by CRPS on later rows; the best
one is fitted again and judged once more, on rows that no trial has seen.

How to read the figure: a line is a trial, by epoch; lower is better. Grey lines were
pruned where they end. The coloured line is the trial of the best CRPS, which need not
be that of the lowest loss: the loss is of one network and one step, CRPS of all that
the forecaster kept. The defaults, which need no search and train longer, are judged
beside it, and are ahead here.

What it cannot do: compare losses of different things. Trials of one study must share
the recording, `validation_fraction` and `window_length`, so that a loss is of the same
rows on the same scale; search these by CRPS alone, without pruning. A median of few
trials prunes by chance. The network of the newest step, which is trained first, is
never pruned. The callback belongs to the process that fits: it does not go through a
search that runs in others.

`OptunaSearchCV` of the package optuna-integration takes a forecaster, or a Pipeline
that ends in one, as it is, with ``scoring=neg_crps_scorer`` and
``cv=TimeSeriesSplit()``; it cannot prune by epochs.

Needs ``pip install optuna`` and scikit-learn 1.9.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import optuna

from afm_sklearn import AFMForecaster, design_matrix, neg_crps_scorer
from afm_sklearn.callbacks import held_out_score
from afm_sklearn.datasets import make_lorenz

N_TRIALS, SEED = 10, 0
TRAIN, JUDGE, TEST = slice(0, 800), slice(800, 1100), slice(1100, 1400)


class ReportLoss:
    """Tell a trial the held-out loss of a training, epoch by epoch; prune it.

    Only one training of a fit is reported: losses of others are of another kind.
    """

    def __init__(self, trial, training="window"):
        self.trial, self.training, self.n_epochs = trial, training, 0

    def setup(self, estimator, context):
        self.n_epochs = 0

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        """Return nothing, so that the training goes on, or end the fit by raising.

        Returning True would end this training alone, which keeps its best epoch.
        """
        is_epoch = context.task_name == "epoch"
        if not is_epoch or context.parent.task_name != self.training:
            return
        if fitted_estimator is None:  # the training has diverged
            raise optuna.TrialPruned("the loss is not finite")
        self.trial.report(-held_out_score(fitted_estimator), self.n_epochs)
        self.n_epochs += 1
        if self.trial.should_prune():
            raise optuna.TrialPruned(f"behind after {self.n_epochs} epochs")


def suggest(trial):
    return AFMForecaster(
        hidden_dim=trial.suggest_int("hidden_dim", 8, 64, log=True),
        lr=trial.suggest_float("lr", 1e-5, 1e-2, log=True),
        history_encoder=trial.suggest_categorical("history_encoder", ["mlp", "gru"]),
        window_length=5,
        base="learned",
        max_epochs=6,
        random_state=SEED,
    )


def main():
    data = make_lorenz(n_times=TEST.stop, random_state=SEED)
    X, y = design_matrix(data.activity), data.activity

    def objective(trial):
        model = suggest(trial).set_callbacks(ReportLoss(trial)).fit(X[TRAIN], y[TRAIN])
        return -neg_crps_scorer(model, X[JUDGE], y[JUDGE])

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=SEED),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
    )
    study.optimize(objective, n_trials=N_TRIALS)
    for trial in study.trials:
        n, state = len(trial.intermediate_values), trial.state.name.lower()
        done = trial.state is optuna.trial.TrialState.COMPLETE
        value = f", CRPS {trial.value:.3f}" if done else ""
        print(f"trial {trial.number:2}: {n} epochs, {state}{value}, {trial.params}")

    seen = slice(0, JUDGE.stop)
    for name, model in (
        ("best trial", suggest(optuna.trial.FixedTrial(study.best_params))),
        ("defaults", AFMForecaster(window_length=5, random_state=SEED)),
    ):
        score = -neg_crps_scorer(model.fit(X[seen], y[seen]), X[TEST], y[TEST])
        print(f"{name:10} CRPS on rows that no trial saw: {score:.3f}")
    draw(study)


def draw(study):
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for trial in study.trials:
        style = {"color": "0.2", "lw": 0.8}
        if trial.state is optuna.trial.TrialState.PRUNED:
            style = {"color": "0.75", "lw": 0.8}
        if trial.number == study.best_trial.number:
            style = {"color": "C0", "lw": 2, "zorder": 3, "label": "best CRPS"}
        losses = trial.intermediate_values
        axes.plot([k + 1 for k in losses], list(losses.values()), marker=".", **style)
    axes.set(xlabel="epoch", ylabel="held-out loss", title="Trials; grey: pruned")
    axes.legend(frameon=False)
    path = Path("demo_output") / "optuna_search.png"
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
