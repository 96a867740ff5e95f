"""The lab's HTTP/1.1 server, for the API and for the message gateway: h11 on an asyncio transport.

A handler gets one whole request of bounded size at a time and returns a response, or an upgrade, which takes the
connection over.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
import traceback
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import NamedTuple, TypeAlias

import h11

from ssm_ssh.lab.identity.verify import Request

# A signed request of AWS's carries a session token of one or two KiB among its headers.
MAX_HEAD = 32 * 1024
MAX_HEADERS = 100
# AWS's own limits are of this order: bodies are far below a MiB for these services.
MAX_BODY = 1024 * 1024
# Clients without a valid signature must not hold a connection for long.
IDLE_SECONDS = 60.0
_BACKLOG = 256


class Response(NamedTuple):
    """An HTTP response. `headers` leave out the date and the length of the body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    drip: float = 0.0  # seconds between two bytes


class Upgrade(NamedTuple):
    """The consent to another protocol (101), with these `headers`.

    `take_over` then gets the transport and the bytes that followed the request. It must set a protocol of its own.
    """

    headers: list[tuple[str, str]]
    take_over: Callable[[asyncio.Transport, bytes], None]


Handler: TypeAlias = Callable[[Request], Awaitable["Response | Upgrade"]]


class HttpServer:
    """Serves `handler`. `clock` returns seconds since the epoch, for the Date header."""

    def __init__(
        self,
        handler: Handler,
        tls: ssl.SSLContext | None,
        clock: Callable[[], float] = time.time,
        *,
        max_body: int = MAX_BODY,
    ) -> None:
        self.handler = handler
        self.clock = clock
        self.max_body = max_body
        self.port = 0
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._tls = tls
        self._servers: list[asyncio.Server] = []

    async def start(self, port: int = 0) -> int:
        """Listen on 127.0.0.1 and, where it exists, on ::1; return the port (0 chooses one)."""
        loop = asyncio.get_running_loop()
        self._servers = [await loop.create_server(self._connection, "127.0.0.1", port, ssl=self._tls, backlog=_BACKLOG)]
        self.port = self._servers[0].sockets[0].getsockname()[1]
        with contextlib.suppress(OSError):  # no IPv6 here, or another program has the port there
            server = await loop.create_server(self._connection, "::1", self.port, ssl=self._tls, backlog=_BACKLOG)
            self._servers.append(server)
        return self.port

    async def serve(self, listener: socket.socket) -> None:
        """Accept connections on `listener`, which listens already, until `close` or `stop`."""
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(self._connection, sock=listener, ssl=self._tls, backlog=_BACKLOG))

    def close(self) -> None:
        """Stop listening; open connections stay open."""
        for server in self._servers:
            server.close()
        self._servers = []

    async def stop(self) -> None:
        """Stop listening and abort every connection that has not been upgraded."""
        self.close()
        for connection in tuple(self._connections):
            connection.abort()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _connection(self) -> asyncio.Protocol:
        return _Connection(self, self._connections, self._tasks)


class _Connection(asyncio.Protocol):
    """One connection, until it closes or is upgraded. It reads no further while a request is being handled.

    A request is handled to its end even when its client has gone, as AWS does.
    """

    def __init__(self, server: HttpServer, connections: set[_Connection], tasks: set[asyncio.Task[None]]) -> None:
        self._server = server
        self._connections = connections
        self._tasks = tasks
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._head: h11.Request | None = None
        self._body = bytearray()

    # From the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(self)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._stop_timer()
        self._writable.set()
        self._transport.close()  # before Python 3.11, TLS warns of one that only the other side has closed

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        self._read()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def abort(self) -> None:
        """Drop the connection."""
        self._transport.abort()

    # Requests

    def _await_request(self) -> None:
        self._head = None
        self._body.clear()
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _read(self) -> None:
        """Handle the events that have arrived, up to the end of one request."""
        while not self._busy and not self._transport.is_closing():
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                self._start(self._refuse(error.error_status_hint))
                return
            if isinstance(event, h11.Request):
                self._head = event
                if status := self._objection(event):
                    self._start(self._refuse(status))
                elif self._http.they_are_waiting_for_100_continue:
                    self._send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
            elif isinstance(event, h11.Data):
                self._body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self._start(self._handle())
            elif isinstance(event, h11.ConnectionClosed):
                self._transport.close()
            else:  # NEED_DATA or PAUSED
                return

    def _objection(self, head: h11.Request) -> int:
        """Return the status that refuses a request for its head alone, 0 for none."""
        headers = dict(head.headers)
        if len(head.headers) > MAX_HEADERS:
            return 400
        if b"transfer-encoding" in headers:  # signatures are made for bodies of a known length
            return 501
        # h11 has checked that it is a number; a longer one than these digits is too large in any case.
        return 413 if int(headers.get(b"content-length", b"0")[:20]) > self._server.max_body else 0

    def _start(self, response: Awaitable[Response | Upgrade]) -> None:
        self._stop_timer()
        self._transport.pause_reading()
        self._busy = True
        task = asyncio.get_running_loop().create_task(self._respond(response))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _refuse(self, status: int) -> Response:
        return Response(status, [("Connection", "close")], b"")

    async def _handle(self) -> Response | Upgrade:
        assert self._head is not None
        return await self._server.handler(
            Request(
                self._head.method.decode("ascii"),
                self._head.target.decode("ascii"),
                [(name.decode("ascii"), value.decode("latin-1")) for name, value in self._head.headers.raw_items()],
                bytes(self._body),
            )
        )

    # Responses

    async def _respond(self, coming: Awaitable[Response | Upgrade]) -> None:
        try:
            response = await coming
            if self._transport.is_closing():
                return
            if isinstance(response, Upgrade):
                self._upgrade(response)
            else:
                await self._write(response)
        except Exception:
            # A bug in a handler must not end the lab, and must show in its log.
            traceback.print_exc()
            self._transport.abort()

    async def _write(self, response: Response) -> None:
        data = self._encode(response)
        for piece in [data[at : at + 1] for at in range(len(data))] if response.drip else [data]:
            self._transport.write(piece)
            await self._writable.wait()
            if self._transport.is_closing():
                return
            await asyncio.sleep(response.drip)
        if self._http.our_state is not h11.DONE:
            self._transport.close()
            return
        self._http.start_next_cycle()
        self._busy = False
        self._await_request()
        self._transport.resume_reading()
        self._read()

    def _encode(self, response: Response) -> bytes:
        phrase = HTTPStatus(response.status).phrase if response.status in set(HTTPStatus) else ""
        head = h11.Response(
            status_code=response.status,
            # A client with a wrong clock learns the time from here, as it does from AWS.
            headers=[
                ("Date", formatdate(self._server.clock(), usegmt=True)),
                *response.headers,
                ("Content-Length", str(len(response.body))),
            ],
            reason=phrase.encode(),
        )
        body = b"" if self._head is not None and self._head.method == b"HEAD" else response.body
        events = (head, h11.Data(data=body), h11.EndOfMessage())
        return b"".join(self._http.send(event) or b"" for event in events)

    def _upgrade(self, upgrade: Upgrade) -> None:
        self._send(h11.InformationalResponse(status_code=101, headers=upgrade.headers, reason=b"Switching Protocols"))
        self._connections.discard(self)
        trailing = self._http.trailing_data[0]
        upgrade.take_over(self._transport, trailing)
        self._transport.resume_reading()

    def _send(self, event: h11.Event) -> None:
        self._transport.write(self._http.send(event) or b"")
