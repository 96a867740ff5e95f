"""Random numbers without the module random, whose import takes a millisecond whenever a connection starts."""

from __future__ import annotations

import os


def random_fraction() -> float:
    """Return a random number from 0 up to 1, as random.SystemRandom().random()."""
    return int.from_bytes(os.urandom(4), "big") / 2**32


def random_bits(count: int) -> int:
    """Return an integer of `count` random bits, fit for secrets, as random.SystemRandom().getrandbits(count)."""
    return int.from_bytes(os.urandom((count + 7) // 8), "big") >> (-count % 8)
