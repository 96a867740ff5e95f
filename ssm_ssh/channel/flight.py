"""What was sent and is not acknowledged, and when it is sent again.

Loss detection follows QUIC (RFC 9002) and RACK (RFC 8985): every transmission has a number of its own, and a message
is lost when one transmitted sufficiently later was acknowledged. Only where no evidence can come does a probe go out,
after a timeout that doubles each time. A timer alone would collapse on a slow uplink, where one's own queue outlasts
it.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush

from ssm_ssh.channel.limits import BACKOFFS, LOSS_DELAY, PAUSE, PROBE_INTERVAL, PROBES, REORDER_PACKETS
from ssm_ssh.channel.path import Path


class Sent:
    """A message not yet acknowledged, as transmitted last."""

    __slots__ = ("at", "flying", "frame", "number", "once", "transmission")

    def __init__(self, number: int, frame: bytes, transmission: int, at: float, once: bool) -> None:
        self.number = number
        self.frame = frame
        self.transmission = transmission
        self.at = at
        self.once = once
        """Sent a single time, so that an acknowledgement tells a round trip (Karn)."""
        self.flying = True
        """Counts as in flight: neither acknowledged nor taken for lost nor sent again."""


class Flight:
    """Messages between their first transmission and their acknowledgement."""

    __slots__ = (
        "_backoff",
        "_doubt",
        "_doubt_until",
        "_lost",
        "_newest",
        "_order",
        "_paused",
        "_paused_until",
        "_since",
        "arrived",
        "bytes",
        "in_flight",
        "path",
        "transmission",
        "unacked",
    )

    def __init__(self) -> None:
        self.path = Path()
        self.unacked: dict[int, Sent] = {}
        """By sequence number, in flight or taken for lost."""
        self.arrived = 0
        """How many messages have been acknowledged."""
        self.bytes = 0
        """Bytes of the frames in `unacked`."""
        self.in_flight = 0
        """Bytes of those that count against the window."""
        self.transmission = 0
        """The number of the next transmission."""
        self._lost: list[int] = []
        # In order of transmission; those that fly no longer are dropped when they come to the front.
        self._order: deque[Sent] = deque()
        # The newest transmission known to have arrived: evidence against those before it.
        self._newest = -1
        # An acknowledgement of a message sent twice may mean either transmission. It becomes evidence for the later one
        # only if none for an earlier transmission follows in a while: then a mere stall is over, and nothing is lost.
        self._doubt = -1
        self._doubt_until = 0.0
        # Since when nothing has moved, how often that was answered by sending again, and whether probes are advised
        # against. Until a message sent once is acknowledged, nobody knows how long the round trip has become: resending
        # must slow down, or every message would be sent twice and never tell (Karn's other half).
        self._since = 0.0
        self._backoff = 0
        self._paused = False
        self._paused_until = 0.0

    @property
    def paused(self) -> bool:
        """The agent is said to be gone."""
        return self._paused

    def connected(self, now: float) -> None:
        """A new connection: all of it may have been lost with the old one, and is due again in order."""
        self._all_lost()
        self._backoff = 0
        self._since = now
        self._paused = False
        self._paused_until = 0.0
        self.path.reset()

    def _all_lost(self) -> None:
        for sent in self.unacked.values():
            sent.flying = sent.once = False
        self._lost = list(self.unacked)
        heapify(self._lost)
        self._order.clear()
        self.in_flight = 0
        self._newest = self._doubt = -1

    def pause(self, now: float) -> None:
        """The agent is said to be gone: probes would be wasted for a while."""
        self._paused = True
        self._paused_until = now + PAUSE

    def unpause(self) -> None:
        """The agent is said to be back: after a pause all that was in flight was lost with its connection."""
        if self._paused:
            self._paused = False
            if self.in_flight:  # else all of it is due already, however often a peer says so
                self._all_lost()
        self._paused_until = 0.0
        self._backoff = 0

    def alive(self) -> None:
        """Something came from the agent, so that it is not paused."""
        self._paused_until = 0.0

    def add(self, frames: list[bytes], number: int, frame: bytes, now: float) -> None:
        """Transmit message `number` for the first time, by appending it to `frames`."""
        self.bytes += len(frame)
        self._transmit(frames, Sent(number, frame, self.transmission, now, True))

    def acknowledged(self, number: int, now: float) -> bool:
        """The agent acknowledged message `number`; False if it was never sent, or is acknowledged already."""
        sent = self.unacked.pop(number, None)
        if sent is None:
            return False
        self._paused_until = 0.0
        self._since = now
        size = len(sent.frame)
        self.bytes -= size
        self.arrived += 1
        transmission = sent.transmission
        if sent.once:
            self.path.sample(now - sent.at, now)
            self._backoff = 0
            if transmission > self._newest:  # noqa: PLR1730 - a call for each message would cost more
                self._newest = transmission
            if transmission < self._doubt:
                self._doubt = -1
            if not sent.flying:
                self.path.tolerate()
        else:
            self._weigh(sent, now)
            transmission = -1
        if sent.flying:
            sent.flying = False
            self.in_flight -= size
        self.path.acknowledged(size, transmission, self.transmission - 1, self.in_flight, now)
        order = self._order
        while order and not order[0].flying:
            order.popleft()
        if order and order[0].transmission < self._newest:
            self._take_for_lost(now)
        return True

    def resend(self, frames: list[bytes], now: float, budget: int) -> int:
        """Append what is to be sent again now, about `budget` bytes at most; returns what is left of the budget."""
        if self._doubt >= 0 and now >= self._doubt_until:
            self._newest = max(self._newest, self._doubt)
            self._doubt = -1
            self._back_off()
        if self._order and self._order[0].transmission < self._newest:
            self._take_for_lost(now)
        if not self.in_flight:
            self._since = now
        elif budget > 0 and now >= self._due_at():
            budget -= self._probe(frames, now)
        lost = self._lost
        while lost and budget > 0 and self.in_flight < self.path.window:
            sent = self.unacked.get(heappop(lost))
            if sent is not None and not sent.flying:
                budget -= self._again(frames, sent, now)
        return budget

    def timer(self) -> float | None:
        """When something may be found lost, or a probe is due; None while nothing is in flight."""
        return self._due_at() if self._order else None

    def _due_at(self) -> float:
        # Where evidence is coming in, a probe would only be a needless resend (RFC 9002, 6.2.1).
        if self._doubt >= 0:
            return self._doubt_until
        oldest = self._order[0]
        if oldest.transmission < self._newest:
            return oldest.at + self._loss_delay()
        at = self._since + min(self.path.rto * 2.0**self._backoff, PROBE_INTERVAL)
        # However often a pause is repeated, it delays a probe only once.
        return max(at, min(self._paused_until, at + PAUSE))

    def _loss_delay(self) -> float:
        delay = self.path.loss_delay
        return min(delay * 2.0**self._backoff, max(delay, LOSS_DELAY))

    def _back_off(self) -> None:
        self._backoff = min(self._backoff + 1, BACKOFFS)

    def _weigh(self, sent: Sent, now: float) -> None:
        if self.path.too_fast(now - sent.at):
            # It is an earlier transmission that arrived, only late. After the second timeout in a row without a sign of
            # those sent in between it is rather the path that has become so fast, for they would have come by now.
            self.path.tolerate()
            if self._backoff < 2:
                return
        if self.unacked and sent.transmission > self._doubt:
            if self._doubt < 0:
                self._doubt_until = now + self._loss_delay() / 2
            self._doubt = sent.transmission

    def _take_for_lost(self, now: float) -> None:
        too_far = self._newest - REORDER_PACKETS * self.path.tolerance
        delay = self._loss_delay()
        order = self._order
        while order:
            sent = order[0]
            if sent.flying:
                if sent.transmission >= self._newest or (sent.transmission > too_far and sent.at + delay > now):
                    return
                sent.flying = False
                self.in_flight -= len(sent.frame)
                heappush(self._lost, sent.number)
            order.popleft()

    def _probe(self, frames: list[bytes], now: float) -> int:
        flying = sorted(number for number, sent in self.unacked.items() if sent.flying)
        self._back_off()
        self._since = now
        return sum(self._again(frames, self.unacked[number], now) for number in flying[:PROBES])

    def _again(self, frames: list[bytes], sent: Sent, now: float) -> int:
        size = len(sent.frame)
        if sent.flying:
            sent.flying = False
            self.in_flight -= size
        self._transmit(frames, Sent(sent.number, sent.frame, self.transmission, now, False))
        return size

    def _transmit(self, frames: list[bytes], sent: Sent) -> None:
        self.transmission += 1
        self.unacked[sent.number] = sent
        self._order.append(sent)
        self.in_flight += len(sent.frame)
        frames.append(sent.frame)
