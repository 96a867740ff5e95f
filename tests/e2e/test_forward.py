"""Ports of an instance here: `ssm-ssh forward` as programs use it, against the lab's agent."""

from __future__ import annotations

import json
import socket
import sys
import threading
from pathlib import Path

import pytest

from tests.e2e.forwards import (
    CLOSED,
    COMMAND,
    PORT,
    Forward,
    active,
    all_exchanged,
    answers_at_end,
    echo,
    everything,
    exchanged,
    greets_and_closes,
    served,
)
from tests.e2e.world import LIMIT, World


def test_a_port_of_the_instance_is_here_on_both_loopback_addresses(world: World) -> None:
    with served(world, echo):
        forward = Forward(world)
        assert forward.ready[0]["addresses"] == [f"127.0.0.1:{forward.port}", f"[::1]:{forward.port}"]
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, forward.port), timeout=LIMIT) as connection:
                assert exchanged(connection, b"hello")
        forward.running.interrupt()
        done = forward.running.finish()
        assert (done.status, done.stderr) == (0, "")


def test_many_connections_at_once_pass_their_own_bytes(world: World) -> None:
    with served(world, echo):
        forward = Forward(world)
        assert all_exchanged(forward, 20, 100_000)
        assert 1 < len({entry["SessionId"] for entry in active(world)}) <= 4


def test_the_end_of_the_server_comes_with_all_its_bytes(world: World) -> None:
    with served(world, greets_and_closes):
        forward = Forward(world)
        for _ in range(2):
            with forward.connect() as connection:
                assert everything(connection) == b"220 hello\r\n"


def test_a_half_close_is_held_until_the_notice(world: World) -> None:
    with served(world, answers_at_end):
        forward = Forward(world, "--half-close-wait", "0.5")
        with forward.connect() as connection:
            connection.sendall(b"question")
            connection.shutdown(socket.SHUT_WR)
            assert everything(connection) == b""  # the agent cannot convey it: the answer is lost
        forward.running.interrupt()
        assert "cannot convey a half-close" in forward.running.finish().stderr


def test_ports_without_a_target_ask_for_one(world: World) -> None:
    for word in ("8080", "8080:80", "0:db.internal:5432"):
        done = world.run(*COMMAND, word, expect=2)
        assert done.stderr.startswith("ssm-ssh: no TARGET is given, and there is no terminal")


def test_a_wait_that_is_no_number_is_one_line(world: World) -> None:
    for words in (("--half-close-wait", "soon"), ("--half-close-wait", "-1")):
        done = world.run(*COMMAND, world.web.instance_id, f"0:{PORT}", *words, expect=2)
        assert done.stderr.startswith(f"ssm-ssh: half_close_wait is '{words[1]}' by --half-close-wait")


def test_a_program_that_closes_for_good_is_not_waited_for(world: World) -> None:
    ended = threading.Event()

    def waits(connection: socket.socket) -> None:
        connection.recv(100)
        while connection.recv(100):
            pass
        ended.set()

    with served(world, waits):
        forward = Forward(world, "--half-close-wait", "600")
        with forward.connect() as connection:
            connection.sendall(b"x")
        assert ended.wait(LIMIT)
        forward.running.interrupt()
        assert forward.running.finish().stderr == ""


def test_a_refused_port_resets_its_own_connection_only(world: World) -> None:
    with served(world, echo):
        forward = Forward(world, specs=(f"0:localhost:{PORT}", f"0:localhost:{CLOSED}"))
        with forward.connect() as good:
            with pytest.raises(ConnectionResetError), forward.connect(1) as bad:
                bad.recv(1)
            assert exchanged(good, b"still here")
        forward.running.interrupt()
        assert f"could not connect to localhost:{CLOSED}" in forward.running.finish().stderr


@pytest.mark.parametrize("host", ["169.254.169.254", "10.0.0.2"])
def test_a_forbidden_address_fails_with_the_agents_words(world: World, host: str) -> None:
    done = world.run(*COMMAND, world.web.instance_id, "-L", f"0:{host}:80", expect=1)
    assert f"Forwarding to IP address {host} is forbidden." in done.stderr
    assert done.stdout == b""


