"""The client's data channel against the lab's gateway and agent, through everything that may go wrong."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from ssm_ssh.channel.events import Closed, Established, Output
from ssm_ssh.channel.session import Channel
from ssm_ssh.lab.wire import message as am
from tests.lab.dataplane import BANNER, World, asynchronous


class Driver:
    """Carries `data` up through a Channel on real sockets, resuming whenever the connection breaks."""

    def __init__(self, world: World, session_id: str, data: bytes) -> None:
        self.world = world
        self.session_id = session_id
        self.channel = Channel(client_id=am.new_id(), epoch=time.time() - time.monotonic())
        self.output = bytearray()
        self.closed: str | None = None
        self.connections = 0
        self._left = data
        self._wake = asyncio.Event()

    async def run(self, token: str | None) -> None:
        """Run until the session is closed, or cannot be resumed."""
        while token is not None and self.closed is None:
            with contextlib.suppress(ConnectionClosed, OSError):
                await self._connection(token)
            self.channel.disconnected(time.monotonic())
            token = self.world.gateway.resume_session(self.session_id)

    async def _connection(self, token: str) -> None:
        url = self.world.gateway.stream_url(self.session_id).partition("&")[0]
        headers = self.world.headers(url, self.world.people["admin"])
        options: dict[str, Any] = {"compression": None, "ping_interval": None, "max_queue": None, "proxy": None}
        async with connect(url, additional_headers=headers, ssl=self.world.client_tls, **options) as socket:
            self.connections += 1
            await socket.send(self.channel.open_message(token))
            self.channel.connected(time.monotonic())
            receiving = asyncio.create_task(self._receive(socket))
            try:
                while self.closed is None and not receiving.done():
                    await self._send(socket)
            finally:
                receiving.cancel()
                await asyncio.gather(receiving, return_exceptions=True)

    async def _receive(self, socket: ClientConnection) -> None:
        try:
            while self.closed is None:
                frame = await socket.recv()
                assert isinstance(frame, bytes)
                for event in self.channel.receive(frame, time.monotonic()):
                    if isinstance(event, Output):
                        self.output += event.data
                    elif isinstance(event, Closed):
                        self.closed = event.reason
                self._wake.set()
        finally:
            self._wake.set()

    async def _send(self, socket: ClientConnection) -> None:
        now = time.monotonic()
        room = self.channel.room()
        if room and self._left and self.channel.established:
            self.channel.send(self._left[:room], now)
            self._left = self._left[room:]
        frames = self.channel.frames(now, 65536)
        for frame in frames:
            await socket.send(frame)
        if frames:
            await asyncio.sleep(0)
            return
        timer = self.channel.timer()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._wake.wait(), None if timer is None else max(0.0, timer - now))
        self._wake.clear()


FAULTS: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "none": (),
    "loss": (("lose", {"probability": 0.02}),),
    "lost acknowledgements": (("lose_acks", {"probability": 0.2}),),
    "doubles": (("double", {"probability": 0.2}),),
    "disorder": (("reorder", {"probability": 0.1, "distance": 3}),),
    "delay": (("delay", {"seconds": 0.02, "jitter": 0.02}),),
    "a slow line": (("limit", {"bytes_per_second": 400_000}),),
    "cuts of the client": (("cut", {"every": 30_000, "direction": "up"}),),
    "cuts of the client on the way down": (("cut", {"every": 30_000, "direction": "down", "mid_frame": True}),),
    "cuts of the agent": (("cut", {"side": "agent", "after": 20_000, "how": "eof"}),),
    "byes": (("cut", {"side": "both", "every": 40_000, "how": "bye"}),),
    "a lost handshake": tuple(("lose", {"payload_type": kind, "count": 1}) for kind in (5, 6, 7)),
    "a cut in the handshake": (("cut", {"when": "handshake", "payload_type": 7}),),
    "everything": (
        ("lose", {"probability": 0.01}),
        ("double", {"probability": 0.05}),
        ("reorder", {"probability": 0.05}),
        ("cut", {"every": 50_000}),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
@asynchronous
async def test_a_stream_arrives_whole(name: str) -> None:
    async with World() as world:
        for fault, values in FAULTS[name]:
            world.faults.fault(fault, **values)
        # The agent repeats one message every 100 ms, so whatever a cut takes with it comes back slowly.
        cuts = any(fault == "cut" for fault, _ in FAULTS[name])
        data = random.Random(1).randbytes(20_000 if cuts else 200_000)
        order = world.order()
        driver = Driver(world, order.session_id, data)
        token = world.gateway.open_session(order)
        running = asyncio.create_task(driver.run(token))
        await world.until(lambda: len(driver.output) >= len(BANNER) + len(data) or running.done())
        assert bytes(world.port.received) == data
        assert bytes(driver.output) == BANNER + data
        world.faults.clear()
        await world.until(lambda: driver.channel.drained or running.done())
        world.gateway.terminate_session(order.session_id)
        await running
        assert driver.closed is not None


@asynchronous
async def test_the_end_by_the_flag() -> None:
    async with World() as world:
        order = world.order()
        driver = Driver(world, order.session_id, b"x")
        running = asyncio.create_task(driver.run(world.gateway.open_session(order)))
        await world.until(lambda: len(driver.output) == len(BANNER) + 1)
        driver.channel.terminate(time.monotonic())
        driver._wake.set()
        await running
        view = world.gateway.session(order.session_id)
        assert view is not None
        assert (view.status, view.ended_by) == ("Terminated", "flag")


@asynchronous
async def test_the_agents_version_is_known() -> None:
    async with World() as world:
        order = world.order()
        driver = Driver(world, order.session_id, b"")
        running = asyncio.create_task(driver.run(world.gateway.open_session(order)))
        await world.until(lambda: driver.channel.established)
        assert driver.channel.agent_version == world.agent.options.version
        assert Established(driver.channel.agent_version)
        world.gateway.terminate_session(order.session_id)
        await running
