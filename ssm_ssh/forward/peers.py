"""Whether the program at the other end of a local connection has closed it, or its sending side alone.

TCP says the same in both cases, so an answer would have to be waited for each time. Linux knows: a socket without a
process has no inode (proc(5), /proc/net/tcp). Where that cannot be read, the program may still be there.
"""

from __future__ import annotations

import select
import socket
import sys
from pathlib import Path

_FILES = {socket.AF_INET: "/proc/net/tcp", socket.AF_INET6: "/proc/net/tcp6"}
# States in which a socket's process is gone, if it has none: FIN_WAIT1, FIN_WAIT2, LAST_ACK, CLOSING (tcp_states.h).
_CLOSED = {"04", "05", "09", "0B"}


def peer_is_gone(sock: socket.socket) -> bool:
    """Return True if the other end, on this computer, belongs to no process any more; False also if that is unknown."""
    try:
        if sock.family not in _FILES:
            poll = select.poll()
            poll.register(sock, 0)
            return any(mask & select.POLLHUP for _, mask in poll.poll(0))
        wanted = _spelled(sock, sock.getpeername()), _spelled(sock, sock.getsockname())
        with Path(_FILES[sock.family]).open(encoding="ascii") as file:
            next(file)
            for line in file:
                fields = line.split()
                if (fields[1], fields[2]) == wanted:
                    return fields[3] in _CLOSED and fields[9] == "0"
    except (OSError, StopIteration, IndexError, UnicodeDecodeError):
        pass
    return False


def _spelled(sock: socket.socket, address: tuple[str, int]) -> str:
    """Return an address as /proc/net/tcp has it: words in the byte order of this machine."""
    packed = socket.inet_pton(sock.family, address[0].partition("%")[0])
    words = (packed[at : at + 4] for at in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words) + f":{address[1]:04X}"
