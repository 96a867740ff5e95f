"""The standard streams of a command, written and read without ever blocking the loop."""

from __future__ import annotations

import os

# Bytes of a read: what a pipe holds.
_READ = 65536


class LocalOutput:
    """stdout or stderr. What the reader has not taken yet waits here, in order."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.broken = False
        """The reader is gone; what is written is dropped."""
        self.backlog = 0
        """Bytes that wait."""
        self._waiting: list[bytes] = []
        self._blocking = True

    def open(self) -> None:
        """Stop the descriptor from blocking, until `close`. It may be closed."""
        try:
            self._blocking = os.get_blocking(self.fd)
            os.set_blocking(self.fd, False)
        except OSError:
            self.broken = True

    def write(self, data: bytes) -> None:
        """Write as much as the reader takes; the rest waits for `flush`."""
        if data and not self.broken:
            self._waiting.append(data)
            self.backlog += len(data)
            if len(self._waiting) == 1:
                self.flush()

    def flush(self) -> None:
        """Write what waits, as much as the reader takes."""
        while self._waiting:
            data = self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)
            try:
                written = os.write(self.fd, data)
            except BlockingIOError:
                self._waiting = [data]
                return
            except OSError:
                self.broken = True
                self._waiting, self.backlog = [], 0
                return
            self.backlog -= written
            self._waiting = [data[written:]] if written < len(data) else []

    def close(self) -> None:
        """Let the descriptor block again if it did."""
        if self._blocking:
            try:
                os.set_blocking(self.fd, True)
            except OSError:
                self.broken = True


class RawMode:
    """The terminal behind stdin, for a command that has a terminal of its own: every key is the command's."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._before: list[int | list[bytes | int]] | None = None

    def enter(self) -> None:
        """Have every key passed on, until `restore`. Does nothing where there is no terminal."""
        import termios
        import tty

        try:
            self._before = termios.tcgetattr(self._fd)
            tty.setraw(self._fd, termios.TCSADRAIN)
        except (termios.error, OSError):
            self._before = None

    def restore(self) -> None:
        """Put the terminal's modes back if they were changed."""
        import termios

        before, self._before = self._before, None
        if before is not None:
            try:
                termios.tcsetattr(self._fd, termios.TCSADRAIN, before)
            except (termios.error, OSError):
                return


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
