"""Whether the other end of a local connection is gone, or has only ended its sending side."""

from __future__ import annotations

import socket
import sys
import time

import pytest

from ssm_ssh.forward.peers import peer_is_gone


def pair(host: str) -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        client = socket.create_connection(server.getsockname()[:2])
        return client, server.accept()[0]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_closed_program_is_told_from_one_that_waits_for_an_answer(host: str) -> None:
    client, ours = pair(host)
    with ours:
        assert not peer_is_gone(ours)
        client.shutdown(socket.SHUT_WR)
        assert ours.recv(1) == b""
        assert not peer_is_gone(ours)
        client.close()
        until = time.monotonic() + 10
        while not peer_is_gone(ours):
            assert time.monotonic() < until


def test_unix_sockets_tell_it_themselves() -> None:
    client, ours = socket.socketpair()
    with ours:
        client.shutdown(socket.SHUT_WR)
        assert not peer_is_gone(ours)
        client.close()
        assert peer_is_gone(ours)


def test_an_end_that_is_unknown_counts_as_there() -> None:
    with socket.socket() as unconnected:
        assert not peer_is_gone(unconnected)
