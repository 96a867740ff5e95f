"""Forwards and the servers behind them, for the tests of `ssm-ssh forward`."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256

from tests.e2e.world import LIMIT, Running, World

COMMAND = (sys.executable, "-m", "ssm_ssh", "forward")
PORT, OTHER, CLOSED = 7000, 7001, 7009
Serve = Callable[[socket.socket], None]


class Server(socketserver.ThreadingTCPServer):
    """What listens on the instance; `serve` is given each connection."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 200

    def __init__(self, serve: Serve) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.serve = serve
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def finish_request(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)
        try:
            self.serve(request)
        except OSError:
            pass


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


def answers_at_end(connection: socket.socket) -> None:
    """Read all, and answer with the hash of it."""
    digest = sha256()
    while data := connection.recv(65536):
        digest.update(data)
    connection.sendall(digest.hexdigest().encode())


def greets_and_closes(connection: socket.socket) -> None:
    connection.sendall(b"220 hello\r\n")


class Forward:
    """A forward that is ready."""

    def __init__(self, world: World, *words: str, specs: tuple[str, ...] = (f"0:localhost:{PORT}",)) -> None:
        options = [word for spec in specs for word in ("-L", spec)]
        self.running: Running = world.start(*COMMAND, "--json", *words, world.web.instance_id, *options)
        lines = [self.running.stdout.readline() for _ in specs]  # type: ignore[attr-defined]
        if not all(lines):
            raise AssertionError(self.running.finish())
        self.ready = [json.loads(line) for line in lines]
        self.port = self.ready[0]["port"]

    def connect(self, index: int = 0) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.ready[index]["port"]), timeout=LIMIT)
        return connection


@contextmanager
def served(world: World, serve: Serve, port: int = PORT) -> Iterator[Server]:
    with Server(serve) as server:
        world.lab.map_port(world.web.instance_id, port, server.port)
        yield server
        server.shutdown()


def everything(connection: socket.socket) -> bytes:
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


def exchanged(connection: socket.socket, data: bytes) -> bool:
    """Send and receive `data` at once; returns whether it came back as it was."""
    sender = threading.Thread(target=connection.sendall, args=(data,))
    sender.start()
    digest, left = sha256(), len(data)
    while left:
        piece = connection.recv(min(left, 65536))
        if not piece:
            break
        digest.update(piece)
        left -= len(piece)
    sender.join()
    return digest.digest() == sha256(data).digest()


def all_exchanged(forward: Forward, count: int, size: int) -> bool:
    results: list[bool] = []

    def run() -> None:
        with forward.connect() as connection:
            results.append(exchanged(connection, os.urandom(size)))

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    return results == [True] * count


def active(world: World) -> list[dict[str, object]]:
    return [entry for entry in world.lab.sessions() if entry["Status"] == "Connected"]
