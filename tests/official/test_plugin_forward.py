"""The official CLI and plugin forward ports, against the lab's agent and against AWS's session code behind the lab."""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest

from ssm_ssh.lab import Lab
from tests.e2e.forwards import Server, echo, exchanged, greets_and_closes
from tests.official.test_plugin import Session, _preferences, lab, proxy, session  # noqa: F401 -- fixtures

pytestmark = [pytest.mark.long, pytest.mark.needs("aws")]
PORT = 7000
DOCUMENT = "AWS-StartPortForwardingSession"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def connect(port: int) -> socket.socket:
    """The plugin says that it waits for connections a moment before it does."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=60)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_twenty_connections_at_once(lab: Lab, session: Session) -> None:  # noqa: F811
    port = free_port()
    with Server(echo) as server:
        lab.map_port(lab.instances[0].instance_id, PORT, server.port)
        with session.start(DOCUMENT, portNumber=str(PORT), localPortNumber=str(port)) as terminal:
            terminal.expect("Waiting for connections")
            results: list[bool] = []

            def run() -> None:
                with connect(port) as connection:
                    results.append(exchanged(connection, os.urandom(50_000)))

            threads = [threading.Thread(target=run) for _ in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(120)
            assert results == [True] * 20
            terminal.type("\x03")
            terminal.end()
        server.shutdown()


def test_a_server_that_closes_ends_its_connection_with_all_its_bytes(lab: Lab, session: Session) -> None:  # noqa: F811
    port = free_port()
    with Server(greets_and_closes) as server:
        lab.map_port(lab.instances[0].instance_id, PORT, server.port)
        with session.start(DOCUMENT, portNumber=str(PORT), localPortNumber=str(port)) as terminal:
            terminal.expect("Waiting for connections")
            for _ in range(3):
                with connect(port) as connection:
                    received = b""
                    while data := connection.recv(100):
                        received += data
                    assert received == b"220 hello\r\n"
            terminal.type("\x03")
            terminal.end()
        server.shutdown()
