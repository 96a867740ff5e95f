"""The sending half: cuts stream bytes into numbered messages and sends them as the window allows."""

from __future__ import annotations

from collections import deque

from ssm_ssh.channel.flight import Flight
from ssm_ssh.channel.limits import MAX_LOCAL, MIN_LOCAL, PAYLOAD
from ssm_ssh.channel.message import (
    DISCONNECT_TO_PORT,
    FLAG,
    HEADER,
    SIZE,
    STREAM,
    TERMINATE_SESSION,
    encode_stream,
    random_id,
)
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_OVERHEAD = HEADER + 4


class Sender:
    """Control messages, size, stream bytes and flag, in front of the flight. It sends no acknowledgements."""

    __slots__ = (
        "_bits",
        "_control",
        "_early",
        "_flag",
        "_number",
        "_pending",
        "_size",
        "flight",
        "held",
        "seal",
        "terminating",
    )

    def __init__(self, random_bits: Callable[[int], int]) -> None:
        self.flight = Flight()
        self.held = True
        """Stream bytes wait, because the agent would discard them."""
        self.terminating = False
        """The TerminateSession flag is queued or sent."""
        self.seal: Callable[[bytes], bytes] | None = None
        """Encrypts the payload of stream messages, in an encrypted session."""
        self._bits = random_bits
        self._control: deque[tuple[int, bytes]] = deque()
        self._pending = bytearray()
        self._size = b""
        self._early = False
        self._flag = False
        self._number = 0

    def room(self) -> int:
        """Return how many bytes may be queued now."""
        if self.terminating:
            return 0
        return max(0, min(max(self.flight.path.window // 4, MIN_LOCAL), MAX_LOCAL) - len(self._pending))

    def queue(self, data: bytes) -> None:
        """Append stream bytes. Messages are cut when they are sent, so that small writes share a message."""
        self._pending += data

    def queue_control(self, payload_type: int, payload: bytes) -> None:
        """Queue a message in front of all stream bytes. It is sent even while those are held."""
        self._control.append((payload_type, payload))

    def queue_disconnect(self) -> bool:
        """Queue the DisconnectToPort flag, unless stream bytes wait; returns whether it did."""
        if not self.waiting:
            self.queue_control(FLAG, DISCONNECT_TO_PORT)
        return not self.waiting

    def queue_size(self, payload: bytes, *, early: bool = False) -> None:
        """Queue the terminal's size in front of the stream bytes. It replaces an unsent size.

        `early`: while stream bytes are held, another copy is sent at once.
        """
        self._size = payload
        if early and self.held:
            self.queue_control(SIZE, payload)
            self._early = True

    def release(self) -> None:
        """Let the held stream bytes go, and resend an early size: a pty that was not there left it unacknowledged."""
        self.held = False
        if self._early:
            self._early = False
            self.flight.resend_all()

    def terminate(self) -> None:
        """Queue the TerminateSession flag behind the stream bytes. Nothing may follow it."""
        if not self.terminating:
            self.terminating = self._flag = True

    @property
    def unacknowledged(self) -> int:
        """Payload bytes that are queued or sent but not acknowledged."""
        flight = self.flight
        return len(self._pending) + flight.unacked_bytes - _OVERHEAD * len(flight.unacked)

    @property
    def drained(self) -> bool:
        """Everything that was queued has been acknowledged."""
        return not (self.flight.unacked or self._pending or self._control or self._size or self._flag)

    @property
    def waiting(self) -> bool:
        """Stream bytes, the size in front of them, or the flag behind them have not been sent yet."""
        return bool(self._pending or self._size) or self._flag

    def frames(self, frames: list[bytes], now: float, budget: int, created: int) -> int:
        """Append the frames that are due to `frames`, about `budget` bytes. Returns the rest of the budget."""
        flight = self.flight
        idle, first = not flight.bytes_in_flight, flight.transmission
        budget = flight.resend(frames, now, budget)
        while self._control and budget > 0:
            payload_type, payload = self._control.popleft()
            budget -= self._send(frames, payload_type, payload, now, created)
        if not self.held:
            budget = self._send_stream(frames, now, budget, created)
        if flight.bytes_in_flight >= flight.path.window:
            flight.path.window_limited = True
        if idle and flight.transmission > first:
            flight.path.begin_round(flight.transmission - 1, now)
        return budget

    def _send_stream(self, frames: list[bytes], now: float, budget: int, created: int) -> int:
        flight, pending = self.flight, self._pending
        # The flag must get through a full window, and so must everything in front of it.
        window = flight.path.window if not self._flag else flight.bytes_in_flight + 2 * MAX_LOCAL
        if self._size and budget > 0:
            size, self._size = self._size, b""
            budget -= self._send(frames, SIZE, size, now, created)
        start, end = 0, len(pending)
        while start < end and budget > 0 and flight.bytes_in_flight < window:
            budget -= self._send(frames, STREAM, pending[start : start + PAYLOAD], now, created)
            start += PAYLOAD
        del pending[:start]
        if self._flag and not pending and budget > 0:
            self._flag = False
            budget -= self._send(frames, FLAG, TERMINATE_SESSION, now, created)
        return budget

    def _send(
        self, frames: list[bytes], payload_type: int, payload: bytes | bytearray, now: float, created: int
    ) -> int:
        number = self._number
        if self.seal is not None and payload_type == STREAM:
            payload = self.seal(bytes(payload))
        frame = encode_stream(number, random_id(self._bits(128)), payload_type, payload, created)
        self._number = number + 1
        self.flight.add(frames, number, frame, now)
        return len(frame)
