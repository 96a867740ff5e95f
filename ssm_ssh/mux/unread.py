"""How many bytes may wait for local readers.

smux v1 has no windows, so a reader that stops can only be answered by reading no more from its session, which stops
every stream there. Each reader is given a buffer first, so that a pause costs the others nothing.
"""

from __future__ import annotations

MOST_OF_ONE = 8 * 1024 * 1024
"""Bytes that may wait for one connection."""

MOST_IN_ALL = 32 * 1024 * 1024
"""Bytes that may wait in the whole process, which keeps it below 80 MB."""


class Total:
    """The bytes that wait in all sessions of a process."""

    def __init__(self, most: int = MOST_IN_ALL) -> None:
        self.most = most
        self.waiting = 0


class Unread:
    """The bytes that wait for the connections of one session."""

    def __init__(self, total: Total, most_of_one: int = MOST_OF_ONE) -> None:
        self._total = total
        self._most_of_one = most_of_one
        self._waiting: dict[int, int] = {}
        self._over: set[int] = set()

    def set(self, stream: int, waiting: int) -> None:
        """Note how many bytes wait for a connection now; 0 when it has ended."""
        self._total.waiting += waiting - self._waiting.get(stream, 0)
        if waiting:
            self._waiting[stream] = waiting
        else:
            self._waiting.pop(stream, None)
        if waiting >= self._most_of_one:
            self._over.add(stream)
        else:
            self._over.discard(stream)

    @property
    def full(self) -> bool:
        """Whether the session is to be read no further for now: it holds too much itself, or its share of too much."""
        return bool(self._over) or (bool(self._waiting) and self._total.waiting >= self._total.most)

    def fullest(self) -> int | None:
        """Return the connection for which most bytes wait."""
        return max(self._waiting, key=self._waiting.__getitem__, default=None)
