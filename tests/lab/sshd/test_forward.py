"""ssh -L, -R, -D, -W and -J, under both kinds of server."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.lab.conftest import Fleet

WEB, DB = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"
DATA = bytes(range(256)) * 4_000


@pytest.fixture
def upper() -> Iterator[int]:
    """A server on 127.0.0.1 that answers everything it reads, in upper case, after the end of its input."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = server.accept()
                with sock:
                    sock.sendall(read_all(sock).upper())

    thread = threading.Thread(target=serve)
    thread.start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def read_all(sock: socket.socket) -> bytes:
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


def ask(port: int, data: bytes = DATA, first: bytes = b"", answer: int = 0) -> bytes:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        if first:
            sock.sendall(first)
            assert len(sock.recv(answer, socket.MSG_WAITALL)) == answer

        def send() -> None:
            with contextlib.suppress(OSError):
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        received = read_all(sock)
        sender.join()
        return received


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def opened(fleet: Fleet, *words: str) -> subprocess.Popen[bytes]:
    running = fleet.start_ssh("-oExitOnForwardFailure=yes", *words, "host", "echo ready; read end")
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\n"
    return running


def test_local_forwarding(fleet: Fleet, upper: int) -> None:
    fleet.push()
    port = free_port()
    opened(fleet, f"-L127.0.0.1:{port}:127.0.0.1:{upper}")
    assert ask(port) == DATA.upper()
    assert ask(port, b"again") == b"AGAIN"


def test_local_forwarding_to_a_closed_port(fleet: Fleet) -> None:
    fleet.push()
    port = free_port()
    opened(fleet, f"-L127.0.0.1:{port}:127.0.0.1:{free_port()}")
    with contextlib.suppress(ConnectionError):
        assert ask(port, b"x") == b""


def test_remote_forwarding(fleet: Fleet, upper: int) -> None:
    fleet.push()
    port = free_port()
    running = opened(fleet, f"-R{port}:127.0.0.1:{upper}")
    assert ask(port) == DATA.upper()
    running.communicate(b"\n", timeout=60)
    fleet.wait_closed(port)


def test_dynamic_forwarding(fleet: Fleet, upper: int) -> None:
    fleet.push()
    port = free_port()
    opened(fleet, f"-D127.0.0.1:{port}")
    socks4 = b"\x04\x01" + upper.to_bytes(2, "big") + b"\x7f\x00\x00\x01\x00"
    assert ask(port, first=socks4, answer=8) == DATA.upper()


def test_standard_streams_forwarding(fleet: Fleet, upper: int) -> None:
    fleet.push()
    done = fleet.ssh("-W", f"127.0.0.1:{upper}", "host", stdin=b"words")
    assert done.stdout == b"WORDS"


def test_a_mapped_port_is_one_of_the_instance(fleet: Fleet, upper: int) -> None:
    fleet.do(fleet.instances.map_port, WEB, 8080, upper)

    async def exchange() -> bytes:
        reader, writer = await fleet.instances.open_port(WEB, 8080)
        writer.write(b"mapped")
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer

    assert fleet.call(exchange()) == b"MAPPED"


def test_one_instance_is_a_way_to_another(fleet: Fleet) -> None:
    if fleet.kind == "system":
        # sshd connects to addresses of this machine, and the instances' are none.
        return
    fleet.push()
    fleet.push(DB, "ubuntu")
    jump = " ".join(["ssh", *(f"'{word}'" for word in fleet.options(WEB)), "-W", "10.0.0.5:22", "ec2-user@web"])
    words = [word for word in fleet.options(DB) if "ProxyCommand" not in word]
    done = subprocess.run(
        ["ssh", *words, f"-oProxyCommand={jump}", "ubuntu@db", "echo arrived"], capture_output=True, timeout=60
    )
    assert done.stdout == b"arrived\n", done.stderr


def test_a_program_of_the_users_is_reached_by_forwarding(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo

    def without_etc_hosts(host: str, *more: Any) -> Any:  # noqa: ANN401
        if host == "localhost":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *more)

    monkeypatch.setattr(socket, "getaddrinfo", without_etc_hosts)
    fleet.push()
    port = free_port()
    program = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True);"
        "c = s.accept()[0]; c.sendall(b'hello'); c.close()"
    )
    python = "/usr/bin/python3" if fleet.instances.machine(WEB).accounts.as_root else sys.executable
    running = fleet.start_ssh("host", f'{python} -c "{program}"')
    assert running.stdout is not None
    there = int(running.stdout.readline())
    opened(fleet, f"-L127.0.0.1:{port}:localhost:{there}")
    assert ask(port, b"") == b"hello"
