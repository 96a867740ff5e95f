"""PURE: how a connection looked from outside while its user logged in, judged when it has ended.

From NEWKEYS on the stream is encrypted, and what is left to see is whose turn it was and how much was said in it:

    client  SERVICE_REQUEST       none             a key               the next key ...
    server          SERVICE_ACCEPT     (a banner,) FAILURE     FAILURE             FAILURE

A server that lets in says more at once than ever fits a FAILURE: SUCCESS, and with it the names of its host keys. So a
connection that ended while the server said no more than little, and had the last word, looks refused. This is a
suspicion and no more; whoever acts upon it has to ask the server first.
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
        """Whether somebody has ended it (Ctrl-C, a signal)."""
        self._turns = 0
        self._sent = self._answer = self._longest_answer = 0
        self._first = self._last = 0.0
        self._servers_turn = True

    def sent(self, count: int, now: float) -> None:
        """`count` bytes of the client's have passed."""
        if self._servers_turn:
            self._turns += 1
        self._servers_turn = False
        self._sent += count
        self._passed(now)

    def heard(self, count: int, now: float) -> None:
        """`count` bytes of the server's have passed."""
        if not self._servers_turn:
            self._answer = 0
        self._servers_turn = True
        self._answer += count
        if self._turns > _BEFORE_KEYS:
            self._longest_answer = max(self._longest_answer, self._answer)
        self._passed(now)

    @property
    def accepted(self) -> bool:
        """Whether the server has said more than it ever does to somebody whom it does not let in."""
        return self._turns > _BEFORE_KEYS and self._longest_answer > _FAILURE

    @property
    def looks_refused(self) -> bool:
        """Whether the connection ended as one does that was not let in."""
        return (
            not self.interrupted
            and self._servers_turn
            and _BEFORE_KEYS < self._turns <= _MOST_TURNS
            and 0 < self._longest_answer <= _FAILURE
            and self._sent <= _MOST_SENT
            and self._last - self._first <= _LONGEST
        )

    def _passed(self, now: float) -> None:
        self._first = self._first or now
        self._last = now
