"""An agent's requests to the message gateway: tokens by REST and channels by WebSocket, all signed.

After amazon-ssm-agent, agent/session/service and agent/session/communicator.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit
from xml.etree import ElementTree

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ssm_ssh.lab.agent.socket import AgentSocket

SERVICE = "ssmmessages"
# mgsClientTimeout
REST_TIMEOUT = 15.0


class ServiceError(Exception):
    """The gateway gave no token or no socket; the text is what the official agent reports."""


class AgentCredentials(NamedTuple):
    """Credentials of the instance's role."""

    access_key: str
    secret_key: str
    token: str = ""


async def exchange(host: str, port: int, tls: ssl.SSLContext | None, request: bytes) -> tuple[int, str]:
    """Send one HTTP request; return the status and the body. Raises OSError, ValueError or IncompleteReadError."""
    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    try:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        lengths = [line.split(":", 1)[1] for line in lines if line.lower().startswith("content-length:")]
        body = await reader.readexactly(int(lengths[0])) if lengths else b""
        return int(lines[0].split(" ")[1]), body.decode()
    finally:
        writer.close()


class AgentService:
    """The gateway at `url` (https://HOST:PORT) as one instance's agent uses it."""

    def __init__(
        self, url: str, *, region: str, credentials: AgentCredentials, tls: ssl.SSLContext | None = None
    ) -> None:
        parts = urlsplit(url)
        self._url = f"{parts.scheme}://{parts.netloc}"
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or 443
        self._netloc = parts.netloc
        self._region = region
        self._credentials = Credentials(*credentials) if credentials.token else Credentials(*credentials[:2])
        self._tls = tls if parts.scheme == "https" else None

    def _sign(self, method: str, target: str, body: bytes) -> dict[str, str]:
        request = AWSRequest(method=method, url=self._url + target, data=body, headers={"Host": self._netloc})
        if body:
            request.headers["Content-Type"] = "application/json"
        SigV4Auth(self._credentials, SERVICE, self._region).add_auth(request)
        return dict(request.headers.items())

    async def token(self, kind: str, channel_id: str, body: bytes) -> str:
        """CreateControlChannel or CreateDataChannel: return the token. Raises ServiceError."""
        target = f"/v1/{kind}/{channel_id}"
        headers = {**self._sign("POST", target, body), "Content-Length": str(len(body)), "Connection": "close"}
        head = f"POST {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        try:
            request = head.encode() + b"\r\n" + body
            status, answer = await asyncio.wait_for(exchange(self._host, self._port, self._tls, request), REST_TIMEOUT)
        except (OSError, ValueError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
            raise ServiceError(f"failed to make http client call: {error}") from error
        if status != 201:
            raise ServiceError(f"unexpected response from the service {answer}")
        try:
            token = ElementTree.fromstring(answer).findtext("{*}TokenValue")  # noqa: S314 -- from the lab's gateway
        except ElementTree.ParseError as error:
            raise ServiceError(f"failed to unmarshal response: {error}") from error
        return token or ""

    async def open(self, kind: str, channel_id: str, query: str, *, ping: float, pong: float) -> AgentSocket:
        """Open a channel's WebSocket; pings every `ping` seconds, each pong good for `pong`. Raises ServiceError."""
        target = f"/v1/{kind}/{channel_id}?{query}"
        try:
            return await AgentSocket.connect(
                self._host,
                self._port,
                target,
                headers=self._sign("GET", target, b""),
                netloc=self._netloc,
                tls=self._tls,
                ping=ping,
                pong=pong,
            )
        except (OSError, ValueError, asyncio.TimeoutError) as error:
            raise ServiceError(f"failed to connect with error: {error}") from error
