"""The standard streams of a command, written and read without ever blocking the loop."""

from __future__ import annotations

import os

from ssm_ssh.relay.writer import Writer

# Bytes of a read: what a pipe holds.
_READ = 65536


class LocalOutput(Writer):
    """stdout or stderr. What the reader has not taken yet waits here, in order."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.fd = fd
        self._blocking = True

    @property
    def reason(self) -> str:
        """Why a write failed, in the words of the operating system."""
        return os.strerror(self.error)

    def open(self) -> None:
        """Stop the descriptor from blocking, until `close`. It may be closed."""
        try:
            self._blocking = os.get_blocking(self.fd)
            os.set_blocking(self.fd, False)
        except OSError:
            self.broken = True

    def close(self) -> None:
        """Let the descriptor block again if it did."""
        if self._blocking:
            try:
                os.set_blocking(self.fd, True)
            except OSError:
                self.broken = True


def read(fd: int, room: int) -> bytes | None:
    """Return at most `room` bytes of a readable descriptor, b"" at its end, None where there is nothing after all."""
    try:
        return os.read(fd, min(room, _READ))
    except BlockingIOError:
        return None
    except OSError:  # a closed descriptor, or the terminal behind it went away
        return b""


def terminal_size(fd: int) -> tuple[int, int] | None:
    """Return columns and rows of the terminal behind `fd`, None where there is none."""
    try:
        size = os.get_terminal_size(fd)
    except OSError:
        return None
    return (size.columns, size.lines) if size.columns and size.lines else None
