"""The system's own OpenSSH server as the SSH server of an instance.

It runs without privileges, under the instance's uid, on a random port of 127.0.0.1, in a world that nss_wrapper
gives it: so it needs no root, writes no login records of the machine, and is as strict with a key, a mode or a path
as sshd is anywhere. Its limits are its defaults (MaxStartups 10:30:100 among them).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from ssm_ssh.lab.accounts.accounts import Accounts
from ssm_ssh.lab.hidden_programs import is_hidden
from ssm_ssh.lab.process.descendants import end, output_pipe, tree

_SBIN = "/usr/sbin:/usr/local/sbin:/sbin"
_SFTP_SERVERS = (
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/lib/ssh/sftp-server",
    "/usr/libexec/sftp-server",
)
# Another process can take the port between its discovery and sshd's bind.
_ATTEMPTS = 5
# Seconds; sshd normally listens within milliseconds.
_START_SECONDS = 20.0


def find_sshd() -> str:
    """Return the path of the system's sshd (it insists on being called by an absolute one); "" without it."""
    return "" if is_hidden("sshd") else shutil.which("sshd", path=_SBIN) or ""


def find_sftp_server() -> str:
    """Return the path of the system's sftp-server; "" without it."""
    if is_hidden("sftp-server"):
        return ""
    return next((path for path in _SFTP_SERVERS if os.access(path, os.X_OK)), "")


def configuration(accounts: Accounts, port: int, host_keys: Sequence[Path]) -> str:
    """Return an sshd_config for the users of `accounts`; `port` is the SSH port as the instance's users see it.

    Keys pushed by EC2 Instance Connect are asked of a command, as its own package configures sshd.
    """
    cat = shutil.which("cat", path="/usr/bin:/bin") or "/bin/cat"
    first = accounts.users[0]
    lines = [
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        *(f'HostKey "{path}"' for path in host_keys),
        "PidFile none",
        "UsePAM no",
        "PasswordAuthentication no",
        # The name before OpenSSH 8.7, which all later ones know too.
        "ChallengeResponseAuthentication no",
        "AuthorizedKeysFile .ssh/authorized_keys",
        f'AuthorizedKeysCommand {cat} "{accounts.eic}/%u"',
        f"AuthorizedKeysCommandUser {first}",
        "AcceptEnv LANG LC_*",
        "LogLevel VERBOSE",
        f"Subsystem sftp {find_sftp_server() or 'internal-sftp'}",
        _set_env(accounts, first),
    ]
    for user in accounts.users[1:]:
        lines += [f"Match User {user}", "  " + _set_env(accounts, user)]
    return "\n".join(lines) + "\n"


def _set_env(accounts: Accounts, user: str) -> str:
    return "SetEnv " + " ".join(f'"{name}={value}"' for name, value in accounts.names(user).items())


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class SystemSshd:
    """One sshd, which can be started and stopped repeatedly; `port` is where it listens on 127.0.0.1."""

    kind = "system"

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._sshd = find_sshd()
        self._process: asyncio.subprocess.Process | None = None
        self._reading: list[tuple[asyncio.Task[None], asyncio.ReadTransport]] = []
        self._left: list[tuple[int, str]] = []
        self.port = 0
        self.log: deque[str] = deque(maxlen=2000)

    @property
    def config_file(self) -> Path:
        """Where the server's configuration is; it must have been written before `start`."""
        return self._accounts.etc_ssh / "sshd_config"

    @property
    def listening(self) -> bool:
        """True while the port is open."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start listening. Raises OSError with sshd's own words when it does not."""
        for _ in range(_ATTEMPTS):
            self.port = _free_port()
            if await self._listens():
                return
        raise OSError(f"{self._sshd} does not start: {' | '.join(list(self.log)[-5:])}")

    async def _listens(self) -> bool:
        argv = [self._sshd, "-D", "-e", "-f", str(self.config_file), "-p", str(self.port)]
        if setpriv := shutil.which("setpriv"):
            argv = [setpriv, "--pdeathsig", "TERM", "--", *argv]
        first = self._accounts.users[0]
        log, transport, descriptor = await output_pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=descriptor,
                start_new_session=True,
                cwd=self._accounts.home(first),
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **self._accounts.names(first)},
                **self._accounts.identity(first),
            )
        except BaseException:
            transport.close()
            raise
        finally:
            os.close(descriptor)
        ready = asyncio.get_running_loop().create_future()
        self._reading.append((asyncio.create_task(self._read_log(log, ready)), transport))
        try:
            return bool(await asyncio.wait_for(ready, _START_SECONDS))
        except asyncio.TimeoutError:
            return False

    async def _read_log(self, log: asyncio.StreamReader, ready: asyncio.Future[bool]) -> None:
        while line := await log.readline():
            text = line.decode(errors="replace").rstrip()
            self.log.append(text)
            if text.startswith("Server listening on") and not ready.done():
                ready.set_result(True)
        if not ready.done():
            ready.set_result(False)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to it. Raises ConnectionRefusedError when it does not listen."""
        if not self.listening:
            raise ConnectionRefusedError("sshd is stopped")
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def stop(self) -> None:
        """Close the port; open connections continue."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            self._left += tree(process.pid)[1:]
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            await process.wait()

    async def kill(self) -> None:
        """End it, its connections and everything that was started through them, at once."""
        process, self._process = self._process, None
        doomed, self._left = self._left, []
        if process is not None and process.returncode is None:
            doomed += tree(process.pid)
        end(doomed, marks=str(self._accounts.etc))
        if process is not None:
            await process.wait()
        # A process that escaped may still hold the log's pipe; do not wait for it.
        reading, self._reading = self._reading, []
        for task, transport in reading:
            await asyncio.wait([task], timeout=0.2)
            task.cancel()
            transport.close()
