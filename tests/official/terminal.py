"""A program on a terminal of its own, typed at and read by a test."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from typing import Any

from ssm_ssh.lab.process.terminal import taking_terminal

# A test that waits longer has failed.
_SECONDS = 60.0


class Terminal:
    """`command` on a new terminal of `columns` and `rows`; `seen` is everything that came out of it."""

    def __init__(self, command: Sequence[str], columns: int = 80, rows: int = 24, **options: Any) -> None:  # noqa: ANN401
        self._ours, theirs = os.openpty()
        self.resize(columns, rows)
        self.process = subprocess.Popen(
            [*taking_terminal(), *command], stdin=theirs, stdout=theirs, stderr=theirs, **options
        )
        os.close(theirs)
        self.seen = b""
        self._read = 0

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._ours)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the terminal."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: bytes) -> None:
        """Type `text`."""
        while text:
            text = text[os.write(self._ours, text) :]

    def expect(self, text: bytes) -> bytes:
        """Read until `text` appears behind what was expected before; return what came up to its end."""
        deadline = time.monotonic() + _SECONDS
        while (at := self.seen.find(text, self._read)) < 0:
            assert self._more(deadline), (text, self.seen)
        before, self._read = self._read, at + len(text)
        return self.seen[before : self._read]

    def end(self) -> int:
        """Read to the end; return the exit status."""
        deadline = time.monotonic() + _SECONDS
        while self._more(deadline):
            pass
        return self.process.wait(_SECONDS)

    def _more(self, deadline: float) -> bool:
        left = deadline - time.monotonic()
        assert left > 0, self.seen
        if not select.select([self._ours], [], [], left)[0]:
            return True
        try:
            data = os.read(self._ours, 65536)
        except OSError:
            return False
        self.seen += data.replace(b"\r", b"")  # the plugin leaves the terminal's own line ends on
        return bool(data)
