"""Instances in a loop of their own thread, and the real ssh, scp, sftp and rsync that reach them by a UNIX socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import TypeVar

import paramiko
import pytest

from ssm_ssh.lab.accounts.accounts import Accounts, find_nss_wrapper
from ssm_ssh.lab.hidden_programs import VARIABLE
from ssm_ssh.lab.machines.instances import Instances
from ssm_ssh.lab.options import InstanceOptions
from ssm_ssh.lab.process import lifeline
from ssm_ssh.lab.process.descendants import tree
from tests.lab.transports import close_transports

WEB, DB, EDGE = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb", "mi-0cccccccccccccccc"
MEMBERS = (
    (WEB, InstanceOptions(name="web", users=("ec2-user", "deploy")), "10.0.0.4"),
    (DB, InstanceOptions(name="db", platform="Ubuntu", platform_version="24.04", users=("ubuntu",)), "10.0.0.5"),
    (EDGE, InstanceOptions(name="edge", hybrid=True, users=("admin",), eic=False), "10.0.0.6"),
)
# Carries stdin and stdout to a UNIX socket.
RELAY = """
import os, socket, sys, threading
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
def up():
    while data := os.read(0, 65536):
        sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while data := sock.recv(65536):
    while data:
        data = data[os.write(1, data):]
"""

T = TypeVar("T")


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Fleet:
    """Instances, their loop, and a client's folder with a key."""

    def __init__(self, folder: Path, kind: str) -> None:
        lifeline.adopt_orphans()  # as the process does that holds the instances
        self.folder = folder
        self.kind = kind
        self.clock = Clock()
        self.lab = folder / "lab"
        self.lab.mkdir(mode=0o700)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.started: list[subprocess.Popen[bytes]] = []
        self.tick = threading.Event()  # never set
        self.relays: set[asyncio.Task[None] | None] = set()
        self.servers: list[asyncio.AbstractServer] = []
        self.instances = self.call(self._start())
        self.key = folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        self.public = self.key.with_suffix(".pub").read_text()
        self.relay = folder / "relay.py"
        self.relay.write_text(RELAY)

    def call(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def do(self, function: Callable[..., T], *args: object) -> T:
        """Call a plain function in the loop."""

        async def work() -> T:
            return function(*args)

        return self.call(work())

    async def _start(self) -> Instances:
        instances = Instances(self.lab, MEMBERS, sshd=self.kind, clock=self.clock)
        await instances.start()
        for instance_id in instances.machines:
            server = await asyncio.start_unix_server(
                lambda r, w, name=instance_id: self._relay(name, r, w), self.folder / f"{instance_id}.sock"
            )
            self.servers.append(server)
        return instances

    async def _relay(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task that waits for a stream has no other owner once the other stream has ended.
        task = asyncio.current_task()
        self.relays.add(task)
        task.add_done_callback(self.relays.discard)
        try:
            other_reader, other_writer = await self.instances.open_port(name, 22)
        except ConnectionRefusedError:
            await _close(writer)
            return
        try:
            with contextlib.suppress(OSError):  # who is killed with unread bytes leaves no end of file
                await asyncio.gather(_copy(reader, other_writer), _copy(other_reader, writer))
                await asyncio.gather(_close(writer), _close(other_writer))
        finally:
            writer.transport.abort()
            other_writer.transport.abort()

    def push(self, instance_id: str = WEB, user: str = "ec2-user") -> None:
        self.do(self.instances.push_eic_key, instance_id, user, self.public)

    def options(self, instance_id: str) -> list[str]:
        known = self.folder / "known_hosts"
        known.write_text(
            "".join(f"{name} {line}\n" for name, one in self.instances.machines.items() for line in one.host_keys)
        )
        words = {
            "ProxyCommand": f"{sys.executable} -I {self.relay} {self.folder / instance_id}.sock",
            "UserKnownHostsFile": str(known),
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "HostKeyAlias": instance_id,
            "IdentityFile": str(self.key),
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "BatchMode": "yes",
            "LogLevel": "ERROR",
        }
        return ["-F", "none", *(f"-o{name}={value}" for name, value in words.items())]

    def ssh(
        self, *words: str, to: str = WEB, user: str = "ec2-user", stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        command = ["ssh", *self.options(to), "-l", user, *words]
        return subprocess.run(command, capture_output=True, timeout=60, input=stdin)

    def start_ssh(self, *words: str, to: str = WEB, user: str = "ec2-user") -> subprocess.Popen[bytes]:
        command = ["ssh", *self.options(to), "-l", user, *words]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.started.append(process)
        return process

    @contextlib.contextmanager
    def transport(self, to: str = WEB, user: str = "ec2-user") -> Iterator[paramiko.Transport]:
        """A logged-in connection, for what ssh does too fast to be tested."""
        with socket.socket(socket.AF_UNIX) as sock, contextlib.closing(paramiko.Transport(sock)) as transport:
            sock.connect(str(self.folder / f"{to}.sock"))
            transport.connect(username=user, pkey=paramiko.Ed25519Key(filename=str(self.key)))
            yield transport

    def run(self, command: list[str]) -> None:
        done = subprocess.run(command, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, (command, done.stderr)

    def rsync(self, *words: str) -> None:
        self.run(["rsync", "-a", "-e", shlex.join(["ssh", *self.options(WEB)]), *words])

    def wait_gone(self, pid: int) -> None:
        """Return when process `pid` has ended; a test that waits too long has failed by its time limit."""
        # The process may go between the two looks.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            while tree(pid) and "Z" not in (Path("/proc") / str(pid) / "stat").read_text().split(")")[-1].split()[:1]:
                self.tick.wait(0.02)

    def wait_closed(self, port: int) -> None:
        """Return when nothing listens on 127.0.0.1:`port` any more."""
        while True:
            # Not by connecting, which the listener would have to tell the client of, who is gone.
            with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
                return
            self.tick.wait(0.02)

    def give(self, path: Path, uid: int, gid: int) -> None:
        """Make the file one of the user's; in an ordinary user's lab it is his already."""
        if os.geteuid() == 0:
            os.chown(path, uid, gid)

    def stop(self) -> None:
        for process in self.started:
            process.kill()
            process.communicate()
        for server in self.servers:
            self.do(server.close)
        self.call(self.instances.stop())
        self.call(_cancel_all())
        self.call(close_transports())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        lifeline.leave_orphans()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _cancel_all() -> None:
    # A connection that was just accepted becomes a task later.
    while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name, for the sake of UNIX sockets."""
    path = Path(tempfile.mkdtemp(prefix="lab-"))
    yield path
    shutil.rmtree(path)


# `bare` is the embedded server without what a bare system has not.
@pytest.fixture(params=["embedded", "bare", pytest.param("system", marks=pytest.mark.needs("sshd", "nss_wrapper"))])
def fleet(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """Three instances, once behind each kind of SSH server that this machine can have."""
    if request.param == "bare":
        monkeypatch.setenv(VARIABLE, "sshd sftp-server nss_wrapper")
    made = Fleet(folder, "embedded" if request.param == "bare" else request.param)
    yield made
    made.stop()


@pytest.fixture
def accounts(folder: Path) -> Accounts:
    """The users of an instance."""
    made = Accounts(folder / "i-1", ("ec2-user", "deploy"), 0, find_nss_wrapper())
    made.build()
    return made
