"""PURE: whether a login looks refused, judged by the sizes of encrypted messages once the connection has ended.

From NEWKEYS on the stream is encrypted. What remains visible is whose turn it was, and how many bytes it took:

    client  SERVICE_REQUEST       none             a key               the next key ...
    server          SERVICE_ACCEPT     (a banner,) FAILURE     FAILURE             FAILURE

A server that accepts a login sends more at once than fits a FAILURE: SUCCESS, and with it the names of its host keys.
So a connection that ended after a short message of the server looks refused. That is only a suspicion: before anything
is done about it, the server has to be asked.
"""

from __future__ import annotations

# Bytes of the longest FAILURE that there is: every method's name, padding and the longest MAC.
_FAILURE = 160
# The client's first turns ask for the service and for what methods there are. OpenSSH's server takes six keys.
_BEFORE_KEYS, _MOST_TURNS = 2, 12
# Seconds and bytes. sshd gives 120 seconds for a login (LoginGraceTime).
_LONGEST, _MOST_SENT = 130.0, 16 * 1024


class LoginOutcome:
    """What passed since the key exchange: turns, bytes and times."""

    def __init__(self) -> None:
        self.interrupted = False
        """Whether Ctrl-C or a signal has ended it."""
        self.asks_first = True
        """Whether the client asks which methods there are before it offers a key, as OpenSSH does."""
        self._turns = 0
        self._sent = self._answer = self._longest_answer = 0
        self._first = self._last = 0.0
        self._servers_turn = True

    def sent(self, count: int, now: float) -> None:
        """Note `count` bytes of the client."""
        if self._servers_turn:
            self._turns += 1
        self._servers_turn = False
        self._sent += count
        self._passed(now)

    def heard(self, count: int, now: float) -> None:
        """Note `count` bytes of the server."""
        if not self._servers_turn:
            self._answer = 0
        self._servers_turn = True
        self._answer += count
        if self._turns > self._before_keys:
            self._longest_answer = max(self._longest_answer, self._answer)
        self._passed(now)

    @property
    def last(self) -> float:
        """When bytes have passed (monotonic seconds), 0 before the first."""
        return self._last

    @property
    def accepted(self) -> bool:
        """Whether the server has sent more at once than it ever does before it accepts a login."""
        return self._turns > self._before_keys and self._longest_answer > _FAILURE

    @property
    def looks_refused(self) -> bool:
        """Whether the connection ended like one whose login was refused."""
        return (
            not self.interrupted
            and self._servers_turn
            and self._before_keys < self._turns <= _MOST_TURNS
            and 0 < self._longest_answer <= _FAILURE
            and self._sent <= _MOST_SENT
            and self._last - self._first <= _LONGEST
        )

    @property
    def _before_keys(self) -> int:
        return _BEFORE_KEYS if self.asks_first else _BEFORE_KEYS - 1

    def _passed(self, now: float) -> None:
        self._first = self._first or now
        self._last = now
