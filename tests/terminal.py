"""A program at a real terminal: what it shows, and what is typed."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import time
from collections.abc import Mapping, Sequence

# A program on a busy machine takes a few seconds; one that takes this long hangs.
LIMIT = 90.0
# Colours, titles and cursor moves.
_ESCAPES = re.compile(rb"\x1b(?:\[[0-9;?<>=]*[A-Za-z~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Z0-9]|[=>78kM])|\x0f")


class Terminal:
    """A program in a session of its own, on a terminal of its own."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            try:
                os.execvpe(command[0], list(command), dict(env))
            finally:
                os._exit(127)
        self.shown = b""
        self._read = 0

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def until(self, pattern: str, limit: float = LIMIT) -> str:
        """Return what was shown since the last call, up to and with what `pattern` matches."""
        deadline = time.monotonic() + limit
        while True:
            text = self._text()
            match = re.search(pattern, text[self._read :])
            if match:
                start, self._read = self._read, self._read + match.end()
                return text[start : self._read]
            left = deadline - time.monotonic()
            assert left > 0, f"{pattern!r} never came; shown: {text[self._read :]!r}"
            if not self._more(min(left, 1.0)):
                raise AssertionError(f"{pattern!r} never came; at the end: {text[self._read :]!r}")

    def end(self, limit: float = LIMIT) -> int:
        """Return the exit status, as subprocess has it."""
        deadline = time.monotonic() + limit
        while self._more(1.0):
            assert time.monotonic() < deadline, f"it does not end; shown: {self._text()[self._read :]!r}"
        _, status = os.waitpid(self.pid, 0)
        os.close(self._fd)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        """Leave nothing of it."""
        if self.pid:
            os.kill(self.pid, signal.SIGHUP)
            os.waitpid(self.pid, 0)
            os.close(self._fd)
            self.pid = 0

    def _text(self) -> str:
        return _ESCAPES.sub(b"", self.shown).decode("utf-8", "replace").replace("\r", "")

    def _more(self, seconds: float) -> bool:
        """Read what there is within `seconds`; False at the end."""
        if not select.select([self._fd], [], [], seconds)[0]:
            return True
        try:
            piece = os.read(self._fd, 65536)
        except OSError:  # Linux: the last program on the terminal has ended
            return False
        self.shown += piece
        if b"\x1b[c" in piece or b"\x1b[0c" in piece:  # fish asks what kind of terminal this is
            os.write(self._fd, b"\x1b[?62c")
        return bool(piece)
