"""A WebSocket client over a Stream, by the sans-I/O core of `websockets`, which is imported when first needed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ssm_ssh.errors import Disconnected, NetworkError, ProtocolError, UpgradeRefused, UsageError
from ssm_ssh.text import printable
from ssm_ssh.transport.http import Head, head_length, parse_head

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from websockets.client import ClientProtocol

    from ssm_ssh.transport.stream import Stream
    from ssm_ssh.transport.streamurl import StreamUrl

# The gateway's frames have 1.2 KiB; websockets' default of 1 MiB, times the messages that a session may hold back,
# would be gigabytes.
MAX_FRAME = 256 * 1024
# Pongs are left out once so much waits to be sent: a peer that pings and does not read must not fill the memory.
# RFC 6455, section 5.5.3, allows answering only the latest ping.
_PONG_BACKLOG = 256 * 1024
# Of the body that comes with a refusal, so much is read at most: it is only quoted.
_MAX_BODY = 4096
_CONT, _TEXT, _BINARY, _CLOSE, _PONG = 0, 1, 2, 8, 10


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
        return _upgrade(url, stream, headers, deadline)
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
        self._early = True
        self.last_pong: bytes | None = None
        self.pongs = 0
        self.ignored = 0

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
        return self._early or self._failure is not None or self._stream.has_pending()

    def receive(self) -> list[bytes]:
        """Return the binary messages that arrived, of about 256 KiB of stream at most; empty if there is none.

        Pings are answered. Text messages are counted in `ignored` and dropped: neither the agent nor the official
        client's peer sends any. Raises Disconnected (a close frame, the end or a break of the connection; the code of
        the frame in `code`) or ProtocolError, each only after every message before it was returned, and then always.
        """
        if self._failure:
            raise self._failure
        protocol = self._protocol
        if self._early:
            self._early = False
        else:
            try:
                data = self._stream.recv()
            except Disconnected as error:
                self._failure = error
                raise
            if not data:
                return []
            protocol.receive_data(data)
        messages: list[bytes] = []
        for frame in protocol.events_received():
            self._take(frame, messages)
        if protocol.parser_exc is not None and self._failure is None:
            self._failure = _broken_rule(protocol.parser_exc)
        if protocol.writes:
            self._answer(protocol.data_to_send())
        if not messages and self._failure:
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

    def _take(self, frame: object, messages: list[bytes]) -> None:
        opcode: int = getattr(frame, "opcode", -1)
        data: bytes | bytearray = getattr(frame, "data", b"")
        if opcode == _BINARY and frame.fin:  # type: ignore[attr-defined]
            messages.append(bytes(data))
        elif opcode in {_BINARY, _TEXT, _CONT}:
            if opcode != _CONT:
                self._text = opcode == _TEXT
            self._fragments += data
            if frame.fin:  # type: ignore[attr-defined]
                if self._text:
                    self.ignored += 1
                else:
                    messages.append(bytes(self._fragments))
                self._fragments.clear()
        elif opcode == _PONG:
            self.last_pong = bytes(data)
            self.pongs += 1
        elif opcode == _CLOSE:
            close = self._protocol.close_rcvd
            code, reason = (close.code, printable(close.reason, 130)) if close else (1005, "")
            self._failure = Disconnected(
                f"the gateway closed the connection ({int(code)}{': ' + reason if reason else ''})", code=int(code)
            )

    def _answer(self, frames: list[bytes]) -> None:
        if self._stream.backlog > _PONG_BACKLOG:
            frames = [frame for frame in frames if frame[:1] != b"\x8a"]
        self._stream.send(b"".join(frames))


def _upgrade(url: StreamUrl, stream: Stream, headers: Mapping[str, str], deadline: float) -> WebSocket:
    import logging

    from websockets.client import ClientProtocol
    from websockets.uri import WebSocketURI

    # A logger of nobody's: websockets would print the Authorization header to one that somebody set to DEBUG.
    silent = logging.Logger("silent", logging.CRITICAL + 1)
    uri = WebSocketURI(url.secure, url.host, url.port, url.path, url.query)
    protocol = ClientProtocol(uri, max_size=MAX_FRAME, logger=silent)
    request = protocol.connect()
    for name, value in {"Host": url.host_header, **headers}.items():
        if not (value.isascii() and value.isprintable()):
            raise UsageError(f"the header {printable(name, 40)} of the upgrade request is not printable ASCII")
        if name in request.headers:
            del request.headers[name]
        request.headers[name] = value
    protocol.send_request(request)
    stream.send(b"".join(protocol.data_to_send()))

    what = f"the WebSocket upgrade by {url.host}"
    data = bytearray()
    while not (length := _head_length(data, url)):
        data += _read(stream, deadline, what)
    head = parse_head(data[:length])
    if head.status != 101:
        raise _refused(head, _body(stream, head, data[length:], deadline, what), url, headers)
    protocol.receive_data(bytes(data))
    if protocol.handshake_exc is not None:
        raise ProtocolError(
            f"the gateway {url.host} broke the WebSocket handshake: {printable(protocol.handshake_exc, 120)}",
            "Something between here and AWS may not let WebSockets pass: check HTTPS_PROXY and the firewall",
        )
    protocol.events = protocol.events[1:]  # the response itself
    return WebSocket(stream, protocol)


def _head_length(data: bytearray, url: StreamUrl) -> int:
    try:
        return head_length(data)
    except ProtocolError as error:
        raise ProtocolError(f"{url.host} did not answer the WebSocket upgrade: {error.message}") from None


def _read(stream: Stream, deadline: float, what: str) -> bytes:
    stream.wait(deadline, what)
    stream.flush()
    return stream.recv()


def _body(stream: Stream, head: Head, body: bytearray, deadline: float, what: str) -> bytes:
    """Return what can be had of the body of a refusal; that nothing comes any more is no second error."""
    length = "".join(head.get_all("content-length")[:1])
    expected = min(int(length), _MAX_BODY) if re.fullmatch(r"[0-9]{1,9}", length) else 0
    try:
        while len(body) < expected:
            body += _read(stream, deadline, what)
    except NetworkError:
        pass
    return bytes(body[:_MAX_BODY])


def _refused(head: Head, body: bytes, url: StreamUrl, headers: Mapping[str, str]) -> UpgradeRefused:
    text = body.decode("utf-8", "replace")
    # AWS answers a wrong signature with the request that it expected, session token included.
    secrets = re.findall(r"[A-Za-z0-9+/=_-]{12,}", " ".join([url.query, *headers.values()]))
    if any(secret in text for secret in secrets) or "<html" in text.lower():
        text = ""
    quoted = f"{head.status} {printable(head.reason, 60)} {printable(text, 160)}".strip()
    hints = {
        401: "The credentials may have expired",
        403: "The policy must allow ssmmessages:OpenDataChannel, and the credentials must not have expired",
        404: "The session may have ended",
        407: "Check HTTPS_PROXY",
        429: "Try again in a moment",
    }
    hint = hints.get(head.status, "Try again in a moment" if head.status >= 500 else "")
    if 300 <= head.status <= 399:
        hint = "Redirects are not followed: check HTTPS_PROXY and the endpoint settings"
    return UpgradeRefused(
        f"{url.host} answered the WebSocket upgrade with {quoted}",
        hint or "Check HTTPS_PROXY and the firewall",
        status=head.status,
    )


def _broken_rule(error: BaseException) -> NetworkError | ProtocolError:
    return ProtocolError(f"the gateway broke the WebSocket protocol: {printable(error, 120)}")
