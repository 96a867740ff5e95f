"""A connection that is made before the call that will need it, so that the call costs one round trip and not three."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from ssm_ssh.errors import SsmSshError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

# Seconds after which a connection that nobody has used is not worth a try: AWS closes it, or a NAT has forgotten it.
_FRESH = 20.0


class Ahead:
    """Connects in the background. What fails there is left to the call, which connects again and says it."""

    def __init__(self, connect: Callable[[], socket.socket], clock: Callable[[], float] = time.monotonic) -> None:
        """`connect` raises SsmSshError where it cannot."""
        self._connect = connect
        self._clock = clock
        self._made: socket.socket | None = None
        self._made_at = 0.0
        self._wanted = True
        self._lock = threading.Lock()
        self._done = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def take(self, patience: float) -> socket.socket | None:
        """Return the connection, after at most `patience` seconds; None where there is none. It is given once."""
        self._done.wait(patience)
        with self._lock:
            self._wanted = False
            made, self._made = self._made, None
        if made is not None and self._clock() > self._made_at + _FRESH:
            made.close()
            return None
        return made

    def drop(self) -> None:
        """Close the connection if nobody has taken it, now or when it is made."""
        if (made := self.take(0)) is not None:
            made.close()

    def _run(self) -> None:
        try:
            made = self._connect()
        except SsmSshError:
            pass
        else:
            with self._lock:
                if self._wanted:
                    self._made, self._made_at = made, self._clock()
                else:
                    made.close()
        finally:
            self._done.set()
