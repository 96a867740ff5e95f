"""A WebSocket client over a Stream, by the sans-I/O core of `websockets`, which is imported when first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssm_ssh.errors import Disconnected, NetworkError, ProtocolError
from ssm_ssh.text import printable
from ssm_ssh.transport.upgrade import upgrade

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from websockets.client import ClientProtocol
    from websockets.frames import Frame

    from ssm_ssh.transport.stream import Stream
    from ssm_ssh.transport.streamurl import StreamUrl

# Pongs are left out once so much waits to be sent: a peer that pings and does not read must not fill the memory.
# RFC 6455, section 5.5.3, allows answering only the latest ping.
_PONG_BACKLOG = 256 * 1024
_CONT, _TEXT, _BINARY, _PONG = 0, 1, 2, 10


def preload() -> None:
    """Import `websockets` (70 ms), which can so be done while the network is waited for."""
    import websockets.client
    import websockets.uri  # noqa: F401


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

    def __init__(self, stream: Stream, protocol: ClientProtocol) -> None:
        self._stream = stream
        self._protocol = protocol
        self._fragments = bytearray()
        self._text = False
        self._failure: NetworkError | ProtocolError | None = None
        self._closed = False
        self.last_pong: bytes | None = None
        self.pongs = 0
        self.ignored = 0
        self._early = self._take()

    def fileno(self) -> int:
        """Return the descriptor to poll for reading, and for writing if `wants_write`; -1 once closed."""
        return self._stream.fileno()

    @property
    def backlog(self) -> int:
        """Bytes that wait for the kernel to take them."""
        return self._stream.backlog

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
        self._protocol.receive_data(data)
        messages = self._take()
        if self._failure and not messages:
            raise self._failure
        return messages

    def send(self, messages: Iterable[bytes]) -> None:
        """Send binary messages, all in one write to the stream; dropped if the connection has ended (see receive)."""
        if self._closed or self._failure:
            return
        protocol = self._protocol
        for message in messages:
            protocol.send_binary(message)
        self._stream.send(b"".join(protocol.data_to_send()))

    def send_text(self, text: str) -> None:
        """Send one text message; dropped if the connection has ended (see receive)."""
        if self._closed or self._failure:
            return
        self._protocol.send_text(text.encode())
        self._stream.send(b"".join(self._protocol.data_to_send()))

    def ping(self, payload: bytes) -> None:
        """Send a ping of at most 125 bytes; its pong shows in `last_pong` (payload) and `pongs` (count)."""
        if self._closed or self._failure:
            return
        self._protocol.send_ping(payload)
        self._stream.send(b"".join(self._protocol.data_to_send()))

    def flush(self) -> None:
        """Hand over as much of the backlog as the kernel takes now."""
        self._stream.flush()

    def close(self) -> None:
        """Send a normal close (1000) as far as the kernel takes it now, and close. May be called twice."""
        if self._closed:
            return
        if self._failure is None:
            self._protocol.send_close(1000)
            self._stream.send(b"".join(self._protocol.data_to_send()))
        self._closed = True
        self._stream.close()

    def _take(self) -> list[bytes]:
        """Return the binary messages among the frames that the protocol has; answer, count and note the others."""
        protocol = self._protocol
        messages: list[bytes] = []
        arrived: list[Frame] = protocol.events_received()  # type: ignore[assignment] # only frames, once open
        for frame in arrived:
            opcode = int(frame.opcode)
            if opcode == _BINARY and frame.fin:
                messages.append(bytes(frame.data))
            elif opcode in {_BINARY, _TEXT, _CONT}:
                self._join(opcode, frame.data, frame.fin, messages)
            elif opcode == _PONG:
                self.last_pong = bytes(frame.data)
                self.pongs += 1
        if protocol.close_rcvd is not None:
            code, reason = int(protocol.close_rcvd.code), printable(protocol.close_rcvd.reason, 130)
            why = f"{code}: {reason}" if reason else f"{code}"
            self._failure = Disconnected(f"the gateway closed the connection ({why})", code=code)
        elif protocol.parser_exc is not None:
            self._failure = ProtocolError(
                f"the gateway broke the WebSocket protocol: {printable(protocol.parser_exc, 120)}"
            )
        frames = protocol.data_to_send()
        if self._stream.backlog > _PONG_BACKLOG:
            frames = [frame for frame in frames if frame[:1] != b"\x8a"]
        if frames:
            self._stream.send(b"".join(frames))
        return messages

    def _join(self, opcode: int, data: bytes | bytearray | memoryview, final: bool, messages: list[bytes]) -> None:
        """Put a message together that comes in fragments (the protocol bounds their sum), or count a text message."""
        if opcode != _CONT:
            self._text = opcode == _TEXT
        self._fragments += data
        if final:
            if self._text:
                self.ignored += 1
            else:
                messages.append(bytes(self._fragments))
            self._fragments.clear()
