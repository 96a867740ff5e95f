"""An SSH server inside the instances process, for machines without sshd: public keys, sessions and forwarding.

It listens on no TCP port: each connection is one end of a socket pair. It enforces sshd's limits as clients see them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import paramiko
from paramiko.common import (
    AUTH_FAILED,
    AUTH_SUCCESSFUL,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_FAILED_CONNECT_FAILED,
    OPEN_SUCCEEDED,
    cMSG_DISCONNECT,
)

from ssm_ssh.lab.accounts.accounts import Accounts
from ssm_ssh.lab.sshd.authorized_keys import Grant, grant, read_file
from ssm_ssh.lab.sshd.forward import Listener, carry
from ssm_ssh.lab.sshd.instance_connect import PushedKeys
from ssm_ssh.lab.sshd.session import Session
from ssm_ssh.lab.sshd.transport import Transport

# sshd_config(5): MaxStartups 10:30:100, MaxAuthTries 6, LoginGraceTime 120, AcceptEnv as Debian and Fedora set it.
_STARTUPS = (10, 30, 100)
_AUTH_TRIES = 6
_GRACE_SECONDS = 120.0
_ACCEPTED_ENV = ("LANG", "LC_")
# The agent connects to localhost, so every server logs this address.
_ADDRESS = "127.0.0.1"
# RFC 4253, section 11.1: SSH_DISCONNECT_PROTOCOL_ERROR, which OpenSSH uses for all of its own reasons.
_PROTOCOL_ERROR = 2

Route = Callable[[str, int], socket.socket]

_LOGGER = "ssm_ssh.lab.sshd.embedded"
logging.getLogger(_LOGGER).addHandler(logging.NullHandler())
logging.getLogger(_LOGGER).propagate = False


class EmbeddedSshd:
    """The server of one instance. `route(host, port)` connects to what a user of the instance would reach there.

    `clock` returns seconds since the epoch, for expiry times.
    """

    kind = "embedded"
    port = 0

    def __init__(
        self,
        accounts: Accounts,
        host_keys: Sequence[Path],
        pushed: PushedKeys,
        route: Route,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.accounts = accounts
        self.pushed = pushed
        self.route = route
        self.clock = clock
        self.log: deque[str] = deque(maxlen=2000)
        self.listeners: set[int] = set()  # ports of this machine that users listen on (ssh -R)
        self._host_keys = tuple(host_keys)
        self._keys: list[paramiko.PKey] = []
        self.listening = False
        self._connections: set[Connection] = set()
        self._lock = threading.Lock()

    async def start(self) -> None:
        """Start accepting connections, with the host keys as they are now."""
        self._keys = [
            (
                paramiko.Ed25519Key
                if "ed25519" in path.name
                else paramiko.ECDSAKey
                if "ecdsa" in path.name
                else paramiko.RSAKey
            )(filename=str(path))
            for path in self._host_keys
        ]
        self.listening = True

    def connect(self) -> socket.socket:
        """Return a new connection to the server. Raises ConnectionRefusedError when it does not listen."""
        if not self.listening:
            raise ConnectionRefusedError("sshd is stopped")
        ours, theirs = socket.socketpair()
        with self._lock:
            waiting = sum(not connection.authenticated for connection in self._connections)
        if _drop(waiting):
            self.log.append(f"drop connection: past MaxStartups ({waiting} waiting)")
            with contextlib.suppress(OSError):
                ours.send(b"Exceeded MaxStartups\r\n")
            ours.close()
            return theirs
        connection = Connection(self, ours, self._keys)
        with self._lock:
            self._connections.add(connection)
        connection.start()
        return theirs

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a new connection as streams. Raises ConnectionRefusedError when it does not listen."""
        return await asyncio.open_unix_connection(sock=self.connect())

    def gone(self, connection: Connection) -> None:
        """A connection has ended."""
        with self._lock:
            self._connections.discard(connection)

    async def stop(self) -> None:
        """Stop accepting connections; open ones continue."""
        self.listening = False

    async def kill(self) -> None:
        """End it, its connections and what they run, at once."""
        self.listening = False
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.end()


def _drop(waiting: int) -> bool:
    begin, rate, full = _STARTUPS
    if waiting < begin:
        return False
    return waiting >= full or random.randrange(100) < rate + (100 - rate) * (waiting - begin) // (full - begin)  # noqa: S311


