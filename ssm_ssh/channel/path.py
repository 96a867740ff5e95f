"""Estimates of the path to the agent: round trips and delivery rate, and the timeout and window that follow from them.

The window is delay-based, like BBR's: delivery rate x (lowest round trip + a small queue). On a slow uplink this keeps
the queue to a fraction of a second, so a keystroke does not wait behind a copy. On a fast path the window grows up to
fourfold in a round trip until the rate stops growing. Loss is no signal, because TCP carries the frames: what gets lost
is lost together with a connection.
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
    """Estimates of round trip and rate. Call `reset` when the connection changes."""

    __slots__ = (
        "_base_at",
        "_full_window",
        "_latest",
        "_rates",
        "_round_at",
        "_round_bytes",
        "_round_end",
        "_smoothed",
        "_stage",
        "_variation",
        "base_rtt",
        "rto",
        "tolerance",
        "window",
        "window_limited",
    )

    def __init__(self) -> None:
        self.rto = FIRST_RTO
        """Seconds without progress after which a probe is due (before backoff)."""
        self._latest = self._smoothed = FIRST_RTO / 2
        self._variation = 0.0
        self.base_rtt = _UNKNOWN
        """Lowest recent round trip in seconds; infinite until there is one."""
        self._base_at = _UNKNOWN
        self.reset()

    def reset(self) -> None:
        """Start over on a new connection, which may use another network. Only the round trips are kept for now."""
        if self.base_rtt != _UNKNOWN:
            # Due to be measured again, but not through the burst of resends, which would inflate it.
            self._base_at = -_UNKNOWN
        self.tolerance = 1
        """Reordering that is tolerated, from 1 to MAX_TOLERANCE."""
        self.window = self._full_window = FIRST_WINDOW
        """Bytes that may be in flight."""
        self.window_limited = False
        """Set by the sender when data has to wait for the window. Only then does the rate show what the path can do."""
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

    def is_too_fast(self, rtt: float) -> bool:
        """Return whether a round trip in that time is implausible."""
        return self.base_rtt != _UNKNOWN and rtt < self.base_rtt * 0.9

    def tolerate_reordering(self) -> None:
        """Allow more reordering after a message was declared lost and arrived (similar to RFC 8985, 6.2)."""
        self.tolerance = min(self.tolerance * 2, MAX_TOLERANCE)

    def add_sample(self, rtt: float, now: float) -> None:
        """Add the round trip of a message that was sent once (Karn's algorithm)."""
        rtt = min(rtt, MAX_RTT)
        self._latest = rtt
        if self.base_rtt == _UNKNOWN:
            # RFC 6298, 2.2: the first sample replaces the initial values, which are only guesses.
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
        """Begin a measurement round, which lasts until transmission `last`, the newest so far, is acknowledged."""
        self._round_end = last
        self._round_at = now
        self._round_bytes = 0
        self.window_limited = False

    def acknowledged(self, size: int, transmission: int, last: int, bytes_in_flight: int, now: float) -> None:
        """Note that `size` bytes sent as `transmission` (-1: unknown) have arrived; `last` is the newest transmission.

        The delivery rate is the number of bytes that arrive in a round, divided by the duration of the round.
        """
        self._round_bytes += size
        elapsed = now - self._round_at
        if transmission < self._round_end and elapsed < ROUND:
            return
        shortest = min(self.base_rtt, self._smoothed) * 0.9
        if elapsed < shortest or elapsed <= 0:
            return
        self._add_rate(self._round_bytes / elapsed)
        if now - self._base_at > BASE_RTT_AGE or self._stage:
            self._remeasure_base(bytes_in_flight, now)
        self.window = self._full_window
        if self._stage:
            # At least half of what the path holds: no queue, and at worst half the rate for a few rounds.
            self.window = max(int(max(self._rates) * shortest / 2), MEASURE_WINDOW)
        self.begin_round(last, now)

    def _add_rate(self, rate: float) -> None:
        rates = self._rates
        limited = self.window_limited and not self._stage
        if limited or not rates or rate > max(rates):
            rates.append(rate)
            del rates[:-RATE_ROUNDS]
        base = min(self.base_rtt, self._smoothed)
        estimate = int(max(rates) * (base + max(QUEUE_TARGET, base)))
        if limited or estimate > self._full_window:
            self._full_window = min(max(estimate, MIN_WINDOW), MAX_WINDOW)

    def _remeasure_base(self, bytes_in_flight: int, now: float) -> None:
        # Stages: let the queue drain; let the messages in flight, which still met it, arrive;
        # then forget the old value and take the lowest of a round that was sent into an empty queue.
        if self._stage != _DRAIN or bytes_in_flight <= self.window:
            self._stage += 1
        if self._stage == _MEASURE:
            self.base_rtt = _UNKNOWN
        elif self._stage > _MEASURE:
            self._stage = 0
            self._base_at = now
