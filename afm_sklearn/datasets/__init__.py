"""Simulated recordings whose conditional law is known exactly.

Every maker returns a `Bunch` with ``activity``, ``stimulus``, ``runs`` and an
``oracle``: the true conditional law behind the methods of a forecaster, so that
"how good could a forecast be?" has an answer.
"""

from ._calcium import make_calcium
from ._double_well import make_double_well
from ._lorenz import make_lorenz
from ._oracle import Oracle
from ._oscillator import make_oscillator
from ._overlapping import make_overlapping_counts
from ._sessions import make_sessions
from ._sparse import make_sparse_events
from ._spiking import make_spiking_population
from ._var import make_linear_var

__all__ = [
    "Oracle",
    "make_calcium",
    "make_double_well",
    "make_linear_var",
    "make_lorenz",
    "make_oscillator",
    "make_overlapping_counts",
    "make_sessions",
    "make_sparse_events",
    "make_spiking_population",
]
