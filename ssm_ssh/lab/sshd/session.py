"""Sessions of the embedded SSH server: a program in the user's scratch home, and threads that carry its bytes."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Any

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST

from ssm_ssh.lab.accounts.accounts import Accounts
from ssm_ssh.lab.process.terminal import open_terminal, resize, taking_terminal
from ssm_ssh.lab.sshd.openssh import find_sftp_server
from ssm_ssh.lab.sshd.transport import GONE, close

THREAD = "a session of the lab's"
_CHUNK = 32768
# Seconds between checks of a waiting thread for the end of the channel or the program.
_LOOK_SECONDS = 0.1
# Between SIGHUP and SIGKILL, for a program whose channel has gone.
_HANG_UP_SECONDS = 1.0
# RFC 4254, section 6.10.
_SIGNALS = ("ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2")


class Session:
    """One session channel of `user`."""

    def __init__(self, accounts: Accounts, user: str) -> None:
        self._accounts = accounts
        self._user = user
        self._term = ""
        self._size = (80, 24)
        self._terminal = -1  # our side of the pseudo-terminal
        self._process: subprocess.Popen[bytes] | None = None
        self._next: threading.Thread | None = None
        self.environment: dict[str, str] = {}
        self.over = False

    def want_pty(self, term: str, width: int, height: int) -> None:
        """Give the program a terminal when it starts."""
        self._term = term or "dumb"
        self._size = (width, height)

    def resize(self, width: int, height: int) -> None:
        """Give the terminal `width` columns and `height` lines."""
        self._size = (width, height)
        if self._terminal >= 0:
            resize(self._terminal, width, height)

    def run(self, channel: paramiko.Channel, command: str | None) -> bool:
        """Start `command` in the user's shell (None: a login shell); False when something runs already."""
        shell = self._accounts.shell
        if command is not None:
            return self._start(channel, [shell, "-c", command])
        return self._start(channel, [shell, "-l"])

    def sftp(self, channel: paramiko.Channel) -> bool:
        """Serve SFTP on the channel."""
        self._term = ""
        # The system's own ends at once where the uid has no name.
        if self._accounts.nss_wrapper and (program := find_sftp_server()):
            return self._start(channel, [program])
        command = [sys.executable, "-I", "-m", "ssm_ssh.lab.sshd.sftp"]
        if self._accounts.as_root:
            # It becomes the user itself, who may not be able to read what it is made of.
            return self._start(channel, [*command, str(self._accounts.uid), str(self._accounts.gid)], identity={})
        return self._start(channel, command)

    def hang_up(self) -> None:
        """End the program and all of its process group: SIGHUP, then SIGKILL."""
        process = self._process
        if process is None:
            return
        _signal(process, signal.SIGHUP)
        try:
            process.wait(_HANG_UP_SECONDS)
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)

    def _start(self, channel: paramiko.Channel, argv: list[str], identity: dict[str, Any] | None = None) -> bool:
        if self._process is not None:
            return False
        environment = {
            **self._accounts.environment(self._user),
            "SSH_CLIENT": "127.0.0.1 50000 22",
            "SSH_CONNECTION": "127.0.0.1 50000 127.0.0.1 22",
            **self.environment,
        }
        if identity is None:
            identity = self._accounts.identity(self._user)
        options: dict[str, Any] = {"cwd": self._accounts.home(self._user), **identity}
        try:
            if self._term:
                self._start_on_terminal(argv, environment, options)
            else:
                pipe = subprocess.PIPE
                self._process = subprocess.Popen(
                    argv,
                    stdin=pipe,
                    stdout=pipe,
                    stderr=pipe,
                    env=environment,
                    start_new_session=True,
                    bufsize=0,
                    **options,
                )
        except OSError:
            return False
        self._next = threading.Thread(target=self._live, args=(channel, self._process), name=THREAD, daemon=True)
        return True

    def begin(self) -> None:
        """Carry the bytes of a program that was started: called when the client has been told that it was.

        A program may end at once, and the end of a session must not overtake the answer to its request.
        """
        thread, self._next = self._next, None
        if thread is not None:
            thread.start()

    def _start_on_terminal(self, argv: list[str], environment: dict[str, str], options: dict[str, Any]) -> None:
        owner = (self._accounts.uid, self._accounts.gid) if self._accounts.as_root else None
        ours, theirs = open_terminal(owner)
        try:
            name = os.ttyname(theirs)
            self._process = subprocess.Popen(
                [*taking_terminal(), *argv],
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                env={**environment, "TERM": self._term, "SSH_TTY": name},
                **options,
            )
        except OSError:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        self._terminal = ours
        self.resize(*self._size)

    def _live(self, channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
        """Carry everything, wait for the program, and say how it ended."""
        ended = threading.Event()
        if self._term:
            pumps = [threading.Thread(target=self._from_terminal, args=(channel, ended), daemon=True)]
        else:
            pumps = [
                threading.Thread(target=_from_pipe, args=(process.stdout, channel.sendall), daemon=True),
                threading.Thread(target=_from_pipe, args=(process.stderr, channel.sendall_stderr), daemon=True),
            ]
        feeder = threading.Thread(target=self._feed, args=(channel, process), daemon=True)
        for thread in (*pumps, feeder):
            thread.start()
        process.wait()
        ended.set()
        # As in sshd, a session without a terminal lasts as long as any process holds its output.
        for thread in pumps:
            while thread.is_alive() and not channel.closed:
                thread.join(_LOOK_SECONDS)
        with contextlib.suppress(*GONE):
            _report(channel, process.returncode)
        self.over = True
        close(channel)
        feeder.join()
        if self._terminal >= 0:
            for thread in pumps:  # it reads the terminal until then
                thread.join()
            terminal, self._terminal = self._terminal, -1
            os.close(terminal)

    def _from_terminal(self, channel: paramiko.Channel, ended: threading.Event) -> None:
        with contextlib.suppress(*GONE):
            while True:
                # A background program may hold the terminal for ever; what the one that ended wrote is there at once.
                last_look = ended.is_set()
                if select.select([self._terminal], [], [], 0 if last_look else _LOOK_SECONDS)[0]:
                    channel.sendall(os.read(self._terminal, _CHUNK))
                elif last_look:
                    return

    def _feed(self, channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
        """Pass the client's bytes to the program, and end it when the channel (not only its input) is gone."""
        with contextlib.suppress(*GONE):
            while data := channel.recv(_CHUNK):
                _write_all(process.stdin.fileno() if process.stdin is not None else self._terminal, data)
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        while process.poll() is None and not channel.closed:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_SECONDS)
        if process.poll() is None:
            self.hang_up()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(process.pid, number)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _from_pipe(pipe: IO[bytes], send: Callable[[bytes], object]) -> None:
    with contextlib.suppress(*GONE):
        while data := pipe.read(_CHUNK):
            send(data)
    pipe.close()


def _report(channel: paramiko.Channel, code: int) -> None:
    """Send exit-status, or exit-signal for a program that a signal ended: RFC 4254, section 6.10."""
    if code >= 0:
        channel.send_exit_status(code)
        return
    name = signal.Signals(-code).name.removeprefix("SIG")
    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("exit-signal")
    message.add_boolean(False)
    message.add_string(name if name in _SIGNALS else f"{name}@openssh.com")
    message.add_boolean(False)
    message.add_string("")
    message.add_string("")
    channel.get_transport()._send_user_message(message)  # type: ignore[attr-defined]
