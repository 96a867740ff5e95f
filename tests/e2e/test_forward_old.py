"""Forwards by an agent from before smux: one connection at a time in each session."""

from __future__ import annotations

import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ssm_ssh.lab import InstanceOptions, Lab, LabOptions
from tests.e2e.forwards import COMMAND, PORT, Server, exchanged
from tests.e2e.world import LIMIT, Running, until


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


@contextmanager
def mapped(lab: Lab, server: Server) -> Iterator[None]:
    """Let the server listen on PORT of the instance."""
    lab.map_port(lab.instances[0].instance_id, PORT, server.port)
    yield
    server.shutdown()


def test_connections_follow_each_other_and_are_spread_over_sessions(lab: Lab) -> None:
    instance = lab.instances[0]
    command = (*COMMAND, instance.instance_id, f"0:{PORT}", "--sessions", "2")
    with Server(greets) as server, mapped(lab, server), closing(Running(command, lab.env)) as forward:
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


def test_renewed_credentials_are_read_when_the_next_session_starts(lab: Lab, tmp_path: Path) -> None:
    instance = lab.instances[0]
    env = {name: value for name, value in lab.env.items() if name not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    credentials = tmp_path / "credentials"
    good = "\n".join(
        ("[default]", *(f"{name.lower()} = {lab.env[name]}" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")))
    )
    credentials.write_text(good)
    command, env = (
        (*COMMAND, instance.instance_id, f"0:{PORT}"),
        {**env, "AWS_SHARED_CREDENTIALS_FILE": str(credentials)},
    )
    with Server(greets) as server, mapped(lab, server), closing(Running(command, env)) as forward:
        port = int(forward.stdout.readline().split()[1].rpartition(b":")[2])  # type: ignore[attr-defined]
        credentials.write_text(good.replace(lab.env["AWS_SECRET_ACCESS_KEY"], "expired"))
        for session in lab.sessions():
            if session["Status"] == "Connected":
                Running((sys.executable, "-c", _TERMINATE, session["SessionId"]), lab.env).finish()
        until(lambda: not _greeted(port), "the denial of another session")
        credentials.write_text(good)
        # A program that gives up leaves a connection behind, for which a busy machine starts a session too.
        until(lambda: _greeted(port, 30), "a session with the renewed credentials")
        forward.interrupt()
        assert forward.finish().status == 0


_TERMINATE = "import boto3, sys; boto3.client('ssm').terminate_session(SessionId=sys.argv[1])"


def _greeted(port: int, patience: float = 5) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        try:
            return connection.recv(6) == b"hello\n"
        except OSError:
            return False
