"""How many rows served for what."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]


def count_rows(
    starts: Flags, observed: Flags, usable: Flags, regular: Flags
) -> dict[str, int]:
    """Count the rows given, the runs, and what is left out for which reason.

    Parameters
    ----------
    starts : ndarray of bool, shape (n,)
        Rows that start a run.
    observed : ndarray of bool, shape (n,)
        Rows with a target.
    usable : ndarray of bool, shape (n,)
        Rows with a past and a target.
    regular : ndarray of bool, shape (n,)
        Usable rows to fit on.

    Returns
    -------
    dict of str to int
        "given" is the sum of "without a target", "without a past", "with a gap" and
        "fitted on".

    Examples
    --------
    >>> flags = np.array([[1, 0, 0, 1], [1, 1, 0, 1], [0, 1, 0, 0], [0, 1, 0, 0]], bool)
    >>> for name, number in count_rows(*flags).items():
    ...     print(number, name)
    4 given
    2 runs
    1 without a target
    2 without a past
    0 with a gap
    1 fitted on
    """
    return {
        "given": len(starts),
        "runs": int(starts[1:].sum()) + 1,
        "without a target": int((~observed).sum()),
        "without a past": int((observed & ~usable).sum()),
        "with a gap": int((usable & ~regular).sum()),
        "fitted on": int((usable & regular).sum()),
    }
