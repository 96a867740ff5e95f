"""A WebSocket client over a Stream that never blocks once it is open."""

from __future__ import annotations

from ssm_ssh.errors import Disconnected, NetworkError, ProtocolError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable
from ssm_ssh.transport import frames
from ssm_ssh.transport.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, Parser, Violation
from ssm_ssh.transport.upgrade import MAX_FRAME, upgrade

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ssm_ssh.transport.stream import Stream
    from ssm_ssh.transport.stream_url import StreamUrl

# Bytes of backlog above which pings are not answered: a peer that pings without reading must not fill the memory.
# RFC 6455, section 5.5.3, allows answering only the latest ping.
_PONG_BACKLOG = 256 * 1024
_NORMAL = 1000


def open_websocket(url: StreamUrl, stream: Stream, headers: Mapping[str, str], deadline: float) -> WebSocket:
    """Upgrade `stream` to a WebSocket on `url`, with `headers` in the request (SigV4), before `deadline` (monotonic).

    Blocks. Offers no extension or subprotocol and follows no redirect. Closes `stream` on failure, and raises
    UpgradeRefused (with the HTTP status), NetworkError or ProtocolError.
    """
    try:
        return WebSocket(stream, upgrade(url, stream, headers, deadline))
    except BaseException:
        stream.close()
        raise


class WebSocket:
    """An open WebSocket that never blocks. receive() raises the errors of writing, after the last message."""

    def __init__(self, stream: Stream, received: bytes) -> None:
        """`received` are the bytes that followed the answer to the upgrade."""
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
        """Bytes that the kernel has not taken yet."""
        return self._stream.backlog

    @property
    def incomplete(self) -> bool:
        """Whether a message has begun to arrive but not ended."""
        return self._fragmented is not None or self._parser.incomplete

    @property
    def wants_write(self) -> bool:
        """Whether flush() has something to do once the descriptor is writable."""
        return self._stream.wants_write

    def has_pending(self) -> bool:
        """Return whether receive() has something to return or raise even if the descriptor is not readable."""
        return bool(self._early) or self._failure is not None or self._stream.has_pending()

    def receive(self) -> list[bytes]:
        """Return the binary messages that arrived, from about 256 KiB of stream at most; empty for none.

        Answers pings. Drops text messages, which neither the agent nor the official client's peer sends, and counts
        them in `ignored`. Raises Disconnected (`code`: that of the close frame, if one came) or ProtocolError, each
        only after all earlier messages were returned, and then on every call.
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
        """Send binary messages in one write; drop them if the connection has ended (see receive)."""
        if not (self._closed or self._failure):
            self._stream.send(frames.encode(BINARY, list(messages)))

    def send_text(self, text: str) -> None:
        """Send one text message; drop it if the connection has ended (see receive)."""
        self._send(TEXT, text.encode())

    def ping(self, payload: bytes) -> None:
        """Send a ping of at most 125 bytes; `last_pong` (payload) and `pongs` (count) show its pong."""
        self._send(PING, payload)

    def flush(self) -> None:
        """Write as much of the backlog as the kernel takes now."""
        self._stream.flush()

    def close(self) -> None:
        """Send a normal close (1000) if the kernel takes it now, and close. May be called twice."""
        if self._closed:
            return
        self._send(CLOSE, frames.close_payload(_NORMAL))
        self._closed = True
        self._stream.close()

    def _send(self, opcode: int, payload: bytes) -> None:
        if not (self._closed or self._failure):
            self._stream.send(frames.encode(opcode, (payload,)))

    def _take(self, data: bytes) -> list[bytes]:
        """Return the binary messages that `data` completes; handle the other frames."""
        messages: list[bytes] = []
        for frame in self._parser.feed(data):
            opcode, final, payload = frame
            if opcode == BINARY and final and self._fragmented is None:
                messages.append(payload)
            else:
                self._handle_other(frame, messages)
                if self._failure:
                    return messages
        if self._parser.violation:
            self._fail(self._parser.violation)
        return messages

    def _handle_other(self, frame: Frame, messages: list[bytes]) -> None:
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
            self._fail(Violation("fragments of messages are out of order", frames.PROTOCOL_ERROR))
        elif len(self._fragments) + len(payload) > MAX_FRAME:
            self._fail(Violation("a message in fragments is too large", frames.TOO_LARGE))
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
        if isinstance(parsed, Violation):
            self._fail(parsed)
            return
        self._send(CLOSE, payload)
        code, reason = parsed
        why = f"{code}: {reason}" if reason else f"{code}"
        self._failure = Disconnected(f"the gateway closed the connection ({why})", code=code)

    def _fail(self, violation: Violation) -> None:
        self._send(CLOSE, frames.close_payload(violation.code))
        self._failure = ProtocolError(f"the gateway broke the WebSocket protocol: {printable(violation.reason, 120)}")
