"""PURE: another session where sshd refused by chance: how often, when, and what ssh has sent so far."""

from __future__ import annotations

from ssm_ssh.relay.backoff import Backoff
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# sshd's MaxStartups refuses at random; ten attempts with doubling delays (seconds) let a hundred connections through.
ATTEMPTS = 10
_FIRST_DELAY, _LONGEST_DELAY = 0.25, 8.0
# Bytes that ssh may send before the server has: its banner and its key exchange proposal.
MOST_REPLAY = 64 * 1024


class Retry:
    """The attempts of one connection. Until the server speaks, the client's bytes are kept for the next one."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._attempts = 1
        self._backoff = Backoff(_FIRST_DELAY, _LONGEST_DELAY, random)
        self._kept = bytearray()

    @property
    def room(self) -> int:
        """How many bytes more are kept."""
        return MOST_REPLAY - len(self._kept)

    @property
    def kept(self) -> bytes:
        """What the client has sent."""
        return bytes(self._kept)

    def keep(self, data: bytes) -> None:
        """Keep bytes of the client for another session."""
        self._kept += data

    def forget(self) -> None:
        """The client has heard of the server, so no other session will do."""
        self._kept.clear()

    def next_delay(self) -> float | None:
        """Return the seconds until the next attempt, None after the last."""
        if self._attempts >= ATTEMPTS:
            return None
        self._attempts += 1
        return self._backoff.delay()
