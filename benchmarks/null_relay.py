"""The least that a ProxyCommand does: copy stdin to a TCP socket and back. null_relay.py PORT"""

from __future__ import annotations

import os
import select
import socket
import sys


def main() -> None:
    sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(sock, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            data = os.read(fd, 65536)
            if not data:
                return
            if fd == 0:
                sock.sendall(data)
            else:
                os.write(1, data)


if __name__ == "__main__":
    main()
