"""A terminal that has a size, for AWS's own programs."""

from __future__ import annotations

import fcntl
import re
import struct
import termios
from collections.abc import Mapping, Sequence

from tests import terminal


class Terminal(terminal.Terminal):
    """A program on a terminal of 80 columns and 24 rows, which ends with the context."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        super().__init__(command, env)
        self.resize(80, 24)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the terminal."""
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def expect(self, text: str) -> str:
        """Read until `text` appears behind what was expected before; return what came up to its end."""
        return self.until(re.escape(text))

    @property
    def text(self) -> str:
        """Everything that was shown, without escape sequences and carriage returns."""
        return self._text()
