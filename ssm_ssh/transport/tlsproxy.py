"""A proxy that is spoken to over TLS: what goes through it is often TLS again, which Python's sockets cannot nest.

The caller gets one end of a socket pair, as plain as a connection of its own. A thread moves the bytes between its
other end and the proxy. Only users of https:// proxies pay for it.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ssm_ssh.transport.deadline import remaining, timed_out
from ssm_ssh.transport.tls import tls_error

if TYPE_CHECKING:
    from ssm_ssh.transport.proxy import Proxy

# Bytes on their way in each direction: as many as the kernel is given of a connection without a proxy (dial).
_WINDOW = 128 * 1024
_RECORD = 16 * 1024
# Seconds that the proxy may still take to send, once the caller has said that it sends no more.
_LINGER = 10.0


def handshake(sock: socket.socket, context: ssl.SSLContext, proxy: Proxy, deadline: float) -> ssl.SSLSocket:
    """Return `sock`, connected to `proxy`, as TLS verified for the proxy's name, before `deadline` (monotonic).

    Raises NetworkError, and NotTrusted where the certificate does not verify.
    """
    waiting = f"TLS with the proxy {proxy.host}:{proxy.port}"
    try:
        sock.settimeout(remaining(deadline, waiting))
        return context.wrap_socket(sock, server_hostname=proxy.host)
    except TimeoutError:
        raise timed_out(waiting) from None
    except OSError as error:
        raise tls_error(error, f"the proxy {proxy.host}:{proxy.port}") from None


def bridge(outer: ssl.SSLSocket) -> socket.socket:
    """Return a socket whose bytes go through `outer`; closing it closes `outer`."""
    near, far = socket.socketpair()
    for end in (near, far):
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _WINDOW)
    pump = _Pump(outer, far)
    threading.Thread(target=pump.run, name="proxy", daemon=True).start()
    return near


class _Pump:
    """Moves bytes both ways until one side has ended and what it had sent has arrived."""

    def __init__(self, outer: ssl.SSLSocket, far: socket.socket) -> None:
        self._outer, self._far = outer, far
        self._up, self._down = bytearray(), bytearray()
        self._caller_ended = self._proxy_ended = False
        # What the TLS layer waits for, whichever direction asked: a renewal of keys turns them round.
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
            # Each must have its turn.
            if any([self._from_proxy(), self._to_caller(), self._from_caller(), self._to_proxy()]):
                continue
            if self._caller_ended and not self._up and until is None:
                until = time.monotonic() + _LINGER
            if self._needs:
                poll.register(self._outer, self._needs)
            else:
                # A hang-up would be told again and again while the caller does not read.
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
                    self._last_words()
                    return

    def _last_words(self) -> None:
        """Send what the caller had written before it closed its end."""
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
        except OSError:  # a connection that breaks has ended, for whoever reads the other end
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
            self._last_words()
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
