"""`-f`: the process that the user started ends when the forwards are ready, and another goes on with them."""

from __future__ import annotations

import os

_READY = b"1"


class Background:
    """A process that leaves the terminal once it is ready. Made before there is any thread."""

    def __init__(self) -> None:
        """Fork; in the process that the user waits for, wait and exit: 0 when ready, else with the other's status."""
        reading, self._writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            return
        os.close(self._writing)
        os._exit(_waited(reading, child))

    def leave(self) -> None:
        """Tell that it is ready, and go on without the terminal."""
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.close(null)
        os.write(self._writing, _READY)
        os.close(self._writing)


def _waited(reading: int, child: int) -> int:
    while True:
        try:
            if os.read(reading, 1) == _READY:
                return 0
            return max(1, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)
        except KeyboardInterrupt:  # the other process was interrupted, too, and ends by itself
            continue
