"""What the programs' tests share: a lab with its instances, and ways to run a program in it that always end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple

from ssm_ssh.lab import InstanceOptions, Lab, LabInstance, LabOptions
from ssm_ssh.lab.process.descendants import tree

# Every program here takes a second or so; one that takes this long on a busy machine hangs.
LIMIT = 60.0
OPTIONS = LabOptions(
    instances=(
        InstanceOptions(name="web", users=("ec2-user", "deploy")),
        InstanceOptions(name="db", platform="Ubuntu", platform_version="24.04", users=("ubuntu",), ssh_port=2222),
        InstanceOptions(name="edge", hybrid=True, users=("admin",), eic=False),
        InstanceOptions(name="off", connected=False),
    ),
    pacing=False,
)


_BUSY = ("ssm-ssh: waiting ", "ssm-ssh: EC2 Instance Connect cannot be reached (it does not answer): ")


def without_waiting(stderr: str) -> str:
    """Return what ssh printed but for the lines that a busy machine makes appear."""
    lines = stderr.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(_BUSY))


class Done(NamedTuple):
    """A program that has ended."""

    status: int
    stdout: bytes
    whole_stderr: str

    @property
    def stderr(self) -> str:
        """What it printed there, without the lines that only a busy machine makes appear."""
        return without_waiting(self.whole_stderr)

    @property
    def text(self) -> str:
        return self.stdout.decode()

    @property
    def said(self) -> str:
        """Everything that a user would have seen, as one line of single spaces."""
        return " ".join((self.stdout.decode(errors="replace") + " " + self.whole_stderr).split())


def until(done: Callable[[], object], what: str, limit: float = LIMIT, left: Callable[[], object] = lambda: "") -> None:
    """Wait for a condition that must come; `left` tells what stands in its way."""
    deadline = time.monotonic() + limit
    while not done():
        assert time.monotonic() < deadline, f"never came: {what} {left()}"
        time.sleep(0.02)


def read_until(stream: IO[bytes], wanted: bytes) -> bytes:
    """Read an unbuffered stream until `wanted` has come; the test's own time limit ends a wait in vain."""
    data = b""
    while wanted not in data:
        piece = os.read(stream.fileno(), 65536)
        assert piece, f"{wanted!r} never came, but {data[-400:]!r} did"
        data += piece
    return data


