"""What is known of the path to the agent: round trips, the delivery rate, and from these timeout and window.

The window is delay-based, after BBR: delivery rate x (lowest round trip + a little queue). On a slow uplink it keeps
the queue to a fraction of a second, so that a keystroke is not stuck behind a copy; on a fast path it grows fourfold
in a round trip until the rate stops growing. Loss is no signal here: below us is TCP, and what gets lost was lost
with a connection.
"""

from __future__ import annotations

from ssm_ssh.channel.limits import (
    BASE_RTT_AGE,
    FIRST_RTO,
    FIRST_WINDOW,
    GRANULARITY,
    MAX_RTT,
    MAX_TOLERANCE,
    MAX_WINDOW,
    MEASURE_WINDOW,
    MIN_RTO,
    MIN_WINDOW,
    QUEUE_TARGET,
    RATE_ROUNDS,
    ROUND,
)

_UNKNOWN = float("inf")
_DRAIN, _ARRIVE, _MEASURE = 1, 2, 3


class Path:
    """Round-trip and rate estimates; start over with `reset` when the connection changes."""

    __slots__ = (
        "_base_at",
        "_latest",
        "_rates",
        "_round_at",
        "_round_bytes",
        "_round_end",
        "_smoothed",
        "_stage",
        "_variation",
        "_wide",
        "base_rtt",
        "full",
        "rto",
        "tolerance",
        "window",
    )

    def __init__(self) -> None:
        self.rto = FIRST_RTO
        """Time without any sign of progress after which a probe is due (before backoff)."""
        self._latest = self._smoothed = FIRST_RTO / 2
        self._variation = 0.0
        self.base_rtt = _UNKNOWN
        """Lowest round trip seen of late; infinite until there is one."""
        self._base_at = _UNKNOWN
        self.reset()

    def reset(self) -> None:
        """Start over on a new connection: it may lead over another network. Only the round trips are kept for now."""
        if self.base_rtt != _UNKNOWN:
            # To be measured anew at once, but not through the burst of what is sent again: that would inflate it.
            self._base_at = -_UNKNOWN
        self.tolerance = 1
        """How much reordering is tolerated, from 1 to MAX_TOLERANCE."""
        self.window = self._wide = FIRST_WINDOW
        """Bytes that may be in flight."""
        self.full = False
        """To be set when data had to wait for the window: only then a round's rate says what the path can do."""
        self._stage = 0
        self._rates: list[float] = []
        self._round_end = -1
        self._round_at = 0.0
        self._round_bytes = 0

    @property
    def loss_delay(self) -> float:
        """Age at which a message counts as lost when one sent later was acknowledged (RFC 9002, 6.1.2)."""
        rtt = max(self._smoothed, self._latest)
        return rtt + max(rtt * self.tolerance / 4, GRANULARITY)

    def too_fast(self, rtt: float) -> bool:
        """No message can have made the round trip in that time."""
        return self.base_rtt != _UNKNOWN and rtt < self.base_rtt * 0.9

    def tolerate(self) -> None:
        """A message was taken for lost and was not: allow for more reordering (RFC 8985, 6.2, does the like)."""
        self.tolerance = min(self.tolerance * 2, MAX_TOLERANCE)

    def sample(self, rtt: float, now: float) -> None:
        """A round trip of a message that was sent once (Karn)."""
        rtt = min(rtt, MAX_RTT)
        self._latest = rtt
        if self.base_rtt == _UNKNOWN:
            # RFC 6298, 2.2: the first sample is taken as it is, for the initial values are only guesses.
            self._smoothed, self._variation = rtt, rtt / 2
        else:
            error = rtt - self._smoothed
            self._smoothed += error / 8
            self._variation += (abs(error) - self._variation) / 4
        self.rto = max(self._smoothed + max(4 * self._variation, GRANULARITY), MIN_RTO)
        if rtt <= self.base_rtt:
            self.base_rtt = rtt
            self._base_at = now

    def begin_round(self, last: int, now: float) -> None:
        """A round of measuring begins: it lasts until transmission `last`, the newest so far, was acknowledged."""
        self._round_end = last
        self._round_at = now
        self._round_bytes = 0
        self.full = False

    def acknowledged(self, size: int, transmission: int, last: int, in_flight: int, now: float) -> None:
        """`size` bytes sent as `transmission` (-1: not known) have arrived; `last` is the newest one sent.

        What arrives in a round, over the time that the round takes, is the delivery rate.
        """
        self._round_bytes += size
        elapsed = now - self._round_at
        if transmission < self._round_end and elapsed < ROUND:
            return
        shortest = min(self.base_rtt, self._smoothed) * 0.9
        if elapsed < shortest or elapsed <= 0:
            return
        self._measure(self._round_bytes / elapsed)
        if now - self._base_at > BASE_RTT_AGE or self._stage:
            self._renew_base(in_flight, now)
        self.window = self._wide
        if self._stage:
            # Half of what the path holds at the least: no queue, and half the rate for a few rounds at the most.
            self.window = max(int(max(self._rates) * shortest / 2), MEASURE_WINDOW)
        self.begin_round(last, now)

    def _measure(self, rate: float) -> None:
        rates = self._rates
        limited = self.full and not self._stage
        if limited or not rates or rate > max(rates):
            rates.append(rate)
            del rates[:-RATE_ROUNDS]
        base = min(self.base_rtt, self._smoothed)
        wide = int(max(rates) * (base + max(QUEUE_TARGET, base)))
        if limited or wide > self._wide:
            self._wide = min(max(wide, MIN_WINDOW), MAX_WINDOW)

    def _renew_base(self, in_flight: int, now: float) -> None:
        # Stages: let the queue drain; let those in flight arrive, which still saw it;
        # then forget the old value and take the lowest of a round that was sent into an empty queue.
        if self._stage != _DRAIN or in_flight <= self.window:
            self._stage += 1
        if self._stage == _MEASURE:
            self.base_rtt = _UNKNOWN
        elif self._stage > _MEASURE:
            self._stage = 0
            self._base_at = now
