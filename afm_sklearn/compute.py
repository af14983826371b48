"""Memory, threads and devices: what computing may take, in one place."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from sklearn import config_context, get_config
from threadpoolctl import ThreadpoolController  # scikit-learn requires it

T = TypeVar("T")
Run = Callable[[Sequence[Callable[[], Any]]], list[Any]]

SMALL_PART = 1 << 18  # numbers that are looked at together where more gains nothing
NUMBER = 8  # bytes


def budget() -> int:
    """Return the numbers that a computation may hold beside its result.

    A sixteenth of scikit-learn's ``working_memory``: 8 million numbers by default.

    Examples
    --------
    >>> import sklearn
    >>> with sklearn.config_context(working_memory=16):
    ...     budget()
    131072
    """
    return max(1, int(get_config()["working_memory"] * 2**20) // (16 * NUMBER))


def row_parts(n: int, width: int, at_most: int | None = None) -> Iterator[slice]:
    """Cut n rows of so many numbers each into parts that take little memory.

    Parameters
    ----------
    n, width : int
        Number of rows, and numbers that one of them needs.
    at_most : int, optional
        Numbers in a part, by default few enough for the cache.

    Yields
    ------
    slice

    Examples
    --------
    >>> list(row_parts(5, 10, at_most=25))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    size = min(SMALL_PART, budget()) if at_most is None else at_most
    step = max(1, size // max(1, width))
    return (slice(at, min(at + step, n)) for at in range(0, n, step))


class _Threads:
    """Numbers of threads, for as long as anyone computes on one alone."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.n_inside, self.before = 0, 1
        self.n_with_blas, self.limits = 0, None
        self.here = threading.local()  # how often the thread itself is inside

    def enter(self, blas: bool) -> None:
        with self.lock:
            # A thread that starts while others are inside sees 1, not the setting.
            seen = torch.get_num_threads()
            self.before = self.before if self.n_inside else seen
            self.n_inside += 1
            self.here.depth = getattr(self.here, "depth", 0) + 1
            if blas and not self.n_with_blas:  # BLAS has one setting for all threads
                controller = ThreadpoolController()
                self.limits = controller.limit(limits=1, user_api="blas")
            self.n_with_blas += blas
            torch.set_num_threads(1)  # after BLAS, which may share its threads

    def leave(self, blas: bool) -> None:
        with self.lock:
            self.n_inside -= 1
            self.here.depth -= 1
            self.n_with_blas -= blas
            if blas and not self.n_with_blas and self.limits is not None:
                self.limits.restore_original_limits()
                self.limits = None
            if not self.here.depth:  # each thread has a setting of its own
                torch.set_num_threads(self.before)


_threads = _Threads()


@contextmanager
def one_thread(*, blas: bool = False) -> Iterator[None]:
    """Compute each operation on one thread; the setting is restored at the end.

    Threads that share an operation meet at a barrier after it. Where it takes less than
    some milliseconds they gain little, and where another process holds a core they
    wait for it: two gained 5 % of a fit alone, and made it 6 times slower beside two
    busy processes on two cores. With `blas`, numpy's products are meant, too. What is
    worth several threads is cut into tasks; see `workers`.
    """
    _threads.enter(blas)
    try:
        yield
    finally:
        _threads.leave(blas)


def give_back() -> None:
    """Give memory that was freed back to the system.

    The C library of Linux keeps what a thread has freed for it and for those to come,
    and no other thread can use it.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def in_turn(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """Run tasks one after another; see `workers`."""
    return [task() for task in tasks]


@contextmanager
def workers(n_threads: int) -> Iterator[Run]:
    """Threads to run tasks on, each on one alone.

    Threads that share the products of one task meet after each of them, and wait there
    for those whose core is busy. Tasks do not meet.

    Parameters
    ----------
    n_threads : int

    Yields
    ------
    callable
        Runs a sequence of tasks, and returns the list of what they return.

    Examples
    --------
    >>> with workers(2) as run:
    ...     run([lambda k=k: k + 1 for k in range(3)])
    [1, 2, 3]
    """
    config = get_config()

    def run_one(task: Callable[[], T]) -> T:
        with config_context(**config):  # threads have settings of their own
            return task()

    with one_thread():
        if n_threads <= 1:
            yield in_turn
            return
        pool = ThreadPoolExecutor(n_threads, "afm_sklearn", torch.set_num_threads, (1,))
        try:
            yield lambda tasks: [
                done.result() for done in [pool.submit(run_one, t) for t in tasks]
            ]
        finally:
            pool.shutdown(cancel_futures=True)
            give_back()


def run_together(
    tasks: Sequence[Callable[[], T]], at_most: int | None = None
) -> list[T]:
    """Run tasks on as many threads as torch has, or at most so many; see `workers`.

    Examples
    --------
    >>> run_together([lambda k=k: k + 1 for k in range(3)])
    [1, 2, 3]
    """
    n_threads = torch.get_num_threads() if at_most is None else at_most
    with workers(min(len(tasks), n_threads)) as run:
        return run(tasks)


def parted(generator: torch.Generator, n: int) -> list[torch.Generator]:
    """Return a generator for each of n parts: itself where there is one."""
    if n == 1:
        return [generator]
    device = generator.device
    seeds = torch.randint(2**62, (n,), generator=generator, device=device)
    return [torch.Generator(device).manual_seed(seed) for seed in seeds.tolist()]


def infer_device(device: str) -> torch.device:
    """Resolve "auto" to CUDA, else Apple's MPS, else the CPU."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    if (device == "cuda" and not cuda) or (device == "mps" and not mps):
        raise ValueError(f"device={device!r} was asked for, but there is none here")
    return torch.device(device)
