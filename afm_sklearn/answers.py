"""Ask a fitted law about rows, in parts that fit in memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from .checks import outer_level, seed_from
from .compute import budget, one_thread, parted, row_parts, run_together
from .exceptions import OutOfDistributionWarning
from .inputs import InputChecks
from .law.mixture import Merged
from .law.pool import PoolLaw
from .law.step import StepLaw

T = TypeVar("T")
Array = NDArray[Any]
# Of windows, draws of each, their rows, and noise.
Draw = Callable[[torch.Tensor, int, Array, torch.Generator], torch.Tensor]

N_PASTS = 32  # drawn where a window has gaps, for what is no draw itself
N_NUMBERS = 8  # held beside each number that a draw needs
RARE = 0.01  # of the rows may hold a stimulus from outside, by chance
N_KEPT = 3  # of each number of a trajectory, until it is whole


class Answers(InputChecks):
    """Draws and moments of a fitted law, in parts of rows and of samples.

    Where windows have gaps and the law has draws for them, what comes next is the
    mixture over possible pasts.

    Attributes
    ----------
    law_ : law
        Its ``start`` leads to distributions.
    """

    law_: Any

    def _law(self) -> Any:
        """Return the law that draws."""
        return self.law_

    def _exact_law(self) -> Any:
        """Return the law in double precision: a batch does not show in its answers."""
        return self.law_

    @property
    def _device(self) -> torch.device:
        return torch.device("cpu")

    def _width(self) -> int:
        """Numbers that one draw of one step needs in memory, about."""
        return max(self.n_outputs_, self.window_shape_[1])

    def _windows(self, X: Any) -> Any:
        windows = self.make_windows(X)
        self._warn_of_others(windows)
        return windows

    def _answer(self, X: Any, n: int, ask: Callable[[Any], torch.Tensor]) -> Array:
        """Ask the distribution of each row for quantiles, n numbers a channel."""
        windows = self._windows(X)
        width = max(self._answer_width(), n * N_NUMBERS * self._width())
        return self._asked(windows, width, lambda p, rows: ask(p))

    def _expected(self, X: Any) -> Array:
        """Ask the distribution of each row for its mean."""
        windows = self._windows(X)
        return self._asked(windows, self._mean_width(), lambda p, rows: p.mean)

    def _answer_with(
        self, windows: Any, y: Array, ask: Callable[[Any, torch.Tensor], torch.Tensor]
    ) -> Array:
        """Ask the distribution of each row for something about y (n, d)."""
        width = self._answer_width()
        return self._asked(
            windows, width, lambda p, rows: ask(p, self._tensor(y[rows]))
        )

    def _asked(
        self, windows: Any, width: int, ask: Callable[[Any, Array], torch.Tensor]
    ) -> Array:
        """Ask about each row, which takes so many numbers at once, about."""
        with one_thread():
            law = self._exact_law()
        n, length, c = windows.shape
        has_gap, parts = self._has_gap(windows), []
        for with_gaps in (False, True):
            rows = np.flatnonzero(has_gap == with_gaps)
            per_row = width + N_NUMBERS * length * c
            per_row *= N_PASTS if with_gaps else 1
            cut = row_parts(len(rows), per_row, budget())
            parts += [(with_gaps, rows[part]) for part in cut]

        @torch.no_grad()
        def answer(with_gaps: bool, rows: Array) -> Array:
            p = _distribution(law, self._tensor(windows[rows]), with_gaps)
            values: Array = ask(p, rows).cpu().numpy()
            return values

        answers = self._run([partial(answer, *part) for part in parts])
        out = np.empty((n, *answers[0].shape[1:]))
        for (_, rows), values in zip(parts, answers, strict=True):
            out[rows] = values
        return out

    def _draws(
        self,
        windows: Any,
        shape: tuple[int, ...],
        draw: Draw,
        generator: torch.Generator,
    ) -> Array:
        """Draw in parts of rows and samples, each into its place in the result.

        They are the same however many threads share them.
        """
        out = np.empty(shape)
        n_samples, *steps = shape[1:]
        width = N_NUMBERS * self._width() + N_KEPT * int(np.prod(steps))
        most = max(1, budget() // width)
        has_gap, parts = self._has_gap(windows), []
        for with_gaps in (False, True):
            rows = np.flatnonzero(has_gap == with_gaps)
            for part in row_parts(len(rows), min(n_samples, most), most):
                for first in range(0, n_samples, most):
                    samples = slice(first, min(first + most, n_samples))
                    parts.append((with_gaps, rows[part], samples))

        @torch.inference_mode()
        def put(
            with_gaps: bool, rows: Array, samples: slice, noise: torch.Generator
        ) -> None:
            at, k = self._tensor(windows[rows]), samples.stop - samples.start
            if with_gaps:  # each draw has a past of its own
                past = self._law().complete(at, k, noise)
                draws = draw(past, 1, rows, noise)
                draws = draws.unflatten(0, (-1, k))[:, :, 0]
            else:
                draws = draw(at, k, rows, noise)
            out[rows, samples] = draws.cpu().numpy()

        noises = parted(generator, len(parts))
        both = zip(parts, noises, strict=True)
        self._run([partial(put, *part, noise) for part, noise in both])
        return out

    def _run(self, tasks: list[Callable[[], T]]) -> list[T]:
        return run_together(tasks, None if self._shares_threads else 1)

    @property
    def _shares_threads(self) -> bool:
        """Whether several threads may draw at once."""
        return False

    def _has_gap(self, windows: Any) -> NDArray[np.bool_]:
        """Tell which windows have gaps that the law has draws for."""
        n, *shape = windows.shape
        out = np.zeros(n, bool)
        if not hasattr(self.law_, "complete"):
            return out
        for rows in row_parts(n, int(np.prod(shape))):
            out[rows] = np.isnan(np.asarray(windows[rows])).any((1, 2))
        return out

    def _mean_width(self) -> int:
        """Numbers that the mean of one row needs in memory, about."""
        return N_NUMBERS * self._width()

    def _answer_width(self) -> int:
        """Numbers that a quantile or the density of one row needs, about."""
        return N_NUMBERS * self._width()

    def _warn_of_others(self, windows: Any, future: Array | None = None) -> None:
        """Warn where windows, or the stimulus (n, horizon, s), left their range."""
        frame = getattr(self.law_, "frame", None)
        if frame is None:
            return
        with one_thread():
            lags, given, has_left, is_beyond = self._outside(windows, future)
        # Some values of any other sample lie beyond the range of the first.
        if is_beyond.mean() <= RARE:
            given, is_beyond = 0 * given, np.zeros(len(is_beyond), bool)
        n, n_out = len(windows), int((has_left | is_beyond).sum())
        if n_out:
            worst = int((lags + given).argmax())
            n_lagged = self.n_outputs_ if self.autoregressive_ else 0
            name = f"channel {worst}"
            if n_lagged and worst >= n_lagged:
                name = f"stimulus channel {worst - n_lagged}"
            warnings.warn(
                f"{n_out} of {n} windows lie outside the range of the training data, "
                f"most of them in {name}",
                OutOfDistributionWarning,
                stacklevel=outer_level(),
            )

    def _outside(
        self, windows: Any, future: Array | None
    ) -> tuple[torch.Tensor, torch.Tensor, NDArray[np.bool_], NDArray[np.bool_]]:
        """Count windows outside the range, by channel of lags and of what is given.

        And which rows are outside for their lags, and for what is given.
        """
        frame = self.law_.frame
        n, *shape = windows.shape
        lags, given = torch.zeros(shape[1]), torch.zeros(shape[1])
        has_left, is_beyond = np.zeros(n, bool), np.zeros(n, bool)
        for rows in row_parts(n, int(np.prod(shape))):
            left = frame.has_left(self._tensor(windows[rows])).cpu()
            lags[: self.n_outputs_] += left.sum(0)
            has_left[rows] = left.any(1).numpy()
            shown = windows[rows, -1:] if future is None else future[rows]
            if not shown.shape[2]:
                continue
            beyond = frame.is_beyond(self._tensor(shown)).any(1).cpu()
            given[-shown.shape[2] :] += beyond.sum(0)
            is_beyond[rows] = beyond.any(1).numpy()
        return lags, given, has_left, is_beyond

    def _tensor(self, array: Any) -> torch.Tensor:
        array = np.array(array, dtype=np.float64)
        return torch.from_numpy(array).to(self._device)

    def _generator(self, random_state: Any) -> torch.Generator:
        return torch.Generator(self._device).manual_seed(seed_from(random_state))


def _distribution(law: Any, windows: torch.Tensor, with_gaps: bool) -> Any:
    """Return the distribution of the next step; with gaps, over possible pasts."""
    if not with_gaps:
        return law.start(windows).predict()
    # The same pasts for all rows, so that a batch does not show.
    pasts = law.complete(windows, N_PASTS, None)
    if isinstance(law, StepLaw | PoolLaw):
        law = law.of_pasts(N_PASTS)
    return Merged(law.start(pasts).predict(), N_PASTS)
