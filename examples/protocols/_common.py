"""What the protocols share: options, files, the two models, draws in bounded memory."""

import argparse
import collections
import pickle
from pathlib import Path

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import gen_batches

from afm_sklearn import AFMForecaster, ResidualForecaster, SlidingWindow

PLAIN = {"bytearray", "bytes", "complex", "dict", "float", "int", "list", "set", "str"}
ALPHAS = np.logspace(0, 6, 7)
DRAW_BYTES = 2**28  # draws held at a time


def make_parser(doc):
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="folder of the data")
    parser.add_argument(
        "--models", nargs="+", choices=["AFM", "ridge"], default=["AFM", "ridge"]
    )
    parser.add_argument("--samples", type=int, default=100, help="draws a forecast")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="train for 2 epochs: to try the files out, not to report",
    )
    return parser


def require(root, paths, what):
    """Raise an error that names every file that is not there."""
    if not root.is_dir():
        raise FileNotFoundError(f"root={root} is no folder; expected {what}")
    missing = [str(path) for path in paths if not (root / path).is_file()]
    if missing:
        names = "".join(f"\n  {name}" for name in missing)
        raise FileNotFoundError(
            f"root={root} lacks {len(missing)} of {len(paths)} files of {what}:{names}"
        )


def fit_models(X, y, n_held, window, arguments):
    """Fit each model on all rows; the last `n_held` choose what to keep.

    X is rows of `design_matrix` with the run as its last column. A run starts at the
    first of the held rows, so that the two parts share no step.
    """
    own = {"window_length": window, "run_column": -1, "random_state": arguments.seed}
    models = {}
    if "AFM" in arguments.models:
        epochs = {"max_epochs": 2} if arguments.quick else {}
        fraction = n_held / len(X)
        models["AFM"] = AFMForecaster(validation_fraction=fraction, **own, **epochs)
    if "ridge" in arguments.models:
        alpha = choose_alpha(X, y, n_held, window)
        print(f"ridge: alpha {alpha:g} by the validation rows", flush=True)
        models["ridge"] = ResidualForecaster(make_ridge(alpha), **own)
    return {name: model.fit(X, y) for name, model in models.items()}


def make_ridge(alpha):
    return make_pipeline(StandardScaler(), Ridge(alpha))


def choose_alpha(X, y, n_held, window):
    """Return the penalty of least squared error, one step ahead, on the held rows."""
    windows = SlidingWindow(window, run_column=-1, flatten=True).fit_transform(X)
    windows = SimpleImputer(keep_empty_features=True).fit_transform(windows)
    known, first = np.isfinite(y).all(axis=1), len(X) - n_held
    train, held = np.flatnonzero(known[:first]), first + np.flatnonzero(known[first:])
    errors = [
        np.mean((ridge.predict(windows[held]) - y[held]) ** 2)
        for ridge in (
            make_ridge(alpha).fit(windows[train], y[train]) for alpha in ALPHAS
        )
    ]
    return ALPHAS[np.argmin(errors)]


def draw_ahead(model, X, origins, horizon, arguments, *, stimulus=None):
    """Yield (origins, draws) in batches; draws are (n, n_samples, horizon, d).

    A forecast from row t knows the activity before t, and the stimulus of the rows it
    forecasts, if there is one.
    """
    windows, random = model.make_windows(X), np.random.RandomState(arguments.seed)
    size = arguments.samples * horizon * model.n_outputs_ * 8
    for batch in gen_batches(len(origins), max(1, DRAW_BYTES // size)):
        rows = origins[batch]
        future = None
        if stimulus is not None:
            future = np.stack([stimulus[row : row + horizon] for row in rows])
        draws = model.sample_trajectories(
            windows[rows],
            horizon,
            stimulus=future,
            n_samples=arguments.samples,
            random_state=random,
        )
        yield rows, draws


class PlainUnpickler(pickle.Unpickler):
    """Unpickle arrays, dtypes, numbers and plain containers, and nothing else."""

    def find_class(self, module, name):
        if module == "builtins" and name in PLAIN:
            return super().find_class(module, name)
        # NumPy 2 renamed the modules: what is allowed is found without importing them.
        module = module.replace("numpy._core", "numpy.core")
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(
                f"refused to unpickle {module}.{name}: expected arrays and dicts alone"
            )
        return ALLOWED[module, name]


def latin1(text, encoding="latin1"):
    """Stand in for codecs.encode, by which old pickles carry the bytes of arrays."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"refused to encode as {encoding}")
    return text.encode("latin1")


ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy.core.multiarray", "scalar"): np.float64(0).__reduce__()[0],
    ("numpy.core.numeric", "_frombuffer"): np.empty(0).__reduce_ex__(5)[0],
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("_codecs", "encode"): latin1,
}


def load_dict(path):
    """Read a dict that ``numpy.save`` pickled, without running what is in the file."""
    with open(path, "rb") as file:
        version = np.lib.format.read_magic(file)
        readers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in readers:
            raise ValueError(f"{path} is npy of version {version}, expected 1.0 or 2.0")
        shape, _, dtype = readers[version](file)
        if shape != () or not dtype.hasobject:
            raise ValueError(f"{path} holds {dtype} of shape {shape}, expected a dict")
        content = PlainUnpickler(file).load()
    content = content.item() if isinstance(content, np.ndarray) else content
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, expected a dict")
    return content