def test_a_name_that_does_not_exist_is_the_instances_answer(world: World) -> None:
    done = world.run(*COMMAND, world.web.instance_id, "-L", "0:no-such-host.invalid:80", expect=1)
    assert f"{world.web.instance_id} answers: lookup no-such-host.invalid" in done.stderr
    assert "no such host. Check HOST" in done.stderr
    assert done.stdout == b""


def test_a_session_that_is_over_is_replaced_under_the_same_port(world: World) -> None:
    with served(world, echo):
        forward = Forward(world)
        with forward.connect() as connection:
            assert exchanged(connection, b"before")
            (session,) = active(world)
            world.run(sys.executable, "-c", _TERMINATE, str(session["SessionId"]))
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
        with forward.connect() as connection:
            assert exchanged(connection, b"after")
        forward.running.interrupt()
        assert "starts another session" in forward.running.finish().stderr


def test_a_command_runs_while_the_forward_stands(world: World) -> None:
    with served(world, echo):
        script = (
            "import os, socket, sys\n"
            "address = os.environ['SSM_SSH_FORWARD_HOST'], int(os.environ['SSM_SSH_FORWARD_PORT'])\n"
            "connection = socket.create_connection(address)\n"
            "connection.sendall(b'ping')\n"
            "print(connection.recv(4).decode())\n"
            "sys.exit(7)\n"
        )
        done = world.run(
            *COMMAND, world.web.instance_id, "-L", f"0:localhost:{PORT}", "--", sys.executable, "-c", script, expect=7
        )
        assert done.stdout == b"ping\n"
        assert done.stderr.startswith("forwarding 127.0.0.1:")


def test_a_command_that_does_not_exist_is_one_line(world: World) -> None:
    done = world.run(*COMMAND, world.web.instance_id, f"0:{PORT}", "--", "/no/such/program", expect=1)
    assert done.stderr.splitlines()[-1].startswith("ssm-ssh: /no/such/program cannot be run")


def test_the_background_is_listed_and_stopped(world: World) -> None:
    with served(world, echo):
        started = world.run(*COMMAND, "-f", "--json", world.web.instance_id, f"0:{PORT}")
        port = json.loads(started.stdout)["port"]
        assert str(port) in world.run(*COMMAND, "--list").text
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as connection:
            assert exchanged(connection, b"hello")
        assert "stopped" in world.run(*COMMAND, "--stop", str(port)).text
        assert "No forward runs" in world.run(*COMMAND, "--list").text
        assert world.run(*COMMAND, "--stop", str(port), expect=1).stderr.count("\n") == 1


def test_the_background_fails_if_it_never_was_ready(world: World) -> None:
    done = world.run(*COMMAND, "-f", world.off.instance_id, f"0:{PORT}", expect=1)
    assert world.off.instance_id in done.stderr
    assert "No forward runs" in world.run(*COMMAND, "--list").text


def test_a_unix_socket_is_private_and_removed(world: World, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with served(world, echo):
        forward = Forward(world, specs=(f"{path}:{PORT}",))
        assert path.stat().st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            assert exchanged(connection, b"hello")
        forward.running.interrupt()
        forward.running.finish()
        assert not path.exists()


def test_a_port_in_use_is_one_line(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = world.run(*COMMAND, world.web.instance_id, f"{port}:{PORT}", expect=1)
    assert done.stderr.splitlines() == [
        f"ssm-ssh: port {port} is in use on this computer. Use another one, or any: -L 0:localhost:{PORT}"
    ]


@pytest.mark.parametrize(("option", "value", "word"), [("-R", "80:x:80", "ssh -R"), ("-D", "1080", "ssh -D")])
def test_other_forwards_are_sshs(world: World, option: str, value: str, word: str) -> None:
    done = world.run(*COMMAND, world.web.instance_id, option, value, expect=2)
    assert word in done.stderr
    assert done.stderr.count("\n") == 1


_TERMINATE = """
import sys
import boto3
boto3.client("ssm").terminate_session(SessionId=sys.argv[1])
"""
