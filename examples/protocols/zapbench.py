"""ZAPBench by its protocol: the activity of the whole brain of a larval zebrafish.

    python examples/protocols/zapbench.py --root DIR --neurons 100 --context 4 256

Question: how far off are forecasts of 1 to 32 steps, condition by condition, beside
ridge and the mean of the context?

`DIR` holds ``traces.npy``, (7879, 71721) float32, time by neuron (2.1 GiB), which is
read through a memory map. The benchmark keeps the traces as a zarr volume on a public
bucket (CC-BY). With ``pip install tensorstore``, once:

    import numpy as np, tensorstore
    source = tensorstore.open(
        {"driver": "zarr3", "open": True,
         "kvstore": "gs://zapbench-release/volumes/20240930/traces"}
    ).result()
    traces = np.lib.format.open_memmap("traces.npy", "w+", np.float32, source.shape)
    for row in range(0, len(traces), 512):
        traces[row : row + 512] = source[row : row + 512, :].read().result()

Protocol: nine conditions at the offsets below, one step cut off at both ends of each.
In each the first 70 % of the steps train, the next 10 % validate, the last 20 % test.
``taxis`` is not trained on and tests from its step 256 on, whatever the context.
Forecasts of 32 steps start at every step of the test from which 32 steps follow, and
know the 4 or 256 steps before. Printed is the mean absolute error, over neurons and
origins, of the median of the draws (what absolute errors ask for), by lead and
condition.

Verified in google-research/zapbench, ``constants.py``, ``data_utils.py`` and
``colabs/``: offsets, names, padding, fractions, the held-out condition, origins, shape
and place of the traces. Not verified against a download: the export above, the traces.

This differs from the benchmark: it forecasts ``--neurons`` of the 71721, evenly spread
or those of most variance in the training steps (``--pick``), since one joint law of all
does not fit into memory. Errors of some neurons are not those of the published tables,
and those of high variance are larger. Read them beside "mean", the mean of the context,
which the tables have, too: how far it is from theirs is what the choice of neurons
does. Models choose by the validation steps; the linear forecasts of AFM and ridge are
then fitted on training and validation steps. The stimulus (26 covariates) is not used.
"""

import numpy as np
from _common import draw_ahead, fit_models, make_parser, require

from afm_sklearn import design_matrix, stack_runs

NAMES = ("gain", "dots", "flash", "taxis", "turning", "position", "open loop")
NAMES += ("rotation", "dark")
OFFSETS = (0, 649, 2422, 3078, 3735, 5047, 5638, 6623, 7279, 7879)
PADDING, HELD_OUT, MAX_CONTEXT, HORIZON = 1, "taxis", 256, 32
CHUNK = 256  # rows of the memory map read at a time
PUBLISHED = """
Read beside the tables of Lueckmann et al. (ICLR 2025, arXiv 2503.02618), by method,
context, condition and lead: gs://zapbench-release/dataframes/20250131/combined.json"""


def main(argv=None):
    parser = make_parser(__doc__)
    parser.add_argument("--context", type=int, nargs="+", default=[4, 256])
    parser.add_argument("--neurons", type=int, default=100)
    parser.add_argument("--pick", choices=["spread", "variance"], default="spread")
    parser.add_argument(
        "--stride", type=int, default=1, help="steps between origins; published: 1"
    )
    arguments = parser.parse_args(argv)
    if max(arguments.context) > MAX_CONTEXT:
        raise ValueError(f"context={arguments.context}, expected at most {MAX_CONTEXT}")
    traces = open_traces(arguments.root)
    neurons = pick_neurons(traces, arguments.neurons, arguments.pick)
    activity = read_columns(traces, neurons)
    print(f"{len(neurons)} of {traces.shape[1]} neurons, picked by {arguments.pick}")
    scores = {}
    for context in arguments.context:
        for name, errors in run_context(activity, context, arguments).items():
            scores[context, name] = errors
            report(context, name, errors)
    print(PUBLISHED)
    return scores


def run_context(activity, context, arguments):
    """Return model -> condition -> mean absolute error by lead, (32,)."""
    X, y, n_held = training_rows(activity, context)
    models = fit_models(X, y, n_held, context, arguments)
    errors = {name: {} for name in ("mean", *models)}
    for condition in NAMES:
        first, stop = bounds(condition)
        past = activity[first:stop]
        origins = test_origins(condition, arguments.stride) - first
        observed = np.stack([past[row : row + HORIZON] for row in origins])
        mean = np.stack([past[row - context : row].mean(axis=0) for row in origins])
        errors["mean"][condition] = absolute(observed, mean[:, None])
        X = design_matrix(past, runs=np.zeros(len(past)))
        for name, model in models.items():
            batches = draw_ahead(model, X, origins, HORIZON, arguments)
            medians = [np.median(draws, axis=1) for _, draws in batches]
            errors[name][condition] = absolute(observed, np.concatenate(medians))
    return errors


