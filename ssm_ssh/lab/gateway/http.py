"""The gateway's HTTP requests: REST calls of agents for a token, and WebSocket upgrades of both sides.

Both are judged by their signature; the token that an upgrade needs comes later, in the first frame.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from websockets.datastructures import Headers
from websockets.http11 import Request as UpgradeRequest
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from ssm_ssh.lab.gateway.socket import MAX_FRAME, GatewaySocket, Owner
from ssm_ssh.lab.identity.verify import Request, SignatureRefused
from ssm_ssh.lab.wire.http import Response, Upgrade

CONTROL, DATA = "control-channel", "data-channel"
_CREATE = {CONTROL: "CreateControlChannel", DATA: "CreateDataChannel"}
_OPEN = {CONTROL: "OpenControlChannel", DATA: "OpenDataChannel"}
_ROLES = {CONTROL: "subscribe", DATA: "publish_subscribe"}


class Principal(Protocol):
    """Who signed a request. `kind` is "user", "instance" or "anonymous"; `name` an ARN or the instance's id."""

    @property
    def kind(self) -> str:
        """The kind."""

    @property
    def name(self) -> str:
        """The name."""


Authenticate: TypeAlias = Callable[[str, str, Sequence[tuple[str, str]], bytes], Principal]
Log: TypeAlias = Callable[[str, dict[str, Any], int, str, str], None]


class Path(NamedTuple):
    """What a request is about: the `kind` of channel ("" for another path), the id in it, and the query."""

    kind: str
    name: str
    query: dict[str, list[str]]


class Channels(Protocol):
    """The gateway, as far as requests need it."""

    def instance_of(self, path: Path) -> str:
        """Return the instance that a channel belongs to, "" where there is none."""

    def is_over(self, session_id: str) -> bool:
        """Return whether a session has ended."""

    def allows_unsigned(self) -> bool:
        """Return whether clients may open data channels without a signature."""

    def upgrade_refusal(self, side: str, path: Path) -> int:
        """Return the HTTP status by which a fault refuses an upgrade of `side`, 0 for none."""

    def issue_token(self, channel: str, side: str) -> str:
        """Return a new token."""

    def pending(self, path: Path) -> Owner:
        """Return the first owner of a new WebSocket."""

    def upgraded(self, socket: GatewaySocket) -> None:
        """Take note of a new WebSocket."""


class _Refused(Exception):
    """A request is refused with an HTTP `status`, an error `code` and a message."""

    def __init__(self, status: int, code: str, message: str, who: str = "") -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message
        self.who = who


class ChannelRequests:
    """Handles the gateway's requests. `log` gets each one with its outcome."""

    def __init__(self, channels: Channels, authenticate: Authenticate, log: Log | None) -> None:
        self._channels = channels
        self._authenticate = authenticate
        self._log = log

    async def handle(self, request: Request) -> Response | Upgrade:
        """Return what `request` gets: for wire.http.HttpServer."""
        path = _path(request.target)
        upgrade = request.method == "GET" and bool(request.values("upgrade"))
        if not upgrade and request.method != "POST":
            return _xml(405, "")
        operation = (_OPEN if upgrade else _CREATE).get(path.kind, "")
        if not operation or (upgrade and path.query.get("role") != [_ROLES[path.kind]]):
            return _error(_Refused(404, "NotFound", "no such path"), close=upgrade)
        try:
            if upgrade:
                return self._upgrade(request, path, operation)
            return self._create(request, path, operation)
        except SignatureRefused as error:
            refused = _Refused(error.status, error.code, error.message)
        except _Refused as error:
            refused = error
        self._note(operation, path, refused.status, refused.code, refused.who)
        return _error(refused, close=upgrade)

    def _create(self, request: Request, path: Path, operation: str) -> Response:
        """CreateControlChannel and CreateDataChannel: issue a token to an agent."""
        principal = self._authenticate("POST", request.target, request.headers, request.body)
        if principal.kind == "anonymous":
            raise _Refused(400, "BadRequest", "Request is not authenticated.")
        self._require_agent(principal, path, operation)
        if path.kind == DATA and self._channels.is_over(path.name):
            raise _Refused(400, "BadRequest", "Session is already terminated", principal.name)
        self._note(operation, path, 201, "", principal.name)
        token = self._channels.issue_token(path.name, "control" if path.kind == CONTROL else "agent")
        return _xml(
            201,
            f"<{operation}Output><MessageSchemaVersion>1.0</MessageSchemaVersion>"
            f"<TokenValue>{token}</TokenValue></{operation}Output>",
        )

    def _upgrade(self, request: Request, path: Path, operation: str) -> Response | Upgrade:
        """OpenControlChannel and OpenDataChannel."""
        principal = self._authenticate("GET", request.target, request.headers, b"")
        side = "agent" if principal.kind == "instance" or path.kind == CONTROL else "client"
        if principal.kind == "anonymous" and not (side == "client" and self._channels.allows_unsigned()):
            raise _Refused(403, "MissingAuthenticationTokenException", "Missing signature")
        if side == "agent":
            self._require_agent(principal, path, operation)
        status = self._channels.upgrade_refusal(side, path)
        if status:
            raise _Refused(status, "ServiceUnavailable", "refused", principal.name)
        self._note(operation, path, 101, "", principal.name)
        # No extension is offered: the official programs ask for none, and compressed frames would hide sizes.
        answer = ServerProtocol().accept(UpgradeRequest(request.target, Headers(request.headers)))
        if answer.status_code != 101:
            return _xml(400, "", close=True)
        name = "" if principal.kind == "anonymous" else principal.name

        def take_over(transport: asyncio.Transport, trailing: bytes) -> None:
            protocol = ServerProtocol(state=OPEN, max_size=MAX_FRAME)
            socket = GatewaySocket(transport, protocol, self._channels.pending(path), side=side, name=name)
            transport.set_protocol(socket)
            self._channels.upgraded(socket)
            if trailing:
                socket.data_received(trailing)

        return Upgrade(list(answer.headers.raw_items()), take_over)

    def _require_agent(self, principal: Principal, path: Path, operation: str) -> None:
        """Refuse all but the agent of the instance that the channel belongs to."""
        if principal.kind != "instance" or principal.name != self._channels.instance_of(path):
            message = f"{principal.name} is not authorized to perform: ssmmessages:{operation}"
            raise _Refused(403, "AccessDeniedException", message, principal.name)

    def _note(self, operation: str, path: Path, status: int, error: str, who: str) -> None:
        if self._log is not None:
            key = "InstanceId" if path.kind == CONTROL else "SessionId"
            self._log(operation, {key: path.name}, status, error, who)


def _path(target: str) -> Path:
    parts = urlsplit(target)
    pieces = parts.path.split("/")
    if len(pieces) != 4 or pieces[0] or pieces[1] != "v1":
        return Path("", "", {})
    return Path(pieces[2], unquote(pieces[3]), parse_qs(parts.query))


def _error(refused: _Refused, *, close: bool) -> Response:
    """Return an error as the message gateway words it, after a short id of the request."""
    message = f"{secrets.token_hex(4)}: {escape(refused.message)}"
    return _xml(refused.status, f'<{refused.code} xmlns=""><message>{message}</message></{refused.code}>', close=close)


def _xml(status: int, body: str, *, close: bool = False) -> Response:
    headers = [("Content-Type", "application/xml"), ("x-amzn-RequestId", secrets.token_hex(16))]
    return Response(status, [*headers, ("Connection", "close")] if close else headers, body.encode())
