"""NSF HDR neural forecasting (2025): micro-ECoG of two monkeys, ten steps in, ten out.

    python examples/protocols/nsf_hdr.py --root DIR

Question: how far off are ten-step forecasts on the day of the training and on others?

`DIR` holds the challenge's ``train_data_*.npz`` and, where a stranger has them,
``test_data_*.npz``, or has them in ``DIR/train`` and ``DIR/test``. The names end in
``affi`` (239 channels), ``affi_2024-03-20_private``, ``beignet`` (87 channels by the
challenge's pages, 89 by its example), ``beignet_2022-06-01_private`` and
``beignet_2022-06-02_private``. Each has one array, ``arr_0``, of shape (trials, 20,
channels, 9). Feature 0 is what is forecast; 1 to 8 are bands that it was split into.

Protocol: the first 10 steps of a trial are known, steps 10 to 19 are forecast, one
model a monkey. Printed is the mean squared error of the mean of the draws, over trials,
steps and channels, in the units of the files; the challenge's total is the mean over
its five sets. Feature 0 alone is used, each trial a run: bands of later steps are not
known when they would be needed, and forecasting them too would make 9 times the
channels.

The challenge gave its models test files without the answers: steps 10 to 19 repeat
step 9. Such a file is not scored, as if it were not there. Without answers, tests are

- the last fifth of the trials of ``train_data_<monkey>.npz``, which are not fitted;
- all trials of the other days, which are not fitted either, so that these are tests of
  other days; with ``--other-days`` the first four fifths of them are fitted, as the
  challenge allows, and the rest are tests.

With answers, whole training files are fitted (of other days with ``--other-days``) and
test files scored. Of the trials fitted, the last tenth validates. "last" repeats step
9.

Verified in a3d3-institute/HDRChallenge_y2, ``pages/``, ``data_prep/``,
``ingested_program/`` and ``scoring_program/``: shapes, counts of trials (985 and 700;
162, 82 and 76 of other days), feature 0, masking, names of the files, ``arr_0``, the
error and the mean over five sets. Not verified against a download: the files, the
folders, their order (whether the last trials are the latest), whether channels are the
same electrodes on other days, whether neighbouring trials overlap in time, and whether
test trials are among those of training.
"""

import numpy as np
from _common import draw_ahead, fit_models, make_parser, require

from afm_sklearn import crps, design_matrix, stack_runs

KNOWN, STEPS, TEST_SHARE, VALIDATION_SHARE = 10, 20, 0.2, 0.1
OTHER_DAYS = {
    "affi": ["affi_2024-03-20_private"],
    "beignet": ["beignet_2022-06-01_private", "beignet_2022-06-02_private"],
}
PUBLISHED = """
Read beside the leaderboard of the challenge on codabench.org, whose total is the mean
over its five test sets, if all five were scored with answers. No figure is quoted here:
those found are what participants say of their own entries."""


def main(argv=None):
    parser = make_parser(__doc__)
    parser.add_argument(
        "--monkeys", nargs="+", choices=list(OTHER_DAYS), default=list(OTHER_DAYS)
    )
    parser.add_argument("--channels", type=int, help="evenly spread; default all")
    parser.add_argument("--other-days", action="store_true", help="fit them, too")
    arguments = parser.parse_args(argv)
    names = [name for m in arguments.monkeys for name in (m, *OTHER_DAYS[m])]
    folder = arguments.root / "train"
    folder = folder if folder.is_dir() else arguments.root
    require(folder, [f"train_data_{name}.npz" for name in names], "NSF HDR")
    scores = {}
    for monkey in arguments.monkeys:
        for key, score in run_monkey(monkey, folder, arguments).items():
            scores[key] = score
            print(f"{key[0]:28} {key[1]:8} MSE {score['mse']:.6g}", end=", ")
            print(f"CRPS {score['crps']:.6g}", flush=True)
    for model in (*arguments.models, "last"):
        total = np.mean([scores[name, model]["mse"] for name in names])
        print(f"mean over {len(names)} sets   {model:8} MSE {total:.6g}")
    print(PUBLISHED)
    return scores


