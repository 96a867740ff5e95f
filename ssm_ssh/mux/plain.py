"""The stream of an agent without smux: raw bytes of one connection at a time (amazon-ssm-agent, port_basic.go).

The agent connects to the server when the session starts, and again with the first message after the last connection
ended. DisconnectToPort tells it to end the connection. It tells nothing in return: not that the server has closed, and
a port that refuses the second connection ends the session.
"""

from __future__ import annotations

from ssm_ssh.mux.streams import HOLD, Arrived, HoldOver
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from ssm_ssh.mux.streams import MuxEvent

# Bytes that a server may say before the first connection: a greeting.
MOST_EARLY = 64 * 1024
_IDLE, _OPEN, _HELD = "idle", "open", "held"


class PlainStream:
    """At most one stream at a time, with the methods of streams.Mux."""

    several = False
    exhausted = False
    waiting_since: float | None = None

    def __init__(self, now: float, *, hold: float = HOLD) -> None:
        """`hold`: seconds for which a silent server holds the end of the local side."""
        self._hold = hold
        self._state = _IDLE
        self._heard = now
        self._stream = 0
        self._output: list[bytes] = []
        self._disconnect = False
        # What the server said before the first local connection, which the agent's first connection belongs to.
        self._early = b""

    def open(self, now: float) -> int:
        """Begin the one stream and return its id. Only where `count` is 0 and no DisconnectToPort is due."""
        if self._stream:
            self._early = b""
        self._stream += 1
        self._state = _OPEN
        return self._stream

    def send(self, stream: int, data: bytes) -> None:
        """Send bytes of the local side."""
        if stream == self._stream and self._state is _OPEN:
            self._output.append(data)

    def end(self, stream: int, now: float) -> None:
        """Note that the local side sends no more, and still reads."""
        if stream == self._stream and self._state is _OPEN:
            self._state = _HELD
            self._heard = max(self._heard, now)

    def close(self, stream: int) -> None:
        """Note that the local side is gone."""
        if stream == self._stream and self._state is not _IDLE:
            self._state = _IDLE
            self._disconnect = True

    def receive(self, data: bytes, now: float) -> list[MuxEvent]:
        """Take bytes of the session. What comes without a local side belongs to the last connection, and is dropped."""
        if not self._stream:
            self._early = (self._early + data)[:MOST_EARLY]
            return []
        if self._state is _IDLE or self._disconnect:
            return []
        self._heard = now
        return [Arrived(self._stream, data)]

    def connect_failed(self) -> None:
        """Do nothing: these agents end the session instead."""

    def tick(self, now: float) -> list[MuxEvent]:
        """Deliver what came before the first local side; end a local side that has been held long enough."""
        if self._early and self._state is not _IDLE:
            early, self._early = self._early, b""
            return [Arrived(self._stream, early)]
        if self._state is not _HELD or now < self._heard + self._hold:
            return []
        self.close(self._stream)
        return [HoldOver(self._stream)]

    def timer(self) -> float | None:
        """Return when `tick` may have something to do."""
        if self._early and self._state is not _IDLE:
            return self._heard
        return self._heard + self._hold if self._state is _HELD else None

    def take(self) -> bytes:
        """Return, once, the bytes to send to the agent."""
        output, self._output = self._output, []
        return b"".join(output)

    def take_disconnect(self) -> bool:
        """Return True, once, when DisconnectToPort is to follow the bytes that were taken."""
        due, self._disconnect = self._disconnect, False
        return due

    @property
    def count(self) -> int:
        """Number of streams with a local side."""
        return int(self._state is not _IDLE)

    def busiest(self) -> int | None:
        """Return the stream."""
        return self._stream if self.count else None
