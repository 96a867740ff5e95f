"""The client's side of a smux v1 session, as a state machine: what each side says goes in, frames and events come out.

smux v1 has no half-close and no windows. The agent closes its connection to the server when a FIN arrives, and what the
server would still have said is lost; so the FIN of a local side that has ended is held until the server closes, or has
said nothing for a while. The states of one stream:

    open ---> held ---> finishing ---> (gone)
      |         |           |             ^
      |         |           |             |
      +---------+-----------+--> abandoned
      |         |                         |
      `---------`-------------------------`

Every state ends with the agent's FIN, which leads to "gone": the stream is forgotten.
"""

from __future__ import annotations

import enum

from ssm_ssh.mux.frames import FIN, NOP, PSH, SYN, Decoder, encode, encode_data
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import TypeAlias

# Seconds without a byte from the server after which a held FIN is sent.
HOLD = 10.0
# Seconds between two NOP frames, where the agent ends a session that sends nothing for 30 (smux, mux.go).
KEEP_ALIVE = 10.0
# Bytes that the agent takes for all streams of a session together while servers do not read (smux, MaxReceiveBuffer).
AGENT_BUFFER = 4 * 1024 * 1024
# The first stream id, and the last: the official client's are odd and begin with 3.
_FIRST, _LAST = 3, (1 << 32) - 1


class StreamState(enum.Enum):
    """Where a stream is in its life."""

    OPEN = "open"
    HELD = "held"
    """The local side has ended, and reads on. Its FIN is held back."""
    FINISHING = "finishing"
    """The FIN was sent; what the server sent before it arrives yet."""
    ABANDONED = "abandoned"
    """The FIN was sent, and no local side is left to read."""


OPEN, HELD, FINISHING, ABANDONED = StreamState.OPEN, StreamState.HELD, StreamState.FINISHING, StreamState.ABANDONED

LOCAL_END, HOLD_OVER, LOCAL_GONE = "local end", "hold over", "local gone"
"""Events of a stream: the local side sends no more, the hold is over, the local side is gone. (The agent's FIN ends a
stream in any state.)"""

TRANSITIONS: dict[StreamState, dict[str, tuple[StreamState, bool]]] = {
    OPEN: {LOCAL_END: (HELD, False), LOCAL_GONE: (ABANDONED, True)},
    HELD: {HOLD_OVER: (FINISHING, True), LOCAL_GONE: (ABANDONED, True)},
    FINISHING: {LOCAL_GONE: (ABANDONED, False)},
    ABANDONED: {},
}
"""The state that follows, and whether a FIN is sent. An event that is not listed changes nothing."""


class Arrived(NamedTuple):
    """Bytes of the server, in order and each once."""

    stream: int
    data: bytes


class Ended(NamedTuple):
    """The agent has ended the stream in both directions. `refused`: it could not connect to the server."""

    stream: int
    refused: bool


class HoldOver(NamedTuple):
    """The held FIN was sent, for the server has been silent: what it says from now on is lost."""

    stream: int


MuxEvent: TypeAlias = "Arrived | Ended | HoldOver"


class _Stream:
    __slots__ = ("heard", "opened", "received", "sent", "state")

    def __init__(self, now: float) -> None:
        self.state = OPEN
        self.opened = self.heard = now
        self.sent = self.received = 0


