"""A connection that is made before the call that will need it, so that the call costs one round trip and not three."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ssm_ssh.errors import SsmSshError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


class Ahead:
    """Connects in the background. What fails there is left to the call, which connects again and says it."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._sock: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def take(self, patience: float) -> socket.socket | None:
        """Return the connection after at most `patience` seconds, None where there is none. It is given once."""
        self._thread.join(patience)
        sock, self._sock = self._sock, None
        return sock

    def _run(self) -> None:
        try:
            self._sock = self._connect()
        except SsmSshError:
            pass
