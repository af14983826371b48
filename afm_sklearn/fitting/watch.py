"""Who looks on at a fit, stage by stage and epoch by epoch, and may end it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .fitted import Fitted

# All that a fit may have, each once at most.
STAGES = ("linear", "newest", "window", "flow", "pool", "trajectories", "choice")

Records = Sequence[dict[str, Any]]
Draft = Callable[[], Fitted | None]


class Watch:
    """Nobody looks on; a subclass does.

    Stages follow one another: ``begin``, ``epoch`` after each epoch of a training, and
    ``end``. A draft is what the fit would return as it stands, made when called.

    Attributes
    ----------
    is_over : bool
        Whether no further training shall begin.
    """

    is_over = False

    def begin(self, stage: str, n_epochs: int = 0) -> None:
        """See a stage begin, of so many epochs at most."""

    def epoch(self, records: Records, draft: Draft, goes_on: bool = True) -> bool:
        """See an epoch end, the last of the records; whether to stop this training.

        It may be the last one anyway, for want of patience: then it does not go on.
        """
        return False

    def end(self, draft: Draft, note: str = "") -> None:
        """See a stage end; the note tells what came out."""

    def close(self) -> None:
        """See the fit end, well or not."""


class Watches(Watch):
    """Several that look on at the same fit.

    Examples
    --------
    >>> both = Watches([Watch(), Watch()])
    >>> both.begin("linear")
    >>> both.epoch([{"train_loss": 1.0}], lambda: None), both.is_over
    (False, False)
    """

    def __init__(self, watches: Sequence[Watch]):
        self.watches = watches

    @property
    def is_over(self) -> bool:  # type: ignore[override]
        """Whether one of them wants no further training."""
        return any(watch.is_over for watch in self.watches)

    def begin(self, stage: str, n_epochs: int = 0) -> None:
        """Tell all."""
        for watch in self.watches:
            watch.begin(stage, n_epochs)

    def epoch(self, records: Records, draft: Draft, goes_on: bool = True) -> bool:
        """Tell all, and ask all."""
        return any([watch.epoch(records, draft, goes_on) for watch in self.watches])

    def end(self, draft: Draft, note: str = "") -> None:
        """Tell all."""
        for watch in self.watches:
            watch.end(draft, note)

    def close(self) -> None:
        """Tell all."""
        for watch in self.watches:
            watch.close()
