"""The loopback address that a browser is sent to with the authorization code: a server for one answer.

Browsers open connections on which they send nothing, and any page or program of this machine can send something else:
neither may keep the answer from being heard. https://www.rfc-editor.org/rfc/rfc8252#section-8.3
"""

from __future__ import annotations

import selectors
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ssm_ssh.aws.login.oauth import CALLBACK_PATH, code_of_callback
from ssm_ssh.errors import CredentialsError, UsageError

if TYPE_CHECKING:
    from types import TracebackType

    from ssm_ssh.aws.login.oauth import Challenge

# Bytes of a request head: the code has at most 512, and browsers send some KiB of cookies of other local servers.
_LARGEST = 64 << 10
_MOST_CONNECTIONS = 32
_PAGE = """\
<!doctype html><html lang="en"><meta charset="utf-8"><title>ssm-ssh</title>
<body style="font-family:sans-serif;margin:4em"><h1>{title}</h1><p>{text}</p></body></html>
"""


class Callback:
    """Listens on 127.0.0.1 from its creation on; a context manager that stops it."""

    def __init__(self, port: int = 0) -> None:
        """`port`: 0 for any. Raises UsageError where it cannot be used."""
        try:
            self._listener = socket.create_server(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(
                f"cannot listen on port {port} of 127.0.0.1 for the browser's answer: {error.strerror}",
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

    def wait(self, secrets: Challenge, patience: float) -> str:
        """Return the authorization code of the login that `secrets` belong to.

        Raises CredentialsError when it was denied, or did not come within `patience` seconds.
        """
        until = time.monotonic() + patience
        while (left := until - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                if key.fileobj is self._listener:
                    self._accept()
                elif (code := self._read(key.fileobj, secrets)) is not None:  # type: ignore[arg-type]
                    return code
        raise CredentialsError(
            f"the browser sent no answer within {patience / 60:.0f} minutes",
            "Log in again; if the browser is on another computer, use --no-browser",
        )

    def _accept(self) -> None:
        with suppress(OSError):
            sock = self._listener.accept()[0]
            sock.setblocking(False)
            if len(self._heads) >= _MOST_CONNECTIONS:
                self._drop(next(iter(self._heads)))  # the oldest: it has had the most time
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
            self._say(sock, "403 Forbidden", "Not logged in", "Access was denied. You can close this page.")
            raise
        except ValueError:  # a target that is no URL
            code = None
        if code is None:
            self._say(sock, "404 Not Found", "Nothing here", "This address belongs to a login of ssm-ssh.")
            return None
        self._say(sock, "200 OK", "Logged in", "You can close this page. ssm-ssh continues in the terminal.")
        return code

    def _say(self, sock: socket.socket, status: str, title: str, text: str) -> None:
        body = _PAGE.format(title=title, text=text).encode()
        lines = [
            f"HTTP/1.1 {status}",
            "Content-Type: text/html; charset=utf-8",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
            "Referrer-Policy: no-referrer",  # the address holds the code
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
