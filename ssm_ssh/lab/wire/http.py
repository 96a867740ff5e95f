"""A small HTTP/1.1 server over TLS: requests of bounded size in, one answer each, connections kept alive."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import NamedTuple

from ssm_ssh.lab.identity.verify import Request

# AWS's own limits are of this order: 8 KiB lines, and bodies far below a MiB for these services.
LINE_LIMIT = 16 * 1024
MAX_HEADERS = 100
MAX_BODY = 1024 * 1024
# Nobody without a signature may hold a connection for long.
IDLE_SECONDS = 60.0


class Answer(NamedTuple):
    """What goes back: `status`, `headers` other than date, length and connection, `body`."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    drip: float = 0.0  # seconds between two bytes


Handler = Callable[[Request], Awaitable[Answer]]


class _Refused(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class HttpServer:
    """Serves `handler` on 127.0.0.1 and ::1 (where there is one), on one port."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext, clock: Callable[[], float] = time.time) -> None:
        self._handler = handler
        self._tls = tls
        self._clock = clock
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0

    async def start(self) -> int:
        """Listen; return the port."""
        first = await asyncio.start_server(self._connection, "127.0.0.1", 0, ssl=self._tls, limit=LINE_LIMIT)
        self._servers = [first]
        self.port = first.sockets[0].getsockname()[1]
        with contextlib.suppress(OSError):  # no IPv6 here, or the port is somebody else's there
            self._servers.append(
                await asyncio.start_server(self._connection, "::1", self.port, ssl=self._tls, limit=LINE_LIMIT)
            )
        return self.port

    async def serve(self, listener: socket.socket) -> None:
        """Serve on `listener`, which listens already, until `shut` or `stop`."""
        self._servers.append(
            await asyncio.start_server(self._connection, sock=listener, ssl=self._tls, limit=LINE_LIMIT)
        )

    def shut(self) -> None:
        """Listen no more, at once; what is connected goes on."""
        for server in self._servers:
            server.close()
        self._servers = []

    async def stop(self) -> None:
        """Close the doors and every connection."""
        self.shut()
        for task in tuple(self._connections):
            task.cancel()
        if self._connections:
            await asyncio.wait(tuple(self._connections))

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError, ValueError):
                await self._requests(reader, writer)
        finally:
            if task is not None:
                self._connections.discard(task)
            writer.transport.abort() if not writer.is_closing() else None

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        keep = True
        while keep:
            try:
                request = await asyncio.wait_for(_read_request(reader, writer), IDLE_SECONDS)
                if request is None:
                    break
                answer = await self._handler(request)
                keep = "close" not in request.value("connection").lower()
            except asyncio.TimeoutError:
                break
            except _Refused as refused:
                answer, keep = Answer(refused.status, [], b""), False
            phrase = HTTPStatus(answer.status).phrase
            # AWS tells its time in every answer: whoever has a wrong clock learns it from there.
            date = formatdate(self._clock(), usegmt=True)
            lines = [
                f"HTTP/1.1 {answer.status} {phrase}",
                f"Date: {date}",
                *(f"{name}: {value}" for name, value in answer.headers),
            ]
            lines += [f"Content-Length: {len(answer.body)}", f"Connection: {'keep-alive' if keep else 'close'}", "", ""]
            whole = "\r\n".join(lines).encode("latin-1") + answer.body
            for piece in [whole[at : at + 1] for at in range(len(whole))] if answer.drip else [whole]:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(answer.drip)
        writer.close()
        await writer.wait_closed()


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    line = await reader.readline()
    if not line:
        return None
    parts = line.decode("latin-1").rstrip("\r\n").split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise _Refused(400)
    headers: list[tuple[str, str]] = []
    while (line := await reader.readline()) not in (b"\r\n", b"\n"):
        name, colon, value = line.decode("latin-1").rstrip("\r\n").partition(":")
        if not colon or not name or name != name.strip() or len(headers) >= MAX_HEADERS:
            raise _Refused(400)
        headers.append((name, value.strip()))
    request = Request(parts[0], parts[1], headers)
    if request.values("transfer-encoding"):
        raise _Refused(501)
    lengths = set(request.values("content-length")) or {"0"}
    text = lengths.pop()
    if lengths or not (text.isascii() and text.isdigit()):
        raise _Refused(400)
    if int(text[:12]) > MAX_BODY:
        raise _Refused(413)
    if request.values("expect"):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return request._replace(body=await reader.readexactly(int(text)))
