"""How long to wait before the next attempt."""

from __future__ import annotations

from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Backoff:
    """Exponential growth with jitter, so that a hundred clients do not return at the same moment after a failure.

    Every delay lies in [half, whole] of a value that starts at `first` seconds and doubles up to `longest`.
    """

    def __init__(self, first: float, longest: float, random: Callable[[], float]) -> None:
        self._first = self._next = first
        self._longest = longest
        self._random = random

    def delay(self) -> float:
        """Return the next delay in seconds."""
        whole = self._next
        self._next = min(self._longest, whole * 2)
        return whole * (0.5 + self._random() / 2)

    def reset(self) -> None:
        """Start again at `first`: what was tried has succeeded."""
        self._next = self._first
