"""A line about a long wait, for a person: updated in place on a terminal, and elsewhere printed once for each step."""

from __future__ import annotations

import os
import select
from contextlib import suppress

_STDERR = 2
# CSI K: what the line before had more than this one.
_CLEAR = "\x1b[K"


class ProgressLine:
    """The line on `fd`. It never blocks, and what cannot be shown is left out."""

    def __init__(self, fd: int = _STDERR) -> None:
        self._fd = fd
        self._text = ""
        self._open = False

    def show(self, text: str, seconds: int) -> None:
        """Show what is awaited, and for how many seconds it has been. The text is printable."""
        if self._is_updated():
            self._write(f"\r{self._fitting(f'ssm-ssh: {text} ({seconds} s)')}{_CLEAR}")
            self._open = True
        elif text != self._text:
            self._write(f"ssm-ssh: {text}\r\n" if self._is_terminal() else f"ssm-ssh: {text}\n")
        self._text = text

    def tell(self, text: str) -> None:
        """Show a line that stays."""
        self.end()
        self._write(f"ssm-ssh: {text}\r\n" if self._is_terminal() else f"ssm-ssh: {text}\n")

    def end(self) -> None:
        """Remove the line that was updated: what follows begins at the left."""
        if self._open:
            self._open = False
            self._write(f"\r{_CLEAR}")

    def leave(self) -> None:
        """Leave the line as it is, where the user has gone: what follows begins on the next one."""
        if self._open:
            self._open = False
            self._write("\r\n")

    def _fitting(self, line: str) -> str:
        try:
            columns = os.get_terminal_size(self._fd).columns
        except OSError:
            columns = 0
        # A line that wraps could not be updated. A terminal without a size has 0 columns.
        return line[: max(20, columns - 1)] if columns else line

    def _is_terminal(self) -> bool:
        try:
            return os.isatty(self._fd)
        except OSError:
            return False

    def _is_updated(self) -> bool:
        if os.environ.get("TERM", "") in ("", "dumb"):
            return False
        with suppress(OSError):
            return os.isatty(self._fd) and os.tcgetpgrp(self._fd) == os.getpgrp()
        return False

    def _write(self, text: str) -> None:
        wanted = select.poll()
        wanted.register(self._fd, select.POLLOUT)
        with suppress(OSError):
            if wanted.poll(0):
                os.write(self._fd, text.encode("ascii", "replace"))
