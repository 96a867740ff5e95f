"""Forwards by an agent from before smux: one connection at a time in each session."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.lab import InstanceOptions, Lab, LabOptions
from tests.e2e.forwards import COMMAND, PORT, Server, exchanged
from tests.e2e.world import LIMIT, Running


def greets(connection: socket.socket) -> None:
    """Say hello, then echo."""
    connection.sendall(b"hello\n")
    while data := connection.recv(65536):
        connection.sendall(data)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    old = InstanceOptions(name="old", agent_version="3.0.196.0")
    with (
        tempfile.TemporaryDirectory(prefix="old-") as base,
        Lab(LabOptions(instances=(old,), pacing=False), base=Path(base)) as lab,
    ):
        yield lab


def test_connections_follow_each_other_and_are_spread_over_sessions(lab: Lab) -> None:
    instance = lab.instances[0]
    with Server(greets) as server:
        lab.map_port(instance.instance_id, PORT, server.port)
        forward = Running((*COMMAND, instance.instance_id, f"0:{PORT}", "--sessions", "2"), lab.env)
        port = int(forward.stdout.readline().split()[1].rpartition(b":")[2])  # type: ignore[attr-defined]
        for number in range(3):
            with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as connection:
                assert connection.recv(6) == b"hello\n", number
                assert exchanged(connection, b"x" * 5000)
        with (
            socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as first,
            socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as second,
        ):
            assert (first.recv(6), second.recv(6)) == (b"hello\n", b"hello\n")
            assert exchanged(first, b"one")
            assert exchanged(second, b"two")
        forward.interrupt()
        done = forward.finish()
        server.shutdown()
    assert done.status == 0
    assert "it carries one connection at a time in a session" in done.stderr


def test_a_port_that_nothing_listens_on_is_told_before_it_is_ready(lab: Lab) -> None:
    done = Running((*COMMAND, lab.instances[0].instance_id, "0:7009"), lab.env).finish()
    assert done.status == 1
    assert "Unable to connect to specified port" in done.stderr


def test_it_cannot_reach_other_hosts(lab: Lab) -> None:
    done = Running((*COMMAND, lab.instances[0].instance_id, "0:db.internal:5432"), lab.env).finish()
    assert done.status == 1
    assert "cannot forward to other hosts" in done.stderr
