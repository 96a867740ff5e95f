"""The sockets that a forward listens on."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

from ssm_ssh.errors import SsmSshError
from ssm_ssh.forward.specs import bracketed
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from ssm_ssh.forward.specs import Spec

_LOOPBACK = (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6))
_BACKLOG = 128
# Attempts at a port that is free for both families.
_ATTEMPTS = 20
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


class Listener:
    """The open sockets of one forward. Raises SsmSshError where they cannot be had."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.sockets: list[socket.socket] = []
        self._inode: tuple[int, int] | None = None
        try:
            if spec.path:
                self._listen_at_path()
            elif spec.bind:
                self._listen_on(spec.bind)
            else:
                self._listen_on_loopback()
            for sock in self.sockets:
                sock.setblocking(False)
                sock.listen(_BACKLOG)
        except OSError as error:
            self.close()
            raise self._explained(error) from None

    @property
    def port(self) -> int:
        """The real port; 0 for a unix socket."""
        return 0 if self.spec.path else int(self.sockets[0].getsockname()[1])

    @property
    def addresses(self) -> list[str]:
        """Where it listens, as ADDRESS:PORT or a path."""
        if self.spec.path:
            return [self.spec.path]
        return [f"{bracketed(sock.getsockname()[0])}:{self.port}" for sock in self.sockets]

    def close(self) -> None:
        """Listen no more; the file of a unix socket is removed if it is still this one."""
        for sock in self.sockets:
            sock.close()
        if self._inode is not None:
            try:
                current = os.lstat(self.spec.path)
                if (current.st_dev, current.st_ino) == self._inode:
                    Path(self.spec.path).unlink()
            except OSError:
                pass

    def _bind(self, family: int, address: str, port: int) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((address, port))
        except OSError:
            sock.close()
            raise
        return sock

    def _listen_on_loopback(self) -> None:
        for attempt in range(_ATTEMPTS):
            port = self.spec.port
            for address, family in _LOOPBACK:
                try:
                    sock = self._bind(family, address, port)
                except OSError as error:
                    if family == socket.AF_INET6 and error.errno in _NO_IPV6:
                        continue
                    if self.spec.port or error.errno != errno.EADDRINUSE or attempt == _ATTEMPTS - 1:
                        raise
                    break
                self.sockets.append(sock)
                port = sock.getsockname()[1]
            else:
                return
            self.close()
            self.sockets.clear()

    def _listen_on(self, bind: str) -> None:
        if bind == "*":
            wanted = [("0.0.0.0", socket.AF_INET), ("::", socket.AF_INET6)]  # noqa: S104 -- the user asks for it
        else:
            try:
                answers = socket.getaddrinfo(bind, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            except UnicodeError:  # a label that is empty or too long
                raise OSError(errno.EINVAL, "not the name of a host") from None
            wanted = list(dict.fromkeys((str(answer[4][0]), answer[0]) for answer in answers))
        port = self.spec.port
        for address, family in wanted:
            try:
                self.sockets.append(self._bind(family, address, port))
            except OSError as error:
                # A name such as localhost may have an address in a family that this computer lacks.
                if error.errno not in _NO_IPV6 or len(wanted) == 1 or (address == wanted[-1][0] and not self.sockets):
                    raise
                continue
            port = self.sockets[0].getsockname()[1]

    def _listen_at_path(self) -> None:
        path = self.spec.path
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sockets.append(sock)
        before = os.umask(0o177)
        try:
            try:
                sock.bind(path)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or _answers(path):
                    raise
                Path(path).unlink()  # a socket that a program left behind
                sock.bind(path)
        finally:
            os.umask(before)
        made = os.lstat(path)
        self._inode = made.st_dev, made.st_ino

    def _explained(self, error: OSError) -> SsmSshError:
        spec = self.spec
        where = printable(spec.path, 120) if spec.path else f"port {spec.port}"
        if error.errno == errno.EADDRINUSE:
            hint = "Choose another path" if spec.path else f"Use another one, or any: -L 0:{spec.destination}"
            return SsmSshError(f"{where} is in use on this computer", hint)
        if error.errno in (errno.EACCES, errno.EPERM) and 0 < spec.port < 1024:
            return SsmSshError(
                f"{where} needs special rights, as all ports below 1024",
                f"Use a higher one: -L {spec.port + 8000}:{spec.destination}",
            )
        reason = error.strerror or printable(str(error), 120) or type(error).__name__
        return SsmSshError(f"{where} on {printable(spec.bind or 'this computer', 80)}: {reason}", "Use another address")


def _answers(path: str) -> bool:
    """Whether something other than an abandoned socket is at `path`."""
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError:
            pass
    return True
