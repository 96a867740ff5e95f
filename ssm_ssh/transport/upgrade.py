"""The WebSocket upgrade: its request, its answer and its refusals.

https://www.rfc-editor.org/rfc/rfc6455#section-4.1
"""

from __future__ import annotations

import os
import re
import time
from binascii import b2a_base64
from hashlib import sha1

from ssm_ssh.errors import AccessDenied, NetworkError, ProtocolError, UpgradeRefused, UsageError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable
from ssm_ssh.transport.http import Head, head_length, parse_head

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssm_ssh.transport.stream import Stream
    from ssm_ssh.transport.stream_url import StreamUrl

# Bytes. The gateway's frames have 1.2 KiB; the usual MiB, times the messages that a session may hold back, would be
# gigabytes.
MAX_FRAME = 256 * 1024
# The most bytes, and the most seconds, to read of the body of a refusal: it is only quoted.
_MAX_BODY = 4096
_BODY_TIMEOUT = 1.0
# Characters of a denial: the ARNs of a user and a session, each up to 150 long, and the reason.
_MAX_DENIAL = 600
# Compiled only for a refusal.
_DENIED = r"\bAccessDenied(?:Exception)?\b"
_XML = r"\s*(?:<\?[^<>]*>\s*)?<([A-Za-z]{1,80})[\s>]"
_TAG = r"<[^<>]*>"
# RFC 6455, section 1.3.
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def upgrade(url: StreamUrl, stream: Stream, headers: Mapping[str, str], deadline: float) -> bytes:
    """Request `url` over `stream`, with `headers` in the request, and return the bytes that followed the answer.

    Blocks until `deadline` (monotonic) at most. Raises AccessDenied if a policy is the reason, else UpgradeRefused,
    NetworkError or ProtocolError, and UsageError for a header that cannot be sent.
    """
    key = b2a_base64(os.urandom(16), newline=False).decode()
    stream.send(_request(url, headers, key))
    what = f"the WebSocket upgrade of {url.host}"
    data = bytearray()
    searched = 0
    while not (length := _head_length(data, searched, url)):
        searched = len(data)
        data += _read(stream, deadline, what)
    head = parse_head(data[:length])
    if head.status != 101:
        raise _refused(head, _body(stream, head, data[length:], deadline, what), url, headers)
    if violation := _violation(head, key):
        raise ProtocolError(
            f"the gateway {url.host} broke the WebSocket handshake: {violation}",
            "Check HTTPS_PROXY and the firewall: one of them may not let WebSockets pass",
        )
    return bytes(data[length:])


def _request(url: StreamUrl, headers: Mapping[str, str], key: str) -> bytes:
    own = {
        "Host": url.host_header,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
    }
    given = {name.lower() for name in headers}
    fields = {**{name: value for name, value in own.items() if name.lower() not in given}, **headers}
    for name, value in fields.items():
        if not (value.isascii() and value.isprintable()):
            raise UsageError(f"the header {printable(name, 40)} for the upgrade is not printable ASCII")
    target = f"{url.path}?{url.query}" if url.query else url.path
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("ascii")


def _violation(head: Head, key: str) -> str:
    """Return the rule that the answer to an upgrade with `key` breaks, "" for none (RFC 6455, section 4.1)."""

    def tokens(name: str) -> list[str]:
        return [token.strip().lower() for value in head.get_all(name) for token in value.split(",")]

    proof = b2a_base64(sha1(key.encode() + _GUID, usedforsecurity=False).digest(), newline=False).decode()
    if tokens("upgrade") != ["websocket"] or "upgrade" not in tokens("connection"):
        return "the answer does not upgrade to WebSocket"
    if head.get_all("sec-websocket-accept") != [proof]:
        return "Sec-WebSocket-Accept is wrong"
    if head.get_all("sec-websocket-extensions") or head.get_all("sec-websocket-protocol"):
        return "the answer has an extension or subprotocol that was not offered"
    return ""


def _head_length(data: bytearray, searched: int, url: StreamUrl) -> int:
    try:
        return head_length(data, searched)
    except ProtocolError as error:
        raise ProtocolError(f"{url.host} did not answer the WebSocket upgrade: {error.message}") from None


def _read(stream: Stream, deadline: float, what: str) -> bytes:
    stream.wait(deadline, what)
    stream.flush()
    return stream.recv()


def _body(stream: Stream, head: Head, body: bytearray, deadline: float, what: str) -> bytes:
    """Return as much of a refusal's body as arrives; a body cut short is not a second error."""
    length = "".join(head.get_all("content-length")[:1])
    if not re.fullmatch(r"[0-9]{1,9}", length):
        return b""
    expected = min(int(length), _MAX_BODY)
    deadline = min(deadline, time.monotonic() + _BODY_TIMEOUT)
    try:
        while len(body) < expected:
            body += _read(stream, deadline, what)
    except NetworkError:
        pass
    return bytes(body[:expected])


def _refused(head: Head, body: bytes, url: StreamUrl, headers: Mapping[str, str]) -> AccessDenied | UpgradeRefused:
    text = body.decode("utf-8", "replace")
    # An expired or unknown token has another code, and a new token may help. A policy's denial stays.
    codes = " ".join([*head.get_all("x-amzn-errortype"), text])
    denied = re.search(_DENIED, codes) if head.status == 403 else None
    # AWS answers a wrong signature with the request that it expected, session token included.
    secrets = re.findall(r"[A-Za-z0-9+/=_-]{12,}", " ".join([url.query, *headers.values()]))
    if any(secret in text for secret in secrets) or "<html" in text.lower():
        text = ""
    answered = f"{url.host} answered the WebSocket upgrade with {head.status} {printable(head.reason, 60)}"
    if denied:
        return AccessDenied(
            f"{answered} {printable(_without_tags(text), _MAX_DENIAL)}".strip(),
            "Allow ssmmessages:OpenDataChannel in the policy",
            code=denied[0],
            operation="OpenDataChannel",
            status=head.status,
        )
    hints = {
        401: "Connect again: the credentials may have expired",
        403: "Allow ssmmessages:OpenDataChannel in the policy, and check that the credentials have not expired",
        404: "Connect again: the session may have ended",
        407: "Check HTTPS_PROXY",
        429: "Try again in a moment",
    }
    hint = hints.get(head.status, "Try again in a moment" if head.status >= 500 else "")
    if 300 <= head.status <= 399:
        hint = "Check HTTPS_PROXY and the endpoint settings; ssm-ssh does not follow redirects"
    return UpgradeRefused(
        f"{answered} {printable(_without_tags(text), 160)}".strip(),
        hint or "Check HTTPS_PROXY and the firewall",
        status=head.status,
    )


def _without_tags(text: str) -> str:
    """Return `text` without its tags if it is XML, such as the gateway's `<Code xmlns=""><message>...`."""
    root = re.match(_XML, text)
    if not root:
        return text
    inside = " ".join(re.sub(_TAG, " ", text).split())
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&")):
        inside = inside.replace(entity, character)
    return f"{root[1]}: {inside}"
