"""Ask for the lagged targets among the channels of X."""

from __future__ import annotations

from typing import Any


def require_lags(forecaster: Any, what: str) -> None:
    """Refuse data whose first channels are not the lagged targets.

    Parameters
    ----------
    forecaster : BaseForecaster
        One that knows already whether they are.
    what : str
        What needs them, for the error.
    """
    if not forecaster.autoregressive_:
        raise ValueError(
            f"{what} needs the first channels of X to be the lagged targets, but "
            f"{forecaster._why_not}"
        )
