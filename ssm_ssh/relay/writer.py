"""Writes to a descriptor that does not block, and keeps in order what its reader has not taken yet."""

from __future__ import annotations

import os


class Writer:
    """Bytes on their way to `fd`, which the owner has made non-blocking."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.broken = False
        """The reader is gone; what is written is dropped."""
        self.backlog = 0
        """Bytes that the reader has not taken yet."""
        self._out: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Write `data`, as much as the reader takes now; the rest waits for `flush`."""
        if not data or self.broken:
            return
        self._out.append(data)
        self.backlog += len(data)
        if len(self._out) == 1:
            self.flush()

    def flush(self) -> None:
        """Write what waits. A reader that is gone makes `broken` true and empties the backlog."""
        while self._out:
            data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            try:
                written = os.write(self._fd, data)
            except BlockingIOError:
                self._out = [data]
                return
            except OSError:
                self.broken = True
                self._out, self.backlog = [], 0
                return
            self.backlog -= written
            self._out = [data[written:]] if written < len(data) else []
