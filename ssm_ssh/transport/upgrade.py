"""The WebSocket upgrade: the request, and what a refusal of it says.

https://www.rfc-editor.org/rfc/rfc6455#section-4.1
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from ssm_ssh.errors import NetworkError, ProtocolError, UpgradeRefused, UsageError
from ssm_ssh.text import printable
from ssm_ssh.transport.http import Head, head_length, parse_head

if TYPE_CHECKING:
    from collections.abc import Mapping

    from websockets.client import ClientProtocol

    from ssm_ssh.transport.stream import Stream
    from ssm_ssh.transport.streamurl import StreamUrl

# The gateway's frames have 1.2 KiB; websockets' default of 1 MiB, times the messages that a session may hold back,
# would be gigabytes.
MAX_FRAME = 256 * 1024
# Of the body that comes with a refusal, so many bytes are read, for so many seconds, at most: it is only quoted.
_MAX_BODY = 4096
_BODY_PATIENCE = 1.0


def upgrade(url: StreamUrl, stream: Stream, headers: Mapping[str, str], deadline: float) -> ClientProtocol:
    """Ask for `url` over `stream`, with `headers` in the request, and return the protocol in its open state.

    Its `events` are the frames that came along with the answer. Blocks until `deadline` (monotonic) at most. Raises
    UpgradeRefused, NetworkError or ProtocolError, and UsageError for a header that cannot be sent.
    """
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
    return protocol


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
    if not re.fullmatch(r"[0-9]{1,9}", length):
        return b""
    expected = min(int(length), _MAX_BODY)
    deadline = min(deadline, time.monotonic() + _BODY_PATIENCE)
    try:
        while len(body) < expected:
            body += _read(stream, deadline, what)
    except NetworkError:
        pass
    return bytes(body[:expected])


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
