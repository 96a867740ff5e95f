"""PURE: when to ping the gateway, and when to give its connection up. Time comes in."""

from __future__ import annotations

# Seconds of silence until a ping. The gateway and every NAT on the way forget idle connections after minutes; the
# official client pings every 5 min and waits for ever. This keeps them alive, and notices a dead network in time.
IDLE = 25.0
# The same while something is unacknowledged, when silence means more.
WAITING = 4.0
# Seconds for the answer. TCP retransmits at 1, 2 and 4 s: below 7 s a short stall would look like an end.
PATIENCE = 12.0
# Seconds for the answer after a jump of the wall clock against the monotonic clock, and how large a jump is. A laptop
# has slept, and the connection is probably dead.
AFTER_SLEEP = 5.0
JUMP = 15.0


class Keepalive:
    """Deadlines of one connection; any bytes from the other side count as a sign of life."""

    def __init__(self, now: float, wall: float) -> None:
        self._heard = now
        self._pinged: float | None = None
        self._patience = PATIENCE
        self._offset = wall - now
        self._slept = False
        self._unread_ping_at = now + IDLE

    def heard(self, now: float) -> None:
        """Bytes have arrived."""
        self._heard = now
        self._pinged = None
        self._patience = PATIENCE

    def unread(self, now: float) -> bool:
        """Note that nothing is being read, so that silence means nothing; returns True when a ping is to be sent.

        Load balancers count what goes out, so the connection is still there when reading goes on.
        """
        self.heard(now)
        due = now >= self._unread_ping_at
        if due:
            self._unread_ping_at = now + IDLE
        return due

    @property
    def last_heard(self) -> float:
        """When bytes last arrived (monotonic seconds); before the first, when the connection came up."""
        return self._heard

    def clock(self, now: float, wall: float) -> None:
        """Compare the two clocks; a jump makes the next ping due at once, with less patience."""
        offset = wall - now
        if abs(offset - self._offset) > JUMP:
            self._slept = True
            self._pinged = None
        self._offset = offset

    def ping_due(self, now: float, waiting: bool) -> bool:
        """Return True when a ping is to be sent now; `waiting`: something is unacknowledged."""
        if self._pinged is not None:
            return False
        if self._slept or now - self._heard >= (WAITING if waiting else IDLE):
            self._patience = AFTER_SLEEP if self._slept else PATIENCE
            self._slept = False
            self._pinged = now
            return True
        return False

    def dead(self, now: float) -> bool:
        """Return True when a ping went unanswered for too long."""
        return self._pinged is not None and now - self._pinged >= self._patience

    def timer(self, waiting: bool) -> float:
        """Return the time at which the answer of `ping_due` or `dead` may change."""
        if self._pinged is not None:
            return self._pinged + self._patience
        return self._heard + (WAITING if waiting else IDLE)
