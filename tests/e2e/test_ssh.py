# Over 350 lines: one lab serves every use of ssh.
"""The real ssh through the tunnel: statuses, streams, terminals, forwarding, jumps and shared connections."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import shlex
import socket
import struct
import subprocess
import sys
import termios
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.trees import give
from tests.e2e.world import (
    EchoServer,
    World,
    connect,
    converse,
    free_port,
    read_exactly,
    read_until,
    until,
    without_waiting,
)

pytestmark = pytest.mark.e2e

EVERY_BYTE = bytes(range(256))


# --- exit statuses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 1, 126, 127, 255])
def test_the_exit_status_is_that_of_the_command(world: World, status: int) -> None:
    world.ssh(f"exit {status}", expect=status)


def test_every_exit_status_comes_through_a_shared_connection(world: World) -> None:
    shared = world.master(world.web)
    world.ssh(*shared, "true")
    before = world.sessions(world.web)

    def status(number: int) -> int:
        command = ["ssh", "-n", *shared, world.web.destination, f"exit {number}"]
        return subprocess.run(command, env=world.env, timeout=60, capture_output=True).returncode

    with ThreadPoolExecutor(6) as pool:  # sshd's MaxSessions is 10
        assert list(pool.map(status, range(256))) == list(range(256))
    assert world.sessions(world.web) == before


def test_a_command_ended_by_a_signal_is_told_from_one_that_exits(world: World) -> None:
    world.ssh("kill -TERM $$", expect=255)
    world.ssh("sh -c 'kill -KILL $$'; exit $?", expect=128 + 9)


# --- streams ----------------------------------------------------------------------------------------------------------


def test_stdin_stdout_and_stderr_are_bytes_kept_apart(world: World) -> None:
    data = random.Random(1).randbytes(8 << 20) + EVERY_BYTE
    done = world.ssh("tee /dev/stderr | sha256sum >&2; printf 'o\\0k'", stdin=EVERY_BYTE)
    assert done.stdout == b"o\0k"
    done = world.ssh("cat", stdin=data)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()
    assert without_waiting(done.stderr) == ""


def test_bulk_arrives_whole_at_the_far_end(world: World) -> None:
    data = random.Random(2).randbytes(8 << 20)
    assert world.ssh("sha256sum", stdin=data).text.split()[0] == hashlib.sha256(data).hexdigest()
    done = world.ssh("head -c 8388608 /dev/zero | tr '\\0' '\\n'")
    assert done.stdout == b"\n" * (8 << 20)


def test_a_lone_newline_and_every_byte_come_back_one_by_one(world: World) -> None:
    ssh = world.start("ssh", world.web.destination, "cat")
    for value in (b"\n", *(bytes([number]) for number in range(256))):
        ssh.stdin.write(value)
        assert read_exactly(ssh.stdout, 1) == value
    assert ssh.finish().status == 0


def test_single_byte_writes_in_a_row_stay_in_order(world: World) -> None:
    ssh = world.start("ssh", world.web.destination, "cat")
    for number in range(4096):
        ssh.stdin.write(bytes([number % 256]))
    assert ssh.finish().stdout == EVERY_BYTE * 16


def test_without_stdin_a_command_ends_and_leaves_the_input_alone(world: World) -> None:
    script = f"ssh -n {world.web.destination} 'cat; echo done'; cat"
    assert world.run("sh", "-c", script, stdin=b"left\n").text == "done\nleft\n"


def test_a_stdin_that_never_ends_does_not_hold_the_end_of_the_command(world: World) -> None:
    ssh = world.start("ssh", world.web.destination, "echo said; exit 3")
    assert ssh.process.wait(60) == 3
    assert read_until(ssh.stdout, b"said\n") == b"said\n"


def test_compression_changes_no_byte(world: World) -> None:
    data = b"much of the same\n" * 65536 + random.Random(3).randbytes(1 << 20) + EVERY_BYTE
    done = world.ssh("-oCompression=yes", "cat", stdin=data)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


# --- users, ports, environment ----------------------------------------------------------------------------------------


def test_users_and_ports_are_those_that_ssh_was_given(world: World) -> None:
    assert world.run("ssh", "-l", "deploy", world.web.instance_id, "id -un; cd; pwd").text.split() == [
        "deploy",
        world.web.homes["deploy"],
    ]
    assert world.run("ssh", "-p", "2222", world.db.destination, "id -un").text == "ubuntu\n"


def test_a_managed_node_takes_a_key_that_is_there_already(world: World) -> None:
    # The first connection makes the key where there is none; EC2 Instance Connect does not know managed nodes.
    world.ssh("true")
    public = world.lab.folder / "home" / ".local" / "share" / "ssm-ssh" / "id_ed25519.pub"
    home = Path(world.edge.homes["admin"])
    keys = home / ".ssh" / "authorized_keys"
    keys.write_text(public.read_text())
    give(keys, home)
    assert world.run("ssh", world.edge.destination, "id -un").text == "admin\n"


def test_the_environment_goes_along(world: World) -> None:
    value = "a b\t'\"$HOME ü"
    done = world.run(
        "ssh", "-oSendEnv=LC_SENT", world.web.destination, 'printf %s "$LC_SENT"', env={**world.env, "LC_SENT": value}
    )
    assert done.text == value


# --- terminals --------------------------------------------------------------------------------------------------------

# Becomes ssh, with the terminal on its stdin as controlling terminal.
_IN_TERMINAL = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1],"
    " sys.argv[1:])"
)


class Terminal:
    """A program in a terminal of its own, and what would be its user's side."""

    def __init__(self, world: World, rows: int, columns: int, *command: str) -> None:
        self.master, slave = os.openpty()
        self.resize(rows, columns)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", _IN_TERMINAL, *command], stdin=slave, stdout=slave, stderr=slave, env=world.env
        )
        os.close(slave)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, data: bytes) -> None:
        os.write(self.master, data)

    def read_until(self, wanted: bytes) -> bytes:
        with os.fdopen(os.dup(self.master), "rb", buffering=0) as stream:
            return read_until(stream, wanted)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *args: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def test_a_terminal_has_a_size_that_can_change_and_ctrl_c_goes_to_the_command(world: World) -> None:
    command = (
        "tty >/dev/null && stty size; trap 'echo resized $(stty size)' WINCH; trap 'echo interrupted; exit 7' INT; "
        "echo ready; while :; do sleep 0.05; done"
    )
    with Terminal(world, 41, 123, "ssh", "-tt", world.web.destination, command) as terminal:
        assert b"41 123\r\n" in terminal.read_until(b"ready")
        terminal.resize(50, 100)
        terminal.read_until(b"resized 50 100")
        terminal.type(b"\x03")
        terminal.read_until(b"interrupted")
        assert terminal.process.wait(60) == 7


