"""A proxy that uses TLS: the connection through it is often TLS again, which Python's sockets cannot nest.

The caller gets one end of a socket pair, which behaves like a plain connection. A thread moves bytes between the
other end and the proxy. Only users of https:// proxies pay for it.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from contextlib import suppress

from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.transport.deadline import remaining, timed_out
from ssm_ssh.transport.host_name import encoded
from ssm_ssh.transport.tls import tls_error

if TYPE_CHECKING:
    from ssm_ssh.transport.proxy import Proxy

# Bytes buffered in each direction: as many as the kernel queues for a connection without a proxy (see dial).
_WINDOW = 128 * 1024
_RECORD = 16 * 1024
# Seconds that the proxy may go on sending after the caller has ended its side.
_LINGER = 10.0


def handshake(sock: socket.socket, context: ssl.SSLContext, proxy: Proxy, deadline: float) -> ssl.SSLSocket:
    """Wrap `sock`, connected to `proxy`, in TLS verified for the proxy's name, before `deadline` (monotonic).

    Raises NetworkError, and NotTrusted if the certificate does not verify.
    """
    waiting = f"TLS with the proxy {proxy.host}:{proxy.port}"
    try:
        sock.settimeout(remaining(deadline, waiting))
        return context.wrap_socket(sock, server_hostname=encoded(proxy.host))
    except TimeoutError:
        raise timed_out(waiting) from None
    except OSError as error:
        raise tls_error(error, f"the proxy {proxy.host}:{proxy.port}") from None


def bridge(outer: ssl.SSLSocket) -> socket.socket:
    """Return a socket that sends and receives through `outer`; closing it closes `outer`."""
    near, far = socket.socketpair()
    for end in (near, far):
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _WINDOW)
    pump = _Pump(outer, far)
    threading.Thread(target=pump.run, name="proxy", daemon=True).start()
    return near


class _Pump:
    """Moves bytes both ways until one side has ended and the bytes that it sent have arrived."""

    def __init__(self, outer: ssl.SSLSocket, far: socket.socket) -> None:
        self._outer, self._far = outer, far
        self._up, self._down = bytearray(), bytearray()
        self._caller_ended = self._proxy_ended = False
        # The poll events that TLS waits for. A key update makes it read in order to write, and the reverse.
        self._needs = 0

    def run(self) -> None:
        with suppress(OSError), self._outer, self._far:
            self._outer.setblocking(False)
            self._far.setblocking(False)
            self._move()

    def _move(self) -> None:
        poll = select.poll()
        until: float | None = None
        while not (self._proxy_ended and not self._down):
            self._needs = 0
            # A list, not a generator: each direction must have its turn.
            if any([self._from_proxy(), self._to_caller(), self._from_caller(), self._to_proxy()]):
                continue
            if self._caller_ended and not self._up and until is None:
                until = time.monotonic() + _LINGER
            if self._needs:
                poll.register(self._outer, self._needs)
            else:
                # poll would report a hang-up again and again while the caller does not read.
                with suppress(KeyError):
                    poll.unregister(self._outer)
            far = select.POLLOUT if self._down else 0
            if not self._caller_ended and len(self._up) < _WINDOW:
                far |= select.POLLIN
            poll.register(self._far, far)
            left = None if until is None else 1000 * (until - time.monotonic())
            if left is not None and left <= 0:
                return
            for descriptor, event in poll.poll(left):
                if descriptor == self._far.fileno() and event & (select.POLLHUP | select.POLLERR):
                    self._send_rest()
                    return

    def _send_rest(self) -> None:
        """Send the bytes that the caller wrote before it closed its end."""
        self._outer.settimeout(_LINGER)
        while True:
            self._outer.sendall(self._up)
            self._up.clear()
            if not self._from_caller():
                return

    def _from_proxy(self) -> bool:
        if self._proxy_ended or len(self._down) >= _WINDOW:
            return False
        try:
            received = self._outer.recv(_RECORD)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            self._needs |= _needed(error)
            return False
        except OSError:  # the caller sees a broken connection as one that has ended
            received = b""
        self._proxy_ended = not received
        self._down += received
        return True

    def _to_caller(self) -> bool:
        if not self._down:
            return False
        try:
            del self._down[: self._far.send(self._down)]
        except BlockingIOError:
            return False
        except OSError:
            self._send_rest()
            raise
        return True

    def _from_caller(self) -> bool:
        if self._caller_ended or len(self._up) >= _WINDOW:
            return False
        try:
            received = self._far.recv(_WINDOW)
        except BlockingIOError:
            return False
        self._caller_ended = not received
        self._up += received
        return bool(received)

    def _to_proxy(self) -> bool:
        if not self._up:
            return False
        try:
            del self._up[: self._outer.send(self._up[:_RECORD])]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            self._needs |= _needed(error)
            return False
        return True


def _needed(error: ssl.SSLError) -> int:
    return select.POLLOUT if isinstance(error, ssl.SSLWantWriteError) else select.POLLIN
