"""How good a forecast of a new session is, by how much of it was seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils import Bunch

from ..checks import check_integer
from ..metrics import crps
from ..plotting.axes import get_axes


class AdaptationCurve(Bunch):
    """What `adaptation_curve` found."""

    def plot(self, ax: Any = None) -> Any:
        """Draw both curves on axes, new ones by default, and return these."""
        _, ax = get_axes(ax)
        ax.plot(self.sizes, self.alone, "o-", color="0.5", label="session alone")
        ax.plot(self.sizes, self.adapted, "o-", color="C0", label="adapted")
        ax.set(xlabel="rows of the new session", ylabel="CRPS", xscale="log")
        ax.legend(frameon=False)
        return ax


def adaptation_curve(
    forecaster: Any,
    X: Any,
    y: Any,
    *,
    sizes: Sequence[int],
    n_test: int,
    n_samples: int = 100,
    random_state: Any = 0,
) -> AdaptationCurve:
    """CRPS of a new session against the rows of it that were given to learn from.

    Parameters
    ----------
    forecaster : AFMForecaster
        Fitted to other sessions.
    X : array-like of shape (n, c)
        The session, as for `AFMForecaster.adapt`.
    y : array-like of shape (n, d)
        Its activity.
    sizes : sequence of int
        Rows to learn from, the last ones before those of the test.
    n_test : int
        Rows at the end to judge by.
    n_samples : int, default=100
        Draws a row.
    random_state : int, RandomState or None, default=0
        Seed of the draws.

    Returns
    -------
    AdaptationCurve
        A Bunch of ``sizes``, ``adapted`` and ``alone``: mean CRPS of the forecaster
        that was adapted and of one that saw the session alone; ``weight`` of what was
        shared; ``plot(ax=None)`` draws them and returns the axes.

    Raises
    ------
    ValueError
        If a size and the test together have more rows than X.

    Examples
    --------
    >>> from afm_sklearn import AFMForecaster, design_matrix, stack_sessions
    >>> from afm_sklearn.datasets import make_sessions
    >>> from afm_sklearn.sessions import adaptation_curve
    >>> *known, new = make_sessions(3, 200, 8, 2, 1, random_state=0)
    >>> X, y, _ = stack_sessions([(s.activity, s.stimulus, s.name) for s in known])
    >>> model = AFMForecaster(window_length=2, base="linear", random_state=0).fit(X, y)
    >>> X = design_matrix(new.activity, new.stimulus)
    >>> curve = adaptation_curve(model, X, new.activity, sizes=[80], n_test=100)
    >>> curve.adapted.shape
    (1,)
    """
    check_integer("n_test", n_test)
    X, y = np.asarray(X), np.asarray(y)
    n = len(X)
    start = n - n_test
    for size in sizes:
        check_integer("sizes", size)
        if size > start:
            raise ValueError(f"sizes has {size} and n_test is {n_test}, X has {n} rows")
    result: dict[str, list[float]] = {"adapted": [], "alone": [], "weight": []}
    for size in sizes:
        rows = slice(start - size, start)
        adapted = forecaster.adapt(X[rows], y[rows])
        alone = adapted
        if adapted.adapted_["weight"]:
            alone = clone(adapted).fit(X[rows], y[rows])
        for name, model in (("adapted", adapted), ("alone", alone)):
            windows = model.make_windows(X)[start:]
            draws = model.sample(windows, n_samples, random_state=random_state)
            result[name].append(float(np.nanmean(crps(y[start:], draws))))
        result["weight"].append(adapted.adapted_["weight"])
    values = {name: np.array(each) for name, each in result.items()}
    return AdaptationCurve(sizes=np.asarray(sizes), **values)