def test_a_login_shell_takes_what_is_typed(world: World) -> None:
    with Terminal(world, 24, 80, "ssh", world.web.destination) as terminal:
        terminal.type(b"echo $((6*7))-$TERM; exit 5\n")
        terminal.read_until(f"42-{world.env.get('TERM', 'dumb')}".encode())
        assert terminal.process.wait(60) == 5


def test_ctrl_c_without_a_remote_terminal_ends_ssh_and_its_session(world: World) -> None:
    before = set(world.sessions(world.web))
    ssh = world.start("ssh", world.web.destination, "echo ready; exec sleep 1000")
    read_until(ssh.stdout, b"ready\n")
    ssh.interrupt()
    assert ssh.finish().status in (-2, 130, 255)
    (session,) = set(world.sessions(world.web)) - before
    until(
        lambda: {one["SessionId"]: one["Status"] for one in world.lab.sessions()}[session] == "Terminated",
        "the end of the session",
        10,
    )


# --- forwarding -------------------------------------------------------------------------------------------------------

BULK = random.Random(4).randbytes(2 << 20) + b"\n"


def test_a_local_port_leads_to_the_instance(world: World) -> None:
    with EchoServer() as echo:
        port = free_port()
        world.start("ssh", "-N", f"-L{port}:127.0.0.1:{echo.port}", world.web.destination)
        for data in (b"\n", BULK):
            with connect(port) as sock:
                assert converse(sock, data) == data


def test_a_remote_port_leads_back_here(world: World) -> None:
    with EchoServer() as echo:
        ssh = world.start("ssh", "-N", f"-R127.0.0.1:0:127.0.0.1:{echo.port}", world.web.destination)
        words = read_until(ssh.stderr, b" for remote forward").decode().split()
        port = int(words[words.index("port") + 1])
        for data in (b"\n", BULK):
            with connect(port) as sock:
                assert converse(sock, data) == data


def _socks5(sock: socket.socket, host: str, port: int) -> None:
    """Ask a SOCKS 5 proxy (RFC 1928) for a connection."""
    sock.sendall(b"\x05\x01\x00")
    assert sock.recv(2, socket.MSG_WAITALL) == b"\x05\x00"
    name = host.encode()
    sock.sendall(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + struct.pack("!H", port))
    assert sock.recv(10, socket.MSG_WAITALL)[:4] == b"\x05\x00\x00\x01"


def test_a_dynamic_port_is_a_socks_proxy(world: World) -> None:
    with EchoServer() as echo:
        port = free_port()
        world.start("ssh", "-N", f"-D127.0.0.1:{port}", world.web.destination)
        for data in (b"\n", BULK):
            with connect(port) as sock:
                _socks5(sock, "127.0.0.1", echo.port)
                assert converse(sock, data) == data


