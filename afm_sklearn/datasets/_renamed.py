"""Arguments that have a new name, taken by the old one for one release."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from ..checks import outer_level

Maker = TypeVar("Maker", bound=Callable[..., Any])


def takes_n_steps(make: Maker) -> Maker:
    """Let `n_times` also be called `n_steps`, with a warning.

    Solver steps are called `n_steps`, by a forecaster.
    """

    @functools.wraps(make)
    def renamed(*args: Any, **kwargs: Any) -> Any:
        if "n_steps" in kwargs:
            if args or "n_times" in kwargs:
                raise TypeError(
                    f"{make.__name__}() got both n_times and n_steps, its old name"
                )
            warnings.warn(
                f"n_steps of {make.__name__} is called n_times now; the old name goes "
                "with the next release",
                FutureWarning,
                stacklevel=outer_level(),
            )
            kwargs["n_times"] = kwargs.pop("n_steps")
        return make(*args, **kwargs)

    return renamed  # type: ignore[return-value]
