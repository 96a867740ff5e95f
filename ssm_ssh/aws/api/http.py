"""One HTTP request and its response over a new connection, with a limit on everything.

Calls are seconds or hours apart and go to different hosts, so connections are not reused. Importing the standard
library's http.client would take longer than the request.
https://www.rfc-editor.org/rfc/rfc9112
"""

from __future__ import annotations

import re
import time

from ssm_ssh.errors import NetworkError, ProtocolError
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.transport.host_name import encoded
from ssm_ssh.transport.http import head_length, parse_head

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Mapping

    from ssm_ssh.aws.config.endpoints import Endpoint
    from ssm_ssh.transport.http import Head

# Bytes of a response's body. The longest response to a call of ssm-ssh has a few hundred KiB.
MAX_BODY = 8 << 20
# Bytes of a chunk's size line with its extensions. AWS sends none.
_MAX_LINE = 1024
# Interim responses such as `100 Continue`. None is asked for, and one would be usual.
_MOST_INTERIM = 10
_CHUNK = rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n"
_HINT = "Try again; check the network and HTTPS_PROXY"


class Response(NamedTuple):
    """An HTTP response; header names are in lower case, and the last of several headers with one name counts."""

    status: int
    headers: dict[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"<Response {self.status}, {len(self.body)} bytes>"


class Deadlines(NamedTuple):
    """Seconds to connect, seconds without a byte, and the monotonic time of the end (None: none)."""

    connect: float
    read: float
    until: float | None

    def limit(self, seconds: float) -> float:
        """Return `seconds`, or the time left if that is less. Raises TimeoutError when none is left."""
        if self.until is None:
            return seconds
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(seconds, left)


def connect(
    endpoint: Endpoint, *, env: Mapping[str, str], context: Callable[[], ssl.SSLContext], deadlines: Deadlines
) -> socket.socket:
    """Return a connected socket with TLS verified, through the proxy that `env` names.

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
            return context().wrap_socket(sock, server_hostname=encoded(endpoint.host))
        except BaseException:
            sock.close()
            raise
    except TimeoutError:
        raise NetworkError(f"no connection to {endpoint.host} in time", _HINT) from None
    except OSError as error:
        raise tls_error(error, endpoint.host) from None


def exchange(
    sock: socket.socket, endpoint: Endpoint, headers: Mapping[str, str], body: bytes, deadlines: Deadlines
) -> Response:
    """POST `body` to the endpoint's path, return the response and close `sock`. Redirects are not followed.

    Raises NetworkError when the response does not arrive or breaks off, ProtocolError when it is not HTTP or too large.
    """
    lines = [f"POST {endpoint.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if any("\n" in line or "\r" in line or not line.isascii() for line in lines):
        sock.close()
        raise ProtocolError("a header of the request contains a line break or a character that is not ASCII")
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
        return Response(head.status, dict(head.headers), reader.body(head))
    except ProtocolError as error:
        raise ProtocolError(f"the response of {endpoint.host} is not usable: {error.message}", _HINT) from None
    except TimeoutError:
        raise NetworkError(f"{endpoint.host} did not answer in time", _HINT) from None
    except _BrokenOffError:
        raise NetworkError(f"{endpoint.host} closed the connection before its response was complete", _HINT) from None
    except OSError as error:
        raise NetworkError(
            f"the connection to {endpoint.host} broke: {error.strerror or type(error).__name__}", _HINT
        ) from None
    finally:
        sock.close()


class _BrokenOffError(Exception):
    """The connection ended in the middle of a response."""


class _Reader:
    """Reads one response; every read ends at the deadline, however slowly bytes arrive."""

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
                raise ProtocolError("the response has an unknown transfer coding")
            return self._chunks()
        lengths = set(head.get_all("content-length"))
        if not lengths:
            return self._rest()
        length = lengths.pop()
        if lengths or not (length.isascii() and length.isdigit()):
            raise ProtocolError("the response has no usable length")
        return self._exactly(int(length[:12]))

    def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            while not (line := re.match(_CHUNK, self._data)):
                if len(self._data) > _MAX_LINE or b"\n" in self._data:
                    raise ProtocolError("the response has a malformed chunk")
                self._more()
            size = int(line[1], 16)  # the match refers to the line, which is deleted next
            del self._data[: line.end()]
            if size == 0:
                return bytes(body)  # the connection is closed now, so the trailer need not be read
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
        raise ProtocolError(f"the response body exceeds {MAX_BODY >> 20} MiB", "Check the endpoint URL and the proxy")
