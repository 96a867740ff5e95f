"""Whether work grows in proportion to what comes in: two sizes are compared, in processor time."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

# Four times as much work takes about four times as long, and sixteen times as long where it is quadratic.
FACTOR = 4


def growth(work: Callable[[int], object], size: int) -> float:
    """Return how many times as long `work(FACTOR * size)` takes as `work(size)`: the shortest of some runs of each.

    It stops measuring once the answer is hardly more than FACTOR.
    """
    small = large = float("inf")
    # The sizes take turns, so that a machine that is slower for a while slows both of them.
    for _ in range(7):
        small = min(small, _cost(work, size))
        large = min(large, _cost(work, FACTOR * size))
        if large < 1.25 * FACTOR * small:
            break
    return large / max(small, 1e-4)


def _cost(work: Callable[[int], object], size: int) -> float:
    gc.disable()  # a collection looks at every object of all tests
    try:
        began = time.process_time()
        work(size)
        return time.process_time() - began
    finally:
        gc.enable()
