"""Lines that tell how far a computation is, on terminals and elsewhere."""

from __future__ import annotations

import sys
import time

from .fitting.watch import Draft, Records, Watch

EVERY = 30.0  # seconds between lines where one cannot be written over


class Line:
    """A line that is written over until it ends.

    On a terminal it is; elsewhere, as in a notebook or a file, only its end is printed,
    and every half minute how far it is. It is printed to ``sys.stdout``.

    Parameters
    ----------
    name : str
        What it starts with.
    n_steps : int, default=0
        Steps to come at most; 0 where that is not known.

    Examples
    --------
    >>> line = Line("window", 20)
    >>> line.step(1, "loss 1.2")  # seen on terminals alone
    >>> line.end("20 epochs", seconds=3)
    window: 20 epochs, 3 s
    """

    def __init__(self, name: str, n_steps: int = 0):
        self.name, self.n_steps = name, n_steps
        self.start = self.last = time.monotonic()
        self.width = 0
        if sys.stdout.isatty():
            self._write(f"{name} ...")

    def step(self, done: int, text: str) -> None:
        """Tell how far it is, and how long it may take from here."""
        now = time.monotonic()
        left = (now - self.start) * (self.n_steps - done) / max(done, 1)
        text = f"{self.name}: {text}, up to {duration(left)} left"
        if sys.stdout.isatty():
            self._write(text)
        elif now - self.last > EVERY:
            self.last = now
            print(text, flush=True)

    def end(self, text: str, seconds: float | None = None) -> None:
        """Tell what came out; the time is that since the start, or the one given."""
        if seconds is None:
            seconds = time.monotonic() - self.start
        text = f"{self.name}: {text}, {duration(seconds)}"
        if sys.stdout.isatty():
            self._write(text)
            self.close()
        else:
            print(text, flush=True)

    def close(self) -> None:
        """Begin a new line after one that has not ended."""
        if self.width:
            print(flush=True)
            self.width = 0

    def _write(self, text: str) -> None:
        print("\r" + text.ljust(self.width), end="", flush=True)
        self.width = len(text)


class FitLines(Watch):
    """A line for each stage of a fit."""

    line: Line | None = None

    def begin(self, stage: str, n_epochs: int = 0) -> None:
        """Start a line."""
        self.line, self.records = Line(stage, n_epochs), list[dict[str, float]]()

    def epoch(self, records: Records, draft: Draft, goes_on: bool = True) -> bool:
        """Tell the losses of the last epoch."""
        assert self.line is not None
        self.records = list(records)
        n, of = len(records), self.line.n_steps
        self.line.step(n, f"epoch {n} of {of}, {_losses(records[-1])}")
        return False

    def end(self, draft: Draft, note: str = "") -> None:
        """End the line with the losses kept, or with what came out."""
        assert self.line is not None
        self.line.end(note or _result(self.records))

    def close(self) -> None:
        """End a line that an error left open."""
        if self.line is not None:
            self.line.close()


def _losses(record: dict[str, float]) -> str:
    text = f"loss {record['train_loss']:.4f}"
    if "valid_loss" in record:
        text += f", held out {record['valid_loss']:.4f}"
    return text


def _result(records: Records) -> str:
    """Return the number of epochs, with the losses of the best one."""
    if "valid_loss" not in records[-1]:
        return f"{count_epochs(records)}, {_losses(records[-1])}"
    best = min(range(len(records)), key=lambda k: float(records[k]["valid_loss"]))
    return f"{count_epochs(records)}, best {best + 1}: {_losses(records[best])}"


def count_epochs(records: Records) -> str:
    """Return how many epochs there are, in words.

    Examples
    --------
    >>> count_epochs([{}]), count_epochs([{}, {}])
    ('1 epoch', '2 epochs')
    """
    return f"{len(records)} epoch{'s' * (len(records) != 1)}"


def duration(seconds: float) -> str:
    """Return a time as people say it.

    Examples
    --------
    >>> duration(0.23), duration(3.2), duration(75), duration(7260)
    ('0.2 s', '3 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 1:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
