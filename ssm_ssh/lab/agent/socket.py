"""The agent's end of a WebSocket: `websockets`' sans-I/O client on an asyncio transport, read and written in batches.

It behaves as the official agent's does on gorilla/websocket: pings every 54 s, a read deadline that only pongs extend,
and no close frame of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.uri import parse_uri

# Bytes of queued messages above which the socket is not read.
READ_BUFFER = 256 * 1024
WRITE_BUFFER = 256 * 1024
CONNECT_TIMEOUT = 30.0


class SocketGone(Exception):
    """The socket ended, and everything it brought has been received."""


class AgentSocket(asyncio.Protocol):
    """One WebSocket of an agent. `receive` returns messages, and `send` sends them."""

    def __init__(self, uri: str, ping: float, pong: float) -> None:
        self._protocol = ClientProtocol(parse_uri(uri), max_size=None)
        self._ping, self._pong = ping, pong
        self._transport: asyncio.Transport
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._paused = False
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._timers: list[asyncio.TimerHandle] = []
        self._deadline: asyncio.TimerHandle | None = None
        self.gone = False

    @classmethod
    async def connect(
        cls,
        host: str,
        port: int,
        target: str,
        *,
        headers: dict[str, str],
        netloc: str,
        tls: ssl.SSLContext | None,
        ping: float,
        pong: float,
    ) -> AgentSocket:
        """Connect and upgrade. Raises OSError, ValueError (refused: with the HTTP status) or TimeoutError."""
        uri = f"{'wss' if tls else 'ws'}://{netloc}{target}"
        loop = asyncio.get_running_loop()
        _, self = await loop.create_connection(lambda: cls(uri, ping, pong), host, port, ssl=tls)
        request = self._protocol.connect()
        for name, value in headers.items():
            if name.lower() != "host":
                request.headers[name] = value
        self._protocol.send_request(request)
        self._flush()
        try:
            await asyncio.wait_for(self._opened, CONNECT_TIMEOUT)
        except BaseException:
            self.close()
            raise
        self._deadline = loop.call_later(ping + pong, self._silent)
        self._timers.append(loop.call_later(ping, self._send_ping))
        return self

    # From the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_BUFFER)

    def data_received(self, data: bytes) -> None:
        """Queue the messages in `data`."""
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                self._upgraded()
            elif isinstance(event, Frame):
                if event.opcode is Opcode.BINARY:  # the gateway does not fragment, and text says nothing to an agent
                    self._queue.append(bytes(event.data))
                    self._queued += len(event.data)
                elif event.opcode is Opcode.PONG:
                    self._extend()
        if self._protocol.handshake_exc is not None:
            self._upgraded()
        self._flush()
        if self._queued > READ_BUFFER and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake.set()

    def _upgraded(self) -> None:
        error = self._protocol.handshake_exc
        if self._opened.done():
            return
        if isinstance(error, InvalidHandshake):
            self._opened.set_exception(ValueError(f"websocket: bad handshake ({error})"))
        elif error is not None:
            self._opened.set_exception(ConnectionError(str(error)))
        else:
            self._opened.set_result(None)

    def eof_received(self) -> bool:
        """Let the transport close."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end. A reset takes with it what had not been read yet."""
        self.gone = True
        if exc is not None:
            self._queue.clear()
            self._queued = 0
        for timer in (*self._timers, *([self._deadline] if self._deadline else [])):
            timer.cancel()
        if not self._opened.done():
            self._opened.set_exception(ConnectionError("the connection ended before the upgrade"))
        self._wake.set()
        self._room.set()

    def pause_writing(self) -> None:
        """Note that the send buffer is full."""
        self._room.clear()

    def resume_writing(self) -> None:
        """Note that the send buffer has room again."""
        self._room.set()

    # Messages

    @property
    def open(self) -> bool:
        """True while messages can be sent."""
        return not self.gone and self._protocol.state is OPEN

    async def receive(self) -> list[bytes]:
        """Wait for messages and return all that are queued. Raises SocketGone."""
        while not self._queue:
            if self.gone:
                raise SocketGone
            self._wake.clear()
            await self._wake.wait()
        batch = list(self._queue)
        self._queue.clear()
        self._queued = 0
        if self._paused and not self.gone:
            self._paused = False
            self._transport.resume_reading()
        return batch

    def send(self, frames: list[bytes]) -> None:
        """Send binary messages in one write; on a broken socket they are lost."""
        if self.open:
            send = self._protocol.send_binary
            for frame in frames:
                send(frame)
            self._flush()

    def send_text(self, text: str) -> None:
        """Send one text message."""
        if self.open:
            self._protocol.send_text(text.encode())
            self._flush()

    async def drain(self) -> None:
        """Wait until the socket is writable or gone."""
        await self._room.wait()

    def close(self) -> None:
        """Close as the official agent does: the connection, without a close frame."""
        if not self.gone:
            self._transport.close()

    def abort(self) -> None:
        """End at once, as when the process is killed."""
        if not self.gone:
            self._transport.abort()

    def _flush(self) -> None:
        pieces = self._protocol.data_to_send()
        data = b"".join(pieces)
        if data and not self._transport.is_closing():
            self._transport.write(data)
        if self._opened.done() and self._protocol.close_expected():
            self._transport.close()

    # Keep-alive

    def _send_ping(self) -> None:
        if self.open:
            with contextlib.suppress(InvalidState):
                self._protocol.send_ping(b"keepalive")
            self._flush()
            self._timers = [asyncio.get_running_loop().call_later(self._ping, self._send_ping)]

    def _extend(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(self._pong, self._silent)

    def _silent(self) -> None:
        self.abort()
