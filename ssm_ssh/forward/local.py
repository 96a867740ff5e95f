"""One local connection: its socket, what waits for it, and how it ends."""

from __future__ import annotations

import socket
import struct

from ssm_ssh.forward.peers import peer_is_gone
from ssm_ssh.forward.specs import bracketed
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Bytes read at once: one smux frame, so that many connections take turns.
MOST_READ = 32760
# Bytes of what waits that are offered to the kernel at once.
_MOST_WRITTEN = 256 * 1024
_RESET = struct.pack("ii", 1, 0)


class Local:
    """A program on this computer that has connected."""

    def __init__(
        self, sock: socket.socket, destination: str, is_gone: Callable[[socket.socket], bool] = peer_is_gone
    ) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.destination = destination
        self.stream = 0
        self.name = _name(sock)
        self.reading = True
        """The program may still send."""
        self.ended = False
        """The server has ended: when all is written, the connection is closed."""
        self.waiting = 0
        """Bytes that the program has not taken."""
        self.linger_until: float | None = None
        self.look_at: float | None = None
        self._is_gone = is_gone
        self._buffer: list[bytes] = []
        sock.setblocking(False)

    def __str__(self) -> str:
        return f"{self.name} -> {self.destination}"

    def gone(self) -> bool:
        """Whether the program has closed its socket altogether, and not its sending side alone, as far as is known."""
        return self._is_gone(self.sock)

    def read(self, most: int) -> bytes | None:
        """Return bytes, b"" at the end, None for nothing yet. Raises OSError."""
        try:
            return self.sock.recv(most)
        except BlockingIOError:
            return None

    def write(self, data: bytes) -> None:
        """Write `data`, or keep what the program does not take yet. Raises OSError where it is gone."""
        if not self._buffer:
            sent = self._send(data)
            data = data[sent:] if sent else data
        if data:
            self._buffer.append(data)
            self.waiting += len(data)

    def flush(self) -> None:
        """Write what waits. Raises OSError."""
        while self._buffer:
            if len(self._buffer) > 1:
                count, size = 0, 0
                while count < len(self._buffer) and size < _MOST_WRITTEN:
                    size += len(self._buffer[count])
                    count += 1
                self._buffer[:count] = [b"".join(self._buffer[:count])]
            first = self._buffer[0]
            sent = self._send(first)
            self.waiting -= sent
            if sent < len(first):
                self._buffer[0] = first[sent:]
                return
            del self._buffer[0]

    def _send(self, data: bytes) -> int:
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0

    def finish(self) -> None:
        """Tell the program the end; it may have more to say, which is read and dropped before the socket is closed."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        """Close the socket."""
        self._buffer.clear()
        self.waiting = 0
        self.sock.close()

    def reset(self) -> None:
        """Close the socket so that the program gets an error, and takes no part of an answer for the whole."""
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        except OSError:
            pass
        self.close()


def _name(sock: socket.socket) -> str:
    if sock.family == getattr(socket, "AF_UNIX", None):
        return "a local socket"
    try:
        host, port = sock.getpeername()[:2]
    except OSError:
        return "a local program"
    return f"{bracketed(host)}:{port}"
