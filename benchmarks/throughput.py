"""Rows of the table: throughput in each direction over TLS, and the round trip of one byte."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import greeting
import peer as lean
from measure import HERE, Row, cpu_seconds, environment

MB = 1_000_000


class Peer:
    """The process of peer.py."""

    def __init__(self, folder: Path) -> None:
        self.ca_file = folder / "ca.pem"
        self._process = subprocess.Popen(
            [sys.executable, "-I", HERE / "isolated.py", "peer", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(dict(os.environ)),
        )
        ports = self.event()
        self.url = f"wss://127.0.0.1:{ports['port']}"
        self.plain = str(ports["plain"])

    def event(self, name: str = "") -> dict[str, Any]:
        """Return the next event that the process reports."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        event: dict[str, Any] = json.loads(line or b"{}")
        if name and event.get("event") != name:
            raise RuntimeError(f"the peer reported {event} instead of {name}")
        return event

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class Clients:
    """Starts the clients that are compared."""

    def __init__(self, peer: Peer, comparators: Path) -> None:
        self._peer = peer
        self._comparator = str(comparators / "bin" / "python")

    def start(self, name: str, task: str) -> subprocess.Popen[bytes]:
        command = {
            "relay": [sys.executable, "-I", HERE / "isolated.py", "relay_client"],
            "sync": [self._comparator, "-I", HERE / "isolated.py", "sync_client"],
            "null": [sys.executable, "-I", HERE / "isolated.py", "null_relay", self._peer.plain],
        }[name]
        if name != "null":
            command += [f"{self._peer.url}/{task}?role=publish_subscribe", self._peer.ca_file]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(dict(os.environ)), bufsize=0
        )


class Result:
    """The result of one transfer."""

    def __init__(self, size: int, seconds: float, cpu: float) -> None:
        self.rate = size / MB / seconds
        self.cpu = cpu * 1000 / (size / MB)  # ms a MB


@contextlib.contextmanager
def running(process: subprocess.Popen[bytes]) -> Iterator[tuple[int, int]]:
    """Yield the file descriptors of a client's stdin and stdout, then end it."""
    assert process.stdin is not None
    assert process.stdout is not None
    for pipe in (process.stdin, process.stdout):
        # Large pipes, so that the client rarely waits until this process is scheduled.
        with contextlib.suppress(OSError, AttributeError):  # not on Linux
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)
    try:
        yield process.stdin.fileno(), process.stdout.fileno()
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdout.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _feed(fd: int, size: int) -> None:
    left = size
    with contextlib.suppress(BrokenPipeError):
        while left:
            left -= os.write(fd, lean.BLOCK[(size - left) % len(lean.BLOCK) :][:left])


def upload(peer: Peer, process: subprocess.Popen[bytes], size: int) -> Result:
    with running(process) as (stdin, stdout):
        _greet(stdin, stdout)
        _expect(stdout, lean.READY)
        feeder = threading.Thread(target=_feed, args=(stdin, size), daemon=True)
        feeder.start()
        begin = peer.event("begin")["at"]
        cpu = cpu_seconds(process.pid)
        _expect(stdout, lean.DONE)
        seconds, cpu = time.monotonic() - begin, cpu_seconds(process.pid) - cpu
        feeder.join()
        if not peer.event("checked")["right"]:
            raise RuntimeError("the bytes that arrived are not those that were sent")
    return Result(size, seconds, cpu)


def download(peer: Peer, process: subprocess.Popen[bytes], size: int) -> Result:
    got: list[bytes] = []
    with running(process) as (stdin, stdout):
        _greet(stdin, stdout)

        def take() -> None:
            left = size
            while left and (data := os.read(stdout, 65536)):
                got.append(data)
                left -= len(data)

        taker = threading.Thread(target=take, daemon=True)
        taker.start()
        begin = peer.event("begin")["at"]
        cpu = cpu_seconds(process.pid)
        seconds = peer.event("end")["at"] - begin
        cpu = cpu_seconds(process.pid) - cpu
        taker.join()
    if b"".join(got) != lean.stream(size):
        raise RuntimeError("the bytes that arrived are not those that were sent")
    return Result(size, seconds, cpu)


def _greet(stdin: int, stdout: int) -> None:
    os.write(stdin, greeting.CLIENT)
    _expect(stdout, greeting.SERVER)


def _expect(fd: int, expected: bytes) -> None:
    got = b""
    while len(got) < len(expected):
        data = os.read(fd, len(expected) - len(got))
        if not data:
            raise RuntimeError("the client ended too early")
        got += data
    if got != expected:
        raise RuntimeError(f"{got!r} instead of {expected!r}")


def rates(peer: Peer, clients: Clients, *, size: int, runs: int) -> list[Row]:
    """Measure upload and download of the relay and of the client built on websockets.sync."""
    rows = []
    for name, task, transfer in (("upload", "sink", upload), ("download", "source", download)):
        results: dict[str, list[Result]] = {"relay": [], "sync": []}
        for _ in range(runs):
            # The slow client carries half as much: on a busy machine, many turns are better than long ones.
            for (client, kept), amount in zip(results.items(), (size, size // 2), strict=True):
                kept.append(transfer(peer, clients.start(client, f"{task}/{amount}"), amount))
        relay, sync = (
            (statistics.median(result.rate for result in kept), statistics.median(result.cpu for result in kept))
            for kept in results.values()
        )
        rows.append(
            Row(
                f"{name} over TLS (CPU)",
                f"{relay[0]:.0f} MB/s ({relay[1]:.0f} ms/MB)",
                f"websockets.sync: {sync[0]:.0f} MB/s ({sync[1]:.0f} ms/MB)",
                statistics.median(a.rate / b.rate for a, b in zip(*results.values(), strict=True)),
                "x",
                3.0,
                at_least=True,
            )
        )
    return rows


def echo(clients: Clients, peer: Peer, *, rounds: int) -> Row:
    """Measure the round trip of one byte over the relay and over a process that only copies."""
    times: dict[str, list[float]] = {"relay": [], "null": []}
    with running(clients.start("relay", "echo")) as relay, running(clients.start("null", "")) as null:
        _greet(*relay)
        peer.event("begin")
        for turn in range(rounds + 20):
            for name, (stdin, stdout) in (("relay", relay), ("null", null)):
                begin = time.perf_counter()
                os.write(stdin, lean.ECHO)
                _expect(stdout, lean.ECHO)
                if turn >= 20:
                    times[name].append(time.perf_counter() - begin)
                time.sleep(0.002)  # a person types more slowly than acknowledgements travel
    relay, null_relay = (statistics.median(kept) * 1000 for kept in times.values())
    return Row(
        "echo of one byte, round trip",
        f"{relay:.2f} ms",
        f"null relay: {null_relay:.2f} ms",
        relay - null_relay,
        " ms more",
        0.5,
    )
