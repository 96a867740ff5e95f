"""Nonblocking byte streams over a connected socket: plain, or TLS in memory.

TLS uses ssl.MemoryBIO instead of a wrapped socket, so that one system call moves many TLS records. This doubles to
quadruples the throughput.
"""

from __future__ import annotations

import contextlib
import select
import ssl

from ssm_ssh.errors import Disconnected
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable
from ssm_ssh.transport.deadline import remaining, timed_out
from ssm_ssh.transport.host_name import encoded
from ssm_ssh.transport.tls import tls_error

if TYPE_CHECKING:
    import socket

# The most bytes of one receive: the largest WebSocket frame that is accepted.
READ_SIZE = 256 * 1024
_RECORD = 16 * 1024  # the most bytes of a TLS record; a read returns at most one record
_LAST_READS = 16  # more than a kernel's receive buffer holds; a peer that goes on sending is not waited for
_CLOSED = "the other side closed the connection"


class Stream:
    """Plain TCP.

    Writing never raises. The next recv() raises the error of a failed write, after the bytes received before it,
    which often explain why the peer hung up.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        # All receives share one buffer: allocating one of this size costs more than the bytes that arrive.
        self._buffer = memoryview(bytearray(READ_SIZE))
        self._unsent = bytearray()
        self._ended: Disconnected | None = None
        self._broken: Disconnected | None = None

    def fileno(self) -> int:
        """Return the socket's descriptor (-1 once closed), to poll for reading, and for writing if `wants_write`."""
        return self._sock.fileno()

    @property
    def backlog(self) -> int:
        """Bytes passed to send() that the kernel has not taken yet."""
        return len(self._unsent)

    @property
    def wants_write(self) -> bool:
        """Whether flush() has something to do once the socket is writable."""
        return bool(self._unsent)

    def has_pending(self) -> bool:
        """Return whether recv() has something to return or raise even if the socket is not readable."""
        return self._ended is not None or self._broken is not None

    def recv(self) -> bytes:
        """Return the bytes that can be read now, about READ_SIZE at most; empty for none. Raises Disconnected."""
        if self._ended:
            raise self._ended
        try:
            raw = self._buffer[: self._sock.recv_into(self._buffer)]
        except (BlockingIOError, InterruptedError):
            if self._broken:
                self._ended = self._broken
                raise self._ended from None
            return self._decode(None)
        except OSError as error:
            self._ended = _lost(error)
            raise self._ended from None
        return self._decode(raw)

    def send(self, data: bytes) -> None:
        """Queue `data` and write as much as the kernel takes now."""
        self._queue(self._encode(data))

    def flush(self) -> None:
        """Write as much of the backlog as the kernel takes now."""
        while self._unsent:
            sent = self._write(self._unsent)
            if sent == 0:
                return
            del self._unsent[:sent]

    def wait(self, deadline: float, what: str) -> None:
        """Block until flush(), or without a backlog recv(), can do something. Raises NetworkError at `deadline`."""
        if self.has_pending():
            return
        poll = select.poll()
        poll.register(self._sock, select.POLLOUT if self._unsent else select.POLLIN)
        if not poll.poll(max(1, int(remaining(deadline, what) * 1000))):
            raise timed_out(what)

    def close(self) -> None:
        """End the stream as far as possible without blocking, and close the socket. May be called twice."""
        if self._sock.fileno() < 0:
            return
        self._finish()
        try:
            self._sock.shutdown(1)  # SHUT_WR
            # With unread bytes close() sends a reset, which can overtake the last bytes sent.
            for _ in range(_LAST_READS):
                if not self._sock.recv(READ_SIZE):
                    break
        except OSError:
            pass
        self._sock.close()

    def _decode(self, raw: memoryview | None) -> bytes:
        """Return the plaintext of what was read; None means that nothing was, empty that the stream has ended."""
        if raw is None:
            return b""
        if not raw:
            self._ended = self._broken or Disconnected(_CLOSED)
            raise self._ended
        return bytes(raw)

    def _encode(self, data: bytes) -> bytes:
        return data

    def _finish(self) -> None:
        """Send the bytes that end the stream."""

    def _queue(self, raw: bytes) -> None:
        if self._broken:
            return
        if self._unsent:
            self._unsent += raw
            self.flush()
        elif raw:
            sent = self._write(raw)
            if sent < len(raw) and not self._broken:
                self._unsent += memoryview(raw)[sent:]
                if sent:
                    self.flush()

    def _write(self, raw: bytes | bytearray) -> int:
        try:
            return self._sock.send(raw)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._broken = _lost(error)
            self._unsent.clear()
            return 0


class TlsStream(Stream):
    """TLS over TCP. The constructor blocks until the handshake is complete, at most until `deadline` (monotonic)."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str, deadline: float) -> None:
        """Take over `sock`, and close it on failure. Raises NetworkError and NotTrusted."""
        super().__init__(sock)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._early = False
        try:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=encoded(host))
            self._handshake(host, f"the TLS handshake with {host}", deadline)
        except BaseException:
            sock.close()
            raise

    def has_pending(self) -> bool:
        """Return whether recv() has something to return or raise even if the socket is not readable."""
        return self._early or super().has_pending()

    def _handshake(self, host: str, what: str, deadline: float) -> None:
        complete = False
        while not complete:
            try:
                self._tls.do_handshake()
                complete = True
            except ssl.SSLWantReadError:
                pass
            except OSError as error:
                self._queue(self._outgoing.read())  # the alert tells the peer why
                raise tls_error(error, host) from None
            self._queue(self._outgoing.read())
            while self._unsent:
                self.wait(deadline, what)
                self.flush()
            if not complete:
                self._incoming.write(self._next_flight(host, what, deadline))
        # The last flight can carry the first data, which no poll will announce.
        self._early = self._incoming.pending > 0

    def _next_flight(self, host: str, what: str, deadline: float) -> bytes:
        while True:
            self.wait(deadline, what)
            try:
                raw = self._sock.recv(READ_SIZE)
            except (BlockingIOError, InterruptedError):
                continue
            except OSError as error:
                raise tls_error(error, host) from None
            if not raw:
                raise Disconnected(f"the other side cut off {what}", "Check the network and HTTPS_PROXY")
            return raw

    def _decode(self, raw: memoryview | None) -> bytes:
        if raw is None and not self._early:
            return b""
        self._early = False
        if raw:
            self._incoming.write(raw)
        elif raw is not None:
            self._incoming.write_eof()
        parts = []
        try:
            while True:
                part = self._tls.read(_RECORD)
                if not part:  # SSLObject reports a close_notify like this
                    self._ended = self._broken or Disconnected(_CLOSED)
                    break
                parts.append(part)
                if raw and not self._incoming.pending and not self._tls.pending():
                    break  # another read would only raise SSLWantReadError
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._ended = self._broken or Disconnected(_CLOSED)
        except OSError as error:
            self._ended = Disconnected(f"TLS failed: {printable(getattr(error, 'reason', None) or error, 100)}")
        if self._outgoing.pending:
            self._queue(self._outgoing.read())
        if not parts and self._ended:
            raise self._ended
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _encode(self, data: bytes) -> bytes:
        if not data or self._broken:
            return b""
        try:
            self._tls.write(data)
        except OSError as error:
            self._broken = _lost(error)
            return b""
        return self._outgoing.read()

    def _finish(self) -> None:
        with contextlib.suppress(OSError):
            self._tls.unwrap()
        self._queue(self._outgoing.read())


def _lost(error: OSError) -> Disconnected:
    return Disconnected(f"the connection broke: {printable(error.strerror or error, 100)}")