def absolute(observed, forecast):
    """Mean absolute error by lead."""
    return np.abs(observed - forecast).mean(axis=(0, 2))


def report(context, name, errors):
    leads = [1, 2, 4, 8, 16, 32]
    print(f"\n{name}, context {context}: mean absolute error at lead", end="")
    print("".join(f"{lead:8d}" for lead in leads) + "     all")
    for condition in NAMES:
        held = " (held out)" if condition == HELD_OUT else ""
        cells = [errors[condition][lead - 1] for lead in leads]
        cells.append(errors[condition].mean())
        print(f"{condition + held:46}" + "".join(f"{cell:8.4f}" for cell in cells))


def bounds(condition):
    """First and end step of a condition, without its padding."""
    i = NAMES.index(condition)
    return OFFSETS[i] + PADDING, OFFSETS[i + 1] - PADDING


def split(condition):
    """Edges of the training, validation and test steps: three (first, stop)."""
    first, stop = bounds(condition)
    if condition == HELD_OUT:
        return (first, first), (first, first), (first + MAX_CONTEXT, stop)
    n_validation, n_test = int((stop - first) * 0.1), int((stop - first) * 0.2)
    test = stop - n_test
    return (first, test - n_validation), (test - n_validation, test), (test, stop)


def test_origins(condition, stride=1):
    """First step of each forecast; all of its 32 steps are of the test."""
    first, stop = split(condition)[2]
    return np.arange(first, stop - HORIZON + 1, stride)


def training_rows(activity, context):
    """Return X, y and how many rows at the end validate.

    Validation steps come last, a run a condition, each after the training steps that
    are its context. Those have no target there: they train in their own run alone.
    """
    conditions = [name for name in NAMES if name != HELD_OUT]
    train = [activity[slice(*split(name)[0])] for name in conditions]
    held = [split(name)[1] for name in conditions]
    validation = [activity[first - context : stop] for first, stop in held]
    y, _, runs = stack_runs(train + validation)
    X, y = design_matrix(y, runs=runs), y.copy()
    n_train = sum(map(len, train))
    starts = n_train + np.cumsum([0] + [len(run) for run in validation[:-1]])
    for start in starts:
        y[start : start + context] = np.nan
    return X, y, len(y) - n_train


def training_steps():
    """Steps that choose neurons: those of training, of every condition but taxis."""
    return [split(name)[0] for name in NAMES if name != HELD_OUT]


def open_traces(root):
    require(root, ["traces.npy"], "ZAPBench (the docstring says how to export it)")
    traces = np.load(root / "traces.npy", mmap_mode="r", allow_pickle=False)
    if traces.ndim != 2 or len(traces) != OFFSETS[-1]:
        raise ValueError(
            f"traces.npy has shape {traces.shape}, expected ({OFFSETS[-1]}, neurons)"
        )
    return traces


def pick_neurons(traces, n_neurons, rule):
    """Return sorted columns, by a rule that sees no test step."""
    n_all = traces.shape[1]
    if not 1 <= n_neurons <= n_all:
        raise ValueError(f"neurons={n_neurons}, expected 1 to {n_all}")
    if rule == "spread":
        return np.linspace(0, n_all - 1, n_neurons).round().astype(int)
    count, total, squares = 0, np.zeros(n_all), np.zeros(n_all)
    for first, stop in training_steps():
        for row in range(first, stop, CHUNK):
            chunk = traces[row : min(row + CHUNK, stop)].astype(float)
            count += len(chunk)
            total += chunk.sum(axis=0)
            squares += (chunk**2).sum(axis=0)
    variance = squares / count - (total / count) ** 2
    return np.sort(np.argsort(variance)[n_all - n_neurons :])


def read_columns(traces, columns):
    """Read some columns, a chunk of rows after the other."""
    rows = range(0, len(traces), CHUNK)
    chunks = [traces[row : row + CHUNK][:, columns] for row in rows]
    return np.concatenate(chunks).astype(np.float32)


if __name__ == "__main__":
    main()
