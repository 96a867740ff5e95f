"""The gateway's door: HTTP/1.1 as far as the two REST calls of agents and the WebSocket upgrade need it."""

from __future__ import annotations

import asyncio
import http
import secrets
from collections.abc import Sequence
from email.utils import formatdate
from typing import NamedTuple, Protocol
from xml.sax.saxutils import escape

from websockets.exceptions import InvalidUpgrade
from websockets.http11 import Request
from websockets.server import ServerProtocol

from ssm_ssh.lab.gateway.socket import MAX_FRAME, GatewaySocket, Owner

# A signed request of AWS's has a session token of one or two KiB among its headers.
MAX_HEAD = 32 * 1024
MAX_BODY = 64 * 1024
# A connection that has not said what it wants by then is closed.
PATIENCE = 30.0


class Answer(NamedTuple):
    """An HTTP answer to send."""

    status: int
    body: str = ""


class Accept(NamedTuple):
    """The upgrade is granted, to this `owner`; `side` is "client" or "agent", `name` who signed."""

    owner: Owner
    side: str
    name: str


class Service(Protocol):
    """What stands behind the door."""

    def post(self, target: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """Answer a REST call."""

    def upgrade(self, target: str, headers: Sequence[tuple[str, str]]) -> Answer | Accept:
        """Decide on a WebSocket upgrade."""

    def upgraded(self, link: GatewaySocket) -> None:
        """An accepted upgrade is done."""


def error_body(code: str, message: str) -> str:
    """Return an error as the message gateway words it, after a short id of the request."""
    return f'<{code} xmlns=""><message>{secrets.token_hex(4)}: {escape(message)}</message></{code}>'


class Door(asyncio.Protocol):
    """One connection until it has become a WebSocket."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._buffer = b""
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start waiting for a request."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Collect a request; answer as soon as it is whole."""
        self._buffer += data
        while self._buffer and not self._transport.is_closing():
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > MAX_HEAD:
                    self._answer(Answer(431), last=True)
                return
            head = self._buffer[: end + 4]
            rest = self._buffer[end + 4 :]
            method, target, headers = _parse_head(head)
            length = next((value for name, value in headers if name.lower() == "content-length"), "0")
            if not method or not length.isdigit() or int(length) > MAX_BODY:
                self._answer(Answer(400 if not method else 413), last=True)
                return
            if len(rest) < int(length):
                return
            body, self._buffer = rest[: int(length)], rest[int(length) :]
            if method == "GET" and any(n.lower() == "upgrade" for n, _ in headers):
                self._upgrade(head, target, headers)
                return
            self._answer(self._service.post(target, headers, body) if method == "POST" else Answer(405))

    def _answer(self, answer: Answer, *, last: bool = False) -> None:
        body = answer.body.encode()
        phrase = http.HTTPStatus(answer.status).phrase if answer.status in set(http.HTTPStatus) else ""
        head = (
            f"HTTP/1.1 {answer.status} {phrase}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
            f"Date: {formatdate(usegmt=True)}\r\n"
            f"x-amzn-RequestId: {secrets.token_hex(16)}\r\n{'Connection: close' if last else 'Connection: keep-alive'}"
        )
        self._transport.write(head.encode() + b"\r\n\r\n" + body)
        if last:
            self._transport.close()

    def _upgrade(self, head: bytes, target: str, headers: list[tuple[str, str]]) -> None:
        decision = self._service.upgrade(target, headers)
        if isinstance(decision, Answer):
            self._answer(decision, last=True)
            return
        # No extension is offered: the official programs ask for none, and compressed frames would hide sizes.
        protocol = ServerProtocol(max_size=MAX_FRAME)
        protocol.receive_data(head)
        request = next((one for one in protocol.events_received() if isinstance(one, Request)), None)
        if request is None:
            self._answer(Answer(400), last=True)
            return
        response = protocol.accept(request)
        protocol.send_response(response)
        self._transport.write(b"".join(protocol.data_to_send()))
        if response.status_code != 101 or isinstance(protocol.handshake_exc, InvalidUpgrade):
            self._transport.close()
            return
        if self._timer is not None:
            self._timer.cancel()
        link = GatewaySocket(self._transport, protocol, decision.owner, side=decision.side, name=decision.name)
        self._transport.set_protocol(link)
        self._service.upgraded(link)
        if self._buffer:
            link.data_received(self._buffer)


def _parse_head(head: bytes) -> tuple[str, str, list[tuple[str, str]]]:
    """Return method, target and headers; an empty method when it is no HTTP request."""
    lines = head[:-4].decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        return "", "", []
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            return "", "", []
        headers.append((name, value.strip(" \t")))
    return parts[0], parts[1], headers
