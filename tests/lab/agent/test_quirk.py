"""A half-dead agent and a gateway that lives: what a client then meets."""

from __future__ import annotations

import asyncio

import pytest
from websockets.exceptions import ConnectionClosed

from ssm_ssh.lab.agent.quirk import FAR_AHEAD
from ssm_ssh.lab.wire import message as am
from ssm_ssh.lab.wire.rpc import CallFailed
from tests.lab.dataplane import RawClient, World, asynchronous


async def nothing(client: RawClient, *kinds: bytes, seconds: float = 0.4) -> None:
    """Nothing of these kinds comes, while the gateway answers pings."""
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(client.message(*kinds), seconds)
    await asyncio.wait_for(await client.socket.ping(), 10)


async def never_acknowledged(client: RawClient, number: int, seconds: float = 0.4) -> None:
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(client.acked(number), seconds)
    await asyncio.wait_for(await client.socket.ping(), 10)


@asynchronous
async def test_an_agent_that_lives_without_a_handshake() -> None:
    async with World() as world:
        world.agent.quirk.set("no_handshake")
        client = await world.session()
        await nothing(client, am.OUTPUT)
        world.gateway.terminate_session(client.session_id)
        await client.closed()


@asynchronous
async def test_an_agent_that_begins_with_a_high_sequence_number() -> None:
    async with World() as world:
        world.agent.quirk.set("far_ahead")
        client = await world.session()
        assert (await client.stream()).sequence == FAR_AHEAD


@asynchronous
async def test_an_agent_that_acknowledges_without_a_banner() -> None:
    async with World() as world:
        world.agent.quirk.set("no_banner")
        client = await world.session()
        await client.handshake()
        await client.acked(await client.send(b"x"))
        await nothing(client, am.OUTPUT)
        assert not world.port.connections


@asynchronous
async def test_an_agent_that_sends_empty_messages() -> None:
    async with World() as world:
        world.agent.quirk.set("empty")
        client = await world.session()
        await client.handshake()
        for _ in range(2):
            message = await client.in_order()
            assert (message.payload_type, message.payload) == (am.P_OUTPUT, b"")


@asynchronous
async def test_an_agent_that_says_nothing_after_the_handshake() -> None:
    async with World() as world:
        world.agent.quirk.set("mute")
        client = await world.session()
        await client.handshake()
        await never_acknowledged(client, await client.send(b"x"))


@asynchronous
async def test_an_agent_that_stops_acknowledging() -> None:
    async with World() as world:
        client = await world.ready()
        world.agent.quirk.set("no_acks")
        number = await client.send(b"x")
        assert await client.output(1) == b"x"
        await never_acknowledged(client, number)


@asynchronous
async def test_an_agent_that_hangs_under_an_open_session() -> None:
    async with World() as world:
        client = await world.ready()
        world.agent.quirk.set("hung")
        await never_acknowledged(client, await client.send(b"x"))
        assert not world.port.received


def test_an_unknown_quirk_is_refused() -> None:
    async def run() -> None:
        async with World() as world:
            with pytest.raises(CallFailed):
                world.agent.quirk.set("moody")

    asyncio.run(run())


@asynchronous
async def test_a_message_that_is_begun_and_never_finished() -> None:
    async with World() as world:
        client = await world.ready()
        world.faults.fault("unfinished", count=1)
        await never_acknowledged(client, await client.send(b"x"))
        world.gateway.faults.clear()
        old = client.socket
        await client.resume()
        with pytest.raises(ConnectionClosed):
            await old.recv()
        assert await client.output(1) == b"x"