def read_exactly(stream: IO[bytes], count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = os.read(stream.fileno(), count - len(data))
        assert piece, f"the end came after {len(data)} of {count} bytes"
        data += piece
    return data


class Running:
    """A program that runs, with pipes on all three sides, in a process group of its own."""

    def __init__(self, command: tuple[str, ...], env: Mapping[str, str], cwd: Path | None = None) -> None:
        self.command = command
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.stdin, self.stdout, self.stderr = self.process.stdin, self.process.stdout, self.process.stderr

    def interrupt(self) -> None:
        """Do what Ctrl-C does: SIGINT to the whole process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def finish(self, stdin: bytes = b"", limit: float = LIMIT) -> Done:
        """Give it the rest of its stdin, and return how it ended."""
        try:
            stdout, stderr = self.process.communicate(stdin or None, timeout=limit)
        except subprocess.TimeoutExpired:
            self.kill()
            stdout, stderr = self.process.communicate()
            raise AssertionError(f"{self.command} hangs; stdout {stdout[-500:]!r}, stderr {stderr[-1500:]!r}") from None
        return Done(self.process.returncode, stdout, stderr.decode(errors="replace"))

    def kill(self) -> None:
        """Kill it and what it has started."""
        for pid, _ in tree(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Leave nothing of it; what it has started, such as a tunnel, ends by itself when it does."""
        self.process.terminate()
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.kill()
            self.process.wait()
            raise
        for stream in (self.stdin, self.stdout, self.stderr):
            stream.close()


class World:
    """A lab, and programs in it. One for each worker; `close` after each test ends what the test has left running."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.web, self.db, self.edge, self.off = lab.instances
        # Ansible insists on a UTF-8 locale, and everybody is to speak one language.
        self.env = {**lab.env, "LC_ALL": "C.UTF-8"}
        self.abandoned: set[str] = set()  # ids of sessions that a test could not have ended
        self._running: list[Running] = []
        self._control_folders: list[Path] = []

    def env_of(self, identity: str) -> dict[str, str]:
        """The environment with the credentials of another identity of the lab."""
        return {**self.lab.env_for(identity), "LC_ALL": "C.UTF-8"}

    def start(self, *command: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Running:
        running = Running(command, env or self.env, cwd)
        self._running.append(running)
        return running

    def run(
        self,
        *command: str,
        stdin: bytes = b"",
        expect: int | None = 0,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        limit: float = LIMIT,
    ) -> Done:
        """Run a program to its end, which must have the status `expect` (None: any)."""
        done = self.start(*command, env=env, cwd=cwd).finish(stdin, limit)
        assert expect is None or done.status == expect, f"{command} ended with {done}"[:4000]
        return done

    def ssh(self, *words: str, stdin: bytes = b"", expect: int | None = 0) -> Done:
        """Run `ssh ... ec2-user@web WORDS`; options come first among the words."""
        count = 0
        while count < len(words) and words[count].startswith("-"):
            count += 1
        return self.run("ssh", *words[:count], self.web.destination, *words[count:], stdin=stdin, expect=expect)

    def python(self, script: str, *words: str, expect: int | None = 0, env: Mapping[str, str] | None = None) -> Done:
        """Run a script of this folder."""
        path = Path(__file__).with_name(script)
        return self.run(sys.executable, str(path), *words, expect=expect, env=env)

    def config(self, host: str, port: int, user: str) -> str:
        """Write an ssh_config for libraries, which take port and user from there; returns its path."""
        path = self.lab.folder / "tmp" / f"config-{uuid.uuid4().hex[:8]}"
        lines = self.lab.ssh_config.read_text().splitlines(keepends=True)
        # asyncssh wants every IdentityFile to exist; ssh passes over what is missing, and its first login makes them.
        there = [line for line in lines if "IdentityFile " not in line or Path(line.split('"')[1]).exists()]
        path.write_text(f"Host {host}\n    Port {port}\n    User {user}\n\n{''.join(there)}")
        return str(path)

    def control_folder(self) -> Path:
        """A new folder for sockets of shared connections (ControlPath), which are ended with the test."""
        # The path of a UNIX socket is limited, so this is no folder of the test's.
        folder = self.lab.folder / f"c{uuid.uuid4().hex[:6]}"
        folder.mkdir(mode=0o700)
        self._control_folders.append(folder)
        return folder

    def master(self, instance: LabInstance) -> list[str]:
        """The options that share one connection to `instance`; it is ended with the test."""
        path = self.control_folder() / instance.name
        return ["-oControlMaster=auto", "-oControlPersist=60", f"-oControlPath={path}"]

    def sessions(self, instance: LabInstance) -> list[str]:
        """The ids of all sessions to `instance` so far."""
        return [one["SessionId"] for one in self.lab.sessions() if one["Target"] == instance.instance_id]

    def close(self) -> None:
        for folder in self._control_folders:
            for path in folder.iterdir():
                self.run("ssh", f"-oControlPath={path}", "-Oexit", "whoever", expect=None)
            shutil.rmtree(folder, ignore_errors=True)  # the master removes its socket at the same time
        self._control_folders.clear()
        for running in self._running:
            running.close()
        self._running.clear()

    @contextlib.contextmanager
    def folder_on(self, instance: LabInstance, user: str = "") -> Iterator[Path]:
        """A folder in the home of a user of the instance, which this machine sees too."""
        home = Path(instance.homes[user or instance.users[0]])
        folder = home / f"t{uuid.uuid4().hex[:8]}"
        folder.mkdir()
        owner = home.stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(65536):
            self.request.sendall(data)


class EchoServer(socketserver.ThreadingTCPServer):
    """Says everything back, on a free port of loopback, until the client has said all."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Echo)
        self.port = int(self.server_address[1])

    def __enter__(self) -> EchoServer:
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that was cut is the client's to complain about."""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def connect(port: int) -> socket.socket:
    """Connect to a port of loopback that is about to be opened."""
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, f"port {port} was never opened"
            time.sleep(0.02)


def converse(sock: socket.socket, data: bytes) -> bytes:
    """Send all, and return all that came back before the other side closed."""

    def send() -> None:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    back = bytearray()
    while piece := sock.recv(65536):
        back += piece
    sender.join()
    return bytes(back)
