"""A WebSocket client over a Stream, which never blocks once it is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssm_ssh.errors import Disconnected, NetworkError, ProtocolError
from ssm_ssh.text import printable
from ssm_ssh.transport import frames
from ssm_ssh.transport.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Broken, Frame, Parser
from ssm_ssh.transport.upgrade import MAX_FRAME, upgrade

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ssm_ssh.transport.stream import Stream
    from ssm_ssh.transport.streamurl import StreamUrl

# Pongs are left out once so much waits to be sent: a peer that pings and does not read must not fill the memory.
# RFC 6455, section 5.5.3, allows answering only the latest ping.
_PONG_BACKLOG = 256 * 1024
_NORMAL = 1000


def open_websocket(url: StreamUrl, stream: Stream, headers: Mapping[str, str], deadline: float) -> WebSocket:
    """Upgrade `stream` to a WebSocket on `url`, with `headers` in the request (SigV4), before `deadline` (monotonic).

    Blocks. No extension or subprotocol is offered and no redirect is followed. On failure `stream` is closed, and
    UpgradeRefused (with the HTTP status), NetworkError or ProtocolError raised.
    """
    try:
        return WebSocket(stream, upgrade(url, stream, headers, deadline))
    except BaseException:
        stream.close()
        raise


class WebSocket:
    """An open WebSocket that never blocks. Errors of writing surface in receive(), after what was received."""

    def __init__(self, stream: Stream, received: bytes) -> None:
        """`received` is what came behind the answer to the upgrade."""
        self._stream = stream
        self._parser = Parser(MAX_FRAME)
        self._fragments = bytearray()
        self._fragmented: int | None = None  # the opcode of the message whose fragments are coming in
        self._failure: NetworkError | ProtocolError | None = None
        self._closed = False
        self.last_pong: bytes | None = None
        self.pongs = 0
        self.ignored = 0
        self._early = self._take(received)

    def fileno(self) -> int:
        """Return the descriptor to poll for reading, and for writing if `wants_write`; -1 once closed."""
        return self._stream.fileno()

    @property
    def backlog(self) -> int:
        """Bytes that wait for the kernel to take them."""
        return self._stream.backlog

    @property
    def incomplete(self) -> bool:
        """True while a message has begun to arrive and not ended."""
        return self._fragmented is not None or self._parser.incomplete

    @property
    def wants_write(self) -> bool:
        """True while flush() has something to do once the descriptor is writable."""
        return self._stream.wants_write

    def has_pending(self) -> bool:
        """Return True if receive() has something to return or raise although the descriptor may not be readable."""
        return bool(self._early) or self._failure is not None or self._stream.has_pending()

    def receive(self) -> list[bytes]:
        """Return the binary messages that arrived, of about 256 KiB of stream at most; empty if there is none.

        Pings are answered. Text messages are counted in `ignored` and dropped: neither the agent nor the official
        client's peer sends any. Raises Disconnected (a close frame, the end or a break of the connection; the code of
        the frame in `code`) or ProtocolError, each only after every message before it was returned, and then always.
        """
        if self._early:
            messages, self._early = self._early, []
            return messages
        if self._failure:
            raise self._failure
        try:
            data = self._stream.recv()
        except Disconnected as error:
            self._failure = error
            raise
        if not data:
            return []
        messages = self._take(data)
        if self._failure and not messages:
            raise self._failure
        return messages

    def send(self, messages: Iterable[bytes]) -> None:
        """Send binary messages, all in one write to the stream; dropped if the connection has ended (see receive)."""
        if not (self._closed or self._failure):
            self._stream.send(frames.encode(BINARY, list(messages)))

    def send_text(self, text: str) -> None:
        """Send one text message; dropped if the connection has ended (see receive)."""
        self._send(TEXT, text.encode())

    def ping(self, payload: bytes) -> None:
        """Send a ping of at most 125 bytes; its pong shows in `last_pong` (payload) and `pongs` (count)."""
        self._send(PING, payload)

    def flush(self) -> None:
        """Hand over as much of the backlog as the kernel takes now."""
        self._stream.flush()

    def close(self) -> None:
        """Send a normal close (1000) as far as the kernel takes it now, and close. May be called twice."""
        if self._closed:
            return
        self._send(CLOSE, frames.close_payload(_NORMAL))
        self._closed = True
        self._stream.close()

    def _send(self, opcode: int, payload: bytes) -> None:
        if not (self._closed or self._failure):
            self._stream.send(frames.encode(opcode, (payload,)))

    def _take(self, data: bytes) -> list[bytes]:
        """Return the binary messages among the frames that `data` completes; answer, count and note the others."""
        messages: list[bytes] = []
        for frame in self._parser.feed(data):
            opcode, final, payload = frame
            if opcode == BINARY and final and self._fragmented is None:
                messages.append(payload)
            else:
                self._other(frame, messages)
                if self._failure:
                    return messages
        if self._parser.broken:
            self._fail(self._parser.broken)
        return messages

    def _other(self, frame: Frame, messages: list[bytes]) -> None:
        opcode, final, payload = frame
        if opcode == PING:
            if self._stream.backlog <= _PONG_BACKLOG:
                self._send(PONG, payload)
        elif opcode == PONG:
            self.last_pong = payload
            self.pongs += 1
        elif opcode == CLOSE:
            self._close_received(payload)
        elif (opcode == CONTINUATION) != (self._fragmented is not None):
            self._fail(Broken("fragments of messages are out of order", frames.PROTOCOL_ERROR))
        elif len(self._fragments) + len(payload) > MAX_FRAME:
            self._fail(Broken("a message in fragments is too large", frames.TOO_LARGE))
        else:
            self._join(opcode, payload, final, messages)

    def _join(self, opcode: int, payload: bytes, final: bool, messages: list[bytes]) -> None:
        if opcode != CONTINUATION:
            self._fragmented = opcode
        self._fragments += payload
        if final:
            if self._fragmented == TEXT:
                self.ignored += 1
            else:
                messages.append(bytes(self._fragments))
            self._fragments.clear()
            self._fragmented = None

    def _close_received(self, payload: bytes) -> None:
        parsed = frames.parse_close(payload)
        if isinstance(parsed, Broken):
            self._fail(parsed)
            return
        self._send(CLOSE, payload)
        code, reason = parsed
        why = f"{code}: {reason}" if reason else f"{code}"
        self._failure = Disconnected(f"the gateway closed the connection ({why})", code=code)

    def _fail(self, broken: Broken) -> None:
        self._send(CLOSE, frames.close_payload(broken.code))
        self._failure = ProtocolError(f"the gateway broke the WebSocket protocol: {printable(broken.reason, 120)}")
