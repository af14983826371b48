"""Use one thread where more would only wait for each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

LARGE = 10_000_000  # multiplications in one matrix product that are worth sharing


@contextmanager
def threads_for(n_multiplications: int) -> Iterator[None]:
    """Run small products on one thread; the setting is restored at the end.

    Threads meet at a barrier after every operation. Where an operation takes
    microseconds they gain nothing, and where another process holds a core they
    wait for it: with two processes on two cores training was 15 times slower.
    """
    before = torch.get_num_threads()
    if n_multiplications >= LARGE or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
