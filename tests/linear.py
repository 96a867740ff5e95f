"""Whether work grows in proportion to what comes in: two sizes are compared, in processor time."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

# Four times as much work takes about four times as long, and sixteen times as long where it is quadratic.
FACTOR = 4


def growth(work: Callable[[int], object], size: int) -> float:
    """Return how many times as long `work(FACTOR * size)` takes as `work(size)`: the shortest of some runs of each."""
    return _cost(work, FACTOR * size) / _cost(work, size)


def _cost(work: Callable[[int], object], size: int) -> float:
    best = float("inf")
    gc.collect()
    for _ in range(5):
        began = time.process_time()
        work(size)
        best = min(best, time.process_time() - began)
    return max(best, 1e-4)
