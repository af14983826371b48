"""Save a fitted forecaster, and load it."""

from __future__ import annotations

import json
from typing import Any

from sklearn.utils.validation import check_is_fitted

from .container import NotOurs, read, write
from .tree import Reader, Writer

FORMAT = 1  # raised when files of the format before cannot be read any more


def save(estimator: Any, path: Any) -> None:
    """Write a fitted forecaster, or a Pipeline that ends in one, to a file.

    The file is in the safetensors format. It is written under another name, synced and
    renamed: a crash leaves the old file.

    Parameters
    ----------
    estimator : estimator
        Fitted. Regressors of scikit-learn inside it must hold nothing but numbers,
        texts and other estimators, as linear models do; of a search, save its
        ``best_estimator_``.
    path : path-like

    Raises
    ------
    NotFittedError
        If it is not fitted.
    TypeError
        If something inside could only be saved as code; the message names it.
    FileNotFoundError
        If the folder of `path` does not exist.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from afm_sklearn import Persistence, design_matrix, load, save
    >>> walk = np.random.default_rng(0).normal(size=(100, 2)).cumsum(0)
    >>> X = design_matrix(walk)
    >>> model = Persistence(window_length=2).fit(X, walk)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(model, f"{folder}/walk.afm")
    ...     again = load(f"{folder}/walk.afm")
    >>> draws = [m.sample(X[-1:], random_state=0) for m in (model, again)]
    >>> bool((draws[0] == draws[1]).all())
    True
    """
    from .. import __version__

    check_is_fitted(estimator)
    writer = Writer()
    tree = writer.tree(estimator, type(estimator).__name__)
    text = {
        "format": "afm_sklearn",
        "version": str(FORMAT),
        "written_by": __version__,
        "object": json.dumps(tree, allow_nan=False),
    }
    write(path, text, writer.arrays)


def load(path: Any) -> Any:
    """Read what `save` wrote. Nothing in the file is executed.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    estimator
        It gives the same draws, on the CPU, whatever it was fitted on.

    Raises
    ------
    ValueError
        If the file is newer than this version of the package can read, truncated,
        damaged, or not a saved forecaster.
    """
    text, arrays = read(path)
    if text.get("format") != "afm_sklearn":
        raise NotOurs(f"{path} was not written by afm_sklearn")
    version = text.get("version", "")
    if not version.isdigit() or int(version) > FORMAT:
        raise NotOurs(
            f"{path} has format {version!r}, written by afm_sklearn "
            f"{text.get('written_by')}; this version reads formats up to {FORMAT}"
        )
    try:
        return Reader(arrays).value(json.loads(text["object"]))
    except NotOurs:
        raise
    except Exception as error:
        raise NotOurs(f"{path} is damaged: {error}") from error
