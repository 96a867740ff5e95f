"""The loopback address that receives the authorization code from a browser: a server for one request.

Browsers open connections without sending anything, and any page or program on this computer can send other requests.
Neither may block the request with the code. https://www.rfc-editor.org/rfc/rfc8252#section-8.3
"""

from __future__ import annotations

import selectors
import socket
import time
from contextlib import suppress

from ssm_ssh.aws.login.oauth import CALLBACK_PATH, code_of_callback
from ssm_ssh.errors import CredentialsError, UsageError
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from ssm_ssh.aws.login.oauth import Challenge

# Bytes of a request head: the code has at most 512, and browsers add some KiB of cookies of other local servers.
_LARGEST = 64 << 10
_MOST_CONNECTIONS = 32
_PAGE = """\
<!doctype html><html lang="en"><meta charset="utf-8"><title>ssm-ssh</title>
<body style="font-family:sans-serif;margin:4em"><h1>{title}</h1><p>{text}</p></body></html>
"""


class Callback:
    """Listens on 127.0.0.1 from its creation until the end of its context."""

    def __init__(self, port: int = 0) -> None:
        """`port`: 0 for any free port. Raises UsageError if the port is not available."""
        try:
            self._listener = socket.create_server(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(
                f"cannot listen on port {port} on 127.0.0.1 for the browser's answer: {error.strerror}",
                "Choose another with --port, or use --no-browser",
            ) from None
        self._listener.setblocking(False)
        self.uri = f"http://127.0.0.1:{self._listener.getsockname()[1]}{CALLBACK_PATH}"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._heads: dict[socket.socket, bytes] = {}

    def __enter__(self) -> Callback:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for sock in tuple(self._heads):
            self._drop(sock)
        self._selector.close()
        self._listener.close()

    def wait(self, secrets: Challenge, timeout: float) -> str:
        """Return the authorization code of the login with `secrets`.

        Raises CredentialsError when the login was denied, or when no code arrives within `timeout` seconds.
        """
        until = time.monotonic() + timeout
        while (left := until - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                if key.fileobj is self._listener:
                    self._accept()
                elif (code := self._read(key.fileobj, secrets)) is not None:  # type: ignore[arg-type]
                    return code
        raise CredentialsError(
            f"the browser sent no answer within {timeout / 60:.0f} minutes",
            "Log in again; use --no-browser if the browser is on another computer",
        )

    def _accept(self) -> None:
        with suppress(OSError):
            sock = self._listener.accept()[0]
            sock.setblocking(False)
            if len(self._heads) >= _MOST_CONNECTIONS:
                self._drop(next(iter(self._heads)))  # the oldest connection has had the most time
            self._heads[sock] = b""
            self._selector.register(sock, selectors.EVENT_READ)

    def _read(self, sock: socket.socket, secrets: Challenge) -> str | None:
        if sock not in self._heads:
            return None
        try:
            received = sock.recv(_LARGEST)
        except BlockingIOError:
            return None
        except OSError:
            received = b""
        head = self._heads[sock] = self._heads[sock] + received
        if not received or len(head) > _LARGEST:
            self._drop(sock)
            return None
        if b"\r\n\r\n" not in head:
            return None
        return self._answer(sock, head, secrets)

    def _answer(self, sock: socket.socket, head: bytes, secrets: Challenge) -> str | None:
        method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        try:
            code = code_of_callback(rest.rpartition(" ")[0], secrets) if method == "GET" else None
        except CredentialsError:
            self._respond(sock, "403 Forbidden", "Not logged in", "Access was denied. You can close this page.")
            raise
        except ValueError:  # the target is not a URL
            code = None
        if code is None:
            self._respond(sock, "404 Not Found", "Nothing here", "This address belongs to a login of ssm-ssh.")
            return None
        self._respond(sock, "200 OK", "Logged in", "You can close this page. ssm-ssh continues in the terminal.")
        return code

    def _respond(self, sock: socket.socket, status: str, title: str, text: str) -> None:
        body = _PAGE.format(title=title, text=text).encode()
        lines = [
            f"HTTP/1.1 {status}",
            "Content-Type: text/html; charset=utf-8",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
            "Referrer-Policy: no-referrer",  # the URL contains the code
            "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'",
            "Connection: close",
        ]
        with suppress(OSError):
            sock.send("\r\n".join([*lines, "", ""]).encode() + body)
            sock.shutdown(socket.SHUT_WR)
        self._drop(sock)

    def _drop(self, sock: socket.socket) -> None:
        self._heads.pop(sock, None)
        self._selector.unregister(sock)
        sock.close()