class Mux:
    """All streams of one session. Times are monotonic seconds."""

    several = True
    """Whether it carries more than one stream at a time."""

    def __init__(self, now: float, *, hold: float = HOLD, keep_alive: bool = False) -> None:
        """`hold`: seconds for which a silent server holds a FIN. `keep_alive`: the agent expects NOP frames."""
        self._hold = hold
        self._streams: dict[int, _Stream] = {}
        # Streams whose connection to the server may not be up yet, in the order in which the agent dials.
        self._dialing: dict[int, float] = {}
        self._next = _FIRST
        self._failed = self._sent = 0
        self._decoder = Decoder()
        self._output: list[bytes] = []
        self._nop_at = now + KEEP_ALIVE if keep_alive else None

    # --- the local side -----------------------------------------------------------------------------------------------

    @property
    def exhausted(self) -> bool:
        """Whether there is no stream id left."""
        return self._next > _LAST

    def open(self, now: float) -> int:
        """Open a stream and return its id. Only where `exhausted` is False."""
        stream = self._next
        self._next += 2
        self._streams[stream] = _Stream(now)
        self._dialing[stream] = now
        self._output.append(encode(SYN, stream))
        return stream

    def send(self, stream: int, data: bytes) -> None:
        """Send bytes of the local side. After its end, or the agent's, they are dropped."""
        entry = self._streams.get(stream)
        if entry is not None and entry.state is OPEN:
            self._output.append(encode_data(stream, data))
            entry.sent += len(data)
            self._sent += len(data)
            if self._sent >= AGENT_BUFFER:
                self._sent //= 2
                for each in self._streams.values():
                    each.sent //= 2

    def end(self, stream: int, now: float) -> None:
        """Note that the local side sends no more, and still reads."""
        entry = self._streams.get(stream)
        if entry is not None:
            entry.heard = max(entry.heard, now)
            self._on(stream, entry, LOCAL_END)

    def close(self, stream: int) -> None:
        """Note that the local side is gone: what arrives for it is discarded."""
        entry = self._streams.get(stream)
        if entry is not None:
            self._on(stream, entry, LOCAL_GONE)

    # --- the agent ----------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> list[MuxEvent]:
        """Take bytes of the session, in order. Raises ProtocolError for what is not smux v1.

        Frames of streams that do not exist (any more) are skipped, and so is a SYN: the agent opens no streams.
        """
        events: list[MuxEvent] = []
        for frame in self._decoder.feed(data):
            stream = frame.stream
            entry = self._streams.get(stream)
            if entry is None or frame.command not in (PSH, FIN):
                continue
            untouched = not entry.received
            if frame.command == PSH:
                entry.received += len(frame.payload)
                entry.heard = now
                if entry.state is not ABANDONED:
                    events.append(Arrived(stream, frame.payload))
            else:
                refused = self._failed > 0 and untouched and stream in self._dialing
                self._failed -= refused
                if entry.state in (OPEN, HELD):
                    self._output.append(encode(FIN, stream))
                del self._streams[stream]
                if entry.state is not ABANDONED:
                    events.append(Ended(stream, refused))
            self._dialed(stream)
        return events

    def connect_failed(self) -> None:
        """Note ConnectToPortError. It does not name a stream: the agent sends it right before that stream's FIN."""
        if self._dialing:
            self._failed = min(self._failed + 1, len(self._dialing))

    # --- time ---------------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> list[MuxEvent]:
        """Send the FINs that have been held long enough."""
        if self._nop_at is not None and now >= self._nop_at:
            self._nop_at = now + KEEP_ALIVE
            self._output.append(encode(NOP, 0))
        events: list[MuxEvent] = []
        for stream, entry in self._streams.items():
            if entry.state is HELD and now >= entry.heard + self._hold:
                self._on(stream, entry, HOLD_OVER)
                events.append(HoldOver(stream))
        return events

    def timer(self) -> float | None:
        """Return when `tick` may have something to do."""
        times = [entry.heard + self._hold for entry in self._streams.values() if entry.state is HELD]
        if self._nop_at is not None:
            times.append(self._nop_at)
        return min(times, default=None)

    # --- what a session looks like from outside -----------------------------------------------------------------------

    def take(self) -> bytes:
        """Return, once, the bytes to send to the agent."""
        output, self._output = self._output, []
        return b"".join(output)

    def take_disconnect(self) -> bool:
        """Return False: smux needs no DisconnectToPort."""
        return False

    @property
    def waiting_since(self) -> float | None:
        """When the oldest stream was opened of which no sign has come yet: its dial may hang, and later ones wait."""
        return next(iter(self._dialing.values()), None)

    @property
    def count(self) -> int:
        """Number of streams with a local side."""
        return sum(entry.state is not ABANDONED for entry in self._streams.values())

    def busiest(self) -> int | None:
        """Return the stream that has sent most of the last bytes: the likely cause where nothing is read any more."""
        alive = [(entry.sent, stream) for stream, entry in self._streams.items() if entry.state is not ABANDONED]
        return max(alive)[1] if alive else None

    def _dialed(self, stream: int) -> None:
        """Note a sign of `stream`. The agent dials in the order of the SYNs, so earlier dials are over, too."""
        if stream in self._dialing:
            for earlier in [earlier for earlier in self._dialing if earlier <= stream]:
                del self._dialing[earlier]
            self._failed = min(self._failed, len(self._dialing))

    def _on(self, stream: int, entry: _Stream, event: str) -> None:
        following = TRANSITIONS[entry.state].get(event)
        if following is not None:
            entry.state, sends_fin = following
            if sends_fin:
                self._output.append(encode(FIN, stream))
