"""Real programs through forwards: PostgreSQL, HTTP, WebSockets and TLS, and servers that answer late."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import http.client
import http.server
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest
import websockets.asyncio.client
import websockets.asyncio.server

from ssm_ssh.lab import Lab
from ssm_ssh.lab.identity.ca import new_authority
from tests.e2e.forwards import PORT, Forward, echo, everything, served
from tests.e2e.world import LIMIT, OPTIONS, World, free_port

pytestmark = pytest.mark.long

MEGABYTE = 1 << 20


class Postgres:
    """A server of its own, which an ordinary user runs, for postgres refuses root."""

    def __init__(self, folder: Path) -> None:
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        self._programs = programs[-1] if programs else Path(shutil.which("initdb") or "initdb").parent
        self.folder = folder
        self.port = free_port()
        self._user = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            self._user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(folder, user.pw_uid, user.pw_gid)
        self._run("initdb", "-A", "trust", "-U", "app", "-E", "UTF8", "-N", "-D", folder / "data")
        options = f"-p {self.port} -k '' -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "-w", "-D", folder / "data", "-l", folder / "log", "-o", options, "start")

    def _run(self, program: str, *words: str | Path) -> None:
        done = subprocess.run(
            [self._programs / program, *words],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # the server keeps it open
            stderr=subprocess.DEVNULL,
            timeout=120,
            **self._user,  # type: ignore[call-overload]
        )
        assert done.returncode == 0, (program, (self.folder / "log").exists() and (self.folder / "log").read_text())

    def stop(self) -> None:
        self._run("pg_ctl", "-w", "-m", "immediate", "-D", self.folder / "data", "stop")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:  # pytest's own are for this user alone
        server = Postgres(Path(folder))
        yield server
        server.stop()


@contextmanager
def forwarded(world: World, port: int, *words: str) -> Iterator[Forward]:
    world.lab.map_port(world.web.instance_id, PORT, port)
    forward = Forward(world, *words)
    yield forward
    forward.running.interrupt()
    forward.running.finish()


def database(forward: Forward, program: str, *words: str) -> str:
    done = subprocess.run(
        [program, "-h", "127.0.0.1", "-p", str(forward.port), "-U", "app", *words, "postgres"],
        env={"PATH": os.environ["PATH"], "PGCONNECT_TIMEOUT": "60"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


@pytest.mark.needs("psql", "pgbench", "initdb")
def test_postgresql_serves_psql_and_pgbench(world: World, postgres: Postgres) -> None:
    with forwarded(world, postgres.port) as forward:
        query = "select md5(string_agg(i::text, ',')) from generate_series(1, 500000) i"
        wanted = hashlib.md5(",".join(map(str, range(1, 500_001))).encode()).hexdigest()
        assert database(forward, "psql", "-Atc", query).strip() == wanted
        rows = database(forward, "psql", "-Atc", "select generate_series(1, 300000)")
        assert rows.split() == [str(number) for number in range(1, 300_001)]
        database(forward, "pgbench", "-q", "-i", "-s", "1")
        told = database(forward, "pgbench", "-c", "10", "-j", "2", "-t", "20")
        assert "number of transactions actually processed: 200/200" in told


@pytest.mark.needs("psql", "pgbench", "initdb")
def test_a_database_survives_cuts_of_the_network(postgres: Postgres) -> None:
    # The agent resends what a cut took along one message at a time, 100 ms apart. At its own pace those are few.
    options = dataclasses.replace(OPTIONS, pacing=True)
    with (
        tempfile.TemporaryDirectory(prefix="e2e-") as base,
        Lab(options, base=Path(base)) as lab,
        forwarded(World(lab), postgres.port) as forward,
    ):
        lab.fault("cut", every=400_000, side="client", direction="both")
        rows = database(forward, "psql", "-Atc", "select generate_series(1, 300000)")
        lab.clear_faults()
        assert rows.split() == [str(number) for number in range(1, 300_001)]


class Store(http.server.BaseHTTPRequestHandler):
    """Answers with the hash of what is uploaded, and keeps the connection."""

    protocol_version = "HTTP/1.1"
    connections: ClassVar[set[tuple[str, int]]] = set()

    def do_PUT(self) -> None:
        self.connections.add(self.client_address)
        digest, left = hashlib.sha256(), int(self.headers["Content-Length"])
        while left:
            piece = self.rfile.read(min(left, 65536))
            digest.update(piece)
            left -= len(piece)
        answer = digest.hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def store() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_one_http_connection_carries_many_requests_and_a_hundred_megabytes(world: World) -> None:
    with store() as server, forwarded(world, server.server_port) as forward:
        Store.connections.clear()
        connection = http.client.HTTPConnection("127.0.0.1", forward.port, timeout=300)
        for size in (*range(20), 100 * MEGABYTE):
            body = os.urandom(size)
            connection.request("PUT", "/file", body)
            assert connection.getresponse().read().decode() == hashlib.sha256(body).hexdigest()
        assert len(Store.connections) == 1
        connection.close()


def test_tls_is_the_servers_own(world: World, tmp_path: Path) -> None:
    authority = new_authority(tmp_path, ("db.internal",))
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    context = authority.server_context

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            while data := secure.recv(65536):
                secure.sendall(data)

    with served(world, serve):
        forward = Forward(world)
        client = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        with client.wrap_socket(forward.connect(), server_hostname="db.internal") as secure:
            for size in (1, 100_000, MEGABYTE):
                data, got = os.urandom(size), b""
                sender = threading.Thread(target=secure.sendall, args=(data,))
                sender.start()
                while len(got) < size:
                    got += secure.recv(65536)
                sender.join()
                assert got == data


def test_a_websocket_talks_in_both_directions(world: World) -> None:
    async def answer(connection: websockets.asyncio.server.ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async def talk() -> None:
        async with websockets.asyncio.server.serve(answer, "127.0.0.1", 0, max_size=None) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            await asyncio.to_thread(world.lab.map_port, world.web.instance_id, PORT, port)
            forward = await asyncio.to_thread(Forward, world)
            async with websockets.asyncio.client.connect(f"ws://127.0.0.1:{forward.port}", max_size=None) as client:
                for message in ("hello", b"\0" * 10, os.urandom(2 * MEGABYTE)):
                    await client.send(message)
                    assert await client.recv() == message

    asyncio.run(talk())


def test_a_server_that_goes_on_of_its_own_accord_is_waited_for(world: World) -> None:
    def slow(connection: socket.socket) -> None:
        """It answers once nothing has come for two seconds: it needs no end."""
        connection.settimeout(2)
        try:
            while connection.recv(65536):
                pass
        except TimeoutError:
            connection.sendall(b"the answer")

    with served(world, slow):
        forward = Forward(world)
        with forward.connect() as connection:
            connection.sendall(b"question")
            connection.shutdown(socket.SHUT_WR)
            assert everything(connection) == b"the answer"


@pytest.mark.parametrize("seconds", [2, 20])
def test_a_server_that_waits_for_the_end_loses_its_answer_with_a_notice(world: World, seconds: int) -> None:
    def slow(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass
        time.sleep(seconds)
        connection.sendall(b"too late")

    with served(world, slow):
        forward = Forward(world)
        with forward.connect() as connection:
            connection.sendall(b"question")
            connection.shutdown(socket.SHUT_WR)
            began = time.monotonic()
            assert everything(connection) == b""
            assert time.monotonic() - began >= 9
        forward.running.interrupt()
        assert "cannot convey a half-close" in forward.running.finish().stderr


def test_a_computer_that_sleeps_keeps_its_connections(world: World) -> None:
    """A stopped process is what sleep looks like: its peers give up, and its clock has jumped when it goes on."""
    with served(world, echo):
        forward = Forward(world)
        with forward.connect() as connection:
            connection.sendall(b"before")
            assert connection.recv(100) == b"before"
            forward.running.process.send_signal(signal.SIGSTOP)
            world.lab.fault("cut")
            time.sleep(90)
            forward.running.process.send_signal(signal.SIGCONT)
            connection.sendall(b"after")
            connection.settimeout(LIMIT)
            assert connection.recv(100) == b"after"
        assert forward.running.process.poll() is None
