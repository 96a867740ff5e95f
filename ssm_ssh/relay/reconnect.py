"""PURE: when to try again after the connection broke, and when to give up. Time and chance come in."""

from __future__ import annotations

from ssm_ssh.errors import AccessDenied, NetworkError, ProtocolError, SessionGone, SsmSshError, UsageError
from ssm_ssh.relay.backoff import Backoff
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds between attempts. The first come quickly, because most breaks are a change of network; later ones spare a
# laptop's battery.
_FIRST, _LONGEST = 0.5, 15.0
# Messages that arrived on a connection. After many the next attempt comes at once, after a few soon, and after none
# ever more slowly.
_REAL, _FEW = 64, 4
# What another attempt would not change.
_FINAL = (SessionGone, AccessDenied, UsageError, ProtocolError)


class Reconnect:
    """The clock of an outage: since when, and when the next attempt is due (monotonic seconds)."""

    def __init__(self, limit: float, random: Callable[[], float]) -> None:
        """Try for at most `limit` seconds after each break; it may be changed at any time."""
        self.limit = limit
        self._backoff = Backoff(_FIRST, _LONGEST, random)
        self._since: float | None = None
        self._due: float | None = None
        self._up = False
        self.last: SsmSshError | None = None
        """The last break or failed attempt."""

    def lost(self, now: float, error: SsmSshError, arrived: int) -> None:
        """Note that a connection broke on which `arrived` messages had arrived, in both directions."""
        self._up = False
        self.last = error
        if arrived or self._since is None:  # a connection that carried nothing did not end the outage
            self._since = now
        if arrived >= _FEW:
            self._backoff.reset()
        if arrived >= _REAL:
            self._due = now
        else:  # cut as soon as it was up: no tight loop
            self._due = now + self._backoff.delay()

    def failed(self, now: float, error: SsmSshError) -> bool:
        """Note that an attempt failed; returns False when another would not help."""
        if isinstance(error, _FINAL):
            return False
        if self._since is None:
            self._since = now
        self.last = error
        self._due = now + self._backoff.delay()
        return True

    def connected(self) -> None:
        """Note that a connection is up. Whether it was useful shows when it is `lost`."""
        self._up = True
        self._due = None

    def take(self, now: float) -> bool:
        """Return True, once, when an attempt is due."""
        if self._due is None or now < self._due:
            return False
        self._due = None
        return True

    def exhausted(self, now: float) -> NetworkError | None:
        """Return the final error once the limit has passed."""
        if self._up or self._since is None or now < self._since + self.limit:
            return None
        last = self.last.sentence() if self.last else ""
        return NetworkError(f"no connection for {self.limit:.0f} s, so the session was given up", last)

    def timer(self) -> float | None:
        """Return the time at which `take` or `exhausted` may change their answer."""
        if self._up or self._since is None:
            return None
        end = self._since + self.limit
        return end if self._due is None else min(end, self._due)
