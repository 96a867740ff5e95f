"""The agent's port plugin in its basic form: raw bytes between a data channel and one TCP connection.

After amazon-ssm-agent, agent/session/plugins/port (port.go, port_basic.go).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from ssm_ssh.lab.agent.channel import PAYLOAD_SIZE, DataChannel
from ssm_ssh.lab.agent.result import Result
from ssm_ssh.lab.wire import message as am

OpenPort = Callable[[str, int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
# Seconds that the official agent sleeps after each read of at most 1024 bytes.
PACE = 0.001
# Without pacing: bytes read at once, and messages that may be unacknowledged before reading stops.
BULK = 64 * 1024
BULK_WINDOW = 16_384


class PortPlugin:
    """One port session. It is the data channel's handler; `run` ends when the session does."""

    one_by_one = False

    def __init__(self, cancelled: asyncio.Event, *, pacing: bool) -> None:
        self._cancelled = cancelled
        self._pacing = pacing
        self._writer: asyncio.StreamWriter | None = None
        self._pending: list[bytes] = []
        self._disconnected = False
        self._discarding = False

    def discard(self) -> None:
        """Discard all input from now on, like a worker that never connects to its port."""
        self._discarding = True

    # As the channel's handler

    def accept(self, message: am.Message) -> bool:
        """Take a message; False while the connection to the port is not up."""
        if self._discarding:
            if message.payload_type == am.P_FLAG and message.payload[:4] == am.TERMINATE_SESSION.to_bytes(4, "big"):
                self._cancelled.set()
            return True
        if self._writer is None:
            return False
        if message.payload_type == am.P_OUTPUT:
            self._pending.append(message.payload)
        elif message.payload_type == am.P_FLAG:
            flag = int.from_bytes(message.payload[:4], "big")
            if flag == am.TERMINATE_SESSION:
                self._cancelled.set()
            elif flag == am.DISCONNECT_TO_PORT:
                self._disconnected = True
        return True

    async def flush(self) -> None:
        """Write what was accepted to the port, and wait until the kernel has it. Raises OSError."""
        writer = self._writer
        if writer is None:
            return
        if self._pending:
            data = b"".join(self._pending)
            self._pending.clear()
            if writer.is_closing():
                raise ConnectionResetError
            writer.write(data)
            await writer.drain()
        if self._disconnected:
            writer.transport.abort()

    # As the session's task

    async def run(self, channel: DataChannel, open_port: OpenPort, instance_id: str, port: int) -> Result:
        """Connect to the port and pump until either side ends. Raises OSError when the port cannot be reached."""
        reader, writer = await open_port(instance_id, port)
        # drain() waits until the kernel has taken everything, for only then may it be acknowledged.
        writer.transport.set_write_buffer_limits(high=0)
        self._writer = writer
        pump = asyncio.create_task(self._pump(channel, reader))
        cancelled = asyncio.create_task(self._cancelled.wait())
        try:
            await asyncio.wait((pump, cancelled), return_when=asyncio.FIRST_COMPLETED)
            if pump.done() and not cancelled.done():
                return pump.result()
            return Result("Success")
        finally:
            for task in (pump, cancelled):
                task.cancel()
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()

    async def _pump(self, channel: DataChannel, reader: asyncio.StreamReader) -> Result:
        size = PAYLOAD_SIZE if self._pacing else BULK
        while True:
            await channel.active.wait()
            try:
                data = await reader.read(size)
            except OSError:
                return Result("Failed")
            if not data:
                return Result("Failed" if self._disconnected else "Success")
            if self._pacing:
                channel.send_stream(am.P_OUTPUT, [data])
                await channel.drain()
                await asyncio.sleep(PACE)
            else:
                pieces = [data[at : at + PAYLOAD_SIZE] for at in range(0, len(data), PAYLOAD_SIZE)]
                channel.send_stream(am.P_OUTPUT, pieces)
                await channel.drain(BULK_WINDOW)
