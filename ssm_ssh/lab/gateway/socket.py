"""One WebSocket of the gateway: the sans-I/O protocol of `websockets` on an asyncio transport.

All frames of one read are passed on as one batch and sent with one write, since that, not the codec, limits the speed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Protocol

from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

# The largest messages are those of an agent's control channel: 142,000 bytes (ControlChannelWriteBufferSizeLimit).
MAX_FRAME = 256 * 1024
# Bytes buffered for a slow reader above which the other side is paused.
WRITE_BUFFER = 256 * 1024
# Seconds between TLS's close_notify and the end of the TCP connection.
TLS_CLOSE_DELAY = 0.05


class Owner(Protocol):
    """What a socket belongs to: at first a PendingSocket, then a session or a control channel."""

    def on_text(self, link: GatewaySocket, text: str) -> None:
        """One text message came."""

    def on_binary(self, link: GatewaySocket, frames: list[bytes]) -> None:
        """These binary messages came, in order, in one read."""

    def on_writable(self, link: GatewaySocket) -> None:
        """`socket.writable` changed."""

    def on_lost(self, link: GatewaySocket) -> None:
        """The socket is gone. Called once."""


class GatewaySocket(asyncio.Protocol):
    """The server's end of one WebSocket, from the accepted upgrade on."""

    def __init__(
        self, transport: asyncio.Transport, protocol: ServerProtocol, owner: Owner, *, side: str, name: str
    ) -> None:
        self.owner = owner
        self.side = side  # "client" or "agent", once known
        self.name = name  # who signed the upgrade: an ARN, an instance id, or "" when unsigned
        self.writable = True
        self.gone = False
        self.stalled = False
        self.unfinished = False  # a message was begun and will never be finished
        self.timers: list[asyncio.TimerHandle] = []  # of the gateway's, for as long as the socket lives
        self._transport = transport
        self._protocol = protocol
        self._parts: list[bytes] = []  # of a fragmented message
        self._parts_opcode = Opcode.BINARY
        self._holds: set[str] = set()
        self._kept = b""  # read before a stall took effect
        self._write_full = False
        transport.set_write_buffer_limits(high=WRITE_BUFFER)

    @property
    def open(self) -> bool:
        """True while messages can be sent."""
        return not self.gone and self._protocol.state is OPEN

    # From the transport

    def data_received(self, data: bytes) -> None:
        """Take bytes from the network."""
        if self.stalled:
            self._kept += data
            return
        self._protocol.receive_data(data)
        texts: list[str] = []
        frames: list[bytes] = []
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._take(event, texts, frames)
        self._flush()
        for text in texts:
            self.owner.on_text(self, text)
        if frames:
            self.owner.on_binary(self, frames)

    def _take(self, frame: Frame, texts: list[str], frames: list[bytes]) -> None:
        opcode = frame.opcode
        if opcode is Opcode.BINARY and frame.fin:
            frames.append(bytes(frame.data))
        elif opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if opcode is not Opcode.CONT:
                self._parts, self._parts_opcode = [], opcode
            self._parts.append(bytes(frame.data))
            if frame.fin:
                whole = b"".join(self._parts)
                self._parts = []
                if self._parts_opcode is Opcode.BINARY:
                    frames.append(whole)
                else:
                    texts.append(whole.decode("utf-8", "replace"))

    def eof_received(self) -> bool:
        """Take the end of the stream: neither official program sends a close frame."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner, once."""
        if not self.gone:
            self.gone = True
            for timer in self.timers:
                timer.cancel()
            self.owner.on_lost(self)

    def pause_writing(self) -> None:
        """Note that the send buffer is full."""
        self._write_full = True
        self._update_writable()

    def resume_writing(self) -> None:
        """Note that the send buffer has room again."""
        self._write_full = False
        self._update_writable()

    def _update_writable(self) -> None:
        room = not (self._write_full or self.stalled)
        if room != self.writable:
            self.writable = room
            self.owner.on_writable(self)

    # To the network

    def send(self, frames: list[bytes]) -> None:
        """Send binary messages, in one write. Nothing happens when the socket is closed or closing."""
        if self.open and not self.unfinished:
            send = self._protocol.send_binary
            for frame in frames:
                send(frame)
            self._flush()

    def begin(self, frame: bytes) -> None:
        """Send half of a message as its first fragment, and nothing after it."""
        if self.open:
            self._protocol.send_binary(frame[: len(frame) // 2], fin=False)
            self._flush()
            self.unfinished = True

    def send_part(self, frame: bytes, size: int) -> None:
        """Send only the first `size` bytes of a message's frame, like a connection that breaks in the middle."""
        if self.open and not self.stalled:
            self._protocol.send_binary(frame)
            self._transport.write(b"".join(self._protocol.data_to_send())[:size])

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame, and drop the connection if the other side does not answer within a second."""
        if self.gone:
            return
        with contextlib.suppress(ProtocolError):
            if self.open:
                self._protocol.send_close(code, reason)
        self._flush()
        self.timers.append(asyncio.get_running_loop().call_later(1.0, self._drop))

    def cut(self, how: str = "eof") -> None:
        """End the connection now: "reset" (RST), "eof" (no close frame) or "bye" (close frame 1000 "Bye")."""
        if how == "bye" and not self.stalled:
            self.close(1000, "Bye")
            return
        if how == "reset":
            sock = self._transport.get_extra_info("socket")
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        else:
            self._drop()
        self.connection_lost(None)

    def _drop(self) -> None:
        try:
            waiting = self._transport.get_write_buffer_size()
        except AttributeError:  # before Python 3.11, TLS that has ended has no buffer any more
            waiting = 0
        if waiting:
            self._transport.abort()
        else:
            self._end()

    def _end(self) -> None:
        # asyncio's TLS would wait half a minute for the other side's close_notify before it closes TCP.
        self._transport.close()
        asyncio.get_running_loop().call_later(TLS_CLOSE_DELAY, self._transport.abort)

    def _flush(self) -> None:
        if self.stalled or self.gone:
            return
        pieces = self._protocol.data_to_send()
        if pieces:
            data = b"".join(pieces)
            if data:
                self._transport.write(data)
            if not pieces[-1]:
                # Both close frames are through, or the protocol failed: the server closes TCP first, RFC 6455 7.1.1.
                self._end()

    # Flow control

    def hold(self, reason: str, held: bool) -> None:
        """Stop reading for `reason`, or drop that reason; reading resumes when none is left."""
        if self.gone:
            return
        before = bool(self._holds)
        (self._holds.add if held else self._holds.discard)(reason)
        if bool(self._holds) != before:
            with contextlib.suppress(RuntimeError):
                (self._transport.pause_reading if held else self._transport.resume_reading)()

    def stall(self, stalled: bool) -> None:
        """Go silent, like a network that no longer carries packets, or resume where the silence began."""
        if self.gone or stalled == self.stalled:
            return
        self.stalled = stalled
        self.hold("stall", stalled)
        if not stalled:
            self._flush()
            kept, self._kept = self._kept, b""
            if kept:
                self.data_received(kept)
        self._update_writable()
