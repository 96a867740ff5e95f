"""The standard descriptors of a ProxyCommand, read and written without ever blocking.

No other module knows them. A caller of the API has a local side of its own and does not need this module.
"""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress

from ssm_ssh.relay.writer import Writer

_STDERR = 2
# Bytes of a read: what a pipe holds. Larger reads only grow the process.
_READ = 65536


class StandardStreams(Writer):
    """stdin, stdout and stderr as ssh gave them, and the process that did (environment.LocalStreams)."""

    def __init__(self, stdin: int = 0, stdout: int = 1) -> None:
        super().__init__(stdout)
        self.stdin = stdin
        self.stdout = stdout
        self.ended = False
        self.parent_fd = -1
        self._parent = os.getppid()
        self._blocking = os.get_blocking(stdout)
        os.set_blocking(stdout, False)

    def read(self, room: int) -> bytes:
        """Return at most `room` bytes that ssh has written; b"" once it has ended. Call it when stdin is readable."""
        try:
            data = os.read(self.stdin, min(room, _READ))
        except BlockingIOError:
            return b""
        except OSError:  # the terminal behind it went away
            data = b""
        if not data:
            self.ended = True
        return data

    def tell(self, line: bytes) -> bool:
        """Write a line to stderr; returns False where that would have to wait for a reader."""
        return tell(line)

    def in_foreground(self) -> bool:
        """Return whether stderr is the terminal whose foreground job this process belongs to."""
        return in_foreground()

    def client_is_parent(self) -> bool:
        """Return whether the ssh that started this process is still its parent.

        It is not once ssh has gone into the background or has ended.
        """
        return os.getppid() == self._parent

    def watch_parent(self) -> None:
        """Have `parent_fd` become readable when the parent ends, where the system can do that (Linux 5.3).

        https://man7.org/linux/man-pages/man2/pidfd_open.2.html
        """
        if sys.platform == "linux":
            with suppress(AttributeError, OSError):  # an older kernel, or a sandbox
                self.parent_fd = os.pidfd_open(self._parent)

    def forget_parent(self) -> None:
        """Close `parent_fd`, which poll() must have forgotten."""
        os.close(self.parent_fd)
        self.parent_fd = -1

    def release_stderr(self) -> None:
        """Put /dev/null in the place of stderr, so that no program that reads it waits for this process."""
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, _STDERR)
        os.close(null)

    def detach(self) -> None:
        """Let go of everything inherited, so that no program that captures ssh's output waits for this process."""
        try:
            os.set_blocking(self.stdout, self._blocking)
        except OSError:
            pass
        null = os.open(os.devnull, os.O_RDWR)
        for fd in {0, 1, 2, self.stdin, self.stdout}:
            os.dup2(null, fd)
        os.close(null)


def in_foreground(fd: int = _STDERR) -> bool:
    """Whether stderr is the terminal whose foreground job we belong to."""
    try:
        return os.isatty(fd) and os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:  # a terminal of another session
        return False


def tell(line: bytes, fd: int = _STDERR) -> bool:
    """Write a line to stderr; False where it would take a reader first, for a full pipe must not stop a connection."""
    wanted = select.poll()
    wanted.register(fd, select.POLLOUT)
    try:
        # Ready means that PIPE_BUF bytes fit, more than a line has.
        # https://man7.org/linux/man-pages/man7/pipe.7.html
        return bool(wanted.poll(0)) and os.write(fd, line) == len(line)
    except OSError:
        return False
