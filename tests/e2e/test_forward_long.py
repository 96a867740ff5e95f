"""Forwards that carry much, for long, or while the network and the agent fail."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from tests.e2e.forwards import (
    OTHER,
    PORT,
    Forward,
    all_exchanged,
    echo,
    exchanged,
    served,
)
from tests.e2e.world import LIMIT, World, until

pytestmark = pytest.mark.long


def test_fifty_connections_with_a_megabyte_each_way(world: World) -> None:
    with served(world, echo):
        assert all_exchanged(Forward(world), 50, 1_000_000)


def test_cuts_of_the_network_lose_nothing(world: World) -> None:
    with served(world, echo):
        forward = Forward(world)
        world.lab.fault("cut", every=400_000, side="client", direction="both")
        try:
            assert all_exchanged(forward, 10, 500_000)
        finally:
            world.lab.clear_faults()


def test_a_stopped_reader_stalls_no_other_session_and_fills_no_memory(world: World) -> None:
    def pours(connection: socket.socket) -> None:
        for _ in range(400):
            connection.sendall(bytes(100_000))

    with served(world, pours), served(world, echo, OTHER):
        forward = Forward(world, "--sessions", "2", specs=(f"0:localhost:{PORT}", f"0:localhost:{OTHER}"))
        with forward.connect() as stopped:
            stopped.recv(1)
            until(lambda: _memory(forward) > 0 and _waits(forward), "the buffer to be full", LIMIT)
            with forward.connect(1) as other:
                assert exchanged(other, os.urandom(1_000_000))
            assert _memory(forward) < 80_000
            with forward.connect() as second:
                assert len(second.recv(1000)) > 0
            received = 1
            while data := stopped.recv(1 << 20):
                received += len(data)
            assert received == 40_000_000


def test_the_agents_restart_is_survived_under_the_same_port(world: World) -> None:
    with served(world, echo):
        forward = Forward(world)
        with forward.connect() as connection:
            assert exchanged(connection, b"before")
        world.lab.fault("kill_agent", instance_id=world.web.instance_id)
        world.lab.fault("start_agent", instance_id=world.web.instance_id)
        until(lambda: world.web.instance_id in world.lab.online(), "the agent", LIMIT)

        def works() -> bool:
            with forward.connect() as connection:
                connection.settimeout(5)
                try:
                    return exchanged(connection, b"after")
                except OSError:
                    return False

        until(works, "a connection after the restart", LIMIT)


def _memory(forward: Forward) -> int:
    """The resident memory of the forward, in kB."""
    status = Path(f"/proc/{forward.running.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def _waits(forward: Forward) -> bool:
    """Whether the forward has stopped growing."""
    before = _memory(forward)
    time.sleep(0.5)
    return _memory(forward) == before and before > 30_000
