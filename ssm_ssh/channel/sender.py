"""The sending half: numbers, window, and what is sent again when.

Loss detection follows QUIC (RFC 9002) and RACK (RFC 8985): every transmission has a number of its own, and a message
is lost when one transmitted sufficiently later was acknowledged. Only where no evidence can come does a probe go out,
after a timeout that doubles each time. A timer alone would collapse on a slow uplink, where one's own queue outlasts
it.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from ssm_ssh.channel.limits import MAX_LOCAL, MIN_LOCAL, PAUSE, PAYLOAD, PROBE_INTERVAL, PROBES, REORDER_PACKETS
from ssm_ssh.channel.message import FLAG, HEADER, STREAM, TERMINATE_SESSION, encode_stream, random_id
from ssm_ssh.channel.path import Path

if TYPE_CHECKING:
    from collections.abc import Callable

_OVERHEAD = HEADER + 4


class _Sent:
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


class Sender:
    """All that goes to the agent but acknowledgements."""

    __slots__ = (
        "_backoff",
        "_bits",
        "_control",
        "_doubt",
        "_doubt_until",
        "_flag",
        "_in_flight",
        "_lost",
        "_newest",
        "_number",
        "_order",
        "_path",
        "_paused_until",
        "_pending",
        "_since",
        "_transmission",
        "_unacked",
        "_unacked_bytes",
        "held",
        "terminating",
    )

    def __init__(self, random_bits: Callable[[int], int]) -> None:
        self.held = True
        """Stream bytes wait, for the agent would discard them."""
        self.terminating = False
        """The TerminateSession flag is queued, or was sent."""
        self._bits = random_bits
        self._path = Path()
        self._pending = bytearray()
        self._control: deque[tuple[int, bytes]] = deque()
        self._flag = False
        self._number = 0
        self._unacked: dict[int, _Sent] = {}
        self._unacked_bytes = 0
        self._lost: list[int] = []
        # In order of transmission; those that fly no longer are dropped when they come to the front.
        self._order: deque[_Sent] = deque()
        self._in_flight = 0
        self._transmission = 0
        # The newest transmission known to have arrived: evidence against those before it.
        self._newest = -1
        # An acknowledgement of a message sent twice may mean either transmission. It becomes evidence for the later one
        # only if none for an earlier transmission follows in a while: then a mere stall is over, and nothing is lost.
        self._doubt = -1
        self._doubt_until = 0.0
        self._since = 0.0
        self._backoff = 0
        self._paused_until = 0.0

    def room(self) -> int:
        """Bytes that may be queued now."""
        if self.terminating:
            return 0
        return max(0, min(max(self._path.window // 4, MIN_LOCAL), MAX_LOCAL) - len(self._pending))

    def queue(self, data: bytes) -> None:
        """Append stream bytes; messages are cut when they are sent, so that small writes share one."""
        self._pending += data

    def control(self, payload_type: int, payload: bytes) -> None:
        """Queue one message in front of all stream bytes, held or not."""
        self._control.append((payload_type, payload))

    def terminate(self) -> None:
        """Queue the TerminateSession flag behind the stream bytes; nothing may follow it."""
        if not self.terminating:
            self.terminating = self._flag = True

    @property
    def unacknowledged(self) -> int:
        """Bytes of payload that were queued or sent, and not acknowledged."""
        return len(self._pending) + self._unacked_bytes - _OVERHEAD * len(self._unacked)

    @property
    def drained(self) -> bool:
        """Everything that was queued has been acknowledged."""
        return not (self._unacked or self._pending or self._control or self._flag)

    @property
    def waiting(self) -> bool:
        """There are stream bytes, or a flag behind them, that were never sent."""
        return bool(self._pending) or self._flag

    def connected(self, now: float) -> None:
        """A new connection: whatever is unacknowledged may have been lost with the old one, and is due in order."""
        for sent in self._unacked.values():
            sent.flying = sent.once = False
        self._lost = list(self._unacked)
        heapify(self._lost)
        self._order.clear()
        self._in_flight = 0
        self._newest = self._doubt = -1
        self._backoff = 0
        self._since = now
        self._paused_until = 0.0
        self._path.reset()

    def pause(self, now: float) -> None:
        """The agent is said to be gone: probes would be wasted for a while."""
        self._paused_until = now + PAUSE

    def unpause(self) -> None:
        """The agent is said to be back: it is probed as soon as the first probe would have been."""
        self._paused_until = 0.0
        self._backoff = 0

    def alive(self) -> None:
        """Something came from the agent, so that it is not paused."""
        self._paused_until = 0.0

    def acknowledged(self, number: int, now: float) -> bool:
        """The agent acknowledged message `number`; False if it was never sent, or is acknowledged already."""
        sent = self._unacked.pop(number, None)
        if sent is None:
            return False
        self._paused_until = 0.0
        self._since = now
        path = self._path
        if sent.once:
            path.sample(now - sent.at, now)
            self._backoff = 0
            self._newest = max(self._newest, sent.transmission)
            if sent.transmission < self._doubt:
                self._doubt = -1
            if not sent.flying:
                path.tolerate()
        elif path.too_fast(now - sent.at):
            # Faster than the path: it is the earlier transmission that arrived, only late.
            path.tolerate()
        elif sent.transmission > self._doubt:
            if self._doubt < 0:
                self._doubt_until = now + path.loss_delay / 2
            self._doubt = sent.transmission
        size = len(sent.frame)
        self._unacked_bytes -= size
        if sent.flying:
            sent.flying = False
            self._in_flight -= size
        path.acknowledged(size, sent.transmission if sent.once else -1, self._transmission - 1, self._in_flight, now)
        order = self._order
        while order and not order[0].flying:
            order.popleft()
        if order and order[0].transmission < self._newest:
            self._take_for_lost(now)
        return True

    def frames(self, frames: list[bytes], now: float, budget: int, created: int) -> None:
        """Append what is to be sent now to `frames`, about `budget` bytes at most; probes go even beyond."""
        path = self._path
        if self._doubt >= 0 and now >= self._doubt_until:
            self._newest = max(self._newest, self._doubt)
            self._doubt = -1
        if self._order and self._order[0].transmission < self._newest:
            self._take_for_lost(now)
        idle = not self._in_flight
        if idle:
            self._since = now
        elif now >= self._probe_at():
            self._probe(frames, now)
        first = self._transmission
        budget = self._resend(frames, now, budget)
        budget = self._send_control(frames, now, budget, created)
        if not self.held:
            self._send_stream(frames, now, budget, created)
        if self._in_flight >= path.window:
            path.full = True
        if idle and self._transmission > first:
            path.begin_round(self._transmission - 1, now)

    def timer(self) -> float | None:
        """When `frames` may find something lost or a probe due; None while nothing is in flight."""
        order = self._order
        if not order:
            return None
        at = self._probe_at()
        oldest = order[0]
        if oldest.transmission < self._newest:
            at = min(at, oldest.at + self._path.loss_delay)
        if self._doubt >= 0:
            at = min(at, self._doubt_until)
        return at

    def _probe_at(self) -> float:
        at = self._since + min(self._path.rto * 2.0**self._backoff, PROBE_INTERVAL)
        return max(at, min(self._paused_until, at + PAUSE))

    def _take_for_lost(self, now: float) -> None:
        path = self._path
        too_far = self._newest - REORDER_PACKETS * path.tolerance
        delay = path.loss_delay
        order = self._order
        while order:
            sent = order[0]
            if sent.flying:
                if sent.transmission >= self._newest or (sent.transmission > too_far and sent.at + delay > now):
                    return
                sent.flying = False
                self._in_flight -= len(sent.frame)
                heappush(self._lost, sent.number)
            order.popleft()

    def _probe(self, frames: list[bytes], now: float) -> None:
        flying = sorted(number for number, sent in self._unacked.items() if sent.flying)
        for number in flying[:PROBES]:
            self._again(frames, self._unacked[number], now)
        self._backoff += 1
        self._since = now

    def _resend(self, frames: list[bytes], now: float, budget: int) -> int:
        lost = self._lost
        while lost and budget > 0 and self._in_flight < self._path.window:
            sent = self._unacked.get(heappop(lost))
            if sent is not None and not sent.flying:
                self._again(frames, sent, now)
                budget -= len(sent.frame)
        return budget

    def _again(self, frames: list[bytes], sent: _Sent, now: float) -> None:
        if sent.flying:
            sent.flying = False
            self._in_flight -= len(sent.frame)
        self._transmit(frames, _Sent(sent.number, sent.frame, self._transmission, now, False))

    def _send_control(self, frames: list[bytes], now: float, budget: int, created: int) -> int:
        while self._control and budget > 0:
            payload_type, payload = self._control.popleft()
            budget -= self._first(frames, payload_type, payload, now, created)
        return budget

    def _send_stream(self, frames: list[bytes], now: float, budget: int, created: int) -> None:
        pending = self._pending
        # The flag must get out even through a full window, and so must all that stands in front of it.
        window = self._path.window if not self._flag else self._in_flight + 2 * MAX_LOCAL
        start, end = 0, len(pending)
        while start < end and budget > 0 and self._in_flight < window:
            budget -= self._first(frames, STREAM, pending[start : start + PAYLOAD], now, created)
            start += PAYLOAD
        del pending[:start]
        if self._flag and not pending and budget > 0:
            self._flag = False
            self._first(frames, FLAG, TERMINATE_SESSION, now, created)

    def _first(
        self, frames: list[bytes], payload_type: int, payload: bytes | bytearray, now: float, created: int
    ) -> int:
        number = self._number
        frame = encode_stream(number, random_id(self._bits(128)), payload_type, payload, created)
        self._number = number + 1
        self._unacked_bytes += len(frame)
        self._transmit(frames, _Sent(number, frame, self._transmission, now, True))
        return len(frame)

    def _transmit(self, frames: list[bytes], sent: _Sent) -> None:
        self._transmission += 1
        self._unacked[sent.number] = sent
        self._order.append(sent)
        self._in_flight += len(sent.frame)
        frames.append(sent.frame)