def test_stdin_and_stdout_can_be_a_forwarded_port(world: World) -> None:
    with EchoServer() as echo:
        done = world.run("ssh", f"-W127.0.0.1:{echo.port}", world.web.destination, stdin=BULK)
    assert done.stdout == BULK


def test_an_instance_is_a_jump_host_to_another_machine(world: World) -> None:
    # The other machine is reached from the instance alone: sshd of `db` where it really listens. The embedded server
    # listens nowhere, and knows its neighbours by name.
    host, port = world.db.instance_id, "2222"
    if world.db.sshd == "system":
        host = "127.0.0.1"
        port = world.run("ssh", "-p2222", world.db.destination, "echo $SSH_CONNECTION").text.split()[3]
    data = random.Random(5).randbytes(1 << 20)
    done = world.run(
        "ssh",
        f"-J{world.web.destination}",
        f"-p{port}",
        f"-oHostKeyAlias=[{world.db.instance_id}]:2222",
        f"{world.db.users[0]}@{host}",
        "id -un; cat",
        stdin=data,
    )
    assert done.stdout == b"ubuntu\n" + data


# --- shared connections -----------------------------------------------------------------------------------------------


def test_several_commands_share_one_session(world: World) -> None:
    shared = world.master(world.web)
    before = len(world.sessions(world.web))
    for number in range(4):
        data = random.Random(number).randbytes(300_000)
        assert world.ssh(*shared, f"cat; exit {number}", stdin=data, expect=number).stdout == data
    assert len(world.sessions(world.web)) == before + 1


def test_commands_side_by_side_do_not_mix(world: World) -> None:
    shared = world.master(world.web)
    world.ssh(*shared, "true")
    started = [
        world.start("ssh", *shared, world.web.destination, f"cat; echo {number}") for number in ("one", "two", "three")
    ]
    blocks = [random.Random(number).randbytes(1 << 20) for number in range(3)]
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda pair: pair[0].finish(pair[1]), zip(started, blocks, strict=True)))
    words = (b"one\n", b"two\n", b"three\n")
    assert [one.stdout for one in done] == [block + word for block, word in zip(blocks, words, strict=True)]


def test_ctrl_c_of_one_client_leaves_the_tunnel_of_the_persisted_master(world: World) -> None:
    shared = world.master(world.web)
    before = len(world.sessions(world.web))
    first = world.start("ssh", *shared, world.web.destination, "echo ready; exec cat")
    read_until(first.stdout, b"ready\n")
    other = world.start("ssh", *shared, world.web.destination, "cat")
    other.stdin.write(b"\n")
    assert read_exactly(other.stdout, 1) == b"\n"
    # The tunnel is still in the process group of the client that has started the master.
    first.interrupt()
    assert first.process.wait(60) in (-2, 130, 255)
    other.stdin.write(b"still here\n")
    assert read_exactly(other.stdout, 11) == b"still here\n"
    assert other.finish(BULK).stdout == BULK
    # Another client, in a group of its own.
    second = world.start("ssh", *shared, world.web.destination, "echo ready; exec cat")
    read_until(second.stdout, b"ready\n")
    second.interrupt()
    assert second.process.wait(60) in (-2, 130, 255)
    assert world.ssh(*shared, "echo $((6*7))").text == "42\n"
    assert len(world.sessions(world.web)) == before + 1


def test_ctrl_c_in_a_script_leaves_the_master_that_it_has_started(world: World) -> None:
    shared = world.master(world.web)
    before = len(world.sessions(world.web))
    ssh = shlex.join(["ssh", *shared, world.web.destination])
    script = world.start("sh", "-c", f"{ssh} true; {ssh} 'echo ready; exec cat'")
    read_until(script.stdout, b"ready\n")
    script.interrupt()
    script.process.wait(60)
    assert world.ssh(*shared, "echo $((6*7))").text == "42\n"
    assert len(world.sessions(world.web)) == before + 1


def test_a_background_ssh_lives_on_after_ctrl_c(world: World) -> None:
    with EchoServer() as echo:
        port = free_port()
        control = str(world.control_folder() / "background")
        forward = f"ssh -f -N -M -S {control} -L{port}:127.0.0.1:{echo.port} {world.web.destination}"
        script = world.start("sh", "-c", f"{forward} >/dev/null 2>&1; echo ready; exec cat")
        read_until(script.stdout, b"ready\n")
        # The answer comes from the loop that it enters after it has left the terminal's process group.
        world.run("ssh", "-S", control, "-Ocheck", world.web.destination)
        script.interrupt()
        script.process.wait(60)
        with connect(port) as sock:
            assert converse(sock, BULK) == BULK
