"""Forwards that carry much, for long, or while the network and the agent fail."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
import time
from pathlib import Path

import pytest

from ssm_ssh.lab import Lab, LabOptions
from tests.e2e.forwards import (
    CLOSED,
    COMMAND,
    OTHER,
    PORT,
    Forward,
    Server,
    all_exchanged,
    echo,
    exchanged,
    served,
)
from tests.e2e.world import LIMIT, Running, World, until

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


def test_a_server_that_reads_nothing_is_named_and_holds_up_its_own_session(world: World) -> None:
    gate = threading.Event()

    def reads_late(connection: socket.socket) -> None:
        if connection.recv(1) == b"s":
            gate.wait(LIMIT)
            while connection.recv(1 << 20):
                pass
        else:
            connection.sendall(b"!")
            echo(connection)

    with served(world, reads_late):
        forward = Forward(world)
        with forward.connect() as stalled:
            stalled.settimeout(1.0)
            stalled.sendall(b"s")
            with pytest.raises(TimeoutError):
                stalled.sendall(bytes(100_000_000))
            with forward.connect() as other:
                other.sendall(b"e")
                assert other.recv(1) == b"!"
                assert exchanged(other, os.urandom(100_000))
            noticed = forward.running.stderr.readline()
            assert b"the server has read nothing for" in noticed
            assert str(stalled.getsockname()[1]).encode() in noticed
        gate.set()


def test_a_dial_that_hangs_makes_no_other_connection_wait(world: World) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        queued = [socket.socket() for _ in range(4)]
        for connection in queued:  # the kernel drops what comes behind them
            connection.setblocking(False)
            connection.connect_ex(address)
        world.lab.map_port(world.web.instance_id, CLOSED, address[1])
        with served(world, echo):
            forward = Forward(world, specs=(f"0:localhost:{CLOSED}", f"0:localhost:{PORT}"))
            with forward.connect() as hanging, forward.connect(1) as good:
                hanging.sendall(b"x")
                assert exchanged(good, b"hello")
            world.lab.map_port(world.web.instance_id, CLOSED, 1)
            until(lambda: _refused(forward), "an answer in another session", LIMIT)
        for connection in queued:
            connection.close()
        world.lab.map_port(world.web.instance_id, CLOSED, 1)


def _refused(forward: Forward) -> bool:
    with forward.connect() as connection:
        connection.settimeout(3)
        try:
            connection.recv(1)
        except ConnectionResetError:
            return True
        except TimeoutError:
            pass
    return False


@pytest.mark.parametrize("how", ["reset", "eof", "bye"])
def test_connections_live_through_a_cut_while_they_are_idle(world: World, how: str) -> None:
    with served(world, echo):
        forward = Forward(world)
        with forward.connect() as connection:
            assert exchanged(connection, b"before")
            world.lab.fault("cut", how=how, side="client")
            assert exchanged(connection, b"after")
        world.lab.clear_faults()


def test_an_idle_forward_says_why_its_session_ended_and_works_again() -> None:
    options = LabOptions(instances=1, pacing=False, idle_timeout=3.0)
    with (
        tempfile.TemporaryDirectory(prefix="idle-") as base,
        Lab(options, base=Path(base)) as lab,
        Server(echo) as server,
    ):
        instance = lab.instances[0]
        lab.map_port(instance.instance_id, PORT, server.port)
        forward = Running((*COMMAND, "--json", instance.instance_id, f"0:{PORT}"), lab.env)
        address = "127.0.0.1", json.loads(forward.stdout.readline())["port"]
        with socket.create_connection(address, timeout=LIMIT) as connection:
            assert exchanged(connection, b"before")
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
        with socket.create_connection(address, timeout=LIMIT) as connection:
            assert exchanged(connection, b"after")
        forward.interrupt()
        done = forward.finish()
        server.shutdown()
    assert done.status == 0
    assert "the idle limit ended the session" in done.stderr
    assert done.stderr.count("starts another session") == 1
