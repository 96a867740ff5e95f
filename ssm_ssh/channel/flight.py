"""Messages that were sent and not acknowledged, and when to send them again.

Loss detection follows QUIC (RFC 9002) and RACK (RFC 8985): every transmission has its own number, and a message counts
as lost when one that was transmitted sufficiently later is acknowledged. A probe is sent only if no such evidence can
come, after a timeout that doubles each time. A timer alone would collapse on a slow uplink, where the queue of our own
messages outlasts the timer.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush

from ssm_ssh.channel.limits import BACKOFFS, LOSS_DELAY, PAUSE, PROBE_INTERVAL, PROBES, REORDER_PACKETS
from ssm_ssh.channel.path import Path


class Sent:
    """An unacknowledged message and its latest transmission."""

    __slots__ = ("at", "frame", "in_flight", "number", "sent_once", "transmission")

    def __init__(self, number: int, frame: bytes, transmission: int, at: float, once: bool) -> None:
        self.number = number
        self.frame = frame
        self.transmission = transmission
        self.at = at
        self.sent_once = once
        """Sent only once, so that its acknowledgement measures a round trip (Karn's algorithm)."""
        self.in_flight = True
        """Neither acknowledged, nor declared lost, nor due again after a lost connection."""


class Flight:
    """Messages between their first transmission and their acknowledgement."""

    __slots__ = (
        "_ambiguous",
        "_ambiguous_until",
        "_backoff",
        "_lost",
        "_newest",
        "_order",
        "_paused",
        "_paused_until",
        "_since",
        "acknowledged_count",
        "bytes_in_flight",
        "path",
        "transmission",
        "unacked",
        "unacked_bytes",
    )

    def __init__(self) -> None:
        self.path = Path()
        self.unacked: dict[int, Sent] = {}
        """By sequence number: messages in flight or declared lost."""
        self.acknowledged_count = 0
        """Number of messages that were acknowledged."""
        self.unacked_bytes = 0
        """Bytes of all frames in `unacked`."""
        self.bytes_in_flight = 0
        """Bytes of the frames that count against the window."""
        self.transmission = 0
        """The number of the next transmission."""
        self._lost: list[int] = []
        # In order of transmission. Messages that are no longer in flight are dropped at the front.
        self._order: deque[Sent] = deque()
        # The newest transmission that is known to have arrived: evidence that earlier ones are lost.
        self._newest = -1
        # The acknowledgement of a message sent twice is ambiguous: it may mean either transmission. It counts for the
        # later one unless an earlier transmission is acknowledged soon: that would mean a stall is over, not a loss.
        self._ambiguous = -1
        self._ambiguous_until = 0.0
        # The time of the last progress, the number of timeouts since, and whether the gateway advises against probes.
        # The round trip remains unknown until a message that was sent once is acknowledged. Resending must slow down
        # until then, or every message would be sent twice and none could measure it (Karn's backoff).
        self._since = 0.0
        self._backoff = 0
        self._paused = False
        self._paused_until = 0.0

    @property
    def paused(self) -> bool:
        """The gateway has reported that the agent is disconnected."""
        return self._paused

    def connected(self, now: float) -> None:
        """Make all unacknowledged messages due again, in order: the old connection may have lost them."""
        self.resend_all()
        self._since = now
        self._paused = False
        self._paused_until = 0.0
        self.path.reset()

    def resend_all(self) -> None:
        """Make all unacknowledged messages due again, in order, and forget how long they have been waited for."""
        self._make_all_due()
        self._backoff = 0

    def _make_all_due(self) -> None:
        for sent in self.unacked.values():
            sent.in_flight = sent.sent_once = False
        self._lost = list(self.unacked)
        heapify(self._lost)
        self._order.clear()
        self.bytes_in_flight = 0
        self._newest = self._ambiguous = -1

    def pause(self, now: float) -> None:
        """Note that the agent is disconnected: probes would be wasted for a while."""
        self._paused = True
        self._paused_until = now + PAUSE

    def unpause(self) -> None:
        """Note that the agent is back. After a pause, the messages in flight were lost with its connection."""
        if self._paused:
            self._paused = False
            if self.bytes_in_flight:  # a repeated report changes nothing: everything is due already
                self._make_all_due()
        self._paused_until = 0.0
        self._backoff = 0

    def heard(self) -> None:
        """Note that the agent sent something, so that it is not disconnected."""
        self._paused_until = 0.0

    def add(self, frames: list[bytes], number: int, frame: bytes, now: float) -> None:
        """Append message `number` to `frames` for its first transmission."""
        self.unacked_bytes += len(frame)
        self._transmit(frames, Sent(number, frame, self.transmission, now, True))

    def acknowledged(self, number: int, now: float) -> bool:
        """Note the acknowledgement of message `number`. Returns False if it is not waiting for one."""
        sent = self.unacked.pop(number, None)
        if sent is None:
            return False
        self._paused_until = 0.0
        self._since = now
        size = len(sent.frame)
        self.unacked_bytes -= size
        self.acknowledged_count += 1
        transmission = sent.transmission
        if sent.sent_once:
            self.path.add_sample(now - sent.at, now)
            self._backoff = 0
            if transmission > self._newest:  # noqa: PLR1730 - a call for each message would cost more
                self._newest = transmission
            if transmission < self._ambiguous:
                self._ambiguous = -1
            if not sent.in_flight:
                self.path.tolerate_reordering()
        else:
            self._acknowledged_resend(sent, now)
            transmission = -1
        if sent.in_flight:
            sent.in_flight = False
            self.bytes_in_flight -= size
        self.path.acknowledged(size, transmission, self.transmission - 1, self.bytes_in_flight, now)
        order = self._order
        while order and not order[0].in_flight:
            order.popleft()
        if order and order[0].transmission < self._newest:
            self._declare_lost(now)
        return True

    def resend(self, frames: list[bytes], now: float, budget: int) -> int:
        """Append the messages to resend now, at most about `budget` bytes. Returns the rest of the budget."""
        if self._ambiguous >= 0 and now >= self._ambiguous_until:
            self._newest = max(self._newest, self._ambiguous)
            self._ambiguous = -1
            self._back_off()
        if self._order and self._order[0].transmission < self._newest:
            self._declare_lost(now)
        if not self.bytes_in_flight:
            self._since = now
        elif budget > 0 and now >= self._due_at():
            budget -= self._probe(frames, now)
        lost = self._lost
        while lost and budget > 0 and self.bytes_in_flight < self.path.window:
            sent = self.unacked.get(heappop(lost))
            if sent is not None and not sent.in_flight:
                budget -= self._resend(frames, sent, now)
        return budget

    def timer(self) -> float | None:
        """Return when a loss may be detected or a probe is due; None while nothing is in flight."""
        return self._due_at() if self._order else None

    def _due_at(self) -> float:
        # While evidence is coming in, a probe would only be an unnecessary resend (RFC 9002, 6.2.1).
        if self._ambiguous >= 0:
            return self._ambiguous_until
        oldest = self._order[0]
        if oldest.transmission < self._newest:
            return oldest.at + self._loss_delay()
        at = self._since + min(self.path.rto * 2.0**self._backoff, PROBE_INTERVAL)
        # A repeated pause does not delay the probe again.
        return max(at, min(self._paused_until, at + PAUSE))

    def _loss_delay(self) -> float:
        delay = self.path.loss_delay
        return min(delay * 2.0**self._backoff, max(delay, LOSS_DELAY))

    def _back_off(self) -> None:
        self._backoff = min(self._backoff + 1, BACKOFFS)

    def _acknowledged_resend(self, sent: Sent, now: float) -> None:
        if self.path.is_too_fast(now - sent.at):
            # An earlier transmission has arrived late. But after two timeouts in a row without a sign of the messages
            # sent in between, it is the path that has become faster: they would have arrived by now.
            self.path.tolerate_reordering()
            if self._backoff < 2:
                return
        if self.unacked and sent.transmission > self._ambiguous:
            if self._ambiguous < 0:
                self._ambiguous_until = now + self._loss_delay() / 2
            self._ambiguous = sent.transmission

    def _declare_lost(self, now: float) -> None:
        too_far = self._newest - REORDER_PACKETS * self.path.tolerance
        delay = self._loss_delay()
        order = self._order
        while order:
            sent = order[0]
            if sent.in_flight:
                if sent.transmission >= self._newest or (sent.transmission > too_far and sent.at + delay > now):
                    return
                sent.in_flight = False
                self.bytes_in_flight -= len(sent.frame)
                heappush(self._lost, sent.number)
            order.popleft()

    def _probe(self, frames: list[bytes], now: float) -> int:
        in_flight = sorted(number for number, sent in self.unacked.items() if sent.in_flight)
        self._back_off()
        self._since = now
        return sum(self._resend(frames, self.unacked[number], now) for number in in_flight[:PROBES])

    def _resend(self, frames: list[bytes], sent: Sent, now: float) -> int:
        size = len(sent.frame)
        if sent.in_flight:
            sent.in_flight = False
            self.bytes_in_flight -= size
        self._transmit(frames, Sent(sent.number, sent.frame, self.transmission, now, False))
        return size

    def _transmit(self, frames: list[bytes], sent: Sent) -> None:
        self.transmission += 1
        self.unacked[sent.number] = sent
        self._order.append(sent)
        self.bytes_in_flight += len(sent.frame)
        frames.append(sent.frame)