class Connection(paramiko.ServerInterface):
    """One client. The methods named check_… are paramiko's questions, asked in the transport's thread."""

    def __init__(self, server: EmbeddedSshd, sock: socket.socket, keys: Sequence[paramiko.PKey]) -> None:
        self._server = server
        self._accounts = server.accounts
        self._user = ""
        self._grant = Grant()
        self._failures = 0
        self._sessions: dict[int, Session] = {}
        # paramiko keeps weak references to channels, and closes a channel with its last strong reference.
        self._channels: list[paramiko.Channel] = []
        self._dialled: dict[int, socket.socket] = {}
        self._listeners: dict[tuple[str, int], Listener] = {}
        self.authenticated = False
        self._transport = Transport(sock)
        self._transport.answered = self._answered
        self._transport.set_log_channel(_LOGGER)
        self._transport.local_version = "SSH-2.0-LabSSH_1.0"
        for name in ("banner_timeout", "handshake_timeout", "auth_timeout"):
            setattr(self._transport, name, _GRACE_SECONDS)
        for key in keys:
            self._transport.add_server_key(key)

    def start(self) -> None:
        """Begin; returns at once."""
        threading.Thread(target=self._live, daemon=True).start()

    def _live(self) -> None:
        try:
            self._transport.start_server(event=threading.Event(), server=self)
            deadline = time.monotonic() + _GRACE_SECONDS
            while self._transport.is_active():
                if (channel := self._transport.accept(1.0)) is not None:
                    self._channels = [*(other for other in self._channels if not other.closed), channel]
                    if (sock := self._dialled.pop(channel.get_id(), None)) is not None:
                        carry(channel, sock)
                if not self.authenticated and time.monotonic() > deadline:
                    break
        except (paramiko.SSHException, OSError, EOFError) as error:
            self._server.log.append(f"connection ended: {error}")
        finally:
            self.end()

    def end(self) -> None:
        """Hang up and end what runs."""
        self._transport.close()
        for listener in list(self._listeners.values()):
            self._server.listeners.discard(listener.port)
            listener.close()
        for session in list(self._sessions.values()):
            session.hang_up()
        for sock in list(self._dialled.values()):
            sock.close()
        self._server.gone(self)

    # Authentication

    def get_allowed_auths(self, username: str) -> str:
        """Public keys only."""
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        """Accept pushed keys that have not expired, and the keys in the user's file as sshd would read it."""
        allowed = None
        if username in self._accounts.users:
            line = f"{key.get_name()} {key.get_base64()}"
            now = self._server.clock()
            lines = self._server.pushed.lines(username)
            allowed = grant(lines, line, address=_ADDRESS, now=now) or grant(
                read_file(self._accounts.home(username), self._accounts.uid), line, address=_ADDRESS, now=now
            )
        if allowed is None:
            self._failures += 1
            self._server.log.append(f"Failed publickey for {username[:64]!a}")
            if self._failures >= _AUTH_TRIES:
                self._disconnect("Too many authentication failures")
            return AUTH_FAILED
        self._grant = allowed
        self._user = username
        return AUTH_SUCCESSFUL

    def _disconnect(self, why: str) -> None:
        message = paramiko.Message()
        message.add_byte(cMSG_DISCONNECT)
        message.add_int(_PROTOCOL_ERROR)
        message.add_string(why)
        message.add_string("")
        self._transport._send_message(message)  # type: ignore[attr-defined]
        self._transport.close()

    # Sessions

    def check_channel_request(self, kind: str, chanid: int) -> int:
        """Allow sessions only; forwarded connections have a check of their own below."""
        self.authenticated = True
        if kind != "session":
            return OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        self._sessions = {number: session for number, session in self._sessions.items() if not session.over}
        self._sessions[chanid] = Session(self._accounts, self._user)
        return OPEN_SUCCEEDED

    def check_channel_env_request(self, channel: paramiko.Channel, name: bytes, value: bytes) -> bool:
        """Accept the variables that AcceptEnv allows."""
        text = name.decode(errors="replace")
        if not text.startswith(_ACCEPTED_ENV):
            return False
        self._sessions[channel.get_id()].environment[text] = value.decode(errors="surrogateescape")
        return True

    def check_channel_pty_request(  # noqa: PLR0917 - paramiko's signature
        self,
        channel: paramiko.Channel,
        term: bytes,
        width: int,
        height: int,
        pixelwidth: int,
        pixelheight: int,
        modes: bytes,
    ) -> bool:
        """A real pseudo-terminal, unless the key forbids one."""
        if self._grant.pty:
            self._sessions[channel.get_id()].want_pty(term.decode(errors="replace"), width, height)
        return self._grant.pty

    def check_channel_window_change_request(
        self, channel: paramiko.Channel, width: int, height: int, pixelwidth: int, pixelheight: int
    ) -> bool:
        """The window has another size."""
        self._sessions[channel.get_id()].resize(width, height)
        return True

    def check_channel_shell_request(self, channel: paramiko.Channel) -> bool:
        """A login shell."""
        return self._run(channel, None)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        """A command for the user's shell."""
        return self._run(channel, command.decode(errors="surrogateescape"))

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        """Only sftp: the system's sftp-server, else paramiko's."""
        if name != "sftp":
            return False
        if self._grant.command is not None:
            return self._run(channel, None)
        return self._sessions[channel.get_id()].sftp(channel)

    def _answered(self, number: int) -> None:
        if (session := self._sessions.get(number)) is not None:
            session.begin()

    def _run(self, channel: paramiko.Channel, command: str | None) -> bool:
        session = self._sessions[channel.get_id()]
        if self._grant.command is not None:
            if command is not None:
                session.environment["SSH_ORIGINAL_COMMAND"] = command
            command = self._grant.command
        return session.run(channel, command)

    # Forwarding

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        """ssh -L, -D, -W and -J."""
        self.authenticated = True
        if not self._grant.forwarding:
            return OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        try:
            self._dialled[chanid] = self._server.route(*destination)
        except (OSError, OverflowError, UnicodeError):
            return OPEN_FAILED_CONNECT_FAILED
        return OPEN_SUCCEEDED

    def check_port_forward_request(self, address: str, port: int) -> int:
        """ssh -R: always on loopback, as GatewayPorts no has it; 0 chooses a port. Returns the port, 0 for refusal."""
        if not self._grant.forwarding or 0 < port < 1024:
            return False
        try:
            listener = Listener(self._transport, address, port)
        except (OSError, OverflowError):
            return False
        self._listeners[address, listener.port] = listener
        self._server.listeners.add(listener.port)
        return listener.port

    def cancel_port_forward_request(self, address: str, port: int) -> None:
        """Stop a remote forward."""
        listener = self._listeners.pop((address, port), None)
        if listener is not None:
            self._server.listeners.discard(port)
            listener.close()
