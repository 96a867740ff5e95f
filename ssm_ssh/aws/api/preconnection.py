"""A connection made before the call that will need it, so that the call costs one round trip instead of three."""

from __future__ import annotations

import threading
import time

from ssm_ssh.errors import SsmSshError
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

# Seconds after which an unused connection is not worth a try: AWS closes it, or a NAT gateway has forgotten it.
_LIFETIME = 20.0


class PreConnection:
    """Connects in the background. The call that needs it repeats and reports what fails here."""

    def __init__(self, connect: Callable[[], socket.socket], clock: Callable[[], float] = time.monotonic) -> None:
        """`connect` raises SsmSshError when it cannot connect."""
        self._connect = connect
        self._clock = clock
        self._socket: socket.socket | None = None
        self._connected_at = 0.0
        self._wanted = True
        self._lock = threading.Lock()
        self._done = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def take(self, timeout: float) -> socket.socket | None:
        """Return the connection after at most `timeout` seconds, None if there is none; only the first call gets it."""
        self._done.wait(timeout)
        with self._lock:
            self._wanted = False
            sock, self._socket = self._socket, None
        if sock is not None and self._clock() > self._connected_at + _LIFETIME:
            sock.close()
            return None
        return sock

    def cancel(self) -> None:
        """Close the connection if it has not been taken, now or once it is made."""
        if (sock := self.take(0)) is not None:
            sock.close()

    def _run(self) -> None:
        try:
            sock = self._connect()
        except SsmSshError:
            pass
        else:
            with self._lock:
                if self._wanted:
                    self._socket, self._connected_at = sock, self._clock()
                else:
                    sock.close()
        finally:
            self._done.set()
