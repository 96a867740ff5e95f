"""Forwards as the lab's agent serves them, by hand: smux, old agents, and where they may lead."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest

from ssm_ssh.lab.agent import mux
from ssm_ssh.lab.agent.mux import MuxSession
from ssm_ssh.lab.api.documents import AWS_DOCUMENTS
from ssm_ssh.lab.wire import message as am
from ssm_ssh.lab.wire import smux
from tests.lab.dataplane import QUICK, RawClient, World, asynchronous

READY = replace(QUICK, ready_delay=0.0)
OWN, REMOTE = "AWS-StartPortForwardingSession", "AWS-StartPortForwardingSessionToRemoteHost"


class Client:
    """A smux client by hand."""

    def __init__(self, raw: RawClient) -> None:
        self.raw = raw
        self.received: dict[int, bytes] = defaultdict(bytes)
        self.ended: set[int] = set()
        self.flags: list[int] = []
        self._buffer = bytearray()

    async def send(self, command: int, stream: int, payload: bytes = b"") -> int:
        return await self.raw.send(smux.pack(command, stream, payload))

    async def until(self, condition: Any) -> None:  # noqa: ANN401
        while not condition():
            message = await self.raw.in_order()
            if message.payload_type == am.P_FLAG:
                self.flags.append(int.from_bytes(message.payload, "big"))
                continue
            self._buffer += message.payload
            while (frame := smux.unpack(self._buffer)) is not None:
                command, stream, payload = frame
                self.received[stream] += payload
                if command == smux.FIN:
                    self.ended.add(stream)


async def opened(world: World, document: str = OWN, **parameters: str) -> Client:
    given = {name: [value] for name, value in ({"portNumber": "5432"} | parameters).items()}
    raw = await world.session(document_name=document, document_content=AWS_DOCUMENTS[document], parameters=given)
    await raw.handshake()
    return Client(raw)


@asynchronous
async def test_several_connections_pass_bytes_both_ways() -> None:
    async with World(agent=READY) as world:
        client = await opened(world)
        await client.raw.send(smux.pack(smux.SYN, 3) + smux.pack(smux.PSH, 3, b"one") + smux.pack(smux.SYN, 5))
        await client.send(smux.PSH, 5, b"x" * 5000)
        await client.until(lambda: client.received[3].endswith(b"one") and len(client.received[5]) >= 5000)
        assert client.received == {3: world.port.banner + b"one", 5: world.port.banner + b"x" * 5000}


@asynchronous
async def test_the_end_of_either_side_ends_both_directions() -> None:
    async with World(agent=READY) as world:
        closed = asyncio.Event()

        async def answers_at_eof(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.write(b"the answer")
            closed.set()

        async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"bye")

        world.port.serve = answers_at_eof
        client = await opened(world)
        await client.send(smux.SYN, 3)
        await client.until(lambda: client.received[3])
        await client.send(smux.FIN, 3)
        await client.until(lambda: 3 in client.ended)
        await closed.wait()
        assert client.received[3] == world.port.banner  # the answer is lost
        world.port.serve = closes
        await client.send(smux.SYN, 5)
        await client.until(lambda: 5 in client.ended)
        assert client.received[5] == world.port.banner + b"bye"


@asynchronous
async def test_a_refused_port_is_told_without_a_stream_and_the_session_goes_on() -> None:
    async with World(agent=READY) as world:
        client = await opened(world)
        world.port.open = False
        await client.send(smux.SYN, 3)
        await client.until(lambda: 3 in client.ended)
        assert client.flags == [am.CONNECT_TO_PORT_ERROR]
        world.port.open = True
        await client.send(smux.SYN, 5)
        await client.until(lambda: client.received[5])


@asynchronous
async def test_dials_happen_one_after_another() -> None:
    async with World(agent=READY) as world:
        client = await opened(world)
        world.port.gate.clear()
        await client.send(smux.SYN, 3)
        await client.send(smux.SYN, 5)
        await asyncio.sleep(0.05)
        assert world.port.connections == 0
        world.port.gate.set()
        await client.until(lambda: client.received[3] and client.received[5])


@asynchronous
async def test_a_host_is_resolved_once_and_an_unknown_one_ends_the_session() -> None:
    async with World(agent=READY) as world:
        client = await opened(world, REMOTE, host="db.internal")
        for stream in (3, 5):
            await client.send(smux.SYN, stream)
        await client.until(lambda: client.received[3] and client.received[5])
        assert world.resolved == ["db.internal"]
        client = await opened(world, REMOTE, host="db.invalid")
        _, messages = await client.raw.closed()
        assert "lookup db.invalid: no such host" in str(messages[-1].payload)


@pytest.mark.parametrize(
    ("host", "version", "forbidden"),
    [
        ("169.254.169.254", "3.3.1611.0", True),
        ("10.0.0.2", "3.3.1611.0", True),
        ("10.0.255.255", "3.3.1611.0", True),
        ("127.0.0.1", "3.3.1611.0", False),
        ("127.0.0.1", "3.3.4851.0", True),
        ("169.254.169.254", "3.1.1373.0", False),  # an agent that does not know hosts uses its own port
    ],
)
def test_forbidden_addresses_end_the_session(host: str, version: str, forbidden: bool) -> None:
    @asynchronous
    async def run() -> None:
        async with World(agent=replace(READY, version=version)) as world:
            client = await opened(world, REMOTE, host=host)
            if forbidden:
                _, messages = await client.raw.closed()
                assert f"Forwarding to IP address {host} is forbidden." in str(messages[-1].payload)
            else:
                await client.send(smux.SYN, 3)
                await client.until(lambda: client.received[3])

    run()


@asynchronous
async def test_what_is_not_smux_ends_the_session() -> None:
    async with World(agent=READY) as world:
        client = await opened(world)
        await client.raw.send(b"GET / HTTP/1.1\r\n\r\n")
        await client.raw.closed()


@asynchronous
async def test_an_old_agent_carries_one_connection_at_a_time() -> None:
    async with World(agent=replace(READY, version="3.0.196.0")) as world:
        client = await opened(world)
        assert await client.raw.output(len(world.port.banner)) == world.port.banner
        await client.raw.send(b"raw")
        assert await client.raw.output(3) == b"raw"
        await client.raw.send(am.DISCONNECT_TO_PORT.to_bytes(4, "big"), payload_type=am.P_FLAG)
        await asyncio.sleep(0.05)
        await client.raw.send(b"again")
        assert await client.raw.output(len(world.port.banner) + 5) == world.port.banner + b"again"
        assert world.port.connections == 2


@asynchronous
async def test_an_old_agent_ends_the_session_if_nothing_listens() -> None:
    async with World(agent=replace(READY, version="3.0.196.0")) as world:
        world.port.open = False
        client = await opened(world)
        _, messages = await client.raw.closed()
        assert "Unable to connect to specified port" in str(messages[-1].payload)


class StubChannel:
    def __init__(self) -> None:
        self.active = asyncio.Event()
        self.active.set()
        self.sent = bytearray()

    def send_stream(self, payload_type: int, payloads: list[bytes]) -> None:
        self.sent += b"".join(payloads)

    async def drain(self, most: int = 0) -> None:
        await asyncio.sleep(0)


class StubWriter:
    """A connection to a server that reads nothing, or everything."""

    def __init__(self, *, reads: bool) -> None:
        self.transport = self
        self.reads = reads
        self.written = b""

    def set_write_buffer_limits(self, *, high: int) -> None:
        assert high == 0

    def write(self, data: bytes) -> None:
        self.written += data

    async def drain(self) -> None:
        if not self.reads:
            await asyncio.Event().wait()

    def close(self) -> None:
        pass


@asynchronous
async def test_a_server_that_reads_nothing_stalls_the_whole_session() -> None:
    writers = [StubWriter(reads=False), StubWriter(reads=True)]
    used = iter(writers)

    async def dial() -> Any:  # noqa: ANN401
        return asyncio.StreamReader(), next(used)

    session = MuxSession(StubChannel(), dial, pacing=False, keep_alive=False)  # type: ignore[arg-type]
    running = asyncio.ensure_future(session.run())
    session.feed(smux.pack(smux.SYN, 3) + smux.pack(smux.SYN, 5))
    full = mux.RECEIVE_BUFFER // mux.MAX_FRAME + 1
    for _ in range(full):
        session.feed(smux.pack(smux.PSH, 3, bytes(mux.MAX_FRAME)))
        await asyncio.wait_for(session.drained(), 5)
    session.feed(smux.pack(smux.PSH, 5, b"innocent") + smux.pack(smux.PSH, 3, bytes(mux.SOCKET_BUFFER // 4)) * 5)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(session.drained(), 0.2)
    assert writers[1].written == b""
    running.cancel()