def run_monkey(monkey, folder, arguments):
    """Fit one monkey's models and return (set, model) -> scores."""
    fitted, tests = [], {}
    for name in (monkey, *OTHER_DAYS[monkey]):
        train = read(folder / f"train_data_{name}.npz", arguments.channels)
        is_fitted = name == monkey or arguments.other_days
        test = read_test(name, arguments)
        rows, tests[name] = split(train, test, is_fitted)
        fitted.append(rows)
        answers = "held out" if test is None else "of the test file"
        print(f"{name}: {len(rows)} trials to fit, {len(tests[name])} {answers}")
    check_channels([*fitted, *tests.values()], monkey)
    models = fit_trials(np.concatenate(fitted), arguments)
    scores = {}
    for name, trials in tests.items():
        scores[name, "last"] = score_last(trials)
        for label, model in models.items():
            scores[name, label] = score(model, trials, arguments)
    return scores


def split(train, test, is_fitted):
    """Return trials to fit, trials to test; no trial is in both."""
    if test is not None:
        return train[: len(train) * is_fitted], test
    n_fit = len(train) - max(1, round(TEST_SHARE * len(train))) if is_fitted else 0
    return train[:n_fit], train[n_fit:]


def fit_trials(trials, arguments):
    """Fit the models, each trial a run; the last tenth of the trials validates."""
    y, _, runs = stack_runs(trials)
    n_held = max(1, round(VALIDATION_SHARE * len(trials))) * STEPS
    X = design_matrix(y, runs=runs)
    return fit_models(X, y, n_held, KNOWN, arguments)


def score(model, trials, arguments):
    """Squared error and CRPS of steps 10 to 19, forecast from steps 0 to 9."""
    X = known_rows(trials)
    origins = KNOWN + (KNOWN + 1) * np.arange(len(trials))
    squares, errors = [], []
    for rows, draws in draw_ahead(model, X, origins, STEPS - KNOWN, arguments):
        truth = trials[rows // (KNOWN + 1), KNOWN:]
        squares.append(((truth - draws.mean(axis=1)) ** 2).mean(axis=(1, 2)))
        errors.append(crps(truth, draws).mean(axis=(1, 2)))
    return {
        "mse": np.concatenate(squares).mean(),
        "crps": np.concatenate(errors).mean(),
    }


def known_rows(trials):
    """Rows of `design_matrix` up to that of step 10, which knows steps 0 to 9."""
    past = trials[:, : KNOWN + 1].copy()
    past[:, KNOWN] = np.nan  # what is to be forecast
    y, _, runs = stack_runs(past)
    return design_matrix(y, runs=runs)


def score_last(trials):
    """Scores of the last known step, repeated: a forecast without spread."""
    errors = trials[:, KNOWN:] - trials[:, KNOWN - 1 : KNOWN]
    return {"mse": (errors**2).mean(), "crps": np.abs(errors).mean()}


def read_test(name, arguments):
    """Return the test trials of a set, or None if there are none with answers."""
    path = arguments.root / "test" / f"test_data_{name}.npz"
    path = path if path.is_file() else arguments.root / f"test_data_{name}.npz"
    if not path.is_file():
        return None
    trials = read(path, arguments.channels)
    if (trials[:, KNOWN:] == trials[:, KNOWN - 1 : KNOWN]).all():
        print(f"{path.name} has no answers (steps 10 to 19 repeat step 9): not scored")
        return None
    return trials


def read(path, n_channels=None):
    """Return feature 0 of the trials, (trials, 20, channels) float32."""
    with np.load(path, allow_pickle=False) as file:
        if "arr_0" not in file:
            raise ValueError(f"{path} holds {list(file)}, expected arr_0")
        values = file["arr_0"]
    if values.ndim != 4 or values.shape[1] != STEPS:
        raise ValueError(
            f"{path} has shape {values.shape}, expected (trials, {STEPS}, channels, 9)"
        )
    if n_channels is not None:
        last = values.shape[2] - 1
        values = values[:, :, np.linspace(0, last, n_channels).round().astype(int)]
    return values[..., 0].astype(np.float32)


def check_channels(sets, monkey):
    counts = {trials.shape[2] for trials in sets}
    if len(counts) > 1:
        raise ValueError(f"files of {monkey} have {sorted(counts)} channels, not one")


if __name__ == "__main__":
    main()
