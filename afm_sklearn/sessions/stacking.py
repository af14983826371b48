"""Several sessions as one X and y, and results taken apart again."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.numbers import as_columns
from ..design import design_matrix
from .stacked import Block, StackedSessions

Array = NDArray[Any]


def stack_sessions(
    sessions: Sequence[Any],
) -> tuple[StackedSessions, StackedSessions, Array]:
    """Lay out sessions of different neurons as one X and y.

    Parameters
    ----------
    sessions : sequence of (activity, stimulus, name)
        One entry a session: activity (T_i, d_i), the stimulus (T_i, s) or None, and
        its name, any label. A pair (activity, stimulus) or an activity alone is named
        by its place. Neurons are told by the column names of DataFrames: columns of one
        name are one neuron. Columns of arrays are neurons of their session alone.

    Returns
    -------
    X : StackedSessions of shape (T, d + s + 1)
        Rows of `design_matrix` of all neurons, the stimulus and the session's number,
        which serves as run label. NaN, and no memory, where a session has no such
        neuron.
    y : StackedSessions of shape (T, d)
        The activity.
    labels : ndarray of shape (T,)
        The name of the session of each row: groups for `GroupKFold`.

    Raises
    ------
    ValueError
        If there is no session, names come twice, stimuli have different numbers of
        columns, or a session has one name for two neurons.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn import stack_sessions
    >>> one, two = np.zeros((5, 3)), np.ones((4, 2))
    >>> X, y, labels = stack_sessions([(one, None, "monday"), (two, None, "tuesday")])
    >>> X.shape, y.shape, labels[[0, -1]].tolist()
    ((9, 6), (9, 5), ['monday', 'tuesday'])
    """
    given = [_read(session, k) for k, session in enumerate(sessions)]
    if not given:
        raise ValueError("sessions is empty, expected at least one session")
    names = [name for _, _, name in given]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"sessions has the name {twice!r} twice, expected it once")
    neurons: dict[Hashable, int] = {}
    columns = [
        _columns(activity, k, neurons) for k, (activity, _, _) in enumerate(given)
    ]
    d = len(neurons)
    inputs, outputs, n_stimuli = [], [], None
    for k, (activity, stimulus, name) in enumerate(given):
        rows = np.asarray(design_matrix(activity, stimulus), np.float64)
        own = len(columns[k])
        s = rows.shape[1] - own
        if n_stimuli not in (None, s):
            raise ValueError(
                f"session {name!r} has {s} stimulus columns, session {names[0]!r} has "
                f"{n_stimuli}"
            )
        n_stimuli = s
        rows = np.column_stack([rows, np.full(len(rows), float(k))])
        at = np.append(columns[k], d + np.arange(s + 1))
        inputs.append(Block(name, at, rows))
        target = np.asarray(as_columns(activity, "activity"), np.float64)
        outputs.append(Block(name, columns[k], target))
    X = StackedSessions(inputs, d + (n_stimuli or 0) + 1)
    y = StackedSessions(outputs, d)
    return X, y, y.labels


def split_sessions(values: Any, like: StackedSessions) -> dict[Hashable, Any]:
    """Take results apart by session.

    Parameters
    ----------
    values : array-like of shape (n, ..., d) or (n, ...)
        A row of results for each row of `like`. Where the last axis has the columns of
        `like`, those of the session are kept.
    like : StackedSessions
        What `stack_sessions` returned as y, or rows of it.

    Returns
    -------
    dict
        Results by session.

    Raises
    ------
    ValueError
        If `values` has not as many rows as `like`.

    Examples
    --------
    >>> import numpy as np
    >>> from afm_sklearn import split_sessions, stack_sessions
    >>> _, y, _ = stack_sessions([np.zeros((5, 3)), np.ones((4, 2))])
    >>> {name: part.shape for name, part in split_sessions(y, y).items()}
    {0: (5, 3), 1: (4, 2)}
    """
    if len(values) != len(like):
        raise ValueError(f"values has {len(values)} rows, like has {len(like)}")
    if isinstance(values, StackedSessions):
        return {label: block.values for label, (_, block) in values.sessions().items()}
    values, out = np.asarray(values), {}
    for label, (rows, block) in like.sessions().items():
        part = values[rows]
        has_columns = part.ndim > 1 and part.shape[-1] == like.shape[1]
        out[label] = part[..., block.columns] if has_columns else part
    return out


def _read(session: Any, k: int) -> tuple[Any, Any, Hashable]:
    """Return activity, stimulus and name of a session."""
    if not isinstance(session, tuple):
        return session, None, k
    if not 1 <= len(session) <= 3:
        raise ValueError(
            f"session {k} has {len(session)} parts, expected (activity, stimulus, name)"
        )
    stimulus = session[1] if len(session) > 1 else None
    return session[0], stimulus, session[2] if len(session) > 2 else k


def _columns(activity: Any, k: int, neurons: dict[Hashable, int]) -> Array:
    """Return the columns of the neurons of a session; new ones are numbered on."""
    names: list[Hashable]
    if hasattr(activity, "columns"):
        names = [("name", name) for name in activity.columns]
        if len(set(names)) < len(names):
            raise ValueError(f"session {k} has two columns of one name")
    else:
        n = 1 if np.ndim(activity) == 1 else np.shape(activity)[1]
        names = [("session", k, j) for j in range(n)]
    return np.array([neurons.setdefault(name, len(neurons)) for name in names])


__all__ = ["split_sessions", "stack_sessions"]
