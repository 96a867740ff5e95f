"""Forwarded connections of the embedded SSH server: a channel on one side, a socket on the other."""

from __future__ import annotations

import contextlib
import socket
import threading

import paramiko

from ssm_ssh.lab.sshd.transport import GONE, close

_CHUNK = 32768


def carry(channel: paramiko.Channel, sock: socket.socket) -> None:
    """Carry bytes both ways until both sides have ended; returns at once. Each side's end of file is passed on."""
    inward = threading.Thread(target=_inward, args=(channel, sock), daemon=True)
    inward.start()
    threading.Thread(target=_outward, args=(channel, sock, inward), daemon=True).start()


def _inward(channel: paramiko.Channel, sock: socket.socket) -> None:
    try:
        while data := channel.recv(_CHUNK):
            sock.sendall(data)
    except GONE:
        close(channel)
    with contextlib.suppress(OSError):
        # After a close (unlike an end of file) the client does not read any more.
        sock.shutdown(socket.SHUT_RDWR if channel.closed else socket.SHUT_WR)


def _outward(channel: paramiko.Channel, sock: socket.socket, inward: threading.Thread) -> None:
    try:
        while data := sock.recv(_CHUNK):
            channel.sendall(data)
        channel.shutdown_write()
    except GONE:
        close(channel)
    inward.join()
    close(channel)
    sock.close()


class Listener:
    """A port of 127.0.0.1 whose connections go to the client (ssh -R). Raises OSError when it cannot be had."""

    def __init__(self, transport: paramiko.Transport, address: str, port: int) -> None:
        self._transport = transport
        self._address = address  # as the client wrote it: it finds its forwarding by that
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, origin = self._socket.accept()
                try:
                    channel = self._transport.open_forwarded_tcpip_channel(origin, (self._address, self.port))
                except GONE:
                    sock.close()
                    continue
                carry(channel, sock)

    def close(self) -> None:
        """Stop listening; open connections continue."""
        with contextlib.suppress(OSError):
            # close alone does not wake a thread that waits in accept.
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
