"""A program on a pty, with the screen that a person would see."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyte

# A step takes a second or two; one that takes this long on a busy machine hangs.
LIMIT = 60.0


class _Screen(pyte.Screen):  # type: ignore[misc]
    """pyte's screen, which takes xterm's question about modified keys (CSI ? 4 m) for colours of a private kind."""

    def select_graphic_rendition(self, *attrs: int, private: bool = False) -> None:
        if not private:
            super().select_graphic_rendition(*attrs)


class PtyProgram:
    """`command` on a terminal of its own. `output` is all that it has written, `screen` what is to be seen of it."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], cwd: Path, *, columns: int = 80, rows: int = 24
    ) -> None:
        self.screen = _Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.output = b""
        self.status: int | None = None
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        self.pid = os.fork()
        if self.pid == 0:  # nothing but system calls until the program runs
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for fd in (0, 1, 2):
                os.dup2(self.slave, fd)
            os.closerange(3, 256)
            os.chdir(cwd)
            os.execvpe(command[0], list(command), dict(env))

    # --- what a person does -------------------------------------------------------------------------------------------

    def type(self, data: bytes) -> None:
        """Type `data`, and take what is shown meanwhile: a terminal that is not read stops the program."""
        os.set_blocking(self.master, False)
        while data:
            _, writable, _ = select.select([], [self.master], [], 0.01)
            if writable:
                with contextlib.suppress(BlockingIOError):
                    data = data[os.write(self.master, data[:4096]) :]
            self._read(0.0)

    def resize(self, columns: int, rows: int) -> None:
        """Change the terminal's size; the program's foreground job gets SIGWINCH."""
        self.screen.resize(rows, columns)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def kill(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    # --- what a person sees -------------------------------------------------------------------------------------------

    def _read(self, seconds: float) -> bool:
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the program has ended
            return False
        self.output += data
        self._stream.feed(data)
        return bool(data)

    @property
    def lines(self) -> list[str]:
        """The lines of the screen, without trailing spaces, down to the last that is not empty."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip("\n").split("\n")

    def until(self, done: Callable[[], object], what: str, limit: float = LIMIT) -> None:
        """Read until `done()`."""
        deadline = time.monotonic() + limit
        while not done():
            assert time.monotonic() < deadline, f"never came: {what}; the screen: {self.lines}; {self.output[-600:]!r}"
            self._read(0.05)

    def expect(self, text: str, *, after: int = 0, limit: float = LIMIT) -> int:
        """Read until `text` is in the output behind the index `after`; returns the index behind it."""
        wanted = text.encode()
        self.until(lambda: wanted in self.output[after:], text, limit)
        return self.output.index(wanted, after) + len(wanted)

    def shows(self, text: str, limit: float = LIMIT) -> None:
        """Read until the screen shows `text`."""
        self.until(lambda: any(text in line for line in self.lines), text, limit)

    def command(self, line: str, *, wanted: str, prompt: str = "$ ") -> str:
        """Type a line for a shell, and return what came between it and the next prompt. `wanted` has to be in it."""
        start = len(self.output)
        self.type(line.encode() + b"\r")
        end = self.expect(wanted, after=start + len(line))
        end = self.expect(prompt, after=end)
        return self.output[start:end].decode(errors="replace")

    def end(self, limit: float = LIMIT) -> int:
        """Read until the program has ended; returns its exit status, or minus the signal that killed it."""
        deadline = time.monotonic() + limit
        while self.status is None:
            assert time.monotonic() < deadline, f"no end; the screen: {self.lines}; {self.output[-600:]!r}"
            self._read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        while self._read(0.0):
            pass
        return self.status

    @property
    def restored(self) -> bool:
        """Whether the terminal's modes are those that it had at the start."""
        return bool(termios.tcgetattr(self.slave) == self.before)

    def close(self) -> None:
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)
        os.close(self.slave)
