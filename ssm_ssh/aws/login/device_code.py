"""When to poll for a device code that a person enters: RFC 8628 section 3.5 as a state machine without a clock.

All times are seconds of one clock, which the caller passes in.
"""

from __future__ import annotations

from ssm_ssh.startup import NamedTuple

# Seconds between polls if the service names none, and the seconds that each `slow_down` adds: RFC 8628 section 3.5.
DEFAULT_INTERVAL = 5.0
SLOW_DOWN = 5.0
# The longest interval that a service may set: a wrong number must not delay a login for hours.
_LONGEST_INTERVAL = 60.0

PENDING, SLOWER, UNREACHABLE = "authorization_pending", "slow_down", "unreachable"


class DeviceWait(NamedTuple):
    """The wait for a person: poll at `next_at`, every `interval` seconds, until `expires_at`."""

    interval: float
    next_at: float
    expires_at: float

    def after(self, outcome: str, now: float) -> DeviceWait:
        """Return the wait after a poll at `now` whose outcome was PENDING, SLOWER or UNREACHABLE.

        The interval doubles after a lost connection, as the RFC requires.
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
        """Return the seconds until the next poll, None if the code expires before it."""
        return None if max(now, self.next_at) >= self.expires_at else max(0.0, self.next_at - now)


def device_wait(now: float, *, expires_in: float, interval: float | None) -> DeviceWait:
    """Return the wait for a code valid for `expires_in` seconds from `now`; the first poll is an interval later."""
    seconds = DEFAULT_INTERVAL if interval is None or interval <= 0 else min(interval, _LONGEST_INTERVAL)
    return DeviceWait(seconds, now + seconds, now + expires_in)
