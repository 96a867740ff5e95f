"""When to ask whether a person has entered the device code: RFC 8628 section 3.5 as a state machine without a clock.

All times are seconds of one clock, which the caller passes in.
"""

from __future__ import annotations

from typing import NamedTuple

# Seconds, where the service names no interval, and what each `slow_down` adds. Both from RFC 8628 section 3.5.
DEFAULT_INTERVAL = 5.0
SLOW_DOWN = 5.0
# What a service may ask for at most: a wrong number must not make a login wait for hours.
_LONGEST_INTERVAL = 60.0

PENDING, SLOWER, UNREACHABLE = "authorization_pending", "slow_down", "unreachable"


class DeviceWait(NamedTuple):
    """The wait for a person: ask at `next_at`, `interval` seconds apart, until `expires_at`."""

    interval: float
    next_at: float
    expires_at: float

    def after(self, outcome: str, now: float) -> DeviceWait:
        """Return the wait after an attempt at `now` that was PENDING, SLOWER or UNREACHABLE.

        After a lost connection the interval doubles, as the RFC asks.
        """
        interval = self.interval
        if outcome == SLOWER:
            interval += SLOW_DOWN
        elif outcome == UNREACHABLE:
            interval *= 2
        elif outcome != PENDING:
            raise ValueError(outcome)
        interval = min(interval, max(_LONGEST_INTERVAL, self.interval))
        return self._replace(interval=interval, next_at=now + interval)

    def pause(self, now: float) -> float | None:
        """Return the seconds to wait before the next attempt, None where the code expires before it."""
        return None if max(now, self.next_at) >= self.expires_at else max(0.0, self.next_at - now)


def device_wait(now: float, *, expires_in: float, interval: float | None) -> DeviceWait:
    """Return the wait that begins `now` with a code good for `expires_in` seconds. Attempts begin after an interval."""
    seconds = DEFAULT_INTERVAL if interval is None or interval <= 0 else min(interval, _LONGEST_INTERVAL)
    return DeviceWait(seconds, now + seconds, now + expires_in)
