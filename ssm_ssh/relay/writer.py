"""Writes to a descriptor that does not block, and keeps in order what its reader has not taken yet."""

from __future__ import annotations

import errno
import os


class Writer:
    """Bytes on their way to `fd`, which the owner has made non-blocking."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.broken = False
        """The reader is gone; what is written is dropped."""
        self.error = 0
        """The errno of a write that failed although there is a reader, as on a full disk."""
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
            except OSError as error:
                self.broken = True
                self.error = 0 if error.errno == errno.EPIPE else error.errno or errno.EIO
                self._out, self.backlog = [], 0
                return
            self.backlog -= written
            self._out = [data[written:]] if written < len(data) else []
