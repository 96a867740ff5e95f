"""One HTTP request and its answer, over a connection of its own, with a limit on everything.

Calls are seconds or hours apart and go to different hosts, so connections are not kept. The standard library's
http.client would cost more time to import than the request takes.
https://www.rfc-editor.org/rfc/rfc9112
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.errors import NetworkError, ProtocolError
from ssm_ssh.transport.http import head_length, parse_head

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Mapping

    from ssm_ssh.aws.config.endpoints import Endpoint
    from ssm_ssh.transport.http import Head

# Bytes of an answer's body. The longest that a call of ours gets are some hundred KiB; what is larger is not AWS.
MAX_BODY = 8 << 20
# Bytes of a chunk's size line with its extensions, and of the trailer: AWS sends neither.
_MAX_LINE = 1024
# `100 Continue` and its kind: one would be usual, none is asked for.
_MOST_INTERIM = 10
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
_HINT = "Try again; check the network and HTTPS_PROXY"


class Answer(NamedTuple):
    """An HTTP answer; header names are in lower case, the last of several headers of one name counts."""

    status: int
    headers: dict[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"<Answer {self.status}, {len(self.body)} bytes>"


class Deadlines(NamedTuple):
    """Seconds for a connection, seconds without a byte, and the monotonic time at which all ends (None: never)."""

    connect: float
    read: float
    until: float | None

    def limit(self, seconds: float) -> float:
        """Return `seconds`, or what is left when that is less. Raises TimeoutError when nothing is."""
        if self.until is None:
            return seconds
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(seconds, left)


def connect(
    endpoint: Endpoint, *, env: Mapping[str, str], context: Callable[[], ssl.SSLContext], deadlines: Deadlines
) -> socket.socket:
    """Return a connected socket, TLS verified, through the proxy that `env` asks for.

    Raises NetworkError, ProxyRefused, NotTrusted, and UsageError for a proxy or CA bundle that cannot be used.
    """
    from ssm_ssh.transport.dial import dial
    from ssm_ssh.transport.proxy import proxy_for
    from ssm_ssh.transport.tls import tls_error

    secure = endpoint.scheme == "https"
    try:
        proxy = proxy_for(endpoint.host, endpoint.port, env) if secure else None
        timeout = deadlines.limit(deadlines.connect)
        sock = dial(endpoint.host, endpoint.port, proxy=proxy, context=context, timeout=timeout)
        if not secure:
            return sock
        try:
            sock.settimeout(deadlines.limit(deadlines.connect))
            return context().wrap_socket(sock, server_hostname=endpoint.host)
        except BaseException:
            sock.close()
            raise
    except TimeoutError:
        raise NetworkError(f"no connection to {endpoint.host} in time", _HINT) from None
    except OSError as error:
        raise tls_error(error, endpoint.host) from None


def ask(
    sock: socket.socket, endpoint: Endpoint, headers: Mapping[str, str], body: bytes, deadlines: Deadlines
) -> Answer:
    """POST `body` to the endpoint's path and return the answer; `sock` is closed in any case. No redirect is followed.

    Raises NetworkError when the answer does not come or breaks off, ProtocolError when it is not HTTP or too large.
    """
    lines = [f"POST {endpoint.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if any("\n" in line or "\r" in line or not line.isascii() for line in lines):
        sock.close()
        raise ProtocolError("a header of the request would hold a line break or a character that is not ASCII")
    try:
        lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
        sock.settimeout(deadlines.limit(deadlines.read))
        sock.sendall("\r\n".join(lines).encode("ascii") + body)
        reader = _Reader(sock, deadlines)
        head = reader.head()
        for _ in range(_MOST_INTERIM):
            if head.status >= 200:
                break
            head = reader.head()
        return Answer(head.status, dict(head.headers), reader.body(head))
    except ProtocolError as error:
        raise ProtocolError(f"{endpoint.host} gave no usable answer: {error.message}", _HINT) from None
    except TimeoutError:
        raise NetworkError(f"{endpoint.host} did not answer in time", _HINT) from None
    except _BrokenOffError:
        raise NetworkError(f"{endpoint.host} closed the connection before its answer was complete", _HINT) from None
    except OSError as error:
        raise NetworkError(
            f"the connection to {endpoint.host} broke: {error.strerror or type(error).__name__}", _HINT
        ) from None
    finally:
        sock.close()


class _BrokenOffError(Exception):
    """The connection ended in the middle of an answer."""


class _Reader:
    """Reads one answer; every read ends at the deadline, however slowly bytes drip."""

    def __init__(self, sock: socket.socket, deadlines: Deadlines) -> None:
        self._sock = sock
        self._deadlines = deadlines
        self._data = bytearray()

    def head(self) -> Head:
        searched = 0
        while not (length := head_length(self._data, searched)):
            searched = len(self._data)
            self._more()
        return parse_head(self._take(length))

    def body(self, head: Head) -> bytes:
        if head.status in {204, 304}:
            return b""
        if codings := head.get_all("transfer-encoding"):
            if [coding.lower() for coding in codings] != ["chunked"]:
                raise ProtocolError("the answer has an unknown transfer coding")
            return self._chunks()
        lengths = set(head.get_all("content-length"))
        if not lengths:
            return self._rest()
        length = lengths.pop()
        if lengths or not (length.isascii() and length.isdigit()):
            raise ProtocolError("the answer has no usable length")
        return self._exactly(int(length[:12]))

    def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            while not (line := _CHUNK.match(self._data)):
                if len(self._data) > _MAX_LINE or b"\n" in self._data:
                    raise ProtocolError("the answer has a malformed chunk")
                self._more()
            size = int(line[1], 16)  # before the line is deleted, for the match only refers to it
            del self._data[: line.end()]
            if size == 0:
                return bytes(body)  # the connection is closed now, so a trailer needs no reading
            _bound(len(body) + size)
            body += self._exactly(size)
            if self._exactly(1) == b"\r":
                self._exactly(1)

    def _rest(self) -> bytes:
        try:
            while True:
                self._more()
                _bound(len(self._data))
        except _BrokenOffError:
            return bytes(self._data)

    def _exactly(self, size: int) -> bytes:
        _bound(size)
        while len(self._data) < size:
            self._more()
        return self._take(size)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._data[:size])
        del self._data[:size]
        return taken

    def _more(self) -> None:
        self._sock.settimeout(self._deadlines.limit(self._deadlines.read))
        received = self._sock.recv(65536)
        if not received:
            raise _BrokenOffError
        self._data += received


def _bound(size: int) -> None:
    if size > MAX_BODY:
        raise ProtocolError("the answer is larger than any of AWS", "Check the endpoint URL and the proxy")
