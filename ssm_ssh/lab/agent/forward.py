"""The agent's port plugin for forwards: several connections by smux, or one at a time for an old client or agent.

After amazon-ssm-agent, agent/session/plugins/port (port.go, port_mux.go, port_basic.go).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from ssm_ssh.lab.agent.channel import PAYLOAD_SIZE, DataChannel
from ssm_ssh.lab.agent.mux import PACE, Dial, MuxSession
from ssm_ssh.lab.agent.port import OpenPort
from ssm_ssh.lab.agent.remote_host import Forbidden, Network, dial, resolve
from ssm_ssh.lab.agent.result import Result
from ssm_ssh.lab.wire import message as am

# Versions that the official programs compare with.
MUX_AGENT_ABOVE, MUX_CLIENT = (3, 0, 196, 0), (1, 1, 70, 0)
NO_KEEP_ALIVE_AGENT_ABOVE, NO_KEEP_ALIVE_CLIENT_ABOVE = (3, 1, 1511, 0), (1, 2, 331, 0)
REMOTE_HOST_AGENT = (3, 1, 1374, 0)
DENIED_LOOPBACK_AGENT = (3, 3, 4851, 0)


class ForwardPlugin:
    """One forward session. It is the data channel's handler; `run` ends when the session does."""

    one_by_one = False

    def __init__(self, cancelled: asyncio.Event, *, agent_version: str, pacing: bool) -> None:
        self._cancelled = cancelled
        self._version = _numbers(agent_version)
        self._pacing = pacing
        self._pending: list[tuple[int, bytes]] = []
        self._session: _MuxForward | _BasicForward | None = None

    def discard(self) -> None:
        """Discard all input from now on."""
        self._session = _Nothing()

    # As the channel's handler

    def accept(self, message: am.Message) -> bool:
        """Take a message; False while the session is not initialized."""
        if self._session is None:
            return False
        if message.payload_type == am.P_FLAG:
            flag = int.from_bytes(message.payload[:4], "big")
            if flag == am.TERMINATE_SESSION:
                self._cancelled.set()
            self._pending.append((flag, b""))
        elif message.payload_type == am.P_OUTPUT:
            self._pending.append((0, message.payload))
        return True

    async def flush(self) -> None:
        """Hand over what was accepted. Raises OSError when it cannot be written."""
        pending, self._pending = self._pending, []
        if self._session is not None and pending:
            await self._session.take(pending)

    # As the session's task

    async def run(
        self,
        channel: DataChannel,
        properties: Mapping[str, Any],
        *,
        client_version: str,
        instance_id: str,
        open_port: OpenPort,
        network: Network,
    ) -> Result:
        """Serve until the session ends."""
        port = str(properties.get("portNumber") or "")
        if not port:
            return Result("Failed", f"Port number is empty in session properties. {dict(properties)}")
        host = str(properties.get("host") or "") if self._version >= REMOTE_HOST_AGENT else ""
        addresses: list[str] = []
        if host:
            try:
                denies_loopback = self._version >= DENIED_LOOPBACK_AGENT
                addresses = await resolve(network, instance_id, host, denies_loopback=denies_loopback)
            except Forbidden as error:
                return Result("Failed", str(error))

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            if not host:
                return await open_port(instance_id, int(port))
            return await dial(network, instance_id, addresses, int(port))

        client = _numbers(client_version)
        forward: _MuxForward | _BasicForward
        if self._version > MUX_AGENT_ABOVE and client >= MUX_CLIENT:
            quiet = self._version > NO_KEEP_ALIVE_AGENT_ABOVE and client > NO_KEEP_ALIVE_CLIENT_ABOVE
            forward = _MuxForward(MuxSession(channel, connect, pacing=self._pacing, keep_alive=not quiet))
        else:
            forward = _BasicForward(channel, connect)
            try:
                await forward.connect()
            except OSError as error:
                return Result("Failed", f"Unable to connect to specified port: {error}")
        self._session = forward
        running = asyncio.ensure_future(forward.run())
        cancelled = asyncio.ensure_future(self._cancelled.wait())
        try:
            await asyncio.wait((running, cancelled), return_when=asyncio.FIRST_COMPLETED)
            return Result("Success" if cancelled.done() else "Failed")
        finally:
            for task in (running, cancelled):
                task.cancel()
            await asyncio.gather(running, cancelled, return_exceptions=True)


class _MuxForward:
    def __init__(self, session: MuxSession) -> None:
        self._session = session

    async def take(self, messages: list[tuple[int, bytes]]) -> None:
        self._session.feed(b"".join(payload for _, payload in messages))
        await self._session.drained()

    async def run(self) -> None:
        await self._session.run()


class _BasicForward:
    """One connection, which a message after its end opens again."""

    def __init__(self, channel: DataChannel, dial: Dial) -> None:
        self._channel = channel
        self._dial = dial
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._reconnect = False
        self._reconnected: asyncio.Future[bool]

    async def connect(self) -> None:
        """Connect to the server. Raises OSError."""
        self._reader, self._writer = await self._dial()

    async def take(self, messages: list[tuple[int, bytes]]) -> None:
        for flag, payload in messages:
            if flag == am.DISCONNECT_TO_PORT:
                self._writer.close()
            elif not flag:
                if self._reconnect:
                    try:
                        await self.connect()
                    except OSError:
                        self._reconnected.set_result(False)
                        raise
                    self._reconnect = False
                    self._reconnected.set_result(True)
                if self._writer.is_closing():
                    raise ConnectionResetError
                self._writer.write(payload)
                await self._writer.drain()

    async def run(self) -> None:
        try:
            while True:
                await self._channel.active.wait()
                try:
                    data = await self._reader.read(PAYLOAD_SIZE)
                except OSError:
                    data = b""
                if data:
                    self._channel.send_stream(am.P_OUTPUT, [data])
                    await asyncio.sleep(PACE)
                    continue
                self._writer.close()
                self._reconnected = asyncio.get_running_loop().create_future()
                self._reconnect = True
                if not await self._reconnected:
                    return
        finally:
            with contextlib.suppress(OSError, RuntimeError):
                self._writer.close()


class _Nothing(_MuxForward):
    """Takes everything and does nothing."""

    def __init__(self) -> None:
        pass

    async def take(self, messages: list[tuple[int, bytes]]) -> None:
        """Drop `messages`."""


def _numbers(version: str) -> tuple[int, ...]:
    return (*(int(part) if part.isdigit() else 0 for part in version.split(".")), 0, 0, 0, 0)[:4]
