"""The agent's port plugin with smux: any number of connections in one session.

After amazon-ssm-agent, agent/session/plugins/port/port_mux.go, and github.com/xtaci/smux (session.go, stream.go). What
is inconvenient there is so here: dials happen one after another, the end of either side ends both directions, and
streams share one receive buffer. When that is full, nothing of the session is read or acknowledged any more.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

from ssm_ssh.lab.agent.channel import PAYLOAD_SIZE, DataChannel
from ssm_ssh.lab.wire import message as am
from ssm_ssh.lab.wire import smux

Dial = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
# smux.DefaultConfig
MAX_FRAME = 32768
RECEIVE_BUFFER = 4_194_304
KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIMEOUT = 10.0, 30.0
# net.core.wmem_default: the agent talks to its own smux server over a unix socket.
SOCKET_BUFFER = 212_992
# Seconds that the official agent sleeps after each message.
PACE = 0.001
BULK_MESSAGES, BULK_WINDOW = 64, 16_384


class MuxSession:
    """smux's server side in one forward session."""

    def __init__(self, channel: DataChannel, dial: Dial, *, pacing: bool, keep_alive: bool) -> None:
        self._channel = channel
        self._dial = dial
        self._pacing = pacing
        self._keep_alive = keep_alive
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._incoming, self._outgoing, self._accepting = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._taken, self._room = asyncio.Event(), asyncio.Event()
        self._writing = asyncio.Lock()
        self._bucket = RECEIVE_BUFFER
        self._streams: dict[int, _Stream] = {}
        self._accepts: deque[_Stream] = deque()
        self._heard = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    def feed(self, data: bytes) -> None:
        """Take bytes of the client. `drained` waits until they fit into the socket."""
        self._inbox += data
        self._incoming.set()

    async def drained(self) -> None:
        """Wait until what was fed fits into the socket's buffer."""
        await _until(self._taken, lambda: len(self._inbox) <= SOCKET_BUFFER)

    async def run(self) -> None:
        """Serve until the protocol is violated, or the client has been silent too long where that counts."""
        jobs = [self._receive(), self._accept(), self._send()]
        if self._keep_alive:
            jobs.append(self._ping())
        tasks = [asyncio.ensure_future(job) for job in jobs]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*tasks, *self._tasks):
                task.cancel()
            await asyncio.gather(*tasks, *self._tasks, return_exceptions=True)
            for writer in self._writers:
                writer.close()

    # --- the session --------------------------------------------------------------------------------------------------

    async def _receive(self) -> None:
        while True:
            await _until(self._incoming, lambda: self._bucket > 0 and len(self._inbox) >= smux.HEADER_SIZE)
            try:
                frame = smux.unpack(self._inbox)
            except smux.InvalidProtocol:
                return
            if frame is None:  # a part of a frame
                size = len(self._inbox)
                await _until(self._incoming, lambda: len(self._inbox) != size)  # noqa: B023 -- awaited here
                continue
            self._heard = True
            command, number, payload = frame
            stream = self._streams.get(number)
            if command == smux.SYN and stream is None:
                stream = self._streams[number] = _Stream(self, number)
                self._accepts.append(stream)
                self._accepting.set()
            elif command == smux.FIN and stream is not None:
                stream.fin = True
                stream.changed.set()
            elif command == smux.PSH and stream is not None:
                stream.buffers.append(payload)
                self._bucket -= len(payload)
                stream.changed.set()
            self._taken.set()

    async def _accept(self) -> None:
        while True:
            await _until(self._accepting, lambda: self._accepts)
            stream = self._accepts.popleft()
            try:
                reader, writer = await self._dial()
            except OSError:
                flag = am.CONNECT_TO_PORT_ERROR.to_bytes(4, "big")
                self._channel.send_stream(am.P_FLAG, [flag])
                await stream.close()
                continue
            # WriteTo returns a buffer's tokens when the kernel has taken it.
            self._writers.add(writer)
            writer.transport.set_write_buffer_limits(high=0)
            for job in (self._from_server(stream, reader), self._to_server(stream, writer)):
                task = asyncio.create_task(job)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _from_server(self, stream: _Stream, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(MAX_FRAME):
                if stream.dead:
                    break
                await self.write(smux.pack(smux.PSH, stream.number, data))
        await stream.close()

    async def _to_server(self, stream: _Stream, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                await _until(stream.changed, lambda: stream.buffers or stream.fin or stream.dead)
                if not stream.buffers:
                    break
                data = stream.buffers.popleft()
                try:
                    writer.write(data)
                    await writer.drain()
                finally:
                    self.give_back(len(data))
        writer.close()
        self._writers.discard(writer)

    async def _send(self) -> None:
        channel = self._channel
        while True:
            await channel.active.wait()
            await _until(self._outgoing, lambda: self._outbox)
            pieces = []
            for _ in range(1 if self._pacing else BULK_MESSAGES):
                if self._outbox:
                    pieces.append(bytes(self._outbox[:PAYLOAD_SIZE]))
                    del self._outbox[:PAYLOAD_SIZE]
            channel.send_stream(am.P_OUTPUT, pieces)
            self._room.set()
            await channel.drain(0 if self._pacing else BULK_WINDOW)
            if self._pacing:
                await asyncio.sleep(PACE)

    async def _ping(self) -> None:
        waited = 0.0
        while True:
            await asyncio.sleep(KEEP_ALIVE_INTERVAL)
            waited += KEEP_ALIVE_INTERVAL
            await self.write(smux.pack(smux.NOP, 0))
            if waited >= KEEP_ALIVE_TIMEOUT:
                waited = 0.0
                if not self._heard and self._bucket > 0:
                    return
                self._heard = False

    # --- for streams --------------------------------------------------------------------------------------------------

    async def write(self, frame: bytes) -> None:
        """Write a frame to the client, when the socket has room for it."""
        async with self._writing:
            await _until(self._room, lambda: len(self._outbox) < SOCKET_BUFFER)
            self._outbox += frame
            self._outgoing.set()

    def give_back(self, count: int) -> None:
        """Return bytes of the receive buffer."""
        self._bucket += count
        self._incoming.set()

    def forget(self, stream: _Stream) -> None:
        """Take a closed stream out; what it had not written to the server is lost."""
        self.give_back(sum(map(len, stream.buffers)))
        stream.buffers.clear()
        self._streams.pop(stream.number, None)


class _Stream:
    def __init__(self, session: MuxSession, number: int) -> None:
        self.number = number
        self.buffers: deque[bytes] = deque()
        self.changed = asyncio.Event()
        self.fin = self.dead = False
        self._session = session

    async def close(self) -> None:
        """End both directions."""
        if not self.dead:
            self.dead = True
            self.changed.set()
            await self._session.write(smux.pack(smux.FIN, self.number))
            self._session.forget(self)


async def _until(event: asyncio.Event, condition: Callable[[], object]) -> None:
    while not condition():
        event.clear()
        await event.wait()
